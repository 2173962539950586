"""Changes to an image before its faces are looked for: turn, crop, brightness, contrast."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageEnhance

from fer_bench.errors import FerBenchError
from fer_bench.inference.images import check_image

#: The longest side that OpenCV can turn, pixels.
TURNABLE = 32_766


@dataclass(frozen=True, kw_only=True)
class Adjustment:
    """What to change; the default changes nothing.

    Attributes:
        brightness: in [-1, 1]; values are multiplied by `1 + brightness`, so -1 is black and 1
            twice as bright (Pillow's `ImageEnhance.Brightness`).
        contrast: in [-1, 1]; distances from the image's mean luma are multiplied by `1 + contrast`,
            so -1 is an even gray (Pillow's `ImageEnhance.Contrast`).
        rotation: in [-180, 180] degrees about the centre, counter-clockwise as Pillow's.
        crop: shares of the width or height cut away at the left, top, right, bottom; each in [0,
            1).

    Raises:
        FerBenchError: a value out of its range, or a crop that leaves nothing.
    """

    brightness: float = 0.0
    contrast: float = 0.0
    rotation: float = 0.0
    crop: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)

    def __post_init__(self) -> None:
        limits = {"brightness": 1, "contrast": 1, "rotation": 180}
        for name, limit in limits.items():
            value = getattr(self, name)
            if not -limit <= value <= limit:  # nan fails too
                raise FerBenchError(f"expected {name} in [-{limit}, {limit}], got {value}")
        if len(self.crop) != 4 or not all(0 <= share < 1 for share in self.crop):
            raise FerBenchError(
                "expected crop as four shares in [0, 1), cut away at the left, top, right and "
                f"bottom, got {self.crop}"
            )
        left, top, right, bottom = self.crop
        if left + right >= 1 or top + bottom >= 1:
            raise FerBenchError(
                f"the crop {self.crop} leaves nothing: left and right, and top and bottom, must "
                "each add up to less than 1"
            )


def adjust(image: NDArray[np.uint8], adjustment: Adjustment) -> NDArray[np.uint8]:
    """An image turned, then cropped, then changed in brightness, then in contrast.

    So the crop acts on what the user sees upright, and contrast turns about the mean of what is
    left. Turning keeps the size; corners that come from outside repeat the edge, as face crops do:
    a black corner's straight edge could pass for part of a face.

    Args:
        image: uint8 `(H, W)` gray or `(H, W, 3)` RGB.

    Returns:
        The same kind, smaller where cropped; `image` itself where nothing is to be changed.

    Raises:
        FerBenchError: an array that is no image, or one too long to be turned.
    """
    check_image(image)
    if adjustment.rotation:
        image = _turned(image, adjustment.rotation)
    if any(adjustment.crop):
        image = _cropped(image, adjustment.crop)
    if adjustment.brightness or adjustment.contrast:
        picture = Image.fromarray(image)
        picture = ImageEnhance.Brightness(picture).enhance(1 + adjustment.brightness)
        picture = ImageEnhance.Contrast(picture).enhance(1 + adjustment.contrast)
        image = np.array(picture)
    return image


def _turned(image: NDArray[np.uint8], degrees: float) -> NDArray[np.uint8]:
    height, width = image.shape[:2]
    if max(height, width) > TURNABLE:
        raise FerBenchError(
            f"cannot turn an image of {width} x {height} pixels: expected at most {TURNABLE} on a "
            "side; crop or shrink it first"
        )
    # Pixel (0, 0) is a centre, not a corner: so quarter turns of a square move pixels only.
    turn = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), degrees, 1.0)
    turned = cv2.warpAffine(image, turn, (width, height), borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(turned, np.uint8)


def _cropped(
    image: NDArray[np.uint8], shares: tuple[float, float, float, float]
) -> NDArray[np.uint8]:
    height, width = image.shape[:2]
    left, top, right, bottom = shares
    # Rounded down, so that shares that add up to less than 1 always leave a pixel.
    rows = slice(math.floor(top * height), height - math.floor(bottom * height))
    columns = slice(math.floor(left * width), width - math.floor(right * width))
    return np.ascontiguousarray(image[rows, columns])
