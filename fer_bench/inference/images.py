"""Any picture a user may send to one RGB array, or one sentence that says why not."""

from __future__ import annotations

import codecs
import warnings
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError, features

from fer_bench.data.files.decode import DECODE_ERRORS, decode
from fer_bench.data.files.picture_errors import MAX_PIXELS, TooLarge, UnsupportedKind
from fer_bench.data.files.pixels import pixels_of_image
from fer_bench.errors import FerBenchError, coded

EXPECTED = "expected a JPEG, PNG, WebP, GIF, BMP, TIFF or HEIC picture"
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
)
#: Starts of files that are pictures, whatever follows.
PICTURE_STARTS = (b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"II*\0", b"MM\0*", b"RIFF")
AVIF_BRANDS = (b"avif", b"avis")
HEIF_BRANDS = (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1")


@coded("bad_picture")
def read_image(path: Path) -> NDArray[np.uint8]:
    """The picture in a file as uint8 `(H, W, 3)` RGB; see `decode_image`.

    Raises:
        FerBenchError: there is none, or none that can be read.
    """
    try:
        if path.is_dir():
            raise FerBenchError(f"{path} is a folder: {EXPECTED}; name the pictures in it")
        if not path.exists():
            raise FerBenchError(
                f"there is no file {path}: {EXPECTED}; check its name and folder",
                code="missing_file",
            )
        if not path.is_file():
            raise FerBenchError(f"{path} is a device or pipe, not a file: {EXPECTED}")
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise FerBenchError(
                f"{path} has {size:,} bytes: {EXPECTED} of at most {MAX_BYTES:,}; save it smaller"
            )
        data = path.read_bytes()
    except OSError as error:
        raise FerBenchError(
            f"{path} cannot be read: {error.strerror or error}; check its name and permissions",
            code="missing_file",
        ) from error
    return decode_image(data, str(path))


#: A picture as callers have it: a file, its bytes, Pillow's image, or uint8 `(H, W, 3)` RGB or
#: `(H, W)` gray.
Picture = str | Path | bytes | Image.Image | NDArray[np.uint8]


@coded("bad_picture")
def load_picture(picture: Picture) -> NDArray[np.uint8]:
    """Any `Picture` as uint8 `(H, W, 3)` RGB or, where it was such an array, `(H, W)` gray.

    Raises:
        FerBenchError: something else, no picture, or one that cannot be read.
    """
    if isinstance(picture, np.ndarray):
        check_image(picture)
        return picture
    if isinstance(picture, str) and "://" in picture:
        raise FerBenchError(f"{picture} is an address: {EXPECTED}; download it first")
    if isinstance(picture, (str, Path)):
        return read_image(Path(picture))
    if isinstance(picture, (bytes, bytearray, memoryview)):
        return decode_image(bytes(picture), "the picture")
    if isinstance(picture, Image.Image):
        if getattr(picture, "tile", None) and getattr(picture, "fp", None) is None:
            raise FerBenchError(
                "the picture's file was closed before its pixels were read: expected an open PIL "
                "image; call its `load` first, or give the path"
            )
        pixels = _decoded(lambda: pixels_of_image(picture), "the picture", b"")
        check_image(pixels)
        return pixels
    raise FerBenchError(
        "expected a picture as path, bytes, PIL image or uint8 array of shape (H, W, 3) RGB, got "
        f"{type(picture).__name__}: convert it first, as by `.read()` of a file or `.numpy()`"
    )


@coded("bad_picture")
def check_image(image: NDArray[np.uint8]) -> None:
    """Refuses an array that is no image, uint8 `(H, W)` gray or `(H, W, 3)` RGB.

    Raises:
        FerBenchError: another type or shape, or no pixels.
    """
    right = image.ndim == 2 or (image.ndim == 3 and image.shape[2] == 3)
    if image.dtype != np.uint8 or not right or 0 in image.shape:
        raise FerBenchError(
            "expected an image as uint8 array of shape (H, W) gray or (H, W, 3) RGB, got "
            f"{image.dtype} of shape {image.shape}: convert it first"
        )


def encode_png(image: NDArray[np.uint8]) -> bytes:
    """A PNG file's content of an image, uint8 `(H, W)` gray or `(H, W, 3)` RGB."""
    content = BytesIO()
    Image.fromarray(image).save(content, "PNG")
    return content.getvalue()


@coded("bad_picture")
def decode_image(data: bytes, name: str) -> NDArray[np.uint8]:
    """A picture's bytes as uint8 `(H, W, 3)` RGB.

    As training decodes it: see `fer_bench.data.files.pixels`.

    Args:
        name: what the messages call it.

    Raises:
        FerBenchError: no picture, a damaged one, one of more than `MAX_PIXELS` or of an unsupported
            kind.
    """
    if not data:
        raise FerBenchError(f"{name} is empty: {EXPECTED}; save or send it again")
    return _decoded(lambda: decode(data, colour=True), name, data)


def _decoded(decoder: Callable[[], NDArray[np.uint8]], name: str, data: bytes) -> NDArray[np.uint8]:
    """What the decoder gives, or one sentence that says why it cannot."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of large sizes, checked here, and of odd metadata
            return decoder()
    except (TooLarge, Image.DecompressionBombError) as error:
        size = error.args[0] if isinstance(error, TooLarge) else "more than 170 million"
        raise FerBenchError(
            f"{name} has {size} pixels: {EXPECTED} of at most {MAX_PIXELS:,}; make it smaller"
        ) from error
    except UnsupportedKind as error:
        raise FerBenchError(
            f"{name} is a picture of an unsupported kind, {error}: {EXPECTED} of 8 or 16 bits; "
            "save it as one of these"
        ) from error
    except UnidentifiedImageError as error:
        raise FerBenchError(f"{name} {_what_else(data)}") from error
    except DECODE_ERRORS as error:
        raise FerBenchError(
            f"{name} is damaged or cut off, its pixels cannot be decoded "
            f"({' '.join(str(error).split()) or type(error).__name__}): copy or save it again"
        ) from error


def _what_else(data: bytes) -> str:
    """What a file is that is no picture, and what to do."""
    brand = data[8:12] if data[4:8] == b"ftyp" else b""
    if brand in HEIF_BRANDS:
        if "HEIF" in Image.OPEN:
            return f"is a HEIC picture but damaged or cut off: {EXPECTED}; copy or save it again"
        return "is a HEIC picture: install pillow-heif to read it, or export it as JPEG"
    if brand in AVIF_BRANDS:
        if features.check("avif"):
            return f"is an AVIF picture but damaged or cut off: {EXPECTED}; copy or save it again"
        return f"is an AVIF picture, which Pillow reads from 11.3 on: {EXPECTED}; save it as PNG"
    kinds = [what for at, start, what in SIGNATURES if data[at : at + len(start)] == start]
    if brand:
        kinds = ["a video"]
    elif not kinds and is_text(data[:512]):
        kinds = ["text"]
    if kinds == ["a video"]:
        return f"is a video: {EXPECTED}; save one frame as a picture"
    if kinds:
        return f"is {kinds[0]} by its content: {EXPECTED}"
    if data.startswith(PICTURE_STARTS):
        return f"begins as a picture but is damaged or cut off: {EXPECTED}; copy or save it again"
    return f"is of no known picture format: {EXPECTED}; open and save it as one of these"


def is_text(start: bytes) -> bool:
    """Whether a file that begins so is readable text."""
    try:  # the last letter may be cut in the middle
        text = codecs.getincrementaldecoder("utf-8")().decode(start)
    except UnicodeDecodeError:
        return False
    return all(character.isprintable() or character.isspace() for character in text)
