"""Streamlit whose WebRTC offers 127.0.0.1 alone, and a network in which there is nothing else.

`python -m benchmarks.harness.loopback run app.py ...` takes the arguments of `streamlit`.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import signal
import socket
import struct
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

CLONE_NEWNET = 0x40000000
#: How the line of threads begins that the server writes at SIGUSR1.
THREADS = "threads: "
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 0x1


def _local_addresses(use_ipv4: bool, use_ipv6: bool) -> list[str]:
    return ["127.0.0.1"]


@contextmanager
def isolated() -> Iterator[bool]:
    """A network of its own, with the loopback alone, for this thread and what it starts.

    Yields False, and changes nothing, where the system does not allow that (it takes root).
    """
    libc = ctypes.CDLL(None, use_errno=True)
    try:
        before = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    except OSError:  # no Linux
        yield False
        return
    try:
        if libc.unshare(CLONE_NEWNET) != 0:
            yield False
            return
        try:
            _raise_loopback()
            yield True
        finally:
            libc.setns(before, CLONE_NEWNET)
    finally:
        os.close(before)


def _raise_loopback() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        request = struct.pack("16sh14x", b"lo", 0)
        flags = struct.unpack("16sh14x", fcntl.ioctl(control, SIOCGIFFLAGS, request))[1]
        fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags | IFF_UP))


def say_threads(signum: int, frame: FrameType | None) -> None:
    """Writes the names of this process's threads to stderr, in one line.

    Python runs this between two steps of the main thread. `faulthandler.register` would read the
    running threads' frames from within the signal instead, which now and then crashes the process.
    """
    names = ", ".join(thread.name for thread in threading.enumerate())
    os.write(sys.stderr.fileno(), f"\n{THREADS}{names}\n".encode())


def main() -> None:
    """Runs `streamlit`; at SIGUSR1 it says on stderr which threads it has."""
    import aioice.ice
    from streamlit.web import cli

    aioice.ice.get_host_addresses = _local_addresses
    signal.signal(signal.SIGUSR1, say_threads)
    sys.argv[0] = "streamlit"
    cli.main()


if __name__ == "__main__":
    main()
