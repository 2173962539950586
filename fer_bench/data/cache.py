"""Decoded sources on disk as .npy files: decoded once, memory-mapped ever after, never pickled."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_bench.data.base import LeftOut, SourceData
from fer_bench.errors import FerBenchError

#: Raised whenever readers or this layout change, so that old entries are not used.
SCHEMA = 2
SMALL_ARRAYS = ("labels", "ids", "parts", "hashes")
META, CHECKSUM = "meta.json", "sha256.txt"
#: Bytes of an .npy file that hold all of its header, and more where its first items are small.
HEADER_BYTES = 128
#: Images whose pixels are compared with their hashes on every load: finds zeroed or torn files.
SPOT_CHECKS = 16
DAY = 86_400.0


def cache_dir() -> Path:
    """`$FER_BENCH_CACHE`, or the platform's place for caches; not created here."""
    if chosen := os.environ.get("FER_BENCH_CACHE"):
        return Path(chosen).expanduser()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "fer_bench"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home())) / "fer_bench" / "cache"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fer_bench"


def pixel_hashes(images: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """uint64 `(N,)`: BLAKE2b of each image's pixels; equal for exact duplicates."""
    digests = (hashlib.blake2b(i.tobytes(), digest_size=8).digest() for i in images)
    return np.frombuffer(b"".join(digests), dtype="<u8").astype(np.uint64)


class ArrayFile:
    """An .npy file written in chunks whose final length is known only at the end.

    Plain writes instead of a memory map: a full disk raises here instead of killing the process.
    """

    def __init__(self, path: Path, item_shape: tuple[int, ...], dtype: str) -> None:
        self._file = path.open("wb")
        self._path, self._item_shape, self._dtype = path, item_shape, np.dtype(dtype)
        self._count = 0
        self._write_header()

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

    def append(self, chunk: NDArray[Any]) -> None:
        """Adds `(n, *item_shape)` items."""
        self._file.write(np.ascontiguousarray(chunk, dtype=self._dtype).tobytes())
        self._count += len(chunk)

    def finish(self) -> NDArray[Any]:
        """Closes the file and maps it read-only."""
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
    """Writes an entry's files; images that the reader already put there stay."""
    for name in (*SMALL_ARRAYS, "images"):
        array: NDArray[Any] = getattr(data, name)
        path = folder / f"{name}.npy"
        if not path.exists():
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
        "comparable": data.comparable,
        "left_out": [asdict(row) for row in data.left_out],
    }
    (folder / META).write_text(json.dumps(meta), encoding="utf-8")
    (folder / CHECKSUM).write_text(_digest(folder), encoding="utf-8")


def _digest(folder: Path) -> str:
    """SHA-256 over an entry's files, but for the pixels."""
    digest = hashlib.sha256()
    for name in (META, *(f"{array}.npy" for array in SMALL_ARRAYS)):
        digest.update((folder / name).read_bytes())
    with (folder / "images.npy").open("rb") as images:
        digest.update(images.read(HEADER_BYTES))
    return digest.hexdigest()


def _load(folder: Path) -> tuple[str, SourceData] | None:
    """An entry's format and data; None where there is none or it is damaged."""
    try:
        if (folder / CHECKSUM).read_text(encoding="utf-8") != _digest(folder):
            return None
        meta = json.loads((folder / META).read_text(encoding="utf-8"))
        small = {name: _load_array(folder / f"{name}.npy", mapped=False) for name in SMALL_ARRAYS}
        data = SourceData(
            name=meta["name"],
            source=meta["source"],
            emotions=tuple(meta["emotions"]),
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


def _remove_stale(root: Path) -> None:
    """Removes unfinished entries that killed processes left behind more than a day ago."""
    for folder in root.glob(".unfinished-*"):
        try:
            stale = time.time() - folder.stat().st_mtime > DAY
        except OSError:
            continue
        if stale:
            shutil.rmtree(folder, ignore_errors=True)


def cached(key: str, read: Callable[[Path], tuple[str, SourceData]]) -> tuple[str, SourceData]:
    """The entry of `key` (format name, data), read and stored first where there is none.

    `read` gets an unfinished entry's folder for large arrays. The finished folder is renamed into
    place; where another process was faster, its entry is used.

    Raises:
        FerBenchError: the cache cannot be written, for example because the disk is full.
    """
    root = cache_dir()
    folder = root / hashlib.sha256(f"{SCHEMA}\0{key}".encode()).hexdigest()[:32]
    found = _load(folder)
    if found is not None:
        return found
    unfinished: Path | None = None
    try:
        root.mkdir(parents=True, exist_ok=True)
        _remove_stale(root)
        unfinished = Path(tempfile.mkdtemp(prefix=".unfinished-", dir=root))
        _build(read, unfinished)
        shutil.rmtree(folder, ignore_errors=True)
        _rename_unless_taken(unfinished, folder)
    except OSError as error:
        raise FerBenchError(
            f"cannot keep the decoded images in {root}: {error.strerror or error}; free some space "
            "there, or set FER_BENCH_CACHE to a folder that has it"
        ) from error
    finally:
        if unfinished is not None:
            shutil.rmtree(unfinished, ignore_errors=True)
    found = _load(folder)
    if found is None:
        raise FerBenchError(
            f"the cache in {root} does not keep what is written to it; "
            "set FER_BENCH_CACHE to another folder"
        )
    return found


def _build(read: Callable[[Path], tuple[str, SourceData]], folder: Path) -> None:
    format_name, data = read(folder)
    _save(data, folder, format_name)


def _rename_unless_taken(unfinished: Path, folder: Path) -> None:
    try:
        unfinished.rename(folder)
    except OSError:
        if _load(folder) is None:
            raise
