"""The files that words on the command line mean, and what a folder holds besides."""

from __future__ import annotations

import difflib
import glob
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fer_bench.data.files.archive import IMAGE_SUFFIXES, names_below
from fer_bench.data.files.limits import is_visible
from fer_bench.errors import FerBenchError, printable
from fer_bench.formatting import how_many
from fer_bench.storage import real_path

#: Files that a sentence about a folder names, before it says that there are more.
MOST_NAMED = 3
VIDEO_SUFFIXES = (
    ".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".m2ts", ".wmv", ".flv",
    ".3gp", ".mts", ".m2t", ".ts", ".vob", ".3g2", ".ogv", ".qt", ".asf", ".mpe", ".m2v", ".f4v",
    ".m1v", ".mpv", ".dv", ".mxf", ".divx", ".ogm", ".trp", ".rm", ".rmvb", ".mjpg", ".mjpeg",
    ".h264", ".264", ".hevc", ".265", ".y4m", ".nut",
)  # fmt: skip
#: So much is read of a file; three packets of an MPEG transport stream fit in.
START_BYTES = 1024
#: Boxes that an MP4 or QuickTime file may begin with, at byte 4.
BOXES = (b"ftyp", b"moov", b"mdat", b"wide", b"pnot")
#: Brands behind `ftyp` that are pictures; the last is a camera's raw file.
PICTURE_BRANDS = (
    b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1", b"avif", b"avis", b"crx ",
)  # fmt: skip
STARTS = (
    b"\x1aE\xdf\xa3",  # Matroska, WebM
    b"FLV",
    b"\x00\x00\x01\xba",  # MPEG program stream: MPG, VOB
    b"\x00\x00\x01\xb3",  # MPEG video
    b"OggS",
    bytes.fromhex("3026b2758e66cf11"),  # ASF: WMV
)
#: Starts of pictures. Not of TIFFs: cameras' raw files, next to their JPEGs, begin alike.
PICTURE_STARTS = (
    b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a", b"\0\0\0\x0cjP  ",
)  # fmt: skip
#: Lengths of a packet of a transport stream, and where its mark stands: TS, then M2TS and MTS.
PACKETS = ((188, 0), (192, 4))


@dataclass(frozen=True, kw_only=True)
class InputFile:
    """A file to analyse.

    Attributes:
        path: as the user would write it.
        name: relative to what all inputs have in common, so different for each.
    """

    path: Path
    name: Path

    @property
    def is_video(self) -> bool:
        """Whether it begins as a video does; where it begins as neither, by its name."""
        start = _start_of(self.path)
        by_name = self.path.suffix.lower() in VIDEO_SUFFIXES
        return _begins_as_video(start) or (by_name and not _begins_as_picture(start))


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """What a search found.

    Attributes:
        files: each once, in order.
        passed_over: a sentence for each folder that holds files which are no inputs.
    """

    files: tuple[InputFile, ...]
    passed_over: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class _Matches:
    """What one word means: names relative to `base`; `searched` where the word names no file."""

    base: Path
    media: list[str]
    others: list[str]
    searched: bool


def find_inputs(words: Sequence[str], *, leave_out: Sequence[Path] = ()) -> Inputs:
    """The files that words on the command line mean.

    Args:
        words: files of any kind; folders (all images and videos in them and their subfolders, by
            name or how they begin, hidden ones skipped); or globs such as `photos/**/*.jpg`.
        leave_out: files and folders that searches pass over: the output of an earlier call.

    Raises:
        FerBenchError: no such file (near names suggested), a folder that cannot be listed, or
            nothing found.
    """
    files: dict[Path, Path] = {}
    bases, sentences = [], []
    outputs = [real_path(path) for path in leave_out]
    for word in words:
        match = _match(word)
        home = match.base.resolve()
        bases.append(home)
        avoid = [path for path in outputs if match.searched and not home.is_relative_to(path)]

        def wanted(names: list[str], home: Path = home, avoid: list[Path] = avoid) -> list[str]:
            return [n for n in names if not any((home / n).is_relative_to(path) for path in avoid)]

        for name in wanted(match.media):
            files.setdefault(home / name, match.base / name)
        if others := wanted(match.others):
            sentences.append(printable(f"passed over in {match.base}: {_reasons(others)}"))
    if not files:
        raise FerBenchError(
            f"no image or video in {' '.join(words)}: expected files that end in "
            f"{', '.join((*IMAGE_SUFFIXES, *VIDEO_SUFFIXES))}"
        )
    root = os.path.commonpath(bases)
    return Inputs(
        files=tuple(
            InputFile(path=path, name=whole.relative_to(root)) for whole, path in files.items()
        ),
        passed_over=tuple(sentences),
    )


def _reasons(names: Sequence[str]) -> str:
    others = [Path(name).name for name in names if is_visible(name)]
    hidden = len(names) - len(others)
    reasons = []
    if others:
        shown = ", ".join(others[:MOST_NAMED]) + (", …" if len(others) > MOST_NAMED else "")
        reasons.append(f"{how_many(len(others), 'file')} neither image nor video ({shown})")
    if hidden:
        reasons.append(how_many(hidden, "hidden file"))
    return " and ".join(reasons)


def _match(word: str) -> _Matches:
    path = Path(word)
    try:
        kind = path.stat().st_mode if word else 0
    except OSError as error:
        if glob.has_magic(word):
            return _globbed(word)
        if "://" in word:
            raise FerBenchError(
                f"expected a file, a folder or a glob, got the address {word}: download it first"
            ) from None
        raise FerBenchError(_not_there(path, error), code="missing_file") from None
    if stat.S_ISDIR(kind):
        return _sorted_out(path, _list(path))
    if stat.S_ISREG(kind):
        return _Matches(base=path.parent, media=[path.name], others=[], searched=False)
    raise FerBenchError(f"expected a file, a folder or a glob, got {word!r}: check the spelling")


def _list(folder: Path) -> list[str]:
    try:
        return names_below(folder, with_special=True)
    except OSError as error:
        raise FerBenchError(
            f"cannot list {error.filename or folder}: {error.strerror}: leave it out or mend its "
            "permissions"
        ) from None


def _sorted_out(base: Path, names: Sequence[str]) -> _Matches:
    media = [name for name in names if is_visible(name) and _is_media(base, name)]
    others = sorted(set(names) - set(media))
    return _Matches(base=base, media=media, others=others, searched=True)


def _globbed(pattern: str) -> _Matches:
    steps = Path(pattern).parts
    fixed = next(i for i, step in enumerate(steps) if glob.has_magic(step))
    base = Path(*steps[:fixed])
    # Unlike Path.glob it passes over hidden files, and `**` means files too.
    matches = glob.iglob(  # noqa: PTH207
        str(Path(*steps[fixed:])), root_dir=base, recursive=True
    )
    names: set[str] = set()
    for match in matches:  # folders as where the shell expands the pattern
        whole = base / match
        below = _list(whole) if whole.is_dir() else None
        names.update([match] if below is None else (str(Path(match, name)) for name in below))
    return _sorted_out(base, sorted(names))


def _is_media(folder: Path, name: str) -> bool:
    known = name.lower().endswith((*IMAGE_SUFFIXES, *VIDEO_SUFFIXES))
    if known:
        return True
    start = _start_of(folder / name)
    return _begins_as_video(start) or _begins_as_picture(start)


def _not_there(path: Path, error: OSError) -> str:
    try:
        names = [p.name for p in path.parent.iterdir() if p.exists()]  # not links to nowhere
        near = difflib.get_close_matches(path.name, names)
    except OSError:
        near = []
    hint = f"did you mean {' or '.join(repr(str(path.parent / name)) for name in near)}?"
    return f"cannot read {str(path)!r}: {error.strerror}: {hint if near else 'check the path'}"


def _start_of(path: Path) -> bytes:
    """A file's first bytes; none of what cannot be read, nor of a pipe, which might wait."""
    try:
        if not path.is_file():
            return b""
        with path.open("rb") as file:
            return file.read(START_BYTES)
    except OSError:
        return b""


def _begins_as_picture(start: bytes) -> bool:
    if start[4:8] == b"ftyp":
        return start[8:12] in PICTURE_BRANDS
    return start.startswith(PICTURE_STARTS) or start[:4] + start[8:12] == b"RIFFWEBP"


def _begins_as_video(start: bytes) -> bool:
    if start[4:8] in BOXES:
        return start[8:12] not in PICTURE_BRANDS
    if start[:4] == b"RIFF":
        return start[8:12] == b"AVI "
    return start.startswith(STARTS) or any(
        len(start) > 2 * length and all(start[at + i * length] == 0x47 for i in range(3))
        for length, at in PACKETS
    )
