"""A frame to its overlay: faces found once, named by each model, followed and smoothed."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from fer_bench.inference.detectors.base import DetectedFace
from fer_bench.inference.face_tracker import FaceTracker, Smoother, iou, steadied
from fer_bench.inference.live.overlay import Overlay, TrackedFace
from fer_bench.inference.predictor import Predictor

#: A face that the detector misses for less than this is still shown, or its box would flicker.
HOLD_S = 0.25
#: A missed face that overlaps with one that is seen by more is behind it, and not shown.
COVERED_IOU = 0.3


class FrameAnalyser:
    """Frames one after another, for one thread.

    Args:
        tracker: outlives the analyser, so that a session's numbers stay unique over its restarts.
        clock: the session's.
    """

    def __init__(self, tracker: FaceTracker, clock: Callable[[], float]) -> None:
        self._tracker = tracker
        self._clock = clock
        self._predictors: Sequence[Predictor] = ()
        self._boxes = Smoother()
        self._averages: tuple[Smoother, ...] = ()
        self._recent: dict[int, tuple[TrackedFace, float]] = {}

    def analyse(
        self,
        image: NDArray[np.uint8],
        predictors: Sequence[Predictor],
        *,
        smoothing: float,
        arrived: float,
    ) -> Overlay:
        """All faces of a frame, RGB uint8 `(H, W, 3)`, largest first.

        Args:
            predictors: of the same detector, which is asked once.
        """
        self._switch(predictors)
        started = time.perf_counter()
        faces = predictors[0].detect(image, video=True)
        detected = time.perf_counter()
        tables = [predictor.classify(image, faces) for predictor in predictors]
        classified = time.perf_counter()
        tracks = self._tracker.update([face.box for face in faces], arrived)
        self._forget()
        seen = [
            self._follow(track, face, [table[i] for table in tables], smoothing)
            for i, (track, face) in enumerate(zip(tracks, faces, strict=True))
        ]
        classifiers = [predictor.classifier for predictor in predictors]
        return Overlay(
            faces=(*seen, *self._held(seen, arrived)),
            models=tuple(classifier.name for classifier in classifiers),
            classes=tuple(classifier.emotions for classifier in classifiers),
            size=(image.shape[0], image.shape[1]),
            arrived=arrived,
            made=self._clock(),
            detect_ms=(detected - started) * 1000,
            classify_ms=(classified - detected) * 1000,
        )

    def _switch(self, predictors: Sequence[Predictor]) -> None:
        """Averages of other models are dropped."""
        if not _same(self._predictors, predictors):
            self._averages = tuple(Smoother() for _ in predictors)
            self._recent = {}
        self._predictors = predictors

    def _follow(
        self, track: int, face: DetectedFace, rows: list[NDArray[np.float64]], smoothing: float
    ) -> TrackedFace:
        """rows: each model's probabilities of this face, `(C,)`."""
        shown = replace(face, box=steadied(self._boxes, track, face.box, smoothing))
        first, *others = [
            predictor.name(shown, averages.smooth(track, row, smoothing))
            for predictor, averages, row in zip(self._predictors, self._averages, rows, strict=True)
        ]
        return TrackedFace(track=track, prediction=first, others=tuple(others))

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


def _same(some: Sequence[Predictor], others: Sequence[Predictor]) -> bool:
    """Whether the same networks classify."""
    return [id(one.classifier) for one in some] == [id(one.classifier) for one in others]
