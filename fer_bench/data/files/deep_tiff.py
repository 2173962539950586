"""TIFFs that Pillow reads wrong.

Of more than 8 bits a sample, YCbCr that is not packed, and planes of which one is no plain alpha.
"""

from __future__ import annotations

import io
import struct
from itertools import accumulate

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, TiffImagePlugin, UnidentifiedImageError

from fer_bench.data.files.bit_depth import flat
from fer_bench.data.files.picture_errors import UnsupportedKind, require_size

TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
#: TIFF's photometric interpretations that OpenCV reads with more than 8 bits: gray and RGB.
MIN_IS_WHITE, DEEP_PHOTOMETRIC = 0, (0, 1, 2)
#: Colours whose range, and pixels that share them, Pillow does not heed where they are not packed.
YCBCR, UNCOMPRESSED = 6, 1
BIG_TIFF = (b"+\0", b"\0+")
#: What a camera's raw file begins with is a preview.
RAW = "a camera's raw file"
CANON_RAW, DNG_VERSION, SUBFILES, SUBFILE_TYPE, REDUCED = b"CR", 50706, 330, 254, 1
#: TIFF's word for colours that stand in planes one after another.
PLANAR = 2
#: TIFF's words for what a fourth sample is: something else than alpha; alpha that the colours have
#: been multiplied by; alpha.
OTHER, PREMULTIPLIED, ALPHA = 0, 1, 2
WIDTH_AND_HEIGHT = (256, 257)
#: Tags of where pieces of the pixels start and how many bytes they have.
STRIPS_AND_TILES = ((273, 279), (324, 325))
#: Tags that each plane has of the whole: compression, orientation, rows of a strip, predictor.
ALIKE_IN_PLANES = (259, 274, 278, 317)
#: TIFF's numbers for how samples are stored.
SAMPLE_FORMATS = {1: "unsigned", 2: "signed", 3: "floating-point", 5: "complex", 6: "complex"}
#: Those of 8 bits that Pillow takes for unsigned ones.
READ_WRONG = (2, 5, 6)


def is_deep_tiff(data: bytes) -> bool:
    """Whether it is a TIFF that `decode_deep_tiff` is for.

    Gray or RGB of more than 8 bits a sample, or of negative numbers; YCbCr that is not packed; or
    RGB in planes with a fourth one that is not alpha alone.

    Raises:
        UnsupportedKind: a camera's raw file.
        UnidentifiedImageError: its tags cannot be read, as the file is damaged or cut off.
    """
    if not data.startswith(TIFF_STARTS):
        return False
    tags = read_tags(data)
    if _is_raw(tags) or data[8:10] == CANON_RAW:
        raise UnsupportedKind(RAW)
    if _is_plain_ycbcr(tags):
        return True
    photometric = tags.get(TiffImagePlugin.PHOTOMETRIC_INTERPRETATION)
    deep = max(read_numbers(tags.get(TiffImagePlugin.BITSPERSAMPLE, 1))) > 8
    odd = max(read_numbers(tags.get(TiffImagePlugin.SAMPLEFORMAT, 1))) in READ_WRONG
    planar = _is_planar(tags) and _fourth_sample(tags) != ALPHA
    return (deep or odd or planar) and photometric in (None, *DEEP_PHOTOMETRIC)


def _is_raw(tags: dict[int, object]) -> bool:
    """Whether the picture itself stands elsewhere in the file, before a preview of it."""
    is_preview = tags.get(SUBFILE_TYPE) == REDUCED and SUBFILES in tags
    return is_preview or DNG_VERSION in tags


def _is_plain_ycbcr(tags: dict[int, object]) -> bool:
    colours = tags.get(TiffImagePlugin.PHOTOMETRIC_INTERPRETATION)
    return colours == YCBCR and tags.get(TiffImagePlugin.COMPRESSION, 1) == UNCOMPRESSED


def _is_planar(tags: dict[int, object]) -> bool:
    several = read_numbers(tags.get(TiffImagePlugin.SAMPLESPERPIXEL, 1))[0] > 1
    return several and tags.get(TiffImagePlugin.PLANAR_CONFIGURATION) == PLANAR


def _fourth_sample(tags: dict[int, object]) -> int:
    return read_numbers(tags.get(TiffImagePlugin.EXTRASAMPLES, ALPHA))[0]


def decode_deep_tiff(data: bytes) -> NDArray[np.uint8]:
    """uint8 `(H, W)` or `(H, W, 3)` RGB, upright: OpenCV turns TIFFs by their own orientation.

    Raises:
        UnsupportedKind, TooLarge: it is not read.
        ValueError: its pixels are cut off.
    """
    tags = read_tags(data)
    width, height = (read_numbers(tags.get(tag, 0))[0] for tag in WIDTH_AND_HEIGHT)
    require_size((width, height))
    samples = read_numbers(tags.get(TiffImagePlugin.SAMPLESPERPIXEL, 1))[0]
    bits = max(read_numbers(tags.get(TiffImagePlugin.BITSPERSAMPLE, 1)))
    stored = max(read_numbers(tags.get(TiffImagePlugin.SAMPLEFORMAT, 1)))
    inverted = tags.get(TiffImagePlugin.PHOTOMETRIC_INTERPRETATION) == MIN_IS_WHITE
    kind = f"a TIFF of {samples} x {bits}-bit {SAMPLE_FORMATS.get(stored, 'untyped')} numbers"
    known = (bits, stored) in ((8, 1), (16, 1)) or (stored == 3 and bits >= 32 and not inverted)
    planar = _is_planar(tags)
    if _is_plain_ycbcr(tags):
        kind = f"a TIFF of {samples} x {bits}-bit YCbCr"
        known = bits == 8 and not planar
    if not known or samples not in (1, 3, 4):
        raise UnsupportedKind(kind)
    require_strips(tags, len(data))
    compression = read_numbers(tags.get(TiffImagePlugin.COMPRESSION, UNCOMPRESSED))[0]
    if compression != UNCOMPRESSED:
        kind = f"{kind} in compression {compression}"
    if planar:
        planes = [_by_opencv(_plane(data, tags, i, samples, kind), kind) for i in range(samples)]
        values = np.dstack([*planes[2::-1], *planes[3:]])  # as OpenCV orders colours
    else:
        values = _by_opencv(data, kind)
    fourth = _fourth_sample(tags)
    if samples == 4 and fourth == OTHER:
        values = values[..., :3]
    return flat(65535 - values if inverted else values, premultiplied=fourth == PREMULTIPLIED)


def is_min_white(image: Image.Image) -> bool:
    """Whether Pillow's image is of a TIFF whose 0 is white; of 16 bits, it leaves it so."""
    tags = getattr(image, "tag_v2", {})
    return bool(tags.get(TiffImagePlugin.PHOTOMETRIC_INTERPRETATION) == MIN_IS_WHITE)


def require_readable(image: Image.Image) -> None:
    """Refuses Pillow's image of a TIFF that Pillow itself reads wrong.

    Raises:
        UnsupportedKind: it is one.
    """
    tags = getattr(image, "tag_v2", {})
    if _is_raw(tags):
        raise UnsupportedKind(RAW)
    deep = max(read_numbers(tags.get(TiffImagePlugin.BITSPERSAMPLE, 1))) > 8
    if _is_planar(tags) and (deep or _fourth_sample(tags) != ALPHA):
        raise UnsupportedKind("a planar TIFF, which Pillow reads wrong (give its path)")
    if _is_plain_ycbcr(tags):
        raise UnsupportedKind("a YCbCr TIFF, which Pillow reads wrong (give its path)")


def _by_opencv(data: bytes, kind: str) -> NDArray[np.generic]:
    cv2.utils.logging.setLogLevel(0)  # else it says on stderr, too, what is about to be raised
    values = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if values is None:
        raise UnsupportedKind(kind)
    return np.asarray(values)


def _plane(data: bytes, tags: dict[int, object], index: int, samples: int, kind: str) -> bytes:
    """One colour of a planar TIFF as a gray TIFF: OpenCV takes the first for all of them."""
    starts, sizes = (read_numbers(tags.get(tag, ())) for tag in STRIPS_AND_TILES[0])
    count = len(starts) // samples
    if not count or data[2:4] in BIG_TIFF:
        raise UnsupportedKind(f"{kind}, a plane a colour")
    own = slice(index * count, (index + 1) * count)
    strips = [data[at : at + size] for at, size in zip(starts[own], sizes[own], strict=True)]
    one = TiffImagePlugin.ImageFileDirectory_v2(data[:8])
    for tag in (*WIDTH_AND_HEIGHT, *ALIKE_IN_PLANES):
        if tag in tags:
            one[tag] = tags[tag]
    one[TiffImagePlugin.BITSPERSAMPLE] = read_numbers(tags[TiffImagePlugin.BITSPERSAMPLE])[0]
    one[TiffImagePlugin.SAMPLEFORMAT] = read_numbers(tags.get(TiffImagePlugin.SAMPLEFORMAT, 1))[0]
    one[TiffImagePlugin.SAMPLESPERPIXEL] = one[TiffImagePlugin.PHOTOMETRIC_INTERPRETATION] = 1
    one[STRIPS_AND_TILES[0][1]] = tuple(map(len, strips))
    # Pillow counts them from the end of the tags.
    one[STRIPS_AND_TILES[0][0]] = tuple(accumulate(map(len, strips[:-1]), initial=0))
    big_endian = data.startswith(b"MM")
    first = struct.pack(">I" if big_endian else "<I", 8)
    return data[:4] + first + one.tobytes(8) + b"".join(strips)


def require_strips(tags: dict[int, object], length: int) -> None:
    """OpenCV leaves pixels that are cut off black.

    Raises:
        ValueError: strips or tiles that lie behind the file's end.
    """
    for starts, sizes in STRIPS_AND_TILES:
        pairs = zip(
            read_numbers(tags.get(starts, ())), read_numbers(tags.get(sizes, ())), strict=False
        )
        if any(start + size > length for start, size in pairs):
            raise ValueError("its pixels are cut off")


def read_tags(data: bytes) -> dict[int, object]:
    """The tags of a TIFF's first page.

    Raises:
        UnidentifiedImageError: they cannot be read, as the file is damaged or cut off.
    """
    try:
        start = data[:16] if data[2:4] in BIG_TIFF else data[:8]  # BigTIFF's is longer
        directory = TiffImagePlugin.ImageFileDirectory_v2(start)
        file = io.BytesIO(data)
        file.seek(directory.next)
        directory.load(file)
        return dict(directory)
    except (OSError, SyntaxError, ValueError, KeyError, TypeError, struct.error) as error:
        raise UnidentifiedImageError("its tags cannot be read") from error


def read_numbers(value: object) -> tuple[int, ...]:
    """A tag's value or values as whole numbers."""
    return tuple(int(v) for v in value) if isinstance(value, tuple) else (int(str(value)),)
