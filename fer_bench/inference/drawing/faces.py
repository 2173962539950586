"""Faces drawn on an image: box, label, bars of probability; fast enough for every webcam frame."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import zip_longest
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import ImageColor

from fer_bench.emotions import COLOURS
from fer_bench.errors import FerBenchError
from fer_bench.inference.detectors.base import Box
from fer_bench.inference.drawing.sprites import (
    Colour,
    Rect,
    blend,
    column_mask,
    draw_plate,
    rounded,
    text_mask,
)
from fer_bench.inference.images import check_image
from fer_bench.inference.predictor import FacePrediction

#: Text height by the image's shorter side; of small faces by their width, down to a share of that.
TEXT_OF_IMAGE, TEXT_OF_FACE, LEAST_TEXT = 0.038, 0.15, 0.55
#: The smallest text that can be read, pixels.
SMALLEST_TEXT = 9
DARK, LIGHT = (17, 18, 22), (255, 255, 255)
#: How much a panel hides of what is under it.
PANEL_OPACITY = 0.62


def numbers(faces: Sequence[FacePrediction], tracks: Sequence[int] = ()) -> list[str] | None:
    """Names for `annotate`: `1`, `2`, ...; None for a single face, which needs none.

    Args:
        tracks: in a video each face's number over time, which stands in place of its rank.
    """
    if tracks:
        return [str(track) for track in tracks] if tuple(tracks) != (1,) else None
    return [str(number) for number in range(1, len(faces) + 1)] if len(faces) > 1 else None


def annotate(
    image: NDArray[np.uint8],
    faces: Sequence[FacePrediction],
    emotions: Sequence[str],
    *,
    bars: bool = True,
    names: Sequence[str] | None = None,
    others: Sequence[Sequence[FacePrediction]] | None = None,
) -> NDArray[np.uint8]:
    """A copy of an image with its faces drawn on it.

    Args:
        image: uint8 `(H, W, 3)` RGB, or `(H, W)` gray.
        emotions: what the columns of `probabilities` mean.
        bars: all probabilities next to each face, or in its box where there is no room.
        names: one per face, put before its emotion.
        others: of each face, other models' predictions, a line each.

    Returns:
        uint8 `(H, W, 3)` RGB.

    Raises:
        FerBenchError: no image, or names or others of another number than faces.
    """
    check_image(image)
    copy = image.copy() if image.ndim == 3 else np.repeat(image[..., None], 3, axis=2)
    annotate_in_place(copy, faces, emotions, bars=bars, names=names, others=others)
    return copy


def annotate_in_place(
    image: NDArray[np.uint8],
    faces: Sequence[FacePrediction],
    emotions: Sequence[str],
    *,
    bars: bool = True,
    names: Sequence[str] | None = None,
    others: Sequence[Sequence[FacePrediction]] | None = None,
) -> None:
    """As `annotate`, on the image itself: writable, contiguous, uint8 `(H, W, 3)` RGB."""
    for what, given in (("names", names), ("groups of predictions", others)):
        if given is not None and len(given) != len(faces):
            raise FerBenchError(f"expected {len(faces)} {what}, one per face, got {len(given)}")
    labels = [
        _Label.of(image, prediction, name, more or ())
        for prediction, name, more in zip_longest(faces, names or (), others or ())
    ]
    taken = [*(Rect(*prediction.face.box) for prediction in faces), *(p.rect for p in labels)]
    for prediction in faces:
        _outline(image, Rect(*prediction.face.box), _colour(prediction.emotion))
    if bars:
        for prediction in faces:
            taken.append(_bars(image, prediction, emotions, taken))
    for label in labels:
        label.draw(image)


def draw_figures(image: NDArray[np.uint8], lines: Sequence[str]) -> None:
    """Short lines in the bottom left corner, on the image itself, as for `annotate_in_place`."""
    size = max(round(_text_size(image) * 0.8), SMALLEST_TEXT)
    pad = round(size * 0.5)
    column = column_mask(tuple(lines), size, round(size * 1.3))
    height, width = column.shape
    plate = Rect(pad, image.shape[0] - height - 2 * pad, width + 2 * pad, height + pad)
    draw_plate(image, plate, DARK, radius=pad, opacity=PANEL_OPACITY)
    blend(image, column, plate.left + pad, plate.top + pad // 2, LIGHT)


def _text_size(image: NDArray[np.uint8], box: Box | None = None) -> int:
    """Pixels."""
    height, width = image.shape[:2]
    largest = max(float(min(height, width)) * TEXT_OF_IMAGE, SMALLEST_TEXT)
    if box is None:
        return round(largest)
    by_face = max(box[2] * TEXT_OF_FACE, largest * LEAST_TEXT, SMALLEST_TEXT)
    return round(min(by_face, largest))


class _Line(NamedTuple):
    mask: NDArray[np.uint8]
    ground: Colour
    ink: Colour


class _Label(NamedTuple):
    """Lines on plates, on the box's upper edge but inside the image."""

    rect: Rect
    pad: int
    lines: list[_Line]

    @classmethod
    def of(
        cls,
        image: NDArray[np.uint8],
        prediction: FacePrediction,
        name: str | None,
        others: Sequence[FacePrediction],
    ) -> _Label:
        height, width = image.shape[:2]
        colour, box = _colour(prediction.emotion), prediction.face.box
        first = _words(prediction)
        texts = [(f"{name}  {first}" if name else first, colour, _readable_on(colour))]
        texts += [(_words(other), DARK, LIGHT) for other in others]
        size = _fitting([text for text, _, _ in texts], _text_size(image, box), width)
        lines = [_Line(text_mask(text, size), ground, ink) for text, ground, ink in texts]
        pad = max(round(size * 0.35), 1)
        wide = max(line.mask.shape[1] for line in lines) + 2 * pad
        tall = (lines[0].mask.shape[0] + pad) * len(lines)
        rect = Rect(box[0], box[1] - tall, wide, tall).moved_into(width, height)
        return cls(rect, pad, lines)

    def draw(self, image: NDArray[np.uint8]) -> None:
        row = self.rect.height // len(self.lines)
        for i, line in enumerate(self.lines):
            left, top = self.rect.left, self.rect.top + i * row
            plate = Rect(left, top, line.mask.shape[1] + 2 * self.pad, row)
            draw_plate(image, plate, line.ground, radius=self.pad)
            blend(image, line.mask, left + self.pad, top + self.pad // 2, line.ink)


def _words(prediction: FacePrediction) -> str:
    return f"{prediction.emotion} {prediction.score * 100:.0f} %"


def _fitting(texts: Sequence[str], size: int, width: int) -> int:
    """The size at which all texts fit an image's width."""
    longest = max(text_mask(text, size).shape[1] for text in texts) + size
    return size if longest <= width else max(size * width // longest, 5)


def _bars(
    image: NDArray[np.uint8],
    prediction: FacePrediction,
    emotions: Sequence[str],
    taken: Sequence[Rect],
) -> Rect:
    """Draws the probabilities and says where."""
    size = max(round(_text_size(image, prediction.face.box) * 0.72), SMALLEST_TEXT)
    step, pad = round(size * 1.35), max(round(size * 0.6), 1)
    column = column_mask(tuple(emotions), size, step)
    length = size * 4
    panel = _panel(
        image,
        Rect(*prediction.face.box),
        (column.shape[1] + length + 3 * pad, column.shape[0] + pad),
        taken,
    )
    if panel is None:
        return _bars_in_box(image, prediction, emotions)
    draw_plate(image, panel, DARK, radius=pad, opacity=PANEL_OPACITY)
    blend(image, column, panel.left + pad, panel.top + pad // 2, LIGHT)
    left = panel.right - pad - length
    thick = max(round(size * 0.55), 1)
    for i, (emotion, share) in enumerate(zip(emotions, prediction.probabilities, strict=True)):
        top = panel.top + pad // 2 + i * step + (step - thick) // 2
        right = left + max(round(length * float(share)), 1)
        image[top : top + thick, left : left + length] //= 2
        image[top : top + thick, left:right] = _colour(emotion)
    return panel


def _panel(
    image: NDArray[np.uint8], box: Rect, size: tuple[int, int], taken: Sequence[Rect]
) -> Rect | None:
    """Where a panel of this width and height is inside the image and hides nothing taken."""
    height, width = image.shape[:2]
    gap = max(size[0] // 16, 2)
    to_left, above = box.left - gap - size[0], box.top - gap - size[1]
    for left, top in (
        (box.right + gap, box.top),
        (to_left, box.top),
        (box.left, box.bottom + gap),
        (box.left, above),
    ):
        panel = Rect(left, top, *size)
        inside = panel.moved_into(width, height)
        if inside.is_inside(width, height) and not any(inside.meets(other) for other in taken):
            return inside
    if 8 * size[0] * size[1] < box.width * box.height:  # a close-up has room in a corner
        corner = Rect(width - size[0] - gap, height - size[1] - gap, *size)
        return corner if corner.is_inside(width, height) else None
    return None


def _bars_in_box(
    image: NDArray[np.uint8], prediction: FacePrediction, emotions: Sequence[str]
) -> Rect:
    """One column per emotion along the lower edge of the box, without words."""
    height, width = image.shape[:2]
    box = prediction.face.box
    left, right = max(box[0], 0), min(box[0] + box[2], width)
    bottom = min(box[1] + box[3], height)
    tall = max(round(min(box[3], height) * 0.2), 4)
    edges = np.linspace(left, right, len(emotions) + 1).round().astype(int).tolist()
    for i, (emotion, share) in enumerate(zip(emotions, prediction.probabilities, strict=True)):
        top = bottom - max(round(tall * float(share)), 1)
        if edges[i] < edges[i + 1] and bottom > 0:
            image[max(top, 0) : bottom, edges[i] : edges[i + 1]] = _colour(emotion)
    return Rect(left, bottom - tall, max(right - left, 0), tall)


def _outline(image: NDArray[np.uint8], box: Rect, colour: Colour) -> None:
    """A rounded box; a dark line about it keeps it visible on any ground."""
    thick = max(round(min(image.shape[:2]) / 200), 1)
    radius = max(min(box.width, box.height) // 12, 1)
    points = rounded(box, radius)
    if thick > 1:
        cv2.polylines(image, [points], True, DARK, thick + 2, cv2.LINE_AA)
    cv2.polylines(image, [points], True, colour, thick, cv2.LINE_AA)


def _colour(emotion: str) -> Colour:
    return _rgb(COLOURS.get(emotion, COLOURS["neutral"]))


@lru_cache(maxsize=64)
def _rgb(hexadecimal: str) -> Colour:
    red, green, blue = ImageColor.getrgb(hexadecimal)[:3]
    return red, green, blue


@lru_cache(maxsize=64)
def _readable_on(ground: Colour) -> Colour:
    """Dark or light text, whichever contrasts more (WCAG 2.2's relative luminance)."""
    linear = ((np.array(ground) / 255 + 0.055) / 1.055) ** 2.4
    luminance = float(linear @ (0.2126, 0.7152, 0.0722))
    return DARK if (luminance + 0.05) ** 2 > 0.05 * 1.05 else LIGHT
