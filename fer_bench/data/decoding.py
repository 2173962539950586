"""Encoded images to one array: OpenCV in a few threads, Pillow for what OpenCV cannot read."""

from __future__ import annotations

import io
import math
import os
import struct
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from fer_bench.data.base import LeftOut, SourceData
from fer_bench.data.cache import ArrayFile, pixel_hashes
from fer_bench.data.catalogue import Reading
from fer_bench.data.tree import READ_ERRORS, Tree
from fer_bench.errors import FerBenchError

#: An image of more pixels than this is refused before it is decoded.
MAX_PIXELS = 50_000_000
#: The side that images of differing sizes are resized to unless told otherwise.
DEFAULT_SIZE = 224
#: Images that share a longer side are resized too: no recipe wants more than this.
MAX_SIDE = 1024
#: Pillow's formats that are opened; others run programs (EPS) or are no pictures (MPEG, HDF5).
#: HEIF is there where the user registered pillow-heif.
FORMATS = ("JPEG", "MPO", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "JPEG2000", "PPM", "HEIF")
#: Images read before any is written, at most, and the bytes of their pixels together.
BLOCK, BLOCK_BYTES, CHUNK = 2048, 2**28, 64
EXIF_ORIENTATION = 0x0112
#: How Pillow reports what it cannot decode, besides its own error (an OSError).
DECODE_ERRORS = (
    *READ_ERRORS, SyntaxError, ValueError, TypeError, IndexError, struct.error,
    Image.DecompressionBombError, cv2.error,
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Sample:
    """A face still encoded: `name` in the tree, `box` = (x, y, width, height) to crop, pixels."""

    id: str
    name: str
    label: int
    part: str = ""
    box: tuple[int, int, int, int] | None = None


@dataclass(frozen=True, kw_only=True)
class _Header:
    size: tuple[int, int]  # width, height
    colour: bool


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


def _crop_bounds(
    box: tuple[int, int, int, int], size: tuple[int, int]
) -> tuple[int, int, int, int]:
    """The box's part inside the image as (left, top, right, bottom)."""
    x, y, width, height = box
    bounds = max(x, 0), max(y, 0), min(x + width, size[0]), min(y + height, size[1])
    if bounds[0] >= bounds[2] or bounds[1] >= bounds[3]:
        raise ValueError(f"the face box {box} lies outside the image of {size[0]}x{size[1]} pixels")
    return bounds


def _peek(tree: Tree, sample: Sample) -> _Header:
    data = tree.read(sample.name)
    if not data:
        raise ValueError("the file is empty")
    with open_picture(data) as image:
        width, height = _upright_size(image)
        if width * height > MAX_PIXELS:
            raise ValueError(f"{width}x{height} pixels, more than the limit of {MAX_PIXELS:,}")
        colour = image.mode not in ("1", "L", "LA", "I;16", "I", "F")
    if sample.box is not None:
        left, top, right, bottom = _crop_bounds(sample.box, (width, height))
        width, height = right - left, bottom - top
    return _Header(size=(width, height), colour=colour)


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


def _read_one(tree: Tree, sample: Sample, size: tuple[int, int], colour: bool) -> NDArray[np.uint8]:
    image = decode(tree.read(sample.name), colour=colour)
    if sample.box is not None:
        left, top, right, bottom = _crop_bounds(sample.box, (image.shape[1], image.shape[0]))
        image = image[top:bottom, left:right]
    return resize_plain(np.ascontiguousarray(image), size)


Result = TypeVar("Result")


def _in_threads(
    work: Callable[[Sample], Result],
    samples: Sequence[Sample],
    how: Reading,
    stage: str,
    block_size: int = BLOCK,
) -> Iterator[list[tuple[Sample, Result | LeftOut]]]:
    """Results in order, block by block, so that memory stays bounded; failures as `LeftOut`."""

    def attempt(sample: Sample) -> tuple[Sample, Result | LeftOut]:
        try:
            return sample, work(sample)
        except DECODE_ERRORS as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            if isinstance(error, UnidentifiedImageError):
                reason = "not an image of a known format"
            return sample, LeftOut(id=sample.id, reason=f"cannot be decoded: {reason}")

    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        for start in range(0, len(samples), block_size):
            block = samples[start : start + block_size]
            chunks = (block[i : i + CHUNK] for i in range(0, len(block), CHUNK))
            done = pool.map(lambda chunk: [attempt(sample) for sample in chunk], chunks)
            yield [pair for chunk in done for pair in chunk]
            how.progress(stage, min(start + block_size, len(samples)), len(samples), {})


def _common_form(
    headers: Sequence[_Header], image_size: int | None
) -> tuple[tuple[int, int], bool]:
    """The size (width, height) and colour that all images are brought to."""
    sizes = {h.size for h in headers}
    side = image_size or DEFAULT_SIZE
    alike = image_size is None and len(sizes) == 1 and max(max(sizes)) <= MAX_SIDE
    size = sizes.pop() if alike else (side, side)
    return size, any(h.colour for h in headers)


def _look(
    tree: Tree, samples: Sequence[Sample], how: Reading, lost: list[LeftOut]
) -> tuple[list[Sample], list[_Header]]:
    """The samples whose headers can be read, and these headers; the others are added to `lost`."""
    readable: list[Sample] = []
    headers: list[_Header] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        for block in _in_threads(lambda s: _peek(tree, s), samples, how, "looking at images"):
            for sample, header in block:
                if isinstance(header, LeftOut):
                    lost.append(header)
                else:
                    readable.append(sample)
                    headers.append(header)
    return readable, headers


def read_images(
    tree: Tree,
    samples: Sequence[Sample],
    *,
    name: str,
    emotions: tuple[str, ...],
    how: Reading,
    left_out: Sequence[LeftOut] = (),
) -> SourceData:
    """Decodes all samples into one array; what cannot be decoded is left out and named.

    Images of one size keep it, up to `MAX_SIDE`; of differing sizes, or with `how.image_size`, they
    are resized to a square (plain, antialiased: faces are usually nearly square crops). Gray images
    stay gray unless any image is in colour, which makes the set RGB.

    Raises:
        FerBenchError: not one image could be read.
    """
    lost = list(left_out)
    readable, headers = _look(tree, samples, how, lost)
    if not readable:
        raise _nothing_readable(tree, lost)
    size, colour = _common_form(headers, how.image_size)
    shape = (size[1], size[0], 3) if colour else (size[1], size[0])
    block_size = min(BLOCK, BLOCK_BYTES // math.prod(shape))
    file = ArrayFile(how.scratch / "images.npy", shape, "|u1")
    kept: list[Sample] = []
    hashes: list[NDArray[np.uint64]] = []
    try:
        for decoded in _in_threads(
            lambda s: _read_one(tree, s, size, colour), readable, how, "decoding images", block_size
        ):
            lost += [image for _, image in decoded if isinstance(image, LeftOut)]
            good = [(s, image) for s, image in decoded if not isinstance(image, LeftOut)]
            if good:
                images = np.stack([image for _, image in good])
                file.append(images)
                hashes.append(pixel_hashes(images))
                kept += [s for s, _ in good]
        if not kept:
            raise _nothing_readable(tree, lost)
        images = file.finish()
    finally:
        file.discard()
    return SourceData(
        name=name,
        source=tree.path.name,
        images=images,
        labels=np.array([s.label for s in kept], dtype=np.int64),
        ids=np.array([s.id for s in kept]),
        parts=np.array([s.part for s in kept]),
        hashes=np.concatenate(hashes),
        emotions=emotions,
        left_out=tuple(lost),
    )


def _nothing_readable(tree: Tree, lost: Sequence[LeftOut]) -> FerBenchError:
    first = f"; the first, {lost[0].id}: {lost[0].reason}" if lost else ""
    return FerBenchError(
        f"no image of {tree.path.name} could be read: expected JPEG or PNG faces{first}"
    )
