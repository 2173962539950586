"""The memory of a training step, kept for the next one."""

from __future__ import annotations

import ctypes
import platform
from collections.abc import Iterator
from contextlib import contextmanager

#: Parameters of glibc's `mallopt` (malloc.h): what lies free at the end of the heap before it goes
#: back to the kernel, and from which size a block has pages of its own, which go back at once.
TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
#: The most that glibc raises the two to by itself, on 64-bit machines; bytes.
USUAL = {TRIM_THRESHOLD: 64 * 2**20, MMAP_THRESHOLD: 32 * 2**20}
#: No limit, and more than any block of a step.
KEEPING = {TRIM_THRESHOLD: -1, MMAP_THRESHOLD: 2**30}


@contextmanager
def kept_memory() -> Iterator[None]:
    """Within the block, freed memory stays with the process; what is free at its end goes back.

    A training step frees hundreds of MB that the next one asks for. glibc gives them back to the
    kernel, which hands every page out anew, filled with zeros: on a CPU that is a sixth of
    VGG16's step (`benchmarks/training/kept_memory.py`). Other C libraries are left as they are, and
    threads gain nothing, as their heaps hold no block of 64 MB; nor does a main thread that has run
    out of memory once, as it goes on with such a heap.
    """
    if platform.libc_ver()[0] != "glibc":
        yield
        return
    libc = ctypes.CDLL(None)
    _set(libc, KEEPING)
    try:
        yield
    finally:
        _set(libc, USUAL)
        libc.malloc_trim(0)


def _set(libc: ctypes.CDLL, values: dict[int, int]) -> None:
    for parameter, value in values.items():
        libc.mallopt(parameter, value)
