"""Decoded sources on disk as .npy files: decoded once, memory-mapped ever after, never pickled."""

from __future__ import annotations

import hashlib
import json
import math
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from fer_bench.data.dataset import LeftOut, SourceData
from fer_bench.data.journal import SUFFIX
from fer_bench.errors import FerBenchError
from fer_bench.settings import cache_dir
from fer_bench.storage import checksum_of, forgotten, saving_in_cache

#: Raised whenever readers or this layout change, so that old entries are not used.
SCHEMA = 5
SMALL_ARRAYS = ("labels", "ids", "parts", "hashes")
META, CHECKSUM, LOCK_SUFFIX = "meta.json", "sha256.txt", ".lock"
#: Bytes of an .npy file that hold all of its header, and more where its first items are small.
HEADER_BYTES = 128
#: Images whose pixels are compared with their hashes on every load: finds zeroed or torn files.
SPOT_CHECKS = 16
DAY = 86_400.0


def pixel_hashes(images: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """uint64 `(N,)`: BLAKE2b of each image's pixels; equal for exact duplicates."""
    digests = (
        hashlib.blake2b(np.ascontiguousarray(i).data, digest_size=8).digest() for i in images
    )
    return np.frombuffer(b"".join(digests), dtype="<u8").astype(np.uint64)


class ArrayFile:
    """An .npy file written in chunks whose final length is known only at the end.

    Plain writes instead of a memory map: a full disk raises here instead of killing the process,
    and what is written does not count as this process's memory.
    """

    def __init__(
        self, path: Path, item_shape: tuple[int, ...], dtype: str, *, reopen: bool = False
    ) -> None:
        """reopen: what the file holds stays, for `verify_next` to look at."""
        self._path, self._item_shape, self._dtype = path, item_shape, np.dtype(dtype)
        self._item_bytes = math.prod(item_shape) * self._dtype.itemsize
        if reopen:
            path.touch()
        self._file = path.open("r+b" if reopen else "w+b")
        self._count = 0
        self._write_header()
        self._start = self._file.tell()

    def _write_header(self) -> None:
        # NumPy pads the header so that the first axis can grow in place.
        np.lib.format.write_array_header_1_0(
            self._file,
            {
                "descr": np.lib.format.dtype_to_descr(self._dtype),
                "fortran_order": False,
                "shape": (self._count, *self._item_shape),
            },
        )

    def verify_next(self, hashes: NDArray[np.uint64]) -> bool:
        """Whether the next items of a reopened file have these `pixel_hashes`; then they stay."""
        data = self._file.read(len(hashes) * self._item_bytes)
        whole = len(data) == len(hashes) * self._item_bytes
        if whole:
            items = np.frombuffer(data, self._dtype).reshape(-1, *self._item_shape)
            whole = np.array_equal(pixel_hashes(items), hashes)
        if whole:
            self._count += len(hashes)
        return whole

    def append(self, chunk: NDArray[Any]) -> None:
        """Adds `(n, *item_shape)` items, behind what was verified."""
        self._file.seek(self._start + self._count * self._item_bytes)
        self._file.write(np.ascontiguousarray(chunk, dtype=self._dtype).tobytes())
        self._file.flush()
        self._count += len(chunk)

    def finish(self) -> NDArray[Any]:
        """Closes the file and maps it read-only."""
        self._file.truncate(self._start + self._count * self._item_bytes)
        self._file.seek(0)
        self._write_header()
        self._file.close()
        return _load_array(self._path, mapped=True)

    def discard(self) -> None:
        """Closes the file, whatever it holds; nothing to do once finished."""
        self._file.close()


def _load_array(path: Path, *, mapped: bool) -> NDArray[Any]:
    array: NDArray[Any] = np.load(path, mmap_mode="r" if mapped else None, allow_pickle=False)
    return array


def _save(data: SourceData, folder: Path, format_name: str) -> None:
    """Writes an entry's files; arrays that the reader already put there stay."""
    for name in (*SMALL_ARRAYS, "images"):
        array: NDArray[Any] = getattr(data, name)
        path = folder / f"{name}.npy"
        file_behind = getattr(array, "filename", None)  # of a mapped array
        if not (file_behind and path.exists() and path.samefile(file_behind)):
            file = ArrayFile(path, array.shape[1:], array.dtype.str)
            try:
                file.append(array)
                file.finish()
            finally:
                file.discard()
    meta = {
        "format": format_name,
        "name": data.name,
        "source": data.source,
        "emotions": data.emotions,
        "numbering": data.numbering,
        "comparable": data.comparable,
        "left_out": [asdict(row) for row in data.left_out],
    }
    (folder / META).write_text(json.dumps(meta), encoding="utf-8")
    (folder / CHECKSUM).write_text(_digest(folder), encoding="utf-8")


def _digest(folder: Path) -> str:
    """SHA-256 over an entry's files, but for the pixels."""
    with (folder / "images.npy").open("rb") as images:
        header = images.read(HEADER_BYTES)
    names = (META, *(f"{array}.npy" for array in SMALL_ARRAYS))
    return checksum_of([folder / name for name in names], header)


def _load(folder: Path) -> tuple[str, SourceData] | None:
    """An entry's format and data; None where there is none or it is damaged."""
    try:
        if (folder / CHECKSUM).read_text(encoding="utf-8") != _digest(folder):
            return None
        meta = json.loads((folder / META).read_text(encoding="utf-8"))
        small = {n: _load_array(folder / f"{n}.npy", mapped=n == "ids") for n in SMALL_ARRAYS}
        data = SourceData(
            name=meta["name"],
            source=meta["source"],
            emotions=tuple(meta["emotions"]),
            numbering=tuple((int(number), str(name)) for number, name in meta["numbering"]),
            comparable=meta["comparable"],
            left_out=tuple(LeftOut(**row) for row in meta["left_out"]),
            images=_load_array(folder / "images.npy", mapped=True),
            **small,
        )
        format_name = str(meta["format"])
    except (OSError, ValueError, KeyError, TypeError, EOFError):
        return None
    lengths = {len(data.images), *(len(array) for array in small.values())}
    if len(lengths) != 1 or not len(data.labels):
        return None
    spots = np.linspace(0, len(data.labels) - 1, SPOT_CHECKS, dtype=np.int64)
    sound = np.array_equal(pixel_hashes(data.images[spots]), data.hashes[spots])
    return (format_name, data) if sound else None


def _age(folder: Path) -> float:
    """Seconds since anything was written there."""
    return time.time() - max(path.stat().st_mtime for path in (folder, *folder.iterdir()))


def _remove_stale(root: Path, wanted: Path) -> None:
    """Removes unfinished entries that killed processes left behind more than a day ago.

    Args:
        wanted: the one that is gone on with, however old.
    """
    for folder in root.glob(".unfinished-*"):
        try:
            if folder != wanted and folder.is_dir() and _age(folder) > DAY:
                with _alone(folder, wait=False):
                    shutil.rmtree(folder, ignore_errors=True)
        except OSError:  # gone meanwhile, or a process is at work on it
            continue


@contextmanager
def _alone(folder: Path, *, wait: bool = True) -> Iterator[None]:
    """No other process works on this unfinished entry meanwhile.

    Raises:
        Timeout: (an OSError) another does, and we are not to wait for it.
    """
    path = folder.with_name(f"{folder.name}{LOCK_SUFFIX}")
    with FileLock(path, blocking=wait):
        try:
            yield
        finally:
            path.unlink(missing_ok=True)  # those who wait for it see that, and lock a new one


def cached(key: str, read: Callable[[Path], tuple[str, SourceData]]) -> tuple[str, SourceData]:
    """The entry of `key` (format name, data), read and stored first where there is none.

    `read` gets an unfinished entry's folder for large arrays and its journals, and finds there
    what an earlier process that was killed had done. One process reads, others wait for it. The
    finished folder is renamed into place.

    Raises:
        FerBenchError: the cache cannot be written, for example because the disk is full.
    """
    root = cache_dir()
    name = hashlib.sha256(f"{SCHEMA}\0{key}".encode()).hexdigest()[:32]
    folder, unfinished = root / name, root / f".unfinished-{name}"
    entry = _load(folder)
    if entry is not None:
        return entry
    with saving_in_cache("the decoded images", root):
        root.mkdir(parents=True, exist_ok=True)
        with _alone(unfinished):
            entry = _load(folder)  # another process's, which we waited for
            if entry is None:
                _remove_stale(root, unfinished)
                _build(read, unfinished, folder)
    entry = entry or _load(folder)
    if entry is None:
        raise forgotten(root)
    return entry


def _build(read: Callable[[Path], tuple[str, SourceData]], unfinished: Path, folder: Path) -> None:
    """Reads and stores an entry; what a refused one has written goes, a killed one's stays."""
    try:
        unfinished.mkdir(exist_ok=True)
        format_name, data = read(unfinished)
        _save(data, unfinished, format_name)
        shutil.rmtree(folder, ignore_errors=True)
        _rename_unless_taken(unfinished, folder)
        for journal in folder.glob(f"*{SUFFIX}"):
            journal.unlink()
    except (OSError, FerBenchError):
        shutil.rmtree(unfinished, ignore_errors=True)
        raise


def _rename_unless_taken(unfinished: Path, folder: Path) -> None:
    try:
        unfinished.rename(folder)
    except OSError:
        if _load(folder) is None:
            raise
        shutil.rmtree(unfinished, ignore_errors=True)
