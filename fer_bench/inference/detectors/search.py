"""Where faces are looked for: one quick look at a frame, every size and turn in a still picture.

A detector says with `look` what it finds in an image at that image's own size; the search for a
frame or a still is the same for all detectors.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from enum import Enum
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_bench.inference.detectors.base import (
    DetectedFace,
    largest_first,
    shrunk,
    shrunk_to,
    without_overlaps,
)

#: A still with a longer side than this is looked through again, at up to `FINE_SIDE` pixels: what
#: has 28 pixels there has 59 in a photo of 12 megapixels and 88 in one of 24. A panorama may be
#: longer: as long as has `FINE_PIXELS`.
COARSE_SIDE, FINE_SIDE, FINE_PIXELS = 640, 1920, 1920 * 1280
#: Degrees, clockwise, that heads may be turned by where no upright face is surely one.
TURNS = (30, -30, 60, -60, 90, -90, 120, -120, 150, -150, 180)


class Effort(Enum):
    """How to look: at a video's frame, a still, a large one, where nobody is, at a turned copy.

    The more copies are analysed, the surer a detector should be, or false boxes add up.
    """

    FRAME = "frame"
    QUICK = "quick"
    FINE = "fine"
    THOROUGH = "thorough"
    TURNED = "turned"


class Looks(Protocol):
    """What a detector has to do for a search."""

    def look(self, image: NDArray[np.uint8], effort: Effort) -> list[DetectedFace]:
        """Upright faces of an image at its own size, the likeliest first."""
        ...


def search_frame(detector: Looks, image: NDArray[np.uint8]) -> list[DetectedFace]:
    """One quick look at an image shrunk to half its size, for video: largest first."""
    small, factor = shrunk(image)
    return _merged(_scaled(detector.look(small, Effort.FRAME), factor))


def search_still(detector: Looks, image: NDArray[np.uint8]) -> list[DetectedFace]:
    """Every size of face in a still and, where none is surely one, every turn: largest first."""
    small, factor = shrunk(image)
    faces = _scaled(detector.look(small, Effort.QUICK), factor)
    if max(image.shape[:2]) > COARSE_SIDE:
        fine, fine_factor = shrunk_to(image, _fine_side(image))
        faces += _scaled(detector.look(fine, Effort.FINE), fine_factor)
    if not faces:
        faces = _scaled(detector.look(small, Effort.THOROUGH), factor)
    if all(face.certainty < 1 for face in faces):
        turned = [face for degrees in TURNS for face in _turned(detector, small, degrees)]
        surest_first = sorted(turned, key=lambda face: (-face.certainty, -(face.score or 0)))
        faces = _scaled(surest_first, factor) or faces
    return _merged(faces)


def _fine_side(image: NDArray[np.uint8]) -> float:
    height, width = image.shape[:2]
    side: float = max(height, width) * math.sqrt(FINE_PIXELS / (height * width))
    return max(FINE_SIDE, side)


def _turned(detector: Looks, image: NDArray[np.uint8], degrees: int) -> Iterator[DetectedFace]:
    """Faces of heads that are turned clockwise by so much, where they are in the image."""
    height, width = image.shape[:2]
    there = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), degrees, 1.0)
    cosine, sine = abs(there[0, 0]), abs(there[0, 1])
    size = round(width * cosine + height * sine), round(width * sine + height * cosine)
    there[:, 2] += (size[0] - width) / 2, (size[1] - height) / 2
    upright = cv2.warpAffine(image, there, size, borderMode=cv2.BORDER_REPLICATE)
    back = cv2.invertAffineTransform(there)
    for face in detector.look(np.asarray(upright, np.uint8), Effort.TURNED):
        placed = face.moved(back, degrees)
        left, top, side, _ = placed.box
        if 0 <= left + side / 2 < width and 0 <= top + side / 2 < height:  # not in the new corners
            yield placed


def _scaled(faces: Sequence[DetectedFace], factor: float) -> list[DetectedFace]:
    return [face.scaled(1 / factor) for face in faces]


def _merged(best_first: Sequence[DetectedFace]) -> list[DetectedFace]:
    return largest_first(without_overlaps(best_first))
