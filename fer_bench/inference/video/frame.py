"""A decoded frame of a video, and how players show it."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from av.sidedata.sidedata import Type
from numpy.typing import NDArray

DISPLAY_MATRIX = Type.DISPLAYMATRIX
#: Pictures are shown at most this wide; odd headers ask for far more.
WIDEST = 16_384


@dataclass(frozen=True, kw_only=True)
class Frame:
    """A decoded frame: number from 0, time stamp in units of `time_base`, and its av.VideoFrame.

    Attributes:
        pixel_aspect: width of a stored pixel by its height.
    """

    number: int
    pts: int
    time_base: Fraction
    raw: Any
    pixel_aspect: Fraction = Fraction(1)

    @property
    def time_s(self) -> float:
        """Seconds since the video's start."""
        return float(self.pts * self.time_base)

    def image(self) -> NDArray[np.uint8]:
        """uint8 `(H, W, 3)` RGB as players show it: pixels square, turned and mirrored."""
        width, height = _shown_size(self.raw.width, self.raw.height, self.pixel_aspect)
        if (width, height) == (self.raw.width, self.raw.height):
            stored = self.raw.to_ndarray(format="rgb24")
        else:
            stored = self.raw.reformat(width=width, height=height, format="rgb24").to_ndarray()
        return np.ascontiguousarray(_oriented(stored, self.raw), np.uint8)


def _shown_size(width: int, height: int, aspect: Fraction) -> tuple[int, int]:
    """Width and height in square pixels; the height stays, as with FFmpeg."""
    shown = Fraction(width) * aspect
    if shown > max(WIDEST, width):
        shown, height = Fraction(WIDEST), round(height * WIDEST / shown)
    return max(1, round(shown)), max(1, height)


def _oriented(stored: NDArray[np.uint8], raw: Any) -> NDArray[np.uint8]:
    """Pixels `(H, W, 3)` laid out by the frame's display matrix, in steps of 90 degrees.

    A stored point (x, y) is shown at (a x + c y, b x + d y); see FFmpeg's libavutil/display.h.
    """
    matrix = raw.side_data.get(DISPLAY_MATRIX)
    if matrix is None:
        return stored
    (a, b, _), (c, d, _), _ = np.frombuffer(matrix, np.int32).reshape(3, 3).tolist()
    if abs(b) + abs(c) > abs(a) + abs(d):
        stored, a, d = stored.transpose(1, 0, 2), c, b
    if a < 0:
        stored = stored[:, ::-1]
    return stored[::-1] if d < 0 else stored
