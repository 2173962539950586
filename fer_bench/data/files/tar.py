"""Tar files, read in place: their headers are gone through once, then each member is one read."""

from __future__ import annotations

import io
import tarfile
from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path

from fer_bench.data.files.limits import is_visible, plain_name, require_size
from fer_bench.errors import FerBenchError, wrong_kind

#: What `tarfile` may read at once: names are short, whatever length a header promises.
MAX_HEADER = 2**20
#: A longer name is no file's; PATH_MAX of Linux.
MAX_NAME = 4096


def is_tar(path: Path) -> bool:
    """Whether a path is a tar file by its name, compressed or not."""
    name = path.name.lower()
    return name.endswith((".tar", ".tar.gz", ".tgz")) and path.is_file()


class TarTree:
    """A tar file, or several in one folder as one tree (`train-000.tar/00017.jpg`).

    Nothing is unpacked, so hostile member names can do nothing; links and devices are no members.
    The webdataset package would not help: it streams a shard from its start.
    """

    def __init__(self, path: Path, shards: Sequence[str] = ()) -> None:
        """shards: the tar files in the folder `path`, relative; none where it is a tar itself.

        Raises:
            FerBenchError: a tar is compressed, damaged or cut short.
            OSError: it cannot be read.
        """
        self.path = path
        self._shards = shards
        self._places: dict[str, int] = {}
        self._shard, self._offset, self._size = array("L"), array("q"), array("q")
        for number, shard in enumerate(shards or [""]):
            for name, offset, size in _members(path / shard):
                whole = f"{shard}/{name}" if shard else name
                self._places[whole] = len(self._offset)
                self._shard.append(number)
                self._offset.append(offset)
                self._size.append(size)
        self.names = sorted(self._places)

    def read(self, name: str) -> bytes:
        index = self._places[name]
        size = self._size[index]
        require_size(size)
        shard = self._shards[self._shard[index]] if self._shards else ""
        with (self.path / shard).open("rb") as file:
            file.seek(self._offset[index])
            data = file.read(size)
        if len(data) < size:
            raise OSError("the tar was cut short meanwhile")
        return data


class _Headers(io.FileIO):
    """A tar for reading headers only: a hostile one cannot make `tarfile` read gigabytes."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or not 0 <= size <= MAX_HEADER:
            raise tarfile.ReadError("a header that is too large")
        return super().read(size) or b""


def _members(path: Path) -> Iterator[tuple[str, int, int]]:
    """Name, offset and size of the visible plain files.

    Raises:
        FerBenchError: no whole, uncompressed tar.
    """
    try:
        with _Headers(path) as file, tarfile.open(fileobj=file, mode="r:") as tar:
            length, after = path.stat().st_size, -1
            while (member := tar.next()) is not None:
                tar.members = []  # type: ignore[attr-defined]  # a kilobyte for each
                if tar.offset <= after or member.size < 0 or tar.offset > length:
                    raise tarfile.ReadError("a member that reaches beyond the end")
                after = tar.offset
                name = plain_name(member.name)
                if name and member.isreg() and not member.issparse() and is_visible(name):
                    if len(name) > MAX_NAME:
                        raise tarfile.ReadError("a name that is too long")
                    yield name, member.offset_data, member.size
            _require_end(file, tar.offset)
    except (tarfile.TarError, ValueError, OverflowError, EOFError, RecursionError) as error:
        raise _damaged_tar(path) from error


def _require_end(file: io.FileIO, offset: int) -> None:
    """Raises ReadError unless there is a tar's end, a block of zeros: `tarfile` takes any."""
    file.seek(offset)
    if file.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
        raise tarfile.ReadError("no end")


def _damaged_tar(path: Path) -> FerBenchError:
    if what := wrong_kind(path):
        return FerBenchError(f"{path.name} is no tar: it {what}")
    return FerBenchError(
        f"{path.name} is not a plain tar or is cut short: expected a complete, uncompressed .tar; "
        "download it again, or decompress it"
    )
