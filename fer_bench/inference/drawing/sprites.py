"""Text, plates and their blending: masks made once and mixed into an image as colours."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

#: Red, green, blue in [0, 255].
Colour = tuple[int, int, int]


class Rect(NamedTuple):
    """Pixels; right and bottom lie just outside."""

    left: int
    top: int
    width: int
    height: int

    @property
    def right(self) -> int:
        """Left plus width."""
        return self.left + self.width

    @property
    def bottom(self) -> int:
        """Top plus height."""
        return self.top + self.height

    def meets(self, other: Rect) -> bool:
        """They share a pixel."""
        return (
            self.left < other.right
            and other.left < self.right
            and self.top < other.bottom
            and other.top < self.bottom
        )

    def moved_into(self, width: int, height: int) -> Rect:
        """As much inside an image of this size as it can be."""
        return self._replace(
            left=max(min(self.left, width - self.width), 0),
            top=max(min(self.top, height - self.height), 0),
        )

    def is_inside(self, width: int, height: int) -> bool:
        """Inside an image of this size as a whole."""
        return self.left >= 0 and self.top >= 0 and self.right <= width and self.bottom <= height


#: Points of a quarter of a circle, and for each corner, clockwise from the top left, its share of a
#: box's width and height and the sign of its arc's points.
_ARC = np.stack([-np.cos(np.linspace(0, np.pi / 2, 6)), -np.sin(np.linspace(0, np.pi / 2, 6))], 1)
_CORNERS = (
    ((0, 0), _ARC),
    ((1, 0), _ARC[::-1] * (-1, 1)),
    ((1, 1), -_ARC),
    ((0, 1), _ARC[::-1] * (1, -1)),
)


def rounded(box: Rect, radius: int) -> NDArray[np.int32]:
    """The outline of a box with rounded corners, points `(24, 2)`, clockwise."""
    inner = np.array([box.width - 2 * radius, box.height - 2 * radius])
    start = np.array([box.left + radius, box.top + radius])
    points = [start + inner * corner + radius * arc for corner, arc in _CORNERS]
    return np.concatenate(points).round().astype(np.int32)


def draw_plate(
    image: NDArray[np.uint8], rect: Rect, colour: Colour, *, radius: int, opacity: float = 1.0
) -> None:
    """A rectangle with rounded corners; opacity in [0, 1]."""
    mask = _plate_mask(rect.width, rect.height, radius, round(255 * opacity))
    blend(image, mask, rect.left, rect.top, colour)


def blend(
    image: NDArray[np.uint8], mask: NDArray[np.uint8], left: int, top: int, colour: Colour
) -> None:
    """Mixes a colour in by a mask `(h, w)`, 255 = the colour alone; what is outside is cut off."""
    right, bottom = left + mask.shape[1], top + mask.shape[0]
    part = image[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)]
    if not part.size:
        return
    y, x = max(-top, 0), max(-left, 0)
    weight = mask[y : y + part.shape[0], x : x + part.shape[1], None].astype(np.float32) / 255
    part[:] = part + (np.array(colour, np.float32) - part) * weight + 0.5


@lru_cache(maxsize=32)
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def text_mask(text: str, size: int) -> NDArray[np.uint8]:
    """One line's mask `(h, w)`; h depends on the size alone, so that base lines agree."""
    return column_mask((text,), size, round(size * 1.25))


# Masks are small at a webcam's size; not many are stored, since those of an 8K photo are not.
@lru_cache(maxsize=160)
def column_mask(lines: tuple[str, ...], size: int, step: int) -> NDArray[np.uint8]:
    """Lines below each other, `step` pixels each, as a mask `(h, w)`; not to be written to.

    Args:
        size: of the text, pixels. Pillow's own font, so that it looks the same on every machine.
    """
    font = _font(size)
    width = max((int(np.ceil(font.getlength(line))) for line in lines), default=0)
    picture = Image.new("L", (max(width, 1), max(step * len(lines), 1)))
    pen = ImageDraw.Draw(picture)
    for i, line in enumerate(lines):
        pen.text((0, (i + 0.5) * step), line, fill=255, font=font, anchor="lm")
    return np.asarray(picture)


@lru_cache(maxsize=128)
def _plate_mask(width: int, height: int, radius: int, opacity: int) -> NDArray[np.uint8]:
    mask = np.zeros((height, width), np.uint8)
    points = rounded(Rect(0, 0, width - 1, height - 1), min(radius, (width - 1) // 2))
    cv2.fillPoly(mask, [points], opacity, cv2.LINE_AA)
    return mask
