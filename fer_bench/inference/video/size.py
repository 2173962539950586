"""Whether a video file is shorter or longer, in bytes, than it says."""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

EBML, SEGMENT = b"\x1aE\xdf\xa3", b"\x18S\x80g"
ASF = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
ASF_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
#: Boxes that an MP4 or QuickTime file may begin with.
BOXES = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")
FLV_TAGS = (8, 9, 18)


def is_cut_short(path: Path) -> bool:
    """Whether the file ends before the last part that it announces.

    Said by the sizes in MP4, QuickTime, Matroska, AVI, FLV and ASF; other formats announce none.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
        start = file.read(16)
        if start[:4] == b"RIFF":
            return max(_riff_ends(file), default=0) > size
        if start[4:8] in BOXES:
            return max(_box_ends(file), default=0) > size
        if start[:4] == EBML:
            return _segment_end(file) > size
        if start[:3] == b"FLV":
            return not _ends_with_a_tag(file, size)
        if start == ASF:
            return _asf_size(file) > size
    return False


def next_recording(path: Path, after: int) -> int | None:
    """The byte where another recording begins, as in MP4, FLV or ASF files joined end to end.

    Args:
        after: where the last part that was read begins, bytes.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        start = file.read(16)
        if start[4:8] == b"ftyp":
            head, offset = start[4:12], 4
        elif start[:3] == b"FLV" or start == ASF:
            head, offset = (start if start == ASF else start[:4]), 0
        else:  # FFmpeg goes on across the seams of other formats
            return None
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            found = data.find(head, max(after, len(start)))
    return None if found < 0 else found - offset


def _riff_ends(file: BinaryIO) -> Iterator[int]:
    """Where each chunk says that it ends; large AVIs have several."""
    at = 0
    while True:
        file.seek(at)
        head = file.read(8)
        if len(head) < 8 or head[:4] != b"RIFF":
            return
        length = int.from_bytes(head[4:], "little")
        if length in (0, 0xFFFFFFFF):  # never filled in
            return
        at += 8 + length + length % 2
        yield at - length % 2


def _box_ends(file: BinaryIO) -> Iterator[int]:
    at = 0
    while True:
        file.seek(at)
        head = file.read(16)
        length = int.from_bytes(head[:4], "big")
        if length == 1 and len(head) == 16:
            length = int.from_bytes(head[8:], "big")
        if len(head) < 8 or length < 8:  # 0 is: to the end
            return
        at += length
        yield at


def _segment_end(file: BinaryIO) -> int:
    file.seek(4)
    length = _vint(file)
    if length is None:
        return 0
    file.seek(length, os.SEEK_CUR)
    if file.read(4) != SEGMENT:
        return 0
    length = _vint(file)
    return 0 if length is None else file.tell() + length


def _vint(file: BinaryIO) -> int | None:
    """EBML's number of variable length; None for "unknown", as live recordings have."""
    first = file.read(1)
    if not first or not first[0]:
        return None
    more = 8 - first[0].bit_length()
    value = int.from_bytes(bytes([first[0] & (0x7F >> more)]) + file.read(more), "big")
    return None if value == (1 << 7 * (more + 1)) - 1 else value


def _ends_with_a_tag(file: BinaryIO, size: int) -> bool:
    """Whether an FLV's last four bytes are the length of a tag that stands before them."""
    file.seek(max(0, size - 4))
    length = int.from_bytes(file.read(4), "big")
    if not 11 <= length <= size - 4:
        return False
    file.seek(size - 4 - length)
    tag = file.read(4)
    return tag[0] & 0x1F in FLV_TAGS and int.from_bytes(tag[1:], "big") == length - 11


def _asf_size(file: BinaryIO) -> int:
    file.seek(0)
    head = file.read(64 * 1024)
    at = head.find(ASF_PROPERTIES)
    return 0 if at < 0 else int.from_bytes(head[at + 40 : at + 48], "little")
