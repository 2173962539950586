"""Every kind of picture a user may send: its pixels, or one sentence that says why not."""

from __future__ import annotations

import io
import os
import struct
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path

import cv2
import numpy as np
import pillow_heif
import pytest
from numpy.typing import NDArray
from PIL import (
    Image,
    ImageCms,
    PngImagePlugin,
    TiffImagePlugin,
    UnidentifiedImageError,
    features,
)
from table_fixtures import table

from fer_bench.data.files import pixels
from fer_bench.data.files.decode import decode, peek
from fer_bench.data.files.picture_errors import UnsupportedKind
from fer_bench.errors import FerBenchError
from fer_bench.inference import images
from fer_bench.inference.images import decode_image, load_picture, read_image

pillow_heif.register_heif_opener()  # to write them
RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)
SIZE = (48, 32)  # width, height


def halves(left: object = RED, right: object = BLUE, mode: str = "RGB") -> Image.Image:
    """A picture with a left and a right half of one colour each."""
    image = Image.new(mode, SIZE, left)  # type: ignore[arg-type]
    image.paste(right, (SIZE[0] // 2, 0, *SIZE))  # type: ignore[arg-type]
    return image


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def encoded_by_opencv(pixels: NDArray[np.generic], suffix: str) -> bytes:
    return bytes(cv2.imencode(suffix, pixels)[1])


def gray_halves(dark: int, light: int) -> NDArray[np.uint16]:
    values = np.full((SIZE[1], SIZE[0]), dark, np.uint16)
    values[:, SIZE[0] // 2 :] = light
    return values


def rotated_by_exif(kind: str, seen: Image.Image | None = None) -> bytes:
    """Stored lying on its side; orientation 6 says: turn clockwise to see it."""
    exif = Image.Exif()
    exif[0x0112] = 6
    options = {"quality": 95, "subsampling": 0} if kind == "JPEG" else {}
    lying = (seen or halves()).transpose(Image.Transpose.ROTATE_90)
    return saved(lying, kind, exif=exif, **options)


def with_an_unknown_orientation() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 9
    return saved(halves(), "JPEG", exif=exif, quality=95, subsampling=0)


def lab_tiff() -> bytes:
    srgb, lab = (ImageCms.createProfile(name) for name in ("sRGB", "LAB"))
    to_lab = ImageCms.buildTransform(srgb, lab, "RGB", "LAB")
    converted = ImageCms.applyTransform(halves(BLACK, WHITE), to_lab)
    assert converted is not None
    return saved(converted, "TIFF")


def turned_deep_png() -> bytes:
    """16 bits, lying on its side, its EXIF behind the pixels."""
    lying = png(np.rot90(sixteen(halves())), 2)
    tiff = struct.pack("<2sHIHHHIHHI", b"II", 42, 8, 1, 0x0112, 3, 1, 6, 0, 0)
    return lying[:-12] + chunk(b"eXIf", tiff) + lying[-12:]


def turned_deep_tiff() -> bytes:
    return tiff(np.rot90(sixteen(halves())), orientation=6)


XMP = b"""<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF
xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description
xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6"/></rdf:RDF></x:xmpmeta>"""


def with_xmp(kind: str, image: Image.Image) -> bytes:
    """A picture that says in its XMP alone that it is to be turned."""
    if kind == "PNG":
        info = PngImagePlugin.PngInfo()
        info.add_itxt("XML:com.adobe.xmp", XMP.decode())
        return saved(image, kind, pnginfo=info)
    if kind == "TIFF":
        return saved(image, kind, tiffinfo={700: XMP})
    return saved(image, kind, xmp=XMP)


def ycck_jpeg() -> bytes:
    """Red and blue as Adobe writes them: CMYK's inks as YCbCr. Pillow cannot, so it is patched."""
    inks = halves((0, 255, 255), (255, 255, 0)).convert("YCbCr")
    inverted = [channel.point([255 - v for v in range(256)]) for channel in inks.split()]
    plain = saved(Image.merge("CMYK", [*inverted, Image.new("L", SIZE, 0)]), "JPEG", quality=95)
    at = plain.index(b"Adobe") + 11  # the marker's last byte: 0 = CMYK, 2 = YCCK
    assert plain[at] == 0
    return plain[:at] + b"\x02" + plain[at + 1 :]


def animated(kind: str) -> bytes:
    return saved(halves(), kind, save_all=True, append_images=[halves(GREEN, GREEN)], duration=50)


def transparent(mode: str, kind: str, **options: object) -> bytes:
    """Red on the left; the right is blue but fully transparent, so white is seen."""
    image = halves((*RED, 255), (*BLUE, 0), "RGBA")
    return saved(image.convert(mode), kind, **options)


def transparent_palette() -> bytes:
    image = Image.new("P", SIZE, 0)
    image.putpalette([*RED, *BLUE])
    image.paste(1, (SIZE[0] // 2, 0, *SIZE))
    return saved(image, "PNG", transparency=1)


def float_tiff(dark: float, light: float) -> bytes:
    return saved(Image.fromarray(gray_halves(0, 1) * np.float32(light - dark) + dark), "TIFF")


def bgr(factor: float, kind: type[np.generic]) -> NDArray[np.generic]:
    """Red and blue halves as OpenCV writes them, of any type and range."""
    return (np.asarray(halves(), float)[..., ::-1] * factor).astype(kind)


def png(values: NDArray[np.generic], colour_type: int, key: bytes = b"") -> bytes:
    """A 16-bit PNG of any colour type; `key` is its transparent value. Pillow writes gray only."""
    height, width = values.shape[:2]
    header = struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    parts = [chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")]
    if key:
        parts.insert(1, chunk(b"tRNS", key))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def tiff(
    values: NDArray[np.unsignedinteger],
    *,
    photometric: int = 2,
    planar: bool = False,
    orientation: int = 1,
    extra: int | None = None,
) -> bytes:
    """A TIFF of 8 or 16 bits, a strip a plane; `extra` says what its last sample is."""
    height, width = values.shape[:2]
    samples = 1 if values.ndim == 2 else values.shape[2]
    planes = [values[..., i] for i in range(samples)] if planar else [values]
    strips = [plane.tobytes() for plane in planes]
    tags = TiffImagePlugin.ImageFileDirectory_v2(b"II*\0\0\0\0\0")
    tags[256], tags[257], tags[259] = width, height, 1
    tags[258] = (values.itemsize * 8,) * samples
    if extra is not None:
        tags[338] = extra
    tags[262], tags[277], tags[278], tags[284] = photometric, samples, height, 1 + planar
    tags[274] = orientation
    tags[279] = tuple(map(len, strips))
    # Pillow counts from the tags' end.
    tags[273] = tuple(np.cumsum([0, *tags[279]])[:-1].tolist())
    return b"II*\0" + struct.pack("<I", 8) + tags.tobytes(8) + b"".join(strips)


def packed_planar_tiff() -> bytes:
    """Deflated, two strips a plane, big-endian."""
    planes = np.moveaxis(sixteen(halves()), 2, 0).astype(">u2")
    halved = planes.reshape(3 * 2, -1)
    strips = [zlib.compress(strip.tobytes()) for strip in halved]
    tags = TiffImagePlugin.ImageFileDirectory_v2(b"MM\0*\0\0\0\0")
    tags[256], tags[257], tags[258], tags[259] = *SIZE, (16,) * 3, 8
    tags[262], tags[277], tags[278], tags[284] = 2, 3, SIZE[1] // 2, 2
    tags[279] = tuple(map(len, strips))
    tags[273] = tuple(np.cumsum([0, *tags[279]])[:-1].tolist())
    return b"MM\0*" + struct.pack(">I", 8) + tags.tobytes(8) + b"".join(strips)


YCBCR = (76, 85, 255), (29, 255, 107)  # of red and blue


def ycbcr_tiff(columns: int, rows: int) -> bytes:
    """Colours shared by so many columns and rows: the brightness of their pixels, then Cb, Cr."""
    shared = columns * rows
    red, blue = (bytes([luma] * shared + [cb, cr]) for luma, cb, cr in YCBCR)
    half = SIZE[0] // columns // 2
    strip = (red * half + blue * half) * (SIZE[1] // rows)
    return odd_tiff(8, 3, 6, strip=strip, more={530: (columns, rows)})


def sixteen(colours: object) -> NDArray[np.uint16]:
    return np.asarray(colours).astype(np.uint16) * np.uint16(257)


def gray_alpha() -> NDArray[np.uint16]:
    """Gray 9; transparent on the right."""
    return np.dstack([gray_halves(9 * 257, 9 * 257), gray_halves(65535, 0)])


def says_srgb() -> bytes:
    data, ends = saved(halves((200, 40, 10), (20, 90, 230)), "PNG"), 33  # of the header
    return data[:ends] + chunk(b"sRGB", b"\0") + data[ends:]


def multiplied() -> NDArray[np.uint8]:
    """Red, and half of a blue that is seen over white as (127, 127, 255); both with alpha."""
    return np.asarray(halves((*RED, 255), (0, 0, 128, 128), "RGBA"))


def few_bits(bits: int, key: int) -> bytes:
    """A gray PNG whose left is 0, whose right is the transparent value `key`."""
    half = SIZE[0] // 2
    row = np.packbits([0] * half * bits + [int(b) for b in f"{key:0{bits}b}"] * half).tobytes()
    header = struct.pack(">IIBBBBB", *SIZE, bits, 0, 0, 0, 0)
    pixels = zlib.compress((b"\0" + row) * SIZE[1])
    parts = {b"IHDR": header, b"tRNS": struct.pack(">H", key), b"IDAT": pixels, b"IEND": b""}
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts.items())


def animated_with_a_still() -> bytes:
    """An APNG whose still, red and blue, is no part of its green animation."""
    frames = [halves(GREEN, GREEN), halves(GREEN, WHITE)]
    return saved(
        halves(), "PNG", save_all=True, default_image=True, append_images=frames, duration=50
    )


Colour = tuple[int, int, int]
BLACK: Colour = (0, 0, 0)
COLOUR_PICTURES: dict[str, tuple[Callable[[], bytes], Colour, Colour]] = {
    "JPEG": (lambda: saved(halves(), "JPEG", quality=95, subsampling=0), RED, BLUE),
    "progressive JPEG": (lambda: saved(halves(), "JPEG", progressive=True), RED, BLUE),
    "JPEG turned by EXIF": (lambda: rotated_by_exif("JPEG"), RED, BLUE),
    "PNG turned by EXIF": (lambda: rotated_by_exif("PNG"), RED, BLUE),
    "TIFF turned by EXIF": (lambda: rotated_by_exif("TIFF"), RED, BLUE),
    "WebP turned by EXIF": (lambda: rotated_by_exif("WEBP"), RED, BLUE),
    "CMYK JPEG": (
        lambda: saved(halves((0, 255, 255, 0), (255, 255, 0, 0), "CMYK"), "JPEG", quality=95),
        RED, BLUE,
    ),
    "YCCK JPEG": (ycck_jpeg, RED, BLUE),
    "JPEG with an orientation that does not exist": (with_an_unknown_orientation, RED, BLUE),
    "Lab TIFF": (lab_tiff, BLACK, WHITE),
    "CMYK TIFF": (
        lambda: saved(halves((0, 255, 255, 0), (255, 255, 0, 0), "CMYK"), "TIFF"), RED, BLUE,
    ),
    "PNG": (lambda: saved(halves(), "PNG"), RED, BLUE),
    "PNG that says its colours are sRGB": (says_srgb, (200, 40, 10), (20, 90, 230)),
    "palette PNG": (lambda: saved(halves().convert("P"), "PNG"), RED, BLUE),
    "16-bit RGB PNG": (
        lambda: encoded_by_opencv(np.asarray(halves())[..., ::-1].astype(np.uint16) * 257, ".png"),
        RED, BLUE,
    ),
    "16-bit RGB TIFF": (
        lambda: encoded_by_opencv(np.asarray(halves())[..., ::-1].astype(np.uint16) * 257, ".tif"),
        RED, BLUE,
    ),
    "transparent PNG": (lambda: transparent("RGBA", "PNG"), RED, WHITE),
    "transparent WebP": (lambda: transparent("RGBA", "WEBP", lossless=True), RED, WHITE),
    "transparent TIFF": (lambda: transparent("RGBA", "TIFF"), RED, WHITE),
    "transparent palette PNG": (transparent_palette, RED, WHITE),
    "RGB PNG with a transparent colour": (
        lambda: saved(halves(), "PNG", transparency=BLUE), RED, WHITE,
    ),
    "animated GIF": (lambda: animated("GIF"), RED, BLUE),
    "animated PNG": (lambda: animated("PNG"), RED, BLUE),
    "animated WebP": (lambda: animated("WEBP"), RED, BLUE),
    "pages of a TIFF": (
        lambda: saved(halves(), "TIFF", save_all=True, append_images=[halves(GREEN)]), RED, BLUE,
    ),
    "BMP": (lambda: saved(halves(), "BMP"), RED, BLUE),
    "PPM": (lambda: saved(halves(), "PPM"), RED, BLUE),
    "AVIF": (lambda: saved(halves(), "AVIF", quality=95), RED, BLUE),
    "JPEG 2000": (lambda: saved(halves(), "JPEG2000"), RED, BLUE),
    "1-bit PNG": (lambda: saved(halves(0, 1, "1"), "PNG"), BLACK, WHITE),
    "1-bit TIFF": (lambda: saved(halves(0, 1, "1"), "TIFF"), BLACK, WHITE),
    "gray JPEG": (lambda: saved(halves(0, 200, "L"), "JPEG"), BLACK, (200,) * 3),
    "gray PNG with alpha": (lambda: saved(halves((9, 255), (9, 0), "LA"), "PNG"), (9,) * 3, WHITE),
    "16-bit gray PNG": (
        lambda: encoded_by_opencv(gray_halves(257 * 3, 257 * 200), ".png"), (3,) * 3, (200,) * 3,
    ),
    "16-bit gray TIFF": (
        lambda: encoded_by_opencv(gray_halves(257 * 3, 257 * 200), ".tif"), (3,) * 3, (200,) * 3,
    ),
    "float TIFF from 0 to 1": (lambda: float_tiff(0, 1), BLACK, WHITE),
    "float TIFF from 0 to 0.4": (lambda: float_tiff(0, 0.4), BLACK, (102,) * 3),
    "float TIFF from 0 to 200": (lambda: float_tiff(0, 200), BLACK, (200,) * 3),
    "float RGB TIFF": (
        lambda: encoded_by_opencv(bgr(1 / 255, np.float32), ".tif"), RED, BLUE,
    ),
    "double RGB TIFF": (
        lambda: encoded_by_opencv(bgr(1 / 255, np.float64), ".tif"), RED, BLUE,
    ),
    "16-bit RGBA PNG": (
        lambda: png(sixteen(halves((*RED, 255), (*BLUE, 0), "RGBA")), 6), RED, WHITE,
    ),
    "16-bit gray PNG with alpha": (lambda: png(gray_alpha(), 4), (9,) * 3, WHITE),
    "16-bit gray PNG with a transparent value": (
        lambda: png(gray_halves(257 * 3, 257 * 200), 0, struct.pack(">H", 257 * 200)),
        (3,) * 3, WHITE,
    ),
    "16-bit RGB PNG with a transparent colour": (
        lambda: png(sixteen(halves()), 2, struct.pack(">HHH", 0, 0, 65535)), RED, WHITE,
    ),
    "2-bit gray PNG with a transparent value": (lambda: few_bits(2, 1), BLACK, WHITE),
    "4-bit gray PNG with a transparent value": (lambda: few_bits(4, 9), BLACK, WHITE),
    "16-bit TIFF, colours times alpha": (
        lambda: tiff(sixteen(multiplied()), extra=1), RED, (127, 127, 255),
    ),
    "16-bit TIFF, a fourth sample that is not alpha": (
        lambda: tiff(sixteen(multiplied()), extra=0), RED, (0, 0, 128),
    ),
    "8-bit planar TIFF, colours times alpha": (
        lambda: tiff(multiplied(), planar=True, extra=1), RED, (127, 127, 255),
    ),
    "8-bit planar TIFF, a fourth sample that is not alpha": (
        lambda: tiff(multiplied(), planar=True, extra=0), RED, (0, 0, 128),
    ),
    "gray TIFF times alpha": (
        lambda: tiff(np.asarray(halves((9, 255), (64, 128), "LA")), photometric=1, extra=1),
        (9,) * 3, (191,) * 3,
    ),
    "16-bit planar TIFF": (lambda: tiff(sixteen(halves()), planar=True), RED, BLUE),
    "16-bit planar TIFF, packed": (packed_planar_tiff, RED, BLUE),
    "16-bit TIFF whose 0 is white": (
        lambda: tiff(sixteen(gray_halves(255 - 3, 255 - 200)), photometric=0),
        (3,) * 3, (200,) * 3,
    ),
    "8-bit TIFF whose 0 is white": (
        lambda: saved(halves(3, 200, "L"), "TIFF", tiffinfo={262: 0}), (3,) * 3, (200,) * 3,
    ),
    "YCbCr TIFF, not packed": (lambda: ycbcr_tiff(1, 1), RED, BLUE),
    "YCbCr TIFF, not packed, subsampled": (lambda: ycbcr_tiff(2, 2), RED, BLUE),
    "float PFM from 0 to 1": (
        lambda: encoded_by_opencv(gray_halves(0, 1).astype(np.float32), ".pfm"), BLACK, WHITE,
    ),
    "16-bit PGM": (
        lambda: encoded_by_opencv(gray_halves(257 * 3, 257 * 200), ".pgm"), (3,) * 3, (200,) * 3,
    ),
    "16-bit PPM": (
        lambda: encoded_by_opencv(bgr(257, np.uint16), ".ppm"), RED, BLUE,
    ),
    "animated PNG with another still": (animated_with_a_still, RED, BLUE),
    "HEIC": (lambda: saved(halves(), "HEIF", quality=95), RED, BLUE),
    "transparent HEIC": (lambda: transparent("RGBA", "HEIF", quality=95), RED, WHITE),
    "16-bit PNG turned by EXIF": (turned_deep_png, RED, BLUE),
    "16-bit TIFF turned by its own tag": (turned_deep_tiff, RED, BLUE),
    "JPEG with a trailer, turned by EXIF": (
        lambda: rotated_by_exif("JPEG") + b"trailer " * 20, RED, BLUE,
    ),
    "transparent PNG turned by EXIF": (
        lambda: rotated_by_exif("PNG", halves((*RED, 255), (*BLUE, 0), "RGBA")), RED, WHITE,
    ),
}  # fmt: skip


@table("name", COLOUR_PICTURES)
def test_a_picture_is_rgb_upright_and_over_white(name: str) -> None:
    make, left, right = COLOUR_PICTURES[name]

    pixels = decode_image(make(), name)

    assert (pixels.dtype, pixels.shape) == (np.uint8, (SIZE[1], SIZE[0], 3))
    assert np.array_equal(pixels, decode(make(), colour=True))  # as training sees it
    assert peek(make(), None)[0] == SIZE
    for column, colour in ((4, left), (SIZE[0] - 5, right)):
        seen = pixels[:, column].astype(int)
        assert np.abs(seen - colour).max() <= 12, (column, seen[0], colour)  # lossy formats


@table("name", COLOUR_PICTURES)
def test_what_a_data_set_takes_for_gray_is_the_same_picture(name: str) -> None:
    data = COLOUR_PICTURES[name][0]()

    gray, colour = decode(data, colour=False), decode(data, colour=True)

    if peek(data, None)[1]:
        luma = np.asarray(Image.fromarray(colour).convert("L")).astype(int)
        assert np.abs(gray - luma)[:, [4, -5]].max() <= 2  # lossy formats
    else:
        assert np.array_equal(colour, np.dstack([gray] * 3))


@table("name", COLOUR_PICTURES)
def test_an_image_that_pillow_opened_is_the_file(name: str) -> None:
    data = COLOUR_PICTURES[name][0]()
    try:
        image = Image.open(io.BytesIO(data))
    except UnidentifiedImageError:  # floating-point colours
        return
    if "planar" in name or "not packed" in name:
        with pytest.raises(FerBenchError, match="TIFF, which Pillow reads wrong"):
            load_picture(image)
        return
    assert np.abs(load_picture(image).astype(int) - decode_image(data, name)).max() <= 1


@table("mode", ["L", "RGB", "RGBA"])
@table("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_xmp_alone_turns_nothing(kind: str, mode: str) -> None:
    if (kind, mode) == ("JPEG", "RGBA"):
        mode = "CMYK"
    for trailer in (b"", b"trailer " * 20):
        data = with_xmp(kind, halves().convert(mode)) + trailer
        assert decode_image(data, "a picture").shape == (SIZE[1], SIZE[0], 3)
        assert load_picture(Image.open(io.BytesIO(data))).shape == (SIZE[1], SIZE[0], 3)
        assert peek(data, None)[0] == SIZE


def test_an_image_of_pillow_that_has_no_pixels_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(saved(halves(), "PNG"))
    with Image.open(tmp_path / "a.png") as closed:
        pass
    with pytest.raises(FerBenchError, match="was closed before its pixels were read"):
        load_picture(closed)
    with pytest.raises(FerBenchError, match=r"got uint8 of shape \(5, 0, 3\)"):
        load_picture(Image.new("RGB", (0, 5)))


def test_opencv_says_nothing_of_an_odd_profile(capfd: pytest.CaptureFixture[str]) -> None:
    assert np.array_equal(
        decode_image(saved(halves(), "PNG", icc_profile=b"odd"), "a.png"), np.asarray(halves())
    )
    assert capfd.readouterr().err == ""


def test_half_transparent_is_mixed_with_white() -> None:
    pixels = decode_image(saved(Image.new("RGBA", SIZE, (0, 0, 0, 128)), "PNG"), "half.png")
    assert pixels[0, 0].tolist() == [127, 127, 127]


def test_sixteen_bits_keep_their_order_and_are_not_clipped() -> None:
    ramp = np.linspace(0, 65535, 48 * 32).astype(np.uint16).reshape(32, 48)
    pixels = decode_image(encoded_by_opencv(ramp, ".png"), "ramp.png")
    assert np.array_equal(pixels[..., 0], np.rint(ramp / 257).astype(np.uint8))


def test_a_picture_of_one_pixel() -> None:
    assert decode_image(saved(Image.new("RGB", (1, 1), RED), "PNG"), "dot").tolist() == [[[*RED]]]


def test_the_array_is_the_callers_own() -> None:
    pixels = decode_image(saved(halves(), "PNG"), "a.png")
    pixels[:] = 0
    assert decode_image(saved(halves(), "PNG"), "a.png").max() == 255


def test_an_8k_photograph_is_read() -> None:
    data = saved(Image.new("L", (7680, 4320), 128), "JPEG")
    assert decode_image(data, "8k.jpg").shape == (4320, 7680, 3)


def chunk(kind: bytes, content: bytes) -> bytes:
    check = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)


def png_header(width: int, height: int) -> bytes:
    """A PNG that promises more pixels than it has."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(bytes(1000))
    parts = chunk(b"IHDR", header), chunk(b"IDAT", pixels), chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def ftyp(brand: bytes) -> bytes:
    return struct.pack(">I", 24) + b"ftyp" + brand + bytes(4) + brand + b"mp41" + bytes(200)


def half_of(data: bytes) -> bytes:
    return data[: len(data) // 2]


NOISE = np.random.default_rng(0).integers(0, 256, (200, 200, 3)).astype(np.uint8)
JPEG_NOISE = saved(Image.fromarray(NOISE), "JPEG")
PNG_NOISE = saved(Image.fromarray(NOISE), "PNG")

REFUSED: dict[str, tuple[bytes, str]] = {
    "empty.jpg": (b"", "is empty: expected a JPEG"),
    "text.jpg": (b"Dear all,\nno picture here.\n", "is text by its content: expected a"),
    "page.png": (b"<html><body>404</body></html>", "is text by its content"),
    "drawing.jpg": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "is an SVG drawing"),
    "paper.jpg": (b"%PDF-1.7\n" + bytes(100), "is a PDF by its content"),
    "many.jpg": (b"PK\x03\x04" + bytes(100), "is a zip by its content"),
    "random.jpg": (bytes(range(128, 256)) * 9, "is of no known picture format: expected a JPEG"),
    "phone.heic": (ftyp(b"heic"), "is a HEIC picture but damaged or cut off: .*; copy"),
    "cut.heic": (half_of(saved(Image.fromarray(NOISE), "HEIF")), "is damaged or cut off"),
    "burst.heif": (ftyp(b"mif1"), "is a HEIC picture"),
    "cut16.tif": (
        tiff(sixteen(NOISE))[:-200],
        "is damaged or cut off, .*its pixels are cut off.*: copy or save",
    ),
    "float.tif": (
        float_tiff(-3, 900),
        "is a picture of an unsupported kind, of floating-point .*-3 to 900",
    ),
    "nan.tif": (float_tiff(0, float("nan")), "is a picture of an unsupported kind, of floating"),
    "int.tif": (
        encoded_by_opencv(gray_halves(0, 9).astype(np.int32), ".tif"),
        "is a picture of an unsupported kind, a TIFF of 1 x 32-bit signed numbers: expected .* 16",
    ),
    "gray-alpha.tif": (
        tiff(gray_alpha(), photometric=1),
        "is a picture of an unsupported kind, a TIFF of 2 x",
    ),
    "clip.jpg": (ftyp(b"isom"), "is a video: .*; save one frame as a picture"),
    "clip.mov": (ftyp(b"qt  "), "is a video"),
    "clip.webm": (b"\x1aE\xdf\xa3" + bytes(100), "is a video"),
    "clip.avi": (b"RIFF\x00\x10\x00\x00AVI LIST" + bytes(100), "is a video"),
    "cut.jpg": (half_of(JPEG_NOISE), "is damaged or cut off, .*truncated.*: copy or save it"),
    "cut.png": (half_of(PNG_NOISE), "is damaged or cut off"),
    "cut.webp": (half_of(saved(Image.fromarray(NOISE), "WEBP")), "is damaged or cut off"),
    "cut.gif": (half_of(saved(Image.fromarray(NOISE), "GIF")), "is damaged or cut off"),
    "cut.bmp": (half_of(saved(Image.fromarray(NOISE), "BMP")), "is damaged or cut off"),
    "cut.tif": (
        half_of(encoded_by_opencv(NOISE, ".tif")),
        "begins as a picture but is damaged or cut off: .*; copy",
    ),
    "start.jpg": (JPEG_NOISE[:20], "begins as a picture but is damaged or cut off"),
    "start.png": (PNG_NOISE[:30], "begins as a picture but is damaged or cut off"),
    "bomb.png": (png_header(60_000, 60_000), "has more than 170 million pixels: .* at most 50,"),
    "large.png": (png_header(10_000, 6_000), "has 10000x6000 pixels: expected .* make it smaller"),
    "lying.png": (png_header(300, 200), "is damaged or cut off"),
}


def odd_tiff(
    bits: int,
    samples: int = 1,
    photometric: int = 1,
    *,
    compression: int = 1,
    numbers: int = 1,
    strip: bytes = b"",
    more: Mapping[int, object] | None = None,
) -> bytes:
    """A whole TIFF of 48 x 32 pixels of any kind, zeros unless said, with more tags."""
    strip = strip or bytes(SIZE[0] * SIZE[1] * samples * bits // 8)
    tags = TiffImagePlugin.ImageFileDirectory_v2(b"II*\0\0\0\0\0")
    tags[256], tags[257], tags[258], tags[259] = *SIZE, (bits,) * samples, compression
    tags[262], tags[277], tags[278], tags[339] = photometric, samples, SIZE[1], (numbers,) * samples
    for tag, value in (more or {}).items():
        tags[tag] = value
    tags[279], tags[273] = len(strip), 0
    return b"II*\0" + struct.pack("<I", 8) + tags.tobytes(8) + strip


def jpeg_of(frame: int, bits: int) -> bytes:
    """A JPEG whose header names another start of frame and other bits."""
    at = JPEG_NOISE.index(b"\xff\xc0")
    return JPEG_NOISE[:at] + bytes([0xFF, frame, 0, 17, bits]) + JPEG_NOISE[at + 5 :]


UNREAD_KINDS = {
    "half.tif": (odd_tiff(16, numbers=3), "a TIFF of 1 x 16-bit floating-point numbers"),
    "twelve.tif": (odd_tiff(12), "a TIFF of 1 x 12-bit unsigned numbers"),
    "signed8.tif": (odd_tiff(8, numbers=2), "a TIFF of 1 x 8-bit signed numbers"),
    "five.tif": (odd_tiff(8, 5, 2), "a TIFF of 5 x 8-bit RGB"),
    "two.tif": (odd_tiff(8, 2), "a TIFF of 2 x 8-bit gray"),
    "lab16.tif": (odd_tiff(16, 3, 8), "a TIFF of 3 x 16-bit CIELab"),
    "sensor.tif": (odd_tiff(16, 1, 32803), "a TIFF of 1 x 16-bit raw sensor"),
    "palette16.tif": (odd_tiff(16, 1, 3), "a TIFF of 1 x 16-bit palette"),
    "mask.tif": (odd_tiff(1, 1, 4), "a TIFF of 1 x 1-bit mask"),
    "ycbcr16.tif": (odd_tiff(16, 3, 6), "a TIFF of 3 x 16-bit YCbCr"),
    "zstd16.tif": (odd_tiff(16, compression=50000), "16-bit unsigned numbers in compression 50000"),
    "photo.dng": (odd_tiff(8, 3, 2, more={50706: b"\1\4\0\0"}), "a camera's raw file"),
    "photo.nef": (odd_tiff(8, 3, 2, more={254: 1, 330: 8}), "a camera's raw file"),
    "photo.cr2": (b"II*\0\x0e\0\0\0CR\2\0\0\0" + bytes(9), "a camera's raw file"),
    "photo.cr3": (ftyp(b"crx "), "a camera's raw file"),
    "alpha16.jp2": (
        encoded_by_opencv(np.zeros((32, 48, 4), np.uint16), ".jp2"),
        "a JPEG 2000 of 16 bits with alpha",
    ),
    "a.jxl": (b"\xff\x0a" + bytes(50), "a JPEG XL"),
    "a.exr": (b"v/1\x01" + bytes(50), "an OpenEXR"),
    "a.psd": (b"8BPS" + bytes(50), "a Photoshop file"),
    "a.tga": (bytes(50) + b"TRUEVISION-XFILE.\0", "a TGA"),
    "jpeg2000.tif": (odd_tiff(8, 3, 2, compression=34712), "RGB in compression 34712"),
    "lerc.tif": (odd_tiff(8, compression=34887), "gray in compression 34887"),
    "twelve.jpg": (jpeg_of(0xC1, 12), "a JPEG of 12 bits"),
    "lossless.jpg": (jpeg_of(0xC3, 8), "a lossless JPEG of 8 bits"),
    "hierarchical.jpg": (jpeg_of(0xC5, 8), "a hierarchical JPEG of 8 bits"),
    "jpeg-ls.jpg": (jpeg_of(0xF7, 8), "a JPEG-LS of 8 bits"),
}  # fmt: skip


@table("name", UNREAD_KINDS)
def test_a_whole_picture_of_a_kind_that_is_not_read_is_not_called_damaged(name: str) -> None:
    data, kind = UNREAD_KINDS[name]
    with pytest.raises(
        FerBenchError, match=rf"{name} is a picture of an unsupported kind, .*{kind}"
    ):
        decode_image(data, name)
    with pytest.raises(UnsupportedKind, match=kind):
        decode(data, colour=False)


@table("name", REFUSED)
def test_what_is_no_whole_picture_is_refused_in_one_sentence(name: str, tmp_path: Path) -> None:
    data, reason = REFUSED[name]
    file = tmp_path / name
    file.write_bytes(data)

    with pytest.raises(FerBenchError, match=rf"^{name} ({reason})") as uploaded:
        decode_image(data, name)
    with pytest.raises(FerBenchError) as read:
        read_image(file)

    assert str(read.value) == str(uploaded.value).replace(name, str(file), 1)
    assert "\n" not in str(read.value)


def test_an_avif_that_pillow_cannot_open_is_told_from_a_damaged_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(FerBenchError, match="is an AVIF picture but damaged"):
        decode_image(saved(halves(), "AVIF")[:200], "cut.avif")
    monkeypatch.setattr(pixels, "FORMATS", ("JPEG", "PNG"))
    monkeypatch.setattr(features, "check", lambda name: False)
    with pytest.raises(FerBenchError, match=r"is an AVIF picture, which Pillow reads from 11\.3"):
        decode_image(saved(halves(), "AVIF"), "new.avif")


def test_a_heic_without_its_package_is_told_from_a_damaged_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(FerBenchError, match="is a HEIC picture but damaged"):
        decode_image(ftyp(b"heic"), "phone.heic")
    monkeypatch.delitem(Image.OPEN, "HEIF")
    monkeypatch.setattr(pixels, "FORMATS", ("JPEG", "PNG"))
    with pytest.raises(FerBenchError, match="is a HEIC picture: install pillow-heif"):
        decode_image(ftyp(b"heic"), "phone.heic")


def test_postscript_is_not_run() -> None:
    data = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n%%EOF\n"
    with pytest.raises(FerBenchError, match="is text by its content"):
        decode_image(data, "drawing.jpg")


# Files


def test_a_file_is_read(tmp_path: Path) -> None:
    file = tmp_path / "ein Bild – ä.png"
    file.write_bytes(saved(halves(), "PNG"))
    assert np.array_equal(read_image(file), np.asarray(halves()))


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(FerBenchError, match=r"there is no file .*none\.jpg: .*; check its name"):
        read_image(tmp_path / "none.jpg")


def test_a_name_that_no_file_can_have_and_an_address() -> None:
    with pytest.raises(FerBenchError, match="cannot be read: File name too long; check its name"):
        read_image(Path("a" * 300))
    with pytest.raises(FerBenchError, match=r"is an address: .*; download it first"):
        load_picture("https://example.org/face.jpg")


def test_a_folder(tmp_path: Path) -> None:
    with pytest.raises(FerBenchError, match="is a folder: expected a JPEG"):
        read_image(tmp_path)


def test_a_file_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "private.jpg"
    file.write_bytes(b"x")

    def refuse(self: Path) -> bytes:  # permissions do not stop a test that runs as root
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(FerBenchError, match=r"private\.jpg cannot be read: Permission denied; ch"):
        read_image(file)


def test_a_huge_file_is_refused_before_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(images, "MAX_BYTES", 10)
    monkeypatch.delattr(Path, "read_bytes")
    (tmp_path / "huge.jpg").write_bytes(bytes(11))
    with pytest.raises(FerBenchError, match=r"huge\.jpg has 11 bytes: .* at most 10; save it sm"):
        read_image(tmp_path / "huge.jpg")


def test_a_device_is_not_waited_for() -> None:
    with pytest.raises(FerBenchError, match="is a device or pipe, not a file"):
        read_image(Path(os.devnull))
