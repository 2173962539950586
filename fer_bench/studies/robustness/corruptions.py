"""What a webcam does to a face, in five severities: noise, blur, bad light, occlusion and more.

After the corruptions of Hendrycks & Dietterich 2019 (arXiv 1903.12261), ImageNet-C and CIFAR-10-C,
and the occlusions of eyes and mouth of Kotsia et al. 2008 (doi 10.1016/j.imavis.2007.11.004). The
levels are our own, for crops of faces about 48 pixels wide: ImageNet-C's, made for 224 pixels,
would leave nothing to see. Lengths are shares of the image's side, so that a face is corrupted
alike in any resolution. OpenCV does the work.

An image's randomness comes from the seed and its own pixels alone: neither its place in the data
nor its neighbours in a batch matter, and from severity to severity only the strength changes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from zlib import crc32

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_bench.data.cache import pixel_hashes
from fer_bench.errors import FerBenchError
from fer_bench.formatting import NBSP
from fer_bench.registry import Entry, Registry

#: 0 leaves an image as it is.
SEVERITIES = (1, 2, 3, 4, 5)
#: Photons that a white pixel counts, in low light as in daylight: fewer light, more shot noise.
PHOTONS = 200
#: Where eyes and mouth are in a face crop: middle of the band, share of the height.
EYES, MOUTH = 0.4, 0.77
#: Width of what covers them, share of the image's.
COVER_WIDTH = 0.8
#: Shades of sunglasses and of masks, 0 (black) to 255.
GLASSES, MASKS = (0, 60), (140, 230)

Image = NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class Corruption:
    """One way to spoil a face.

    Attributes:
        levels: of the severities 1 to 5.
        words: what a level is, as a format.
        apply: one image, uint8 `(H, W)` gray or `(H, W, 3)` RGB, a level and all chance there is;
            gives an image of the same shape and type.
    """

    levels: tuple[float, float, float, float, float]
    words: str
    apply: Callable[[Image, float, np.random.Generator], Image]

    def describe(self, severity: int) -> str:
        """The level of a severity from 1 to 5 in words: `quality 25`."""
        return self.words.format(self.levels[severity - 1]).replace("%", f"{NBSP}%")


def corrupt(images: Image, name: str, severity: int, seed: int = 0) -> Image:
    """The images under a corruption; an image's result depends on nothing but it and the seed.

    Args:
        images: uint8 `(N, H, W)` gray or `(N, H, W, 3)` RGB, at the data's own size; left as they
            are; may be memory-mapped.
        name: of a corruption in `CORRUPTIONS`.
        severity: 0 (a plain copy) to 5.
        seed: 0 or more.

    Returns:
        uint8 of the images' shape.

    Raises:
        FerBenchError: an unknown corruption or severity, or images of another shape or type.
    """
    gray, rgb = images.ndim == 3, images.ndim == 4 and images.shape[-1] == 3
    if images.dtype != np.uint8 or not (gray or rgb):
        raise FerBenchError(
            "expected uint8 images of shape (N, H, W) or (N, H, W, 3), got "
            f"{images.dtype} of shape {images.shape}: convert them to 8-bit gray or RGB"
        )
    corruption: Corruption = CORRUPTIONS.load(name)
    if severity not in (0, *SEVERITIES):
        raise FerBenchError(f"expected a severity from 0 to {SEVERITIES[-1]}, got {severity}")
    corrupted = np.array(images)
    if severity == 0:
        return corrupted
    level = corruption.levels[severity - 1]
    for index, key in enumerate(pixel_hashes(corrupted)):
        rng = np.random.default_rng([seed, crc32(name.encode()), int(key)])
        corrupted[index] = corruption.apply(corrupted[index], level, rng)
    return corrupted


def _to_8_bit(values: NDArray[np.floating]) -> Image:
    image: Image = np.clip(np.rint(values), 0, 255).astype(np.uint8)
    return image


def _side(image: Image) -> int:
    side: int = min(image.shape[:2])
    return side


def _noise(image: Image, level: float, rng: np.random.Generator) -> Image:
    return _to_8_bit(image + rng.normal(0, 255 * level, image.shape))


def _blur(image: Image, level: float, rng: np.random.Generator) -> Image:
    return np.asarray(cv2.GaussianBlur(image, (0, 0), level * _side(image)), dtype=np.uint8)


def _motion(image: Image, level: float, rng: np.random.Generator) -> Image:
    """A blur along a line in a random direction."""
    length, angle = level * _side(image), rng.uniform(0, math.pi)
    reach = math.ceil(length / 2)
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    along = np.abs(x * math.cos(angle) + y * math.sin(angle))
    across = np.abs(y * math.cos(angle) - x * math.sin(angle))
    # What a line one pixel wide covers of each pixel, roughly.
    kernel = np.clip((length + 1) / 2 - along, 0, 1) * np.clip(1 - across, 0, 1)
    return np.asarray(cv2.filter2D(image, -1, kernel / kernel.sum()), dtype=np.uint8)


def _low_light(image: Image, level: float, rng: np.random.Generator) -> Image:
    """Less light, and the shot noise of the photons that are left (Poisson)."""
    photons = rng.poisson(image * (level * PHOTONS / 255))
    return _to_8_bit(photons * (255 / PHOTONS))


def _over_exposure(image: Image, level: float, rng: np.random.Generator) -> Image:
    return _to_8_bit(image * level)


def _jpeg(image: Image, level: float, rng: np.random.Generator) -> Image:
    colour = image.ndim == 3
    # OpenCV takes the order of channels as blue, green, red.
    given = cv2.cvtColor(image, cv2.COLOR_RGB2BGR) if colour else image
    _, code = cv2.imencode(".jpg", given, [cv2.IMWRITE_JPEG_QUALITY, round(level)])
    decoded = cv2.imdecode(code, cv2.IMREAD_COLOR if colour else cv2.IMREAD_GRAYSCALE)
    return np.asarray(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB) if colour else decoded, np.uint8)


def _low_resolution(image: Image, level: float, rng: np.random.Generator) -> Image:
    height, width = image.shape[:2]
    few = (max(1, round(width * level)), max(1, round(height * level)))
    small = cv2.resize(image, few, interpolation=cv2.INTER_AREA)
    large = cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(large, dtype=np.uint8)


def _move(image: Image, matrix: NDArray[np.float64]) -> Image:
    """Where the picture ends it goes on mirrored: a black corner would be another corruption."""
    height, width = image.shape[:2]
    moved = cv2.warpAffine(image, matrix, (width, height), borderMode=cv2.BORDER_REFLECT_101)
    return np.asarray(moved, dtype=np.uint8)


def _rotation(image: Image, level: float, rng: np.random.Generator) -> Image:
    height, width = image.shape[:2]
    angle = level if rng.random() < 0.5 else -level
    centre = ((width - 1) / 2, (height - 1) / 2)
    return _move(image, cv2.getRotationMatrix2D(centre, angle, 1.0))


def _off_centre(image: Image, level: float, rng: np.random.Generator) -> Image:
    """A shift in a random direction by whole pixels, which blurs nothing."""
    length, angle = level * _side(image), rng.uniform(0, 2 * math.pi)
    across, down = round(length * math.cos(angle)), round(length * math.sin(angle))
    return _move(image, np.array([[1.0, 0.0, across], [0.0, 1.0, down]]))


def _cover(image: Image, middle: float, share: float, shade: int) -> Image:
    """A band over a part of the face, `share` of the height around `middle`."""
    height, width = image.shape[:2]
    tall, margin = share * height, round((1 - COVER_WIDTH) / 2 * width)
    top = round(middle * height - tall / 2)
    covered = image.copy()
    covered[max(0, top) : top + max(1, round(tall)), margin : width - margin] = shade
    return covered


def _cover_eyes(image: Image, level: float, rng: np.random.Generator) -> Image:
    return _cover(image, EYES, level, int(rng.integers(*GLASSES)))


def _cover_mouth(image: Image, level: float, rng: np.random.Generator) -> Image:
    return _cover(image, MOUTH, level, int(rng.integers(*MASKS)))


NOISE = Corruption(levels=(0.04, 0.06, 0.09, 0.13, 0.18), words="σ {:g} of white", apply=_noise)
BLUR = Corruption(
    levels=(0.01, 0.015, 0.022, 0.032, 0.045),
    words="σ {:g} of the side",
    apply=_blur,
)
MOTION = Corruption(levels=(0.06, 0.1, 0.14, 0.19, 0.25), words="{:.0%} of the side", apply=_motion)
LOW_LIGHT = Corruption(
    levels=(0.6, 0.45, 0.33, 0.24, 0.17), words="{:.0%} of the light", apply=_low_light
)
OVER_EXPOSURE = Corruption(
    levels=(1.2, 1.4, 1.6, 1.9, 2.3), words="{:g} × the light", apply=_over_exposure
)
JPEG = Corruption(levels=(40, 25, 17, 11, 7), words="quality {:g}", apply=_jpeg)
LOW_RESOLUTION = Corruption(
    levels=(0.6, 0.45, 0.34, 0.26, 0.2),
    words="{:.0%} of the pixels per side",
    apply=_low_resolution,
)
ROTATION = Corruption(levels=(8, 16, 24, 34, 45), words="{:g}° to either side", apply=_rotation)
EYES_COVERED = Corruption(
    levels=(0.08, 0.13, 0.18, 0.24, 0.3), words="{:.0%} of the height", apply=_cover_eyes
)
MOUTH_COVERED = Corruption(
    levels=(0.1, 0.16, 0.22, 0.29, 0.36), words="{:.0%} of the height", apply=_cover_mouth
)
OFF_CENTRE = Corruption(
    levels=(0.05, 0.09, 0.14, 0.2, 0.27), words="{:.0%} of the side", apply=_off_centre
)

_HERE = "fer_bench.studies.robustness.corruptions"
#: A new corruption is a function, its levels and a line here.
CORRUPTIONS = Registry(
    "corruption",
    {
        "noise": Entry(f"{_HERE}:NOISE", "Gaussian noise of the sensor"),
        "blur": Entry(f"{_HERE}:BLUR", "out of focus, as a Gaussian blur"),
        "motion-blur": Entry(f"{_HERE}:MOTION", "blur along a line in a random direction"),
        "low-light": Entry(f"{_HERE}:LOW_LIGHT", "darker, with the shot noise of few photons"),
        "over-exposure": Entry(f"{_HERE}:OVER_EXPOSURE", "brighter, bright parts cut off at white"),
        "jpeg": Entry(f"{_HERE}:JPEG", "compression"),
        "low-resolution": Entry(f"{_HERE}:LOW_RESOLUTION", "fewer pixels, enlarged again"),
        "rotation": Entry(f"{_HERE}:ROTATION", "the head tilted to either side"),
        "eyes-covered": Entry(f"{_HERE}:EYES_COVERED", "a dark band, as sunglasses"),
        "mouth-covered": Entry(f"{_HERE}:MOUTH_COVERED", "a light band, as a mask"),
        "off-centre": Entry(f"{_HERE}:OFF_CENTRE", "the crop shifted in a random direction"),
    },
)
