"""JPEG to pixels, without silence about damage.

libjpeg fills what it cannot read with gray and says so in a warning that Pillow and OpenCV hide.
"""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

from fer_bench.data.files.jpeg_library import decode

#: How warnings begin that mean lost pixels; others are about odd, harmless metadata.
TRUNCATED = "Premature end of JPEG file"
LOSSES = ("Corrupt JPEG data", TRUNCATED)
EXTRANEOUS = re.compile(r"(\d+) extraneous bytes before marker 0xd(\d)")
#: Some webcams and phones write a few bytes too many before a marker; damage leaves far more.
FEW_BYTES = 16
#: A lost sector of a disk or a piece of a download that never came reads as zeros.
ZEROS = bytes(64)
SEQUENTIAL, HUFFMAN, SCAN, END = (0xC0, 0xC1), 0xC4, 0xDA, b"\xff\xd9"


def decode_jpeg(data: bytes, *, space: str) -> NDArray[np.uint8] | None:
    """uint8 `(H, W, channels)` of a JPEG, not turned by its EXIF; None for a rare kind.

    Args:
        space: `RGB`, `GRAY` or `CMYK`.

    Raises:
        ValueError: its pixels are damaged or missing. JPEG carries no checksum: damage that happens
            to decode to as many pixels as there were is not seen.
    """
    if ZEROS in data and _is_zeroed(data):
        raise ValueError("zeros lie over a part of its pixels")
    try:
        return decode(data, space, strict=True)
    except ValueError as error:
        warning = str(error)
    if not warning.startswith(LOSSES):
        return None
    if warning == TRUNCATED:
        raise ValueError("the image file is truncated")
    if not _is_harmless(warning, data):
        raise ValueError(f"{warning[0].lower()}{warning[1:]}")
    return decode(data, space, strict=False)


def _is_harmless(warning: str, data: bytes) -> bool:
    """Whether a warning is about a few bytes too many, or about zeros that fill up a sector."""
    match = EXTRANEOUS.search(warning)
    if match is None:
        return False
    few = int(match[1]) <= FEW_BYTES
    return few or (match[2] == "9" and bytes(int(match[1])) + END in data)


def _is_zeroed(data: bytes) -> bool:
    """Whether zeros lie where coded pixels must be.

    Only where no picture is coded so: where a block that begins with zeros is one whose every
    coefficient is the same, that is, where zeros are no code for "end of block".
    """
    at, components, shortest = 2, 0, dict[int, int]()
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        body, at = data[at + 4 : at + 2 + length], at + 2 + length
        if marker in SEQUENTIAL and len(body) > 5:
            components = body[5]
        while marker == HUFFMAN and len(body) > 17:
            shortest[body[0]] = body[17]
            body = body[17 + sum(body[1:17]) :]
        if marker == SCAN and len(body) > 2:
            coded = data[at : data.find(END, at)].rstrip(b"\0")
            ends_block = shortest.get(0x10 | body[2] & 15, 0) == 0
            return body[0] == components and not ends_block and ZEROS in coded
    return False
