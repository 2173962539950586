"""Images to faces and their emotions: the one path of the command, the pages and the webcam."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fer_bench.errors import FerBenchError
from fer_bench.inference.classifier import FaceClassifier
from fer_bench.inference.crop import crop_face
from fer_bench.inference.faces import DetectedFace, FaceDetector


@dataclass(frozen=True, kw_only=True)
class FacePrediction:
    """A face and what the model makes of it.

    probabilities: float64 `(C,)` in the order of the classifier's `emotions`; sums to 1.
    emotion, score: the likeliest class and its probability.
    """

    face: DetectedFace
    emotion: str
    score: float
    probabilities: NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Analysis:
    """All faces of one image, largest first, and the milliseconds that it took."""

    faces: tuple[FacePrediction, ...]
    detect_ms: float
    classify_ms: float


class Predictor:
    """A detector and a classifier. For one thread: its detector is not thread-safe."""

    def __init__(self, classifier: FaceClassifier, detector: FaceDetector) -> None:
        self.classifier = classifier
        self.detector = detector

    def predict(self, image: NDArray[np.uint8]) -> Analysis:
        """The faces of one image, uint8 `(H, W)` gray or `(H, W, 3)` RGB.

        Raises:
            FerBenchError: an array of another shape or type.
        """
        return self.predict_batch([image])[0]

    def predict_batch(self, images: Sequence[NDArray[np.uint8]]) -> list[Analysis]:
        """As `predict` for each; the faces of all of them go through the network together.

        The time of classification is shared out by the number of faces.

        Raises:
            FerBenchError: an array of another shape or type.
        """
        found, detect_ms = [], []
        for image in images:
            check_image(image)
            started = time.perf_counter()
            found.append(self.detector.detect(image))
            detect_ms.append((time.perf_counter() - started) * 1000)
        started = time.perf_counter()
        spec = self.classifier.model.input_spec
        crops = [
            crop_face(image, face, spec)
            for image, faces in zip(images, found, strict=True)
            for face in faces
        ]
        rows = iter(self.classifier.probabilities(crops))
        classify_ms = (time.perf_counter() - started) * 1000 / max(len(crops), 1)
        return [
            Analysis(
                faces=tuple(self._named(face, next(rows)) for face in faces),
                detect_ms=spent,
                classify_ms=classify_ms * len(faces),
            )
            for faces, spent in zip(found, detect_ms, strict=True)
        ]

    def _named(self, face: DetectedFace, probabilities: NDArray[np.float64]) -> FacePrediction:
        return named(face, probabilities, self.classifier.emotions)


def named(
    face: DetectedFace, probabilities: NDArray[np.float64], emotions: Sequence[str]
) -> FacePrediction:
    """A face with probabilities `(C,)` in the order of `emotions`."""
    best = int(probabilities.argmax())
    return FacePrediction(
        face=face,
        emotion=emotions[best],
        score=float(probabilities[best]),
        probabilities=probabilities,
    )


def check_image(image: NDArray[np.uint8]) -> None:
    """Raises FerBenchError unless an array is an image, uint8 `(H, W)` or `(H, W, 3)`."""
    right = image.ndim == 2 or (image.ndim == 3 and image.shape[2] == 3)
    if image.dtype != np.uint8 or not right or 0 in image.shape:
        raise FerBenchError(
            "expected an image as uint8 array of shape (H, W) gray or (H, W, 3) RGB, got "
            f"{image.dtype} of shape {image.shape}: convert it first"
        )
