"""What kind of picture a whole file is that no decoder reads: else it would pass for damaged."""

from __future__ import annotations

from PIL import TiffImagePlugin, UnidentifiedImageError

from fer_bench.data.files.deep_tiff import (
    STRIPS_AND_TILES,
    TIFF_STARTS,
    read_numbers,
    read_tags,
    require_strips,
)

#: TIFF's photometric interpretations by number; and the samples a pixel that are read of each.
PHOTOMETRIC = {
    0: "gray", 1: "gray", 2: "RGB", 3: "palette", 4: "mask", 5: "CMYK", 6: "YCbCr", 8: "CIELab",
    32803: "raw sensor", 32844: "LogL", 32845: "LogLuv", 34892: "raw sensor",
}  # fmt: skip
READ_SAMPLES = {0: (1,), 1: (1,), 2: (3, 4), 3: (1,), 5: (4,), 6: (3,), 8: (3,)}
#: TIFF's compressions that are read: none, CCITT, LZW, JPEG, Deflate, PackBits, LZMA, Zstd, WebP.
UNCOMPRESSED = 1
READ_COMPRESSIONS = (UNCOMPRESSED, 2, 3, 4, 5, 6, 7, 8, 32773, 32946, 34925, 50000, 50001)
YCBCR, SUBSAMPLING, EVERY_PIXEL = 6, 530, (1, 1)
JPEG_START, JPEG_LS = b"\xff\xd8", 0xF7
#: Start-of-frame markers: those with Huffman or arithmetic codes of one frame are read.
FRAMES = {*range(0xC0, 0xD0), JPEG_LS} - {0xC4, 0xC8, 0xCC}
READ_FRAMES = (0xC0, 0xC1, 0xC2, 0xC9, 0xCA)
LOSSLESS = (0xC3, 0xC7, 0xCB, 0xCF)


def unread_kind(data: bytes) -> str | None:
    """The kind of a TIFF or JPEG that is not read; None for all others, and for damaged ones."""
    if data.startswith(TIFF_STARTS):
        return _tiff_kind(data)
    return _jpeg_kind(data) if data.startswith(JPEG_START) else None


def _tiff_kind(data: bytes) -> str | None:
    try:
        tags = read_tags(data)
        require_strips(tags, len(data))
    except (UnidentifiedImageError, ValueError):
        return None

    def number(tag: int, otherwise: int) -> int:
        return max(read_numbers(tags.get(tag, otherwise)), default=otherwise)

    photometric = number(TiffImagePlugin.PHOTOMETRIC_INTERPRETATION, -1)
    if photometric < 0 or not any(starts in tags for starts, _ in STRIPS_AND_TILES):
        return None  # the end of its tags is missing
    samples = number(TiffImagePlugin.SAMPLESPERPIXEL, 1)
    bits = number(TiffImagePlugin.BITSPERSAMPLE, 1)
    compression = number(TiffImagePlugin.COMPRESSION, UNCOMPRESSED)
    subsampled = (
        (photometric, compression) == (YCBCR, UNCOMPRESSED)
        and read_numbers(tags.get(SUBSAMPLING, (2, 2))) != EVERY_PIXEL
    )  # fmt: skip
    is_read = compression in READ_COMPRESSIONS and samples in READ_SAMPLES.get(photometric, ())
    if is_read and bits in (1, 2, 4, 8) and not subsampled:
        return None
    colours = PHOTOMETRIC.get(photometric, f"colours {photometric}")
    packing = "" if compression in READ_COMPRESSIONS else f" in compression {compression}"
    return (
        f"a TIFF of {samples} x {bits}-bit {'subsampled ' if subsampled else ''}{colours}{packing}"
    )


def _jpeg_kind(data: bytes) -> str | None:
    at = 2
    while at + 5 <= len(data) and data[at] == 0xFF:
        marker, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        if marker in FRAMES:
            bits = data[at + 4]
            if marker in READ_FRAMES and bits == 8:
                return None
            names = {JPEG_LS: "a JPEG-LS", **dict.fromkeys(LOSSLESS, "a lossless JPEG")}
            kind = "a JPEG" if marker in READ_FRAMES else names.get(marker, "a hierarchical JPEG")
            return f"{kind} of {bits} bits"
        at += 2 + length
    return None
