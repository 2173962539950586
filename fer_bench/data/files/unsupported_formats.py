"""What kind of picture a file is that no decoder reads, or reads wrong."""

from __future__ import annotations

from PIL import Image, ImageFile, TiffImagePlugin, UnidentifiedImageError

from fer_bench.data.files.deep_tiff import (
    RAW,
    STRIPS_AND_TILES,
    TIFF_STARTS,
    UNCOMPRESSED,
    read_numbers,
    read_tags,
    require_strips,
)
from fer_bench.data.files.picture_errors import UnsupportedKind

#: TIFF's photometric interpretations by number; and the samples a pixel that are read of each.
PHOTOMETRIC = {
    0: "gray", 1: "gray", 2: "RGB", 3: "palette", 4: "mask", 5: "CMYK", 6: "YCbCr", 8: "CIELab",
    32803: "raw sensor", 32844: "LogL", 32845: "LogLuv", 34892: "raw sensor",
}  # fmt: skip
READ_SAMPLES = {0: (1,), 1: (1,), 2: (3, 4), 3: (1,), 5: (4,), 6: (3,), 8: (3,)}
#: TIFF's compressions that are read: none, CCITT, LZW, JPEG, Deflate, PackBits, LZMA, Zstd, WebP.
READ_COMPRESSIONS = (UNCOMPRESSED, 2, 3, 4, 5, 6, 7, 8, 32773, 32946, 34925, 50000, 50001)
JPEG_START, JPEG_LS = b"\xff\xd8", 0xF7
#: Start-of-frame markers: those with Huffman or arithmetic codes of one frame are read.
FRAMES = {*range(0xC0, 0xD0), JPEG_LS} - {0xC4, 0xC8, 0xCC}
READ_FRAMES = (0xC0, 0xC1, 0xC2, 0xC9, 0xCA)
LOSSLESS = (0xC3, 0xC7, 0xCB, 0xCF)
#: Markers that JPEG 2000's own data begin with, and where after them the bits of a sample stand.
JPEG_2000_SIZES, BITS_AT = b"\xff\x4f\xff\x51", 38
#: Starts of other files that are pictures: offset, bytes, what it is.
SIGNATURES = (
    (0, b"\xff\x0a", "a JPEG XL"), (0, b"\0\0\0\x0cJXL ", "a JPEG XL"),
    (0, b"II\xbc\x01", "a JPEG XR"), (0, b"BPG\xfb", "a BPG"), (0, b"FLIF", "a FLIF"),
    (0, b"v/1\x01", "an OpenEXR"), (0, b"#?RGBE", "a Radiance HDR"),
    (0, b"#?RADIANCE", "a Radiance HDR"),
    (0, b"PF\n", "a PFM"), (0, b"PH\n", "a PHM"), (0, b"P7\n", "a PAM"), (0, b"qoif", "a QOI"),
    (0, b"8BPS", "a Photoshop file"), (0, b"gimp xcf", "a GIMP file"), (0, b"DDS ", "a DDS"),
    (0, b"SDPX", "a DPX"), (0, b"XPDS", "a DPX"), (0, b"\1\xda", "an SGI"),
    (0, b"\n\5\1\x08", "a PCX"),
    (0, b"\0\0\2\0\0\0\0\0", "a TGA"), (0, b"\0\0\n\0\0\0\0\0", "a TGA"),
    (-18, b"TRUEVISION-XFILE.", "a TGA"), (0, b"\x59\xa6\x6a\x95", "a Sun raster"),
    (0, b"\0\0\1\0", "an icon"), (0, b"icns", "an icon"), (0, b"\0\0\2\0", "a cursor"),
    (0, b"SIMPLE  =", "a FITS"), (128, b"DICM", "a DICOM"), (4, b"ftypcrx ", RAW),
    (0, b"FUJIFILMCCD-RAW", RAW), (0, b"IIRO", RAW), (0, b"IIRS", RAW), (0, b"MMOR", RAW),
    (0, b"IIU\0", RAW), (0, b"FOVb", RAW),
)  # fmt: skip


def unsupported_format(data: bytes) -> str | None:
    """The kind of a picture that is not read; None for all others, and for damaged ones."""
    if data.startswith(TIFF_STARTS):
        return _tiff_kind(data)
    if data.startswith(JPEG_START):
        return _jpeg_kind(data)
    return next((kind for at, start, kind in SIGNATURES if data[at:].startswith(start)), None)


def require_known_alpha(image: Image.Image) -> None:
    """Refuses Pillow's image, not loaded yet, of a deep JPEG 2000 with alpha: 65535 becomes 0.

    Raises:
        UnsupportedKind: it is one.
    """
    file = image.fp if isinstance(image, ImageFile.ImageFile) else None
    if image.format != "JPEG2000" or image.mode not in ("LA", "RGBA") or file is None:
        return
    at = file.tell()
    file.seek(0)
    _, _, sizes = file.read().partition(JPEG_2000_SIZES)
    file.seek(at)
    bits = (sizes[BITS_AT] & 0x7F) + 1
    if bits > 8:
        raise UnsupportedKind(f"a JPEG 2000 of {bits} bits with alpha")


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
    is_read = compression in READ_COMPRESSIONS and samples in READ_SAMPLES.get(photometric, ())
    if is_read and bits in (1, 2, 4, 8):
        return None
    colours = PHOTOMETRIC.get(photometric, f"colours {photometric}")
    packing = "" if compression in READ_COMPRESSIONS else f" in compression {compression}"
    return f"a TIFF of {samples} x {bits}-bit {colours}{packing}"


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
