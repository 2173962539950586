"""Any picture a user may send to one RGB array, or one sentence that says why not."""

from __future__ import annotations

import codecs
import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from fer_bench.data.decoding import DECODE_ERRORS, MAX_PIXELS, decode, open_picture
from fer_bench.errors import FerBenchError

#: What is taken for a picture by its name. HEIC too, so that a folder's is reported, not skipped.
IMAGE_SUFFIXES = (
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif",
    ".jp2", ".ppm", ".pgm", ".heic", ".heif",
)  # fmt: skip
EXPECTED = "expected a JPEG, PNG, WebP, GIF, BMP or TIFF picture"
#: A larger file is refused before it is read: more than `MAX_PIXELS` of 16-bit RGB take.
MAX_BYTES = 320_000_000
#: Starts of files that are often taken for pictures: offset, bytes, what it is.
SIGNATURES = (
    (0, b"\x1aE\xdf\xa3", "a video"),
    (8, b"AVI ", "a video"),
    (0, b"FLV", "a video"),
    (0, b"\x00\x00\x01\xba", "a video"),
    (0, b"OggS", "a video or sound"),
    (0, b"%PDF", "a PDF"),
    (0, b"PK\x03\x04", "a zip"),
    (0, b"<svg", "an SVG drawing"),
    (0, b"8BPS", "a Photoshop file"),
)
#: Starts of files that are pictures, whatever follows.
PICTURE_STARTS = (b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"II*\0", b"MM\0*", b"RIFF")
HEIF_BRANDS = (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1")
WHITE = (255, 255, 255, 255)


def read_image(path: Path) -> NDArray[np.uint8]:
    """The picture in a file as uint8 `(H, W, 3)` RGB; see `decode_image`.

    Raises:
        FerBenchError: there is none, or none that can be read.
    """
    if path.is_dir():
        raise FerBenchError(f"{path} is a folder: {EXPECTED}; name the pictures in it")
    if not path.exists():
        raise FerBenchError(f"there is no file {path}: {EXPECTED}; check its name and folder")
    if not path.is_file():
        raise FerBenchError(f"{path} is a device or pipe, not a file: {EXPECTED}")
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise FerBenchError(
                f"{path} has {size:,} bytes: {EXPECTED} of at most {MAX_BYTES:,}; save it smaller"
            )
        data = path.read_bytes()
    except OSError as error:
        raise FerBenchError(
            f"{path} cannot be read: {error.strerror or error}; check its permissions"
        ) from error
    return decode_image(data, str(path))


def decode_image(data: bytes, name: str) -> NDArray[np.uint8]:
    """A picture's bytes as uint8 `(H, W, 3)` RGB.

    The EXIF orientation is applied, what is transparent lies over white, 16 bits are scaled to 8;
    of an animation or of several pages the first counts. Colour profiles are not applied: training
    does not either.

    Args:
        name: what the messages call it.

    Raises:
        FerBenchError: no picture, a damaged one, or one of more than `MAX_PIXELS`.
    """
    if not data:
        raise FerBenchError(f"{name} is empty: {EXPECTED}; save or send it again")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of large sizes, checked here, and of odd metadata
            return _decoded(data, name)
    except Image.DecompressionBombError as error:
        raise _too_large(name, "more than 170 million") from error
    except UnidentifiedImageError as error:
        raise FerBenchError(f"{name} {_what_else(data)}") from error
    except DECODE_ERRORS as error:
        raise FerBenchError(
            f"{name} is damaged or cut off, its pixels cannot be decoded "
            f"({' '.join(str(error).split()) or type(error).__name__}): copy or save it again"
        ) from error


def _decoded(data: bytes, name: str) -> NDArray[np.uint8]:
    with open_picture(data) as image:
        width, height = image.size
        if width * height > MAX_PIXELS:
            raise _too_large(name, f"{width}x{height}")
        if image.mode in ("L", "RGB") and "transparency" not in image.info:
            return np.array(decode(data, colour=True))  # as training does
        return _rgb(ImageOps.exif_transpose(image))


def _rgb(image: Image.Image) -> NDArray[np.uint8]:
    """An image of any of Pillow's modes as uint8 `(H, W, 3)`."""
    if image.mode.startswith(("I", "F")):
        gray = _eight_bits(np.asarray(image), image.mode)
        return np.repeat(gray[..., None], 3, axis=2)
    if image.has_transparency_data:
        seen = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", seen.size, WHITE), seen)
    return np.array(image.convert("RGB"))


def _eight_bits(values: NDArray[np.generic], mode: str) -> NDArray[np.uint8]:
    """Gray values scaled to 0..255: 16-bit ones by their range, others from darkest to lightest."""
    finite = np.nan_to_num(values.astype(np.float64), posinf=0.0, neginf=0.0)
    low, high = (0.0, 65535.0) if mode.startswith("I;16") else (finite.min(), finite.max())
    scaled = (finite - low) / max(high - low, 1e-12) * 255
    return np.asarray(np.rint(scaled), np.uint8)


def _too_large(name: str, pixels: str) -> FerBenchError:
    return FerBenchError(
        f"{name} has {pixels} pixels: {EXPECTED} of at most {MAX_PIXELS:,}; make it smaller"
    )


def _what_else(data: bytes) -> str:
    """What a file is that is no picture, and what to do."""
    brand = data[8:12] if data[4:8] == b"ftyp" else b""
    if brand in HEIF_BRANDS:
        return f"is a HEIC picture, which is not supported: {EXPECTED}; export it as JPEG"
    if brand == b"avif":
        return f"is an AVIF picture, which Pillow reads from 11.3 on: {EXPECTED}; save it as PNG"
    kinds = [what for at, start, what in SIGNATURES if data[at : at + len(start)] == start]
    if brand:
        kinds = ["a video"]
    elif not kinds and _is_text(data[:512]):
        kinds = ["text"]
    if kinds == ["a video"]:
        return f"is a video: {EXPECTED}; use `predict` for videos, or send one frame as a picture"
    if kinds:
        return f"is {kinds[0]} whatever its name says: {EXPECTED}"
    if data.startswith(PICTURE_STARTS):
        return f"begins as a picture but is damaged or cut off: {EXPECTED}; copy or save it again"
    return f"is of no known picture format: {EXPECTED}; open and save it as one of these"


def _is_text(start: bytes) -> bool:
    try:  # the last letter may be cut in the middle
        text = codecs.getincrementaldecoder("utf-8")().decode(start)
    except UnicodeDecodeError:
        return False
    return all(character.isprintable() or character.isspace() for character in text)
