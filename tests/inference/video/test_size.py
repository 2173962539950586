"""Whether a file is shorter than it says, by the sizes in its own headers."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from fer_bench.inference.video.size import is_cut_short

EBML, SEGMENT = b"\x1aE\xdf\xa3", b"\x18S\x80g"
FTYP = struct.pack(">I4s8s", 16, b"ftyp", b"isom\0\0\2\0")


def riff(length: int) -> bytes:
    return b"RIFF" + struct.pack("<I", length) + b"AVI " + bytes(20)


@pytest.mark.parametrize(
    ("content", "cut"),
    [
        (riff(24), False),
        (riff(26), True),
        (riff(0xFFFFFFFF), False),  # a recording that was never closed
        (riff(0), False),
        (FTYP + struct.pack(">I4s", 20, b"mdat") + bytes(12), False),
        (FTYP + struct.pack(">I4s", 21, b"mdat") + bytes(12), True),
        (FTYP + struct.pack(">I4sQ", 1, b"mdat", 28) + bytes(12), False),  # of more than 4 GB
        (FTYP + struct.pack(">I4sQ", 1, b"mdat", 2**33) + bytes(12), True),
        (FTYP + struct.pack(">I4s", 0, b"mdat") + bytes(12), False),  # to the end
        (EBML + b"\x81\0" + SEGMENT + b"\x84" + bytes(4), False),
        (EBML + b"\x81\0" + SEGMENT + b"\x85" + bytes(4), True),
        (EBML + b"\x81\0" + SEGMENT + b"\xff" + bytes(4), False),  # live: of unknown length
        (EBML + b"\x81\0" + b"none" + b"\x85" + bytes(4), False),
        (EBML + b"\0" + bytes(8), False),
    ],
)
def test_a_file_is_cut_short_where_it_ends_before_what_it_announces(
    content: bytes, cut: bool, tmp_path: Path
) -> None:
    path = tmp_path / "video"
    path.write_bytes(content)
    assert is_cut_short(path) is cut
