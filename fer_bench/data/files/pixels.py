"""Every kind of picture to 8-bit pixels: upright by its EXIF, over white, 16 bits scaled to 8.

One decoder for training, evaluation, prediction, the pages and the API, so that all of them see the
same pixels. Of an animation or of several pages the first counts; of an animated PNG its still.
Colour profiles are not applied.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin

from fer_bench.data.files.bit_depth import flat, over_white, scaled, white_where
from fer_bench.data.files.deep_tiff import (
    decode_deep_tiff,
    is_deep_tiff,
    is_min_white,
    require_readable,
)
from fer_bench.data.files.jpeg import decode_jpeg
from fer_bench.data.files.picture_errors import TooLarge, UnsupportedKind, require_size
from fer_bench.data.files.unsupported_formats import require_known_alpha, unsupported_format

#: Pillow's formats that are opened; others run programs (EPS) or are no pictures (MPEG, HDF5).
FORMATS = ("JPEG", "MPO", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "JPEG2000", "PPM", "HEIF")
EXIF_ORIENTATION = 0x0112
#: What each EXIF orientation needs to be seen upright.
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
#: Where Pillow would also look for an orientation; browsers do not.
OTHER_ORIENTATIONS = ("xmp", "XML:com.adobe.xmp", "Raw profile type exif", "Raw profile type APP1")
PNG_START = b"\x89PNG\r\n\x1a\n"
#: What a PNG's still is made of. OpenCV would show its animation, mix grays by its gamma, and warn
#: of odd profiles.
STILL_CHUNKS = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")
#: Pillow's names for gray of few bits that it scales to 8, and by how much.
SCALED_GRAYS = {"L;2": 85, "L;4": 17}
GRAY_MODES = ("1", "L", "LA", "La", "I", "F", "I;16", "I;16B", "I;16L", "I;16N")


@cache
def _with_heif() -> None:
    """Makes Pillow read HEIC where pillow-heif is installed."""
    try:
        import pillow_heif
    except ImportError:
        return
    pillow_heif.register_heif_opener()


def open_picture(data: bytes) -> Image.Image:
    """A picture of one of `FORMATS`, its pixels not decoded yet.

    Raises:
        one of `DECODE_ERRORS`: the bytes are no such picture.
    """
    _with_heif()
    Image.init()
    image = Image.open(
        io.BytesIO(data), formats=[known for known in FORMATS if known in Image.OPEN]
    )
    _forget_other_orientations(image)
    _scale_transparency(image)
    return image


@contextmanager
def _kinds_named(data: bytes) -> Iterator[None]:
    """Turns the decoder's complaint about a whole file into UnsupportedKind."""
    try:
        yield
    except (UnsupportedKind, TooLarge):
        raise
    except (OSError, SyntaxError, ValueError) as error:
        if kind := unsupported_format(data):
            raise UnsupportedKind(kind) from error
        raise


def _forget_other_orientations(image: Image.Image) -> None:
    for key in OTHER_ORIENTATIONS:
        image.info.pop(key, None)


def _scale_transparency(image: Image.Image) -> None:
    """Pillow leaves the transparent value of a gray PNG of 2 or 4 bits as it is stored."""
    tiles = image.tile if isinstance(image, PngImagePlugin.PngImageFile) else []
    if tiles and tiles[0].args in SCALED_GRAYS and "transparency" in image.info:
        image.info["transparency"] *= SCALED_GRAYS[tiles[0].args]


def header(data: bytes) -> tuple[tuple[int, int], bool]:
    """Upright size (width, height) of an encoded picture, and whether it is in colour.

    Raises:
        one of `DECODE_ERRORS`: no picture, one of more than `MAX_PIXELS`, or an unsupported kind.
    """
    with _kinds_named(data):
        if _is_deep(data):
            shape = _deep_pixels(data).shape
            return (shape[1], shape[0]), len(shape) == 3
        with open_picture(data) as image:
            require_size(image.size)
            # Pillow turns a TIFF itself.
            turned = image.format != "TIFF" and _orientation(image, data) >= 5
            size = (image.height, image.width) if turned else image.size
            return size, image.mode not in GRAY_MODES


def pixels_of(data: bytes, *, colour: bool) -> NDArray[np.uint8]:
    """An encoded picture as uint8 `(H, W, 3)` RGB, or `(H, W)` gray unless `colour`.

    Raises:
        one of `DECODE_ERRORS`: no whole picture, too large, or an unsupported kind.
    """
    with _kinds_named(data):
        return _pixels_of(data, colour)


def _pixels_of(data: bytes, colour: bool) -> NDArray[np.uint8]:
    if _is_deep(data):
        return _in_colour(_deep_pixels(data), colour)
    with open_picture(data) as image:
        require_size(image.size)
        orientation = 1 if image.format == "TIFF" else _orientation(image, data)
        pixels = _quickly(image, data, colour)
        return _oriented(
            eight_bits(image, colour=colour) if pixels is None else pixels, orientation
        )


def pixels_of_image(image: Image.Image) -> NDArray[np.uint8]:
    """Pillow's image as uint8 `(H, W, 3)` RGB, upright by its EXIF alone; it stays as it is.

    Raises:
        one of `DECODE_ERRORS`: its file is damaged, or an unsupported kind.
    """
    _scale_transparency(image)
    info = dict(image.info)
    try:
        require_readable(image)
        _forget_other_orientations(image)
        image.load()
        _forget_other_orientations(image)  # a PNG's may stand behind its pixels
        orientation: int = image.getexif().get(EXIF_ORIENTATION, 1)
        return _oriented(eight_bits(image, colour=True), orientation)
    finally:
        image.info = info


def eight_bits(image: Image.Image, *, colour: bool) -> NDArray[np.uint8]:
    """Pillow's image, of whatever mode, as uint8 `(H, W, 3)` RGB, or `(H, W)` unless `colour`.

    What is transparent lies over white.

    Raises:
        UnsupportedKind: numbers whose range is not known, or a colour space that is not.
    """
    require_known_alpha(image)
    image.load()
    if image.mode.startswith(("I", "F")):
        # PGM's own range is stretched to 16 bits by Pillow, which calls that mode "I".
        values = np.asarray(image)
        if image.mode.startswith("I;16") and is_min_white(image):
            values = 65535 - values
        stretched = image.mode == "I" and image.format in ("PPM", "JPEG2000", "PNG")
        sixteen = image.mode.startswith("I;16") or stretched
        gray = scaled(values.astype(np.uint16) if sixteen else values)
        return _in_colour(white_where(gray, values, image.info.get("transparency")), colour)
    try:
        if image.has_transparency_data:
            return _in_colour(over_white(image), colour)
        if image.mode == "LAB":  # Pillow knows no way to gray
            image = image.convert("RGB")
        return np.array(image.convert("RGB" if colour else "L"))
    except ValueError as error:
        raise UnsupportedKind(f"of the colour space {image.mode}") from error


def _orientation(image: Image.Image, data: bytes) -> int:
    """By EXIF alone, as browsers turn pictures: 1 (upright) to 8; other values count for 1."""
    if image.format == "PNG" and "exif" not in image.info:
        if b"eXIf" not in data:
            return 1
        image.load()  # it may stand behind the pixels
        _forget_other_orientations(image)
    orientation: int = image.getexif().get(EXIF_ORIENTATION, 1)
    return orientation if orientation in UPRIGHT else 1


def _oriented(pixels: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    how = UPRIGHT.get(orientation)
    return pixels if how is None else np.array(Image.fromarray(pixels).transpose(how))


def _quickly(image: Image.Image, data: bytes, colour: bool) -> NDArray[np.uint8] | None:
    """The pixels, not turned, of a usual JPEG or PNG; None for those that Pillow is to decode."""
    plain = image.mode in ("L", "RGB") and "transparency" not in image.info
    if image.format in ("JPEG", "MPO"):
        if not plain:
            decode_jpeg(data, space="CMYK")  # for its complaints
            return None
        pixels = decode_jpeg(data, space="RGB" if colour else "GRAY")
        return pixels if pixels is None or colour else pixels[..., 0]
    if not plain or image.format != "PNG" or not _is_whole(data):
        return None
    values = _by_opencv(_still(data), cv2.IMREAD_COLOR_RGB if colour else cv2.IMREAD_GRAYSCALE)
    return None if values is None else np.asarray(values, np.uint8)


def _is_whole(data: bytes) -> bool:
    """Whether a PNG has its end; OpenCV fills the rest of a cut one."""
    return b"IEND" in data[-64:]


def _still(data: bytes) -> bytes:
    """A PNG's pixels and what is transparent, without anything else."""
    chunks, at = [PNG_START], len(PNG_START)
    while at + 8 <= len(data):
        end = at + 12 + int.from_bytes(data[at : at + 4], "big")
        if data[at + 4 : at + 8] in STILL_CHUNKS:
            chunks.append(data[at:end])
        at = end
    return b"".join(chunks)


def _by_opencv(data: bytes, flag: int) -> NDArray[np.generic] | None:
    """A whole PNG, not turned; None where OpenCV cannot read it."""
    values: NDArray[np.generic] | None = cv2.imdecode(
        np.frombuffer(data, np.uint8), flag | cv2.IMREAD_IGNORE_ORIENTATION
    )
    return values


# More than 8 bits: Pillow cuts such colours down to 8 bits, or does not know them at all.


def _is_deep(data: bytes) -> bool:
    """Whether it is a PNG or TIFF of more than 8 bits a sample, by its header."""
    deep_png = data.startswith(PNG_START) and data[24:25] == b"\x10"
    return deep_png or is_deep_tiff(data)


def _deep_pixels(data: bytes) -> NDArray[np.uint8]:
    """uint8 `(H, W)` or `(H, W, 3)` of a PNG or TIFF of more than 8 bits, upright."""
    if not data.startswith(PNG_START):
        return decode_deep_tiff(data)
    with open_picture(data) as image:
        require_size(image.size)
        orientation = _orientation(image, data)
        key = image.info.get("transparency") if image.mode.startswith("I") else None
        if not _is_whole(data):
            image.load()  # says what is amiss
    values = _by_opencv(_still(data), cv2.IMREAD_UNCHANGED)
    if values is None:
        raise ValueError("its pixels are damaged")
    return _oriented(white_where(flat(values), values, key), orientation)


def _in_colour(pixels: NDArray[np.uint8], colour: bool) -> NDArray[np.uint8]:
    if pixels.ndim == 2:
        return np.repeat(pixels[..., None], 3, axis=2) if colour else pixels
    return pixels if colour else np.array(Image.fromarray(pixels).convert("L"))
