"""From a detected face to the pixels that the model's preprocessing takes."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_bench.inference.detectors.base import DetectedFace
from fer_bench.types import InputSpec


def crop_face(image: NDArray[np.uint8], face: DetectedFace, spec: InputSpec) -> NDArray[np.uint8]:
    """The face's square with the model's margin, upright where its eyes are known.

    Args:
        image: uint8 `(H, W)` gray or `(H, W, 3)` RGB.
        spec: its `face_margin` widens the box: 0.2 makes its side 1.2 times as long.

    Returns:
        uint8 `(S, S)` or `(S, S, 3)` at the image's own resolution; pixels beyond its edge repeat
        the edge. For a face that is the whole image, the image itself.
    """
    if face.is_whole:
        return image
    left, top, width, height = face.box
    side = max(round(max(width, height) * (1 + spec.face_margin)), 1)
    left, top = round(left + (width - side) / 2), round(top + (height - side) / 2)
    degrees = face.turn
    if face.eyes is not None:
        (x1, y1), (x2, y2) = face.eyes
        degrees = math.degrees(math.atan2(y2 - y1, x2 - x1))
    if not degrees:
        return _cut(image, left, top, side)
    return _turned(image, left, top, side, degrees)


def _turned(
    image: NDArray[np.uint8], left: int, top: int, side: int, degrees: float
) -> NDArray[np.uint8]:
    """A square of the image turned counter-clockwise about its own centre."""
    # Cut out with room for the corners first: OpenCV cannot warp images wider than 32,767 pixels.
    room = math.ceil(side * (math.sqrt(2) - 1) / 2) + 1
    around = _cut(image, left - room, top - room, side + 2 * room)
    middle = (around.shape[0] - 1) / 2  # of the centre pixel, whose index OpenCV counts by
    turn = cv2.getRotationMatrix2D((middle, middle), degrees, 1.0)
    turn[:, 2] -= room
    return np.asarray(cv2.warpAffine(around, turn, (side, side)), np.uint8)


def _cut(image: NDArray[np.uint8], left: int, top: int, side: int) -> NDArray[np.uint8]:
    """A square of the image; beyond its edge, however far, the nearest pixel."""
    height, width = image.shape[:2]
    if left >= 0 and top >= 0 and left + side <= width and top + side <= height:
        return image[top : top + side, left : left + side]
    rows = np.clip(np.arange(top, top + side), 0, height - 1)
    columns = np.clip(np.arange(left, left + side), 0, width - 1)
    return image[rows[:, None], columns]
