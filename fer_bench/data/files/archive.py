"""A folder, a zip or a tar as one thing: sorted relative names, and the bytes behind a name."""

from __future__ import annotations

import hashlib
import os
import struct
import zipfile
import zlib
from array import array
from collections.abc import Iterator
from pathlib import Path
from stat import S_ISDIR, S_ISREG
from typing import Protocol

from fer_bench.data.files.limits import is_visible, plain_name, require_size
from fer_bench.data.files.tar import TarTree, is_tar
from fer_bench.errors import FerBenchError, cannot_read, wrong_kind

IMAGE_SUFFIXES = (
    ".jpg", ".jpeg", ".jpe", ".jfif", ".pjpeg", ".png", ".apng", ".bmp", ".dib", ".webp", ".tif",
    ".tiff", ".pgm", ".ppm", ".pbm", ".pnm", ".gif", ".avif", ".avifs", ".jp2", ".j2k", ".jpx",
    ".jpc", ".heic", ".heif", ".hif",
)  # fmt: skip
#: What else data sets consist of: annotations, and pictures without a suffix.
DATA_SUFFIXES = (
    *IMAGE_SUFFIXES,
    ".txt",
    ".csv",
    ".npy",
    ".npz",
    ".mat",
    ".pts",
    ".parquet",
    ".tar",
)
#: After so many files a folder is one of a data set, or is not: a home directory, or a whole disk.
LOOKED_AT = 50_000
#: So much of a data set's files are `DATA_SUFFIXES` at least; those of known ones nearly all are.
LEAST_SHARE = 0.25
#: So much of a zip's member is unpacked at once.
CHUNK_BYTES = 2**20
#: What reading a member of a damaged, encrypted or oddly packed zip can raise.
READ_ERRORS = (
    OSError, EOFError, RuntimeError, NotImplementedError, ValueError, OverflowError, struct.error,
    zipfile.BadZipFile, zlib.error,
)  # fmt: skip
#: Python can unpack these a little at a time; of the others a few bytes may become gigabytes.
PACKINGS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


class Files(Protocol):
    """Encoded images by name; several threads read at once."""

    path: Path

    def read(self, name: str) -> bytes:
        """A file's bytes; raises one of `READ_ERRORS`, also when it is too large."""
        ...


class Tree(Files, Protocol):
    """names: all files, sorted, relative, with `/`; without hidden files and `__MACOSX`."""

    names: list[str]


def is_tree(path: Path) -> bool:
    """Whether a path is a folder, a tar (by its name) or a zip (by its name or its content)."""
    if path.is_dir() or is_tar(path):
        return True
    return path.suffix.lower() == ".zip" or zipfile.is_zipfile(path)


def is_image(name: str) -> bool:
    """Whether a file's name is an image's."""
    return name.lower().endswith(IMAGE_SUFFIXES)


class FolderTree:
    """A folder; links are followed, each folder once.

    Of each file only its name is stored: `os.stat_result` takes ten times as much memory.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.names = sorted(name for name, _ in _data_files(path))

    def read(self, name: str) -> bytes:
        try:
            with (self.path / name).open("rb") as file:
                require_size(os.fstat(file.fileno()).st_size)
                return file.read()
        except PermissionError:
            raise OSError("no permission to read it") from None
        except OSError:
            if (self.path / name).exists():
                raise
            raise OSError("a link to a file that is not there") from None


def names_below(folder: Path, *, with_special: bool = False) -> list[str]:
    """The files in a folder and its subfolders, hidden ones too, relative to it, sorted.

    Args:
        with_special: pipes, sockets and devices too, which may wait forever when they are read.

    Raises:
        OSError: a folder that cannot be listed.
    """
    return sorted(name for name, _ in _walk(folder, with_special=with_special))


def _data_files(root: Path) -> Iterator[tuple[str, os.stat_result]]:
    """The files of a data set's folder, without what is hidden.

    Raises:
        FerBenchError: most of so many files belong to no data set; it does not look any further.
        OSError: a folder that cannot be listed.
    """
    fitting = 0
    for count, (name, info) in enumerate(_walk(root, with_hidden=False), start=1):
        fitting += "." not in name.rsplit("/", 1)[-1] or name.lower().endswith(DATA_SUFFIXES)
        if count % LOOKED_AT == 0 and fitting < LEAST_SHARE * count:
            raise FerBenchError(
                f"{root.name or root} is no folder of a data set: of the first {count:,} files in "
                f"it, {count - fitting:,} are neither pictures nor tables; expected a folder that "
                "holds one data set, such as one with a folder per emotion: give that one"
            )
        yield name, info


def _walk(
    root: Path, *, with_special: bool = False, with_hidden: bool = True
) -> Iterator[tuple[str, os.stat_result]]:
    seen: set[tuple[int, int]] = set()
    waiting = [(str(root), "")]
    while waiting:
        folder, prefix = waiting.pop()
        info = Path(folder).stat()
        if (info.st_dev, info.st_ino) in seen:
            continue
        seen.add((info.st_dev, info.st_ino))
        with os.scandir(folder) as entries:
            for entry in entries:
                if not with_hidden and not is_visible(entry.name):
                    continue
                try:
                    info = entry.stat()
                except OSError:  # a dead link, or one that leads to itself: a file, too, missing
                    info = entry.stat(follow_symlinks=False)
                if S_ISDIR(info.st_mode):
                    waiting.append((entry.path, f"{prefix}{entry.name}/"))
                elif with_special or entry.is_symlink() or S_ISREG(info.st_mode):
                    yield prefix + entry.name, info


def _state(info: os.stat_result) -> tuple[int, int, int, int]:
    """What tells a file from another of its name, without reading it.

    A file written anew or put in its place may have its size and date, as `cp -p` and `rsync -t`
    keep them, but never its time of change, which no program sets.
    """
    return info.st_size, info.st_mtime_ns, info.st_ctime_ns, info.st_ino


def _folder_digest(path: Path) -> str:
    """SHA-256 over names and `_state` of the files."""
    names: list[str] = []
    states = array("Q")
    for name, info in _data_files(path):
        names.append(name)
        states.extend(value % 2**64 for value in _state(info))
    digest = hashlib.sha256()
    for index in sorted(range(len(names)), key=names.__getitem__):
        line = f"{names[index]}\0{states[4 * index : 4 * index + 4].tolist()}\n"
        digest.update(line.encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


class ZipTree:
    """A zip, read in place. Nothing is unpacked, so hostile member names can do nothing."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._zip = zipfile.ZipFile(path)
        except OSError:
            raise
        except READ_ERRORS as error:
            raise damaged_zip(path) from error
        self._members = {}
        for info in self._zip.infolist():
            name = plain_name(info.filename)
            if name and not info.is_dir() and is_visible(name):
                self._members[name] = info
        self.names = sorted(self._members)

    def read(self, name: str) -> bytes:
        member = self._members[name]
        require_size(member.file_size)
        if member.compress_type not in PACKINGS:
            raise OSError("packed in another way than deflate: pack it again as a plain zip")
        with self._zip.open(member) as file:
            # Never `read()`: it unpacks all that is there before it looks at the promised size.
            return b"".join(iter(lambda: file.read(CHUNK_BYTES), b""))


def damaged_zip(path: Path) -> FerBenchError:
    """The error for a file that should be a zip and is not, or not a whole one."""
    if what := wrong_kind(path):
        return FerBenchError(f"{path.name} is no zip: it {what}")
    return FerBenchError(
        f"{path.name} is not a zip or is cut short: expected a complete zip file; "
        "download it again, or give the unpacked folder"
    )


def open_tree(path: Path) -> Tree:
    """The tree of a folder, a zip or a tar.

    Raises:
        FerBenchError: the archive is damaged, or the path cannot be read.
    """
    try:
        if path.is_dir():
            return FolderTree(path)
        return TarTree(path) if is_tar(path) else ZipTree(path)
    except OSError as error:
        raise cannot_read(path.name, error) from error


def content_digest(path: Path) -> str:
    """SHA-256 that changes when a source changes, without reading its images.

    A zip is known by its central directory (names, checksums, sizes), a folder by its files' names,
    sizes, dates and inodes, a file (a tar, say) by its size, dates and inode.

    Raises:
        FerBenchError: the path cannot be read, or a zip is damaged.
    """
    try:
        if path.is_dir():
            return _folder_digest(path)
        if is_tree(path) and not is_tar(path):
            return hashlib.sha256(_central_directory(path)).hexdigest()
        stat = path.stat()
    except OSError as error:
        raise cannot_read(path.name, error) from error
    return hashlib.sha256(str(_state(stat)).encode()).hexdigest()


def _central_directory(path: Path) -> bytes:
    """The list of members at a zip's end, as bytes: a hundredth of the work of parsing it.

    The end record is 22 bytes and a comment of up to 65,535 (APPNOTE 4.3.16); zips over 4 GiB say
    where the list starts in a second record just before.
    """
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - 65557 - 76))
        tail = file.read()
        end = tail.rfind(b"PK\5\6")
        if end < 0 or len(tail) - end < 22:
            raise damaged_zip(path)
        start = struct.unpack_from("<L", tail, end + 16)[0]
        wide = tail.rfind(b"PK\6\6", 0, end)
        if start == 0xFFFFFFFF and 0 <= wide <= len(tail) - 56:
            start = struct.unpack_from("<Q", tail, wide + 48)[0]
        if start > size:
            raise damaged_zip(path)
        file.seek(start)
        return file.read()
