"""One encoded image to an array: OpenCV, and Pillow for what OpenCV cannot read."""

from __future__ import annotations

import io
import struct

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from fer_bench.data.tree import READ_ERRORS

#: x, y, width, height in pixels.
Box = tuple[int, int, int, int]
#: An image of more pixels than this is refused before it is decoded.
MAX_PIXELS = 50_000_000
#: Pillow's formats that are opened; others run programs (EPS) or are no pictures (MPEG, HDF5).
#: HEIF is there where the user registered pillow-heif.
FORMATS = ("JPEG", "MPO", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "JPEG2000", "PPM", "HEIF")
EXIF_ORIENTATION = 0x0112
#: How Pillow reports what it cannot decode, besides its own error (an OSError).
DECODE_ERRORS = (
    *READ_ERRORS, SyntaxError, ValueError, TypeError, IndexError, struct.error,
    Image.DecompressionBombError, cv2.error,
)  # fmt: skip


def open_picture(data: bytes) -> Image.Image:
    """A picture of one of `FORMATS`, its pixels not decoded yet.

    Raises:
        one of `DECODE_ERRORS`: the bytes are no such picture.
    """
    Image.init()
    return Image.open(io.BytesIO(data), formats=[known for known in FORMATS if known in Image.OPEN])


def _upright_size(image: Image.Image) -> tuple[int, int]:
    """Width and height after the EXIF orientation is applied."""
    turned = "exif" in image.info and image.getexif().get(EXIF_ORIENTATION, 1) >= 5
    return (image.height, image.width) if turned else image.size


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
    with open_picture(data) as image:
        width, height = _upright_size(image)
        if width * height > MAX_PIXELS:
            raise ValueError(f"{width}x{height} pixels, more than the limit of {MAX_PIXELS:,}")
        colour = image.mode not in ("1", "L", "LA", "I;16", "I", "F")
    if box is not None:
        left, top, right, bottom = _crop_bounds(box, (width, height))
        width, height = right - left, bottom - top
    return (width, height), colour


def _is_whole(data: bytes) -> bool:
    """Whether a JPEG or PNG has its end marker; OpenCV fills the rest of a cut one with gray."""
    tail = data[-64:]
    if data.startswith(b"\xff\xd8"):
        return b"\xff\xd9" in tail
    return b"IEND" in tail if data.startswith(b"\x89PNG") else False


def decode(data: bytes, *, colour: bool) -> NDArray[np.uint8]:
    """uint8 `(H, W)` gray or `(H, W, 3)` RGB; the EXIF orientation is applied, alpha dropped.

    Raises:
        one of `DECODE_ERRORS`: the bytes are no whole image.
    """
    if _is_whole(data):
        flag = cv2.IMREAD_COLOR_RGB if colour else cv2.IMREAD_GRAYSCALE
        found: NDArray[np.uint8] | None = cv2.imdecode(np.frombuffer(data, np.uint8), flag)
        if found is not None:
            return found
    with open_picture(data) as image:
        return np.asarray(ImageOps.exif_transpose(image).convert("RGB" if colour else "L"))


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
    return f"cannot be decoded: {' '.join(str(error).split()) or type(error).__name__}"
