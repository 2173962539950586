"""Keeps this thread's alternate signal stack, which OpenVINO would leave freed."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager


class _Stack(ctypes.Structure):
    """`stack_t` of Linux."""

    _fields_ = (
        ("address", ctypes.c_void_p),
        ("flags", ctypes.c_int),
        ("size", ctypes.c_size_t),
    )


@contextmanager
def keep_signal_stack() -> Iterator[None]:
    """The thread leaves the block with the alternate signal stack that it came with.

    Every OpenVINO core that loads its CPU plugin (2026.4) sets one of its own and puts back the one
    before when it is deleted. Two that do not end in reverse order leave a freed one behind, and
    the next Ctrl-C or SIGTERM kills the process: Python's handlers run on that stack. So nothing of
    OpenVINO or NNCF that loads the plugin runs outside of such a block. What is deleted later finds
    another stack than its own and leaves it alone.
    """
    if sys.platform != "linux":
        yield
        return
    libc, before = ctypes.CDLL(None), _Stack()
    libc.sigaltstack(None, ctypes.byref(before))
    try:
        yield
    finally:
        libc.sigaltstack(ctypes.byref(before), None)
