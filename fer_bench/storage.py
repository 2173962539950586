"""The cache folder, and files that are written whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from uuid import uuid4


def cache_dir() -> Path:
    """`$FER_BENCH_CACHE`, or the platform's place for caches; not created here."""
    from fer_bench.settings import Settings  # what is only imported needs no variable read

    return Settings().cache.expanduser()


def write_atomically(
    files: Mapping[Path, bytes],
    publishing: Callable[[Mapping[Path, Path]], AbstractContextManager[None]] = lambda _: (
        nullcontext()
    ),
) -> None:
    """Writes files under temporary names next to them, flushes them, then renames them in order.

    Args:
        files: contents by path; their folders exist.
        publishing: a block around the renaming, given the temporary file of each path.

    Raises:
        OSError: the temporary files are gone. A full disk shows before the first renaming, so the
            old files are all as they were.
        Exception: what `publishing` raises, likewise.
    """
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
