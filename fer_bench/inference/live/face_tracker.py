"""Which face is which from frame to frame, and what was known of it before."""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from fer_bench.inference.detectors.base import Box

#: A face not seen for this long is forgotten; it gets a new number when it comes back.
KEEP_S = 1.0
#: Least overlap (IoU) of a face with where it was seen last.
MIN_IOU = 0.2
#: Boxes that overlap more than this stand still, but for the detector's jitter.
STILL_IOU = 0.75


def iou(one: Sequence[float], other: Sequence[float]) -> float:
    """Intersection over union of two boxes (left, top, width, height); 0 where both are empty."""
    width = min(one[0] + one[2], other[0] + other[2]) - max(one[0], other[0])
    height = min(one[1] + one[3], other[1] + other[3]) - max(one[1], other[1])
    shared = max(width, 0) * max(height, 0)
    union = one[2] * one[3] + other[2] * other[3] - shared
    return shared / union if union > 0 else 0.0


@dataclass
class _Track:
    box: Box
    seen: float


class Tracker:
    """Numbers faces by overlap (IoU) with where each was last seen.

    Faces and tracks are paired so that the sum of overlaps is largest (Hungarian algorithm), as in
    SORT (Bewley et al. 2016, arXiv 1602.00763) without its motion model.
    """

    def __init__(self, *, keep_s: float = KEEP_S, min_iou: float = MIN_IOU) -> None:
        self._keep_s = keep_s
        self._min_iou = min_iou
        self._tracks: dict[int, _Track] = {}
        self._given = 0

    @property
    def alive(self) -> Container[int]:
        """Numbers of the faces that are not forgotten yet."""
        return self._tracks.keys()

    def update(self, boxes: Sequence[Box], now: float) -> list[int]:
        """A number for each box of one frame, from 1; a number is never given to a second face.

        now: when the frame was taken, seconds; never before the last frame's.
        """
        for number in [n for n, t in self._tracks.items() if now - t.seen > self._keep_s]:
            del self._tracks[number]
        known = list(self._tracks)
        numbers = dict(self._pairs(boxes, known))
        for index, box in enumerate(boxes):
            if index not in numbers:
                self._given += 1
                numbers[index] = self._given
            self._tracks[numbers[index]] = _Track(box, now)
        return [numbers[index] for index in range(len(boxes))]

    def _pairs(self, boxes: Sequence[Box], known: Sequence[int]) -> list[tuple[int, int]]:
        overlaps = np.array([[iou(box, self._tracks[n].box) for n in known] for box in boxes])
        if not overlaps.size:
            return []
        overlaps[overlaps < self._min_iou] = 0  # else two poor pairs could break up a good one
        rows, columns = linear_sum_assignment(overlaps, maximize=True)
        return [
            (int(row), known[column])
            for row, column in zip(rows, columns, strict=True)
            if overlaps[row, column] > 0
        ]


class Smoother:
    """Exponential moving averages of arrays, one per track."""

    def __init__(self) -> None:
        self._known: dict[int, NDArray[np.float64]] = {}

    def smooth(self, track: int, new: NDArray[np.float64], weight: float) -> NDArray[np.float64]:
        """`weight * before + (1 - weight) * new`; `new` itself for a track's first.

        weight: of what was known, in [0, 1); 0 is no smoothing.
        """
        before = self._known.get(track)
        smoothed = new if before is None else weight * before + (1 - weight) * new
        self._known[track] = smoothed
        return smoothed

    def known(self, track: int) -> NDArray[np.float64] | None:
        """A track's average so far."""
        return self._known.get(track)

    def forget_all_but(self, alive: Container[int]) -> None:
        """Drops the tracks that are no more."""
        self._known = {n: known for n, known in self._known.items() if n in alive}


def steadied(boxes: Smoother, track: int, box: Box, weight: float) -> Box:
    """The box to show: one that stands still does not jitter, one that moves is followed at once.

    boxes: the averages of float64 `(4,)` boxes, updated here.
    weight: as in `Smoother.smooth`.
    """
    before = boxes.known(track)
    moved = before is not None and iou(before.tolist(), box) < STILL_IOU
    left, top, width, height = boxes.smooth(
        track, np.array(box, np.float64), 0.0 if moved else weight
    )
    return round(left), round(top), round(width), round(height)
