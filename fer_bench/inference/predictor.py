"""A picture to its named faces: the one path of commands, pages, webcam, API and latency.

`Predictor.detect` finds the faces, `classify` gives their probabilities, `name` makes emotions of
these; `predict` is the three together.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fer_bench.errors import FerBenchError
from fer_bench.evaluation.prediction_sets import SetRule
from fer_bench.inference.detectors.base import Box, DetectedFace, FaceDetector
from fer_bench.inference.images import Picture, load_picture

if TYPE_CHECKING:  # torch loads only when a network is opened
    from fer_bench.inference.classifier import FaceClassifier


@dataclass(frozen=True, kw_only=True)
class FacePrediction:
    """A face and what the model makes of it.

    Attributes:
        probabilities: float64 `(C,)` in the order of the classifier's `emotions`; sums to 1.
        emotion, score: the likeliest class and its probability.
        emotion_set: where prediction sets are asked for, the likeliest first; else empty.
    """

    face: DetectedFace
    emotion: str
    score: float
    probabilities: NDArray[np.float64]
    emotion_set: tuple[str, ...] = ()

    @property
    def box(self) -> Box:
        """Left, top, width and height in pixels of the picture; it may reach beyond."""
        return self.face.box


@dataclass(frozen=True, kw_only=True)
class Analysis:
    """All faces of one image, largest first, and the milliseconds that it took."""

    faces: tuple[FacePrediction, ...]
    detect_ms: float
    classify_ms: float


class Predictor:
    """A detector and a classifier; shared between threads where both may be.

    Args:
        sets: the rule of prediction sets, as `FaceClassifier.set_rule` gives it; None for no sets.
    """

    def __init__(
        self, classifier: FaceClassifier, detector: FaceDetector, sets: SetRule | None = None
    ) -> None:
        self.classifier = classifier
        self.detector = detector
        self.sets = sets

    def detect(self, picture: Picture, *, video: bool = False) -> list[DetectedFace]:
        """The faces of one picture, largest first; of a `video` it is a frame: see `FaceDetector`.

        Raises:
            FerBenchError: as `predict`.
        """
        image = load_picture(picture)
        return self.detector.detect_frame(image) if video else self.detector.detect(image)

    def classify(self, picture: Picture, faces: Sequence[DetectedFace]) -> NDArray[np.float64]:
        """The probabilities of faces as `detect` gives them for this picture.

        Returns:
            float64 `(B, C)`, a row a face in the order of the classifier's `emotions`; rows sum to
            1. B may be 0.

        Raises:
            FerBenchError: as `predict`.
            RunFailed: a network whose answers are not finite.
        """
        return self.classifier.probabilities(self.classifier.crops(load_picture(picture), faces))

    def name(self, face: DetectedFace, probabilities: NDArray[np.float64]) -> FacePrediction:
        """A face and what a row of `classify` says of it."""
        return named(face, probabilities, self.classifier.emotions, self.sets)

    def predict(self, picture: Picture, *, video: bool = False) -> Analysis:
        """The faces of one picture, found, classified and named.

        Args:
            picture: a path, bytes, PIL image, or uint8 array `(H, W, 3)` RGB or `(H, W)` gray.
            video: whether it is a frame of one: see `FaceDetector`.

        Raises:
            FerBenchError: something else, or a picture that cannot be read.
            RunFailed: as `classify`.
        """
        return self.predict_batch([picture], video=video)[0]

    def predict_batch(self, pictures: Sequence[Picture], *, video: bool = False) -> list[Analysis]:
        """As `predict` for each; the faces of all of them go through the network together.

        The time of classification is shared out by the number of faces.

        Raises:
            FerBenchError: one picture instead of several, or as `predict`.
        """
        images = [load_picture(picture) for picture in _require_several(pictures)]
        detected, detect_ms = [], []
        for image in images:
            started = time.perf_counter()
            detected.append(self.detect(image, video=video))
            detect_ms.append((time.perf_counter() - started) * 1000)
        started = time.perf_counter()
        crops = [
            crop
            for image, faces in zip(images, detected, strict=True)
            for crop in self.classifier.crops(image, faces)
        ]
        rows = iter(self.classifier.probabilities(crops))
        classify_ms = (time.perf_counter() - started) * 1000 / max(len(crops), 1)
        return [
            Analysis(
                faces=tuple(self.name(face, next(rows)) for face in faces),
                detect_ms=spent,
                classify_ms=classify_ms * len(faces),
            )
            for faces, spent in zip(detected, detect_ms, strict=True)
        ]


def _require_several(pictures: object) -> list[Picture]:
    """An array of four axes, `(N, H, W, 3)`, is several pictures; of fewer axes, one."""
    one = isinstance(pictures, (str, bytes, bytearray, memoryview)) or (
        isinstance(pictures, np.ndarray) and pictures.ndim != 4
    )
    if one or not isinstance(pictures, Iterable):
        what = "one array" if isinstance(pictures, np.ndarray) else type(pictures).__name__
        raise FerBenchError(
            f"expected several pictures, such as a list of them, got {what}: give one picture to "
            "`predict`, or put it into a list"
        )
    return list(pictures)


def named(
    face: DetectedFace,
    probabilities: NDArray[np.float64],
    emotions: Sequence[str],
    sets: SetRule | None = None,
) -> FacePrediction:
    """A face with probabilities `(C,)` in the order of `emotions`, and its set by the rule."""
    best = int(probabilities.argmax())
    chosen: tuple[str, ...] = ()
    if sets is not None:
        inside = sets.sets(probabilities[None])[0]
        chosen = tuple(emotions[c] for c in np.argsort(-probabilities, kind="stable") if inside[c])
    return FacePrediction(
        face=face,
        emotion=emotions[best],
        score=float(probabilities[best]),
        probabilities=probabilities,
        emotion_set=chosen,
    )
