"""A frame to its overlay: faces found once, named by each model, followed and smoothed."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fer_bench.inference.crop import crop_face
from fer_bench.inference.detectors.base import DetectedFace, FaceDetector
from fer_bench.inference.live.face_tracker import Smoother, Tracker, iou, steadied
from fer_bench.inference.live.overlay import Overlay, TrackedFace
from fer_bench.inference.predictor import named

if TYPE_CHECKING:
    from fer_bench.inference.classifier import FaceClassifier

#: A face that the detector misses for less than this is still shown, or its box would flicker.
HOLD_S = 0.25
#: A missed face that overlaps with one that is seen by more is behind it, and not shown.
COVERED_IOU = 0.3


@dataclass(frozen=True, kw_only=True)
class UsedModels:
    """What the next frames are analysed with."""

    classifiers: tuple[FaceClassifier, ...]
    make_detector: Callable[[], FaceDetector]

    @property
    def names(self) -> tuple[str, ...]:
        """The classifiers', in order."""
        return tuple(classifier.name for classifier in self.classifiers)


class FrameAnalyser:
    """Lives in the worker's thread, as its detector must.

    tracker: outlives the analyser, so that a session's numbers stay unique over its restarts.
    clock: the session's.
    """

    def __init__(self, tracker: Tracker, clock: Callable[[], float]) -> None:
        self._tracker = tracker
        self._clock = clock
        self._models: UsedModels | None = None
        self._detector: FaceDetector | None = None
        self._boxes = Smoother()
        self._averages: tuple[Smoother, ...] = ()
        self._recent: dict[int, tuple[TrackedFace, float]] = {}

    def analyse(
        self, image: NDArray[np.uint8], models: UsedModels, *, smoothing: float, arrived: float
    ) -> Overlay:
        """All faces of a frame, RGB uint8 `(H, W, 3)`, largest first."""
        detector = self._switch(models)
        started = time.perf_counter()
        found = detector.detect_frame(image)
        detected = time.perf_counter()
        tables = [_classify(classifier, image, found) for classifier in models.classifiers]
        classified = time.perf_counter()
        tracks = self._tracker.update([face.box for face in found], arrived)
        self._forget()
        seen = [
            self._follow(track, face, [table[i] for table in tables], models, smoothing)
            for i, (track, face) in enumerate(zip(tracks, found, strict=True))
        ]
        return Overlay(
            faces=(*seen, *self._held(seen, arrived)),
            models=models.names,
            classes=tuple(classifier.emotions for classifier in models.classifiers),
            size=(image.shape[0], image.shape[1]),
            arrived=arrived,
            made=self._clock(),
            detect_ms=(detected - started) * 1000,
            classify_ms=(classified - detected) * 1000,
        )

    def _switch(self, models: UsedModels) -> FaceDetector:
        """The detector for these models; averages of other models are dropped."""
        before, detector = self._models, self._detector
        if before is None or detector is None or before.make_detector is not models.make_detector:
            detector = models.make_detector()
        if before is None or not _same(before.classifiers, models.classifiers):
            self._averages = tuple(Smoother() for _ in models.classifiers)
            self._recent = {}
        self._models, self._detector = models, detector
        return detector

    def _follow(
        self,
        track: int,
        face: DetectedFace,
        rows: list[NDArray[np.float64]],
        models: UsedModels,
        smoothing: float,
    ) -> TrackedFace:
        """rows: each model's probabilities of this face, `(C,)`."""
        shown = replace(face, box=steadied(self._boxes, track, face.box, smoothing))
        predictions = [
            named(shown, averages.smooth(track, row, smoothing), classifier.emotions)
            for averages, row, classifier in zip(
                self._averages, rows, models.classifiers, strict=True
            )
        ]
        return TrackedFace(
            track=track,
            prediction=predictions[0],
            others=tuple(predictions[1:]),
        )

    def _held(self, seen: list[TrackedFace], arrived: float) -> list[TrackedFace]:
        """Faces that the detector only just missed, unless they were seen elsewhere; and those
        seen are noted."""
        known = set(self._recent)
        self._recent.update({face.track: (face, arrived) for face in seen})
        self._recent = {
            track: (face, at)
            for track, (face, at) in self._recent.items()
            if arrived - at <= HOLD_S
        }
        fresh = [face for face in seen if face.track not in known]
        numbers = {face.track for face in seen}
        missed = [
            replace(face, held=True)
            for track, (face, _) in self._recent.items()
            if track not in numbers and not any(_covers(other, face) for other in seen)
        ]
        for face in fresh:  # one of those missed, seen elsewhere
            if missed:
                missed.remove(min(missed, key=lambda other: _distance(other, face)))
        return missed

    def _forget(self) -> None:
        for smoother in (self._boxes, *self._averages):
            smoother.forget_all_but(self._tracker.alive)


def _covers(one: TrackedFace, other: TrackedFace) -> bool:
    """Whether a face stands before another."""
    return iou(one.prediction.face.box, other.prediction.face.box) > COVERED_IOU


def _distance(one: TrackedFace, other: TrackedFace) -> float:
    """Between their middles, pixels."""
    boxes = [np.array(face.prediction.face.box) for face in (one, other)]
    return float(np.linalg.norm(np.subtract(*(box[:2] + box[2:] / 2 for box in boxes))))


def _classify(
    classifier: FaceClassifier, image: NDArray[np.uint8], faces: list[DetectedFace]
) -> NDArray[np.float64]:
    """`(B, C)` probabilities of crops with this classifier's own margin."""
    spec = classifier.model.input_spec
    return classifier.probabilities([crop_face(image, face, spec) for face in faces])


def _same(some: tuple[FaceClassifier, ...], others: tuple[FaceClassifier, ...]) -> bool:
    return len(some) == len(others) and all(
        one is other for one, other in zip(some, others, strict=True)
    )
