"""What is known of a frame, and how it is drawn on the next ones."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_bench.inference.drawing.faces import annotate_in_place, draw_figures
from fer_bench.inference.predictor import FacePrediction

#: An overlay is drawn for this long after it was made; then the worker has stalled or failed.
EXPIRES_S = 0.7


@dataclass(frozen=True, kw_only=True)
class TrackedFace:
    """A face that keeps its number from frame to frame.

    Attributes:
        track: from 1; never given to another face of the session.
        prediction: the first model's, probabilities and box smoothed.
        others: those of the other models on the same face, in their order.
        held: the detector missed it in this frame; shown for a moment as it was seen last.
    """

    track: int
    prediction: FacePrediction
    others: tuple[FacePrediction, ...] = ()
    held: bool = False


@dataclass(frozen=True, kw_only=True)
class Overlay:
    """What is known of one frame.

    Attributes:
        models, emotions: names of the models, and the classes of each.
        size: height and width of its frame, pixels.
        arrived, made: when its frame came and when it was ready; seconds of the session's clock.
    """

    faces: tuple[TrackedFace, ...]
    models: tuple[str, ...]
    classes: tuple[tuple[str, ...], ...]
    size: tuple[int, int]
    arrived: float
    made: float
    detect_ms: float
    classify_ms: float

    @property
    def emotions(self) -> tuple[str, ...]:
        """The first model's classes."""
        return self.classes[0]

    def is_expired(self, now: float) -> bool:
        """Too old to draw."""
        return now - self.made > EXPIRES_S

    def suits(self, image: NDArray[np.uint8], now: float) -> bool:
        """Not expired, and of a frame as large: browsers change the size of video under way."""
        return image.shape[:2] == self.size and not self.is_expired(now)


def draw_overlay(
    image: NDArray[np.uint8],
    overlay: Overlay | None,
    *,
    mirror: bool,
    bars: bool,
    fps: float | None,
) -> NDArray[np.uint8]:
    """A new image, RGB uint8 `(H, W, 3)`; mirrored before anything is written on it.

    Args:
        fps: to write in the corner, with the overlay's milliseconds; None leaves the corner free.
    """
    shown = np.asarray(cv2.flip(image, 1), np.uint8) if mirror else image.copy()
    lines = [] if fps is None else [f"{fps:.0f} fps"]
    if overlay is not None:
        faces = overlay.faces
        if mirror:
            faces = tuple(mirrored(face, image.shape[1]) for face in faces)
        annotate_in_place(
            shown,
            [face.prediction for face in faces],
            overlay.emotions,
            bars=bars,
            names=[str(face.track) for face in faces] if len(faces) > 1 else None,
            others=[face.others for face in faces],
        )
        if fps is not None:
            lines.append(f"{overlay.detect_ms + overlay.classify_ms:.0f} ms")
    if lines:
        draw_figures(shown, lines)
    return shown


def mirrored(face: TrackedFace, width: int) -> TrackedFace:
    """The same face in the mirror image of a frame `width` pixels wide."""
    return replace(
        face,
        prediction=_mirrored_prediction(face.prediction, width),
        others=tuple(_mirrored_prediction(other, width) for other in face.others),
    )


def _mirrored_prediction(prediction: FacePrediction, width: int) -> FacePrediction:
    face = prediction.face
    left, top, box_width, box_height = face.box
    eyes = None
    if face.eyes is not None:
        (x1, y1), (x2, y2) = face.eyes
        eyes = (width - 1 - x2, y2), (width - 1 - x1, y1)
    box = (width - left - box_width, top, box_width, box_height)
    return replace(prediction, face=replace(face, box=box, eyes=eyes))
