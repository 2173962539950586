"""JSON documents next to a run's record: read with care, each fault one sentence; written whole.

Several commands may add to a run's documents at once: `EntriesFile` lets one after the other do so.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, Generic, TypeVar

from filelock import FileLock
from pydantic import ValidationError

from fer_bench.errors import FerBenchError, coded, one_line
from fer_bench.results.location import saving_results, write_results
from fer_bench.results.record import Document

D = TypeVar("D", bound=Document)
E = TypeVar("E")


class Newer(Exception):
    """A document is of a newer FER Bench; says how it was written, and what to do."""


@coded("bad_results")
def read_document(path: Path, kind: type[D]) -> D:
    """A file's content, or the kind's defaults where there is no file; parsed once a process.

    It is shared by everyone who reads it: copy it before changing it.

    Raises:
        FerBenchError: a file that is damaged or was written by a newer FER Bench.
    """
    try:
        return parse_file(path, kind)
    except FileNotFoundError:
        return kind()
    except OSError as error:
        raise FerBenchError(
            f"{path} cannot be read: {error.strerror}", code="missing_file"
        ) from None
    except Newer as newer:
        raise FerBenchError(f"{path} was {newer}") from None
    except ValidationError as error:
        raise FerBenchError(
            f"{path} is damaged{_fault(error)}: delete it and {kind.again}"
        ) from None


class EntriesFile(Generic[E]):
    """A file of a run that lists entries of one kind, such as its latency on each machine.

    Of two entries of the same thing the newer one stays.

    Args:
        name: the file's.
        kind: what it holds: the list is its one field besides the version.
        same: of two entries of the same thing it is equal.
        order: what they are sorted by; None for as they came.
    """

    def __init__(
        self,
        name: str,
        kind: type[Document],
        same: Callable[[E], object],
        order: Callable[[E], tuple[str, ...]] | None = None,
    ) -> None:
        self.name, self._kind, self._same, self._order = name, kind, same, order
        (self._field,) = kind.model_fields.keys() - Document.model_fields.keys()

    def read(self, folder: Path) -> list[E]:
        """The entries in a folder; none where there is no file.

        They are shared by everyone who reads them in this process: copy one before changing it.

        Raises:
            FerBenchError: a file that is damaged or was written by a newer FER Bench.
        """
        return list(getattr(read_document(folder / self.name, self._kind), self._field))

    def check(self, folder: Path) -> None:
        """Whether an entry could be added now; to be asked before it is measured.

        Raises:
            FerBenchError: as `add`.
        """
        with _sole_use(folder / self.name):
            self.read(folder)

    def add(self, folder: Path, entry: E) -> Path:
        """Puts an entry next to the others, replacing an older one of the same thing.

        Returns:
            The file.

        Raises:
            FerBenchError: the file that is there cannot be read, the entry could not be read again
                (a figure that is not finite), or a disk that is full or not writable; what was
                there before is intact.
        """
        path = folder / self.name
        with _sole_use(path):
            others = [one for one in self.read(folder) if self._same(one) != self._same(entry)]
            entries = [*others, entry]
            if self._order:
                entries.sort(key=self._order)
            write_document(path, self._kind.model_validate({self._field: entries}))
        return path


def _saving(path: Path) -> contextlib.AbstractContextManager[None]:
    """As `saving_results`: another folder holds no such run, as where only root may write."""
    if (path.parent / "record.json").exists():
        way_out = "copy the run's folder to another results folder and name the copy"
        return saving_results(path.name, path.parent, way_out)
    return saving_results(path.name, path.parent)


@contextlib.contextmanager
def _sole_use(path: Path) -> Iterator[None]:
    """Locks a document for this thread while the block reads, changes and writes it.

    Others wait. Its folder is made where there is none; a process that is killed forgets it.

    Raises:
        FerBenchError: a disk that is full or not writable.
    """
    lock = path.with_name(f".{path.name}.lock")
    with _saving(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(lock):
            try:
                yield
            finally:  # those who wait see that it is gone, and lock a new one
                with contextlib.suppress(PermissionError):  # Windows removes no open file
                    lock.unlink(missing_ok=True)


def write_document(path: Path, document: Document) -> None:
    """Writes it, replacing what is there.

    Raises:
        FerBenchError: it could not be read again (a figure that is not finite), or a disk that is
            full or not writable; what was there before is intact.
    """
    text = document.model_dump_json(indent=2).encode() + b"\n"
    try:
        type(document).model_validate_json(text)  # JSON has no NaN: it is written as null
    except ValidationError as error:
        raise FerBenchError(f"{path.name} cannot be saved: {key_of(error)} is not finite") from None
    with _saving(path):
        write_results({path: text})


def parse_document(kind: type[D], text: bytes) -> D:
    """A document from its JSON.

    Raises:
        Newer: it was written by a newer FER Bench, whatever else it holds.
        ValidationError: it does not fit.
    """
    reads = kind.model_fields["schema_version"].default
    try:
        document = kind.model_validate_json(text)
        version = document.schema_version
    except ValidationError:
        version = _claimed_version(text)
        if version <= reads:
            raise
    if version > reads:
        raise Newer(
            f"written by a newer FER Bench (schema {version}, this one reads {reads}): "
            "update FER Bench"
        )
    return document


def parse_file(path: Path, kind: type[D]) -> D:
    """As `parse_document`, once a process. Raises OSError too, where the file cannot be read."""
    stat = path.stat()
    document: D = _parsed_file(str(path), stat.st_ino, stat.st_mtime_ns, stat.st_size, kind)
    return document


@lru_cache(maxsize=16_384)
def _parsed_file(path: str, inode: int, mtime_ns: int, size: int, kind: type[Any]) -> Any:
    """What tells one content of a file from the next is part of the cache's key."""
    return parse_document(kind, Path(path).read_bytes())


def _fault(error: ValidationError) -> str:
    first = error.errors()[0]
    if first["type"] == "json_invalid":
        return f", it is not valid JSON ({first['msg'].removeprefix('Invalid JSON: ')})"
    return f" ({key_of(error)}: {first['msg']})"


def _claimed_version(text: bytes) -> int:
    """The schema version that a document claims; 0 where it claims none."""
    try:
        version = json.loads(text)["schema_version"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return 0
    return version if isinstance(version, int) else 0


def key_of(error: ValidationError) -> str:
    """Where in a document its first fault is: `reports.0.n`."""
    return one_line(".".join(map(str, error.errors()[0]["loc"]))) or "the document"
