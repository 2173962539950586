"""One encoded image, or a box of it, to an array as a data set wants it."""

from __future__ import annotations

import struct

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from fer_bench.data.files.archive import READ_ERRORS
from fer_bench.data.files.picture_errors import UnsupportedKind
from fer_bench.data.files.pixels import header, pixels_of

#: x, y, width, height in pixels.
Box = tuple[int, int, int, int]
#: How what cannot be decoded is reported, besides Pillow's own error (an OSError).
DECODE_ERRORS = (
    *READ_ERRORS, SyntaxError, ValueError, TypeError, IndexError, KeyError, struct.error,
    Image.DecompressionBombError, cv2.error,
)  # fmt: skip


def _crop_bounds(box: Box, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """The box's part inside the image as (left, top, right, bottom)."""
    x, y, width, height = box
    bounds = max(x, 0), max(y, 0), min(x + width, size[0]), min(y + height, size[1])
    if bounds[0] >= bounds[2] or bounds[1] >= bounds[3]:
        raise ValueError(f"the face box {box} lies outside the image of {size[0]}x{size[1]} pixels")
    return bounds


def peek(data: bytes, box: Box | None) -> tuple[tuple[int, int], bool]:
    """Size (width, height) of an encoded image, or of its box, and whether it is in colour.

    Raises:
        one of `DECODE_ERRORS`: the bytes are no image, or it is too large.
    """
    if not data:
        raise ValueError("the file is empty")
    (width, height), colour = header(data)
    if box is not None:
        left, top, right, bottom = _crop_bounds(box, (width, height))
        width, height = right - left, bottom - top
    return (width, height), colour


def decode(data: bytes, *, colour: bool) -> NDArray[np.uint8]:
    """uint8 `(H, W)` gray or `(H, W, 3)` RGB, upright, over white; see `pixels`.

    Raises:
        one of `DECODE_ERRORS`: the bytes are no whole image.
    """
    return pixels_of(data, colour=colour)


def resize_plain(image: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Resized to (width, height) with Pillow's antialiased bilinear filter; shape may distort."""
    if (image.shape[1], image.shape[0]) == size:
        return image
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BILINEAR))


def decode_face(
    data: bytes, box: Box | None, *, size: tuple[int, int], colour: bool
) -> NDArray[np.uint8]:
    """An encoded image, cropped to its box, as `size` (width, height) and colour ask; see `decode`.

    Raises:
        one of `DECODE_ERRORS`: the bytes are no whole image.
    """
    image = decode(data, colour=colour)
    if box is not None:
        left, top, right, bottom = _crop_bounds(box, (image.shape[1], image.shape[0]))
        image = image[top:bottom, left:right]
    return resize_plain(np.ascontiguousarray(image), size)


def why_not(error: Exception) -> str:
    """One of `DECODE_ERRORS` as a reason to leave an image out."""
    if isinstance(error, UnidentifiedImageError):
        return "cannot be decoded: not an image of a known format"
    if isinstance(error, UnsupportedKind):
        return f"unsupported kind: {error}"
    return f"cannot be decoded: {' '.join(str(error).split()) or type(error).__name__}"
