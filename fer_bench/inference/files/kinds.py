"""What a file is by how it begins, whatever its name says."""

from __future__ import annotations

from pathlib import Path

#: So much is read of a file; three packets of an MPEG transport stream fit in.
START_BYTES = 1024
#: Boxes that an MP4 or QuickTime file may begin with, at byte 4.
BOXES = (b"ftyp", b"moov", b"mdat", b"wide", b"pnot")
#: Brands behind `ftyp` that are pictures.
PICTURE_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1", b"avif", b"avis")
STARTS = (
    b"\x1aE\xdf\xa3",  # Matroska, WebM
    b"FLV",
    b"\x00\x00\x01\xba",  # MPEG program stream: MPG, VOB
    b"\x00\x00\x01\xb3",  # MPEG video
    b"OggS",
    bytes.fromhex("3026b2758e66cf11"),  # ASF: WMV
)
#: Lengths of a packet of a transport stream, and where its mark stands: TS, then M2TS and MTS.
PACKETS = ((188, 0), (192, 4))


def begins_as_video(path: Path) -> bool:
    """Whether a file begins as a video's container does; False where it cannot be read."""
    try:
        with path.open("rb") as file:
            start = file.read(START_BYTES)
    except OSError:
        return False
    if start[4:8] in BOXES:
        return start[8:12] not in PICTURE_BRANDS
    if start[:4] == b"RIFF":
        return start[8:12] == b"AVI "
    return start.startswith(STARTS) or any(
        len(start) > 2 * length and all(start[at + i * length] == 0x47 for i in range(3))
        for length, at in PACKETS
    )
