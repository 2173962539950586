"""Files that are written whole or not at all, and what caches are made of."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from fer_bench.errors import FerBenchError, RunFailed

if TYPE_CHECKING:
    from numpy.typing import NDArray  # whoever writes files only need not load NumPy


def write_atomically(
    files: Mapping[Path, bytes],
    publishing: Callable[[Mapping[Path, Path]], AbstractContextManager[None]] = lambda _: (
        nullcontext()
    ),
    *,
    parents: bool = False,
) -> None:
    """Writes files under temporary names next to them, flushes them, then renames them in order.

    Args:
        files: contents by path.
        publishing: a block around the renaming, given the temporary file of each path.
        parents: makes their folders; without it they exist.

    Raises:
        OSError: the temporary files are gone. A full disk shows before the first renaming, so the
            old files are all as they were.
        Exception: what `publishing` raises, likewise.
    """
    if parents:
        for folder in {path.parent for path in files}:
            folder.mkdir(parents=True, exist_ok=True)
    temporary = {path: path.with_name(f".{path.name}.{uuid4().hex}.tmp") for path in files}
    try:
        for path, content in files.items():
            with temporary[path].open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        with publishing(temporary):
            for path in files:
                temporary[path].replace(path)
    finally:  # after the renaming there is nothing left to remove
        for leftover in temporary.values():
            leftover.unlink(missing_ok=True)


@contextmanager
def saving(path: Path) -> Iterator[None]:
    """Turns what goes wrong on the disk into a sentence.

    Raises:
        RunFailed: it is full or not writable.
    """
    try:
        yield
    except OSError as error:
        raise RunFailed(
            f"cannot write {path}: {error.strerror or error}: free some space or choose another "
            "place"
        ) from None


@contextmanager
def finished_file(path: Path) -> Iterator[Path]:
    """A temporary name next to `path` that becomes `path` when the block ends well, or vanishes.

    Where `path` is a link, what it leads to is written.

    Raises:
        OSError: no folder or file can be made there.
    """
    path = real_path(path)
    temporary = path.with_name(f".{uuid4().hex}.tmp{path.suffix}")
    if what := in_the_way(path):
        raise FileExistsError(errno.EEXIST, f"{what} is in the way")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def remove_leftovers(folder: Path, suffix: str = "") -> None:
    """Removes what processes that were killed were writing in a folder that is this one's alone.

    Args:
        suffix: of the files that `finished_file` was to finish; empty for `write_atomically`'s.
    """
    for leftover in folder.glob(f".*.tmp{suffix}"):
        leftover.unlink(missing_ok=True)


def real_path(path: Path) -> Path:
    """Where a path leads, as `Path.resolve`; links that lead to each other are no error."""
    return Path(os.path.realpath(path))


def in_the_way(path: Path) -> str | None:
    """What lies at a path that no file can replace."""
    if not os.path.exists(path):  # noqa: PTH110  # False for long names
        return None
    if path.is_file():
        return "the file of standard output" if _is_open_as(path, (1, 2)) else None
    return "a folder" if path.is_dir() else "a device or pipe"


def _is_open_as(path: Path, descriptors: Sequence[int]) -> bool:
    """Whether the shell has opened a file for this process, as `> path` and /dev/stdout do."""
    stat = path.stat()
    for descriptor in descriptors:
        with suppress(OSError):  # closed
            if os.path.samestat(stat, os.fstat(descriptor)):
                return True
    return False


def write_if_possible(path: Path, content: bytes) -> None:
    """Caches a file, whole or not at all; a disk that refuses costs time, never a result."""
    with suppress(OSError):
        write_atomically({path: content}, parents=True)


@contextmanager
def saving_in_cache(what: str, folder: Path) -> Iterator[None]:
    """Turns what goes wrong on the cache's disk into a sentence.

    Raises:
        FerBenchError: it is full or not writable.
    """
    try:
        yield
    except OSError as error:
        raise FerBenchError(
            f"cannot save {what} in {folder}: {error.strerror or error}; free some space there, "
            "or set FER_BENCH_CACHE to a folder that has it"
        ) from error


def forgotten(folder: Path) -> FerBenchError:
    """The error of a cache that has not what was just written to it."""
    return FerBenchError(
        f"the cache in {folder} does not keep what is written to it; "
        "set FER_BENCH_CACHE to another folder"
    )


def key_of(facts: Sequence[object]) -> str:
    """32 hex digits: the name of what is cached, by all that it depends on, as JSON knows it."""
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:32]


def digest_of(array: NDArray[Any]) -> str:
    """SHA-256 over an array's values."""
    return hashlib.sha256(array.tobytes()).hexdigest()


def checksum_of(files: Iterable[Path], more: bytes = b"") -> str:
    """SHA-256 over files, one after the other, and what else there is.

    Raises:
        OSError: one cannot be read.
    """
    digest = hashlib.sha256()
    for path in files:
        with path.open("rb") as file:
            hashlib.file_digest(file, lambda: digest)
    digest.update(more)
    return digest.hexdigest()


def read_json(path: Path) -> Any:
    """What a JSON file holds; None where there is none or it is damaged."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
