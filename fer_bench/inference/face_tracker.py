"""Which face is which from frame to frame, and what was known of it before."""

from __future__ import annotations

import math
from collections.abc import Container, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fer_bench.inference.detectors.base import Box

#: A face not seen for this long is forgotten; it gets a new number when it comes back.
KEEP_S = 1.0
#: A face that is farther than this from where it was or should be, in its own widths, is another.
REACH = 1.25
#: A face that is so many times as large or small as before is another.
GROWTH = 2.0
#: How soon a face's velocity follows what it does, seconds.
SETTLED_S = 0.25
#: A face that another one covers, more than this of both, is kept so many times as long.
COVERED_IOU, COVERED_TIMES = 0.1, 3
#: What it costs a pair, in widths, that the face was not seen in the last frame.
MISSED_COST = 0.25
#: What it costs a pair, in widths, that a face stands where it was and not where it was heading.
TURN_COST = 0.5
#: What a pair is worth before its costs. Little more than `REACH`: else two poor pairs could break
#: up a good one.
BASE_SCORE = 1.5
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
    """A face: where it was seen last, when, and how its middle moves, pixels a second.

    Attributes:
        missed: frames since then.
        is_covered: whether another face stood before it in the last of them.
    """

    box: Box
    seen: float
    velocity: tuple[float, float] | None = None
    missed: int = 0
    is_covered: bool = False

    def heading(self, now: float) -> tuple[float, float, float, float]:
        """The box where it should be."""
        left, top, width, height = self.box
        dx, dy = self.velocity or (0.0, 0.0)
        passed = now - self.seen
        return left + dx * passed, top + dy * passed, width, height

    def moved_to(self, box: Box, now: float) -> _Track:
        """The face as it is seen now; its velocity is that of about the last `SETTLED_S`."""
        passed = now - self.seen
        if passed <= 0:
            return _Track(box, now, self.velocity)
        newest = np.subtract(_middle(box), _middle(self.box)) / passed
        weight = math.exp(-passed / SETTLED_S)  # of what was known: a box that jitters does not run
        if self.velocity is not None:
            weight = max(weight, 0.5)
        dx, dy = (1 - weight) * newest + weight * np.array(self.velocity or (0.0, 0.0))
        return _Track(box, now, (float(dx), float(dy)))

    def miss(self, boxes: Sequence[Box], now: float) -> None:
        """Notes a frame in which only other faces were seen."""
        self.missed += 1
        self.is_covered = any(iou(self.heading(now), box) > COVERED_IOU for box in boxes)


class FaceTracker:
    """Numbers faces by where each was last seen and where it was heading.

    Faces and tracks are paired so that their overlaps, distances and sizes fit best in all
    (Hungarian algorithm), as in SORT (Bewley et al. 2016, arXiv 1602.00763), with a velocity in
    place of its Kalman filter. So two faces that cross do not swap.
    """

    def __init__(self, *, keep_s: float = KEEP_S, keep_frames: int = 0) -> None:
        """Remembers a face for so many seconds at least, and so many frames without it."""
        self._keep_s = keep_s
        self._keep_frames = keep_frames
        self._tracks: dict[int, _Track] = {}
        self._given = 0

    @property
    def alive(self) -> Container[int]:
        """Numbers of the faces that are not forgotten yet."""
        return self._tracks.keys()

    def forget(self) -> None:
        """Takes whoever is seen next for somebody else; numbers go on."""
        self._tracks.clear()

    def update(self, boxes: Sequence[Box], now: float) -> list[int]:
        """A number for each box of one frame, from 1; a number is never given to a second face.

        Args:
            now: when the frame was taken, seconds; never before the last frame's.
        """
        for number in [n for n, t in self._tracks.items() if self._is_gone(t, now)]:
            del self._tracks[number]
        known = list(self._tracks)
        numbers = dict(self._pairs(boxes, known, now))
        for index, box in enumerate(boxes):
            if index in numbers:
                track = self._tracks[numbers[index]].moved_to(box, now)
            else:
                self._given += 1
                numbers[index], track = self._given, _Track(box, now)
            self._tracks[numbers[index]] = track
        for number in set(known) - set(numbers.values()):
            self._tracks[number].miss(boxes, now)
        return [numbers[index] for index in range(len(boxes))]

    def _is_gone(self, track: _Track, now: float) -> bool:
        times = COVERED_TIMES if track.is_covered else 1
        is_late = now - track.seen > times * self._keep_s
        return is_late and track.missed >= times * self._keep_frames

    def _pairs(
        self, boxes: Sequence[Box], known: Sequence[int], now: float
    ) -> list[tuple[int, int]]:
        tracks = [self._tracks[number] for number in known]
        fits = np.array([[self._fit(box, track, now) for track in tracks] for box in boxes])
        if not fits.size:
            return []
        from scipy.optimize import linear_sum_assignment  # a fifth of what START would wait for

        rows, columns = linear_sum_assignment(fits, maximize=True)
        return [
            (int(row), known[column])
            for row, column in zip(rows, columns, strict=True)
            if fits[row, column] > 0
        ]

    def _fit(self, box: Box, track: _Track, now: float) -> float:
        """How well a face goes on a track, above 0; 0 where it is another one."""
        width = (_width(box) + _width(track.box)) / 2
        growth = max(_width(box), _width(track.box)) / min(_width(box), _width(track.box))
        expected = track.heading(now)
        ahead = math.dist(_middle(box), _middle(expected)) / width
        behind = math.dist(_middle(box), _middle(track.box)) / width
        if growth > GROWTH or min(ahead, behind) > REACH:
            return 0.0
        cost = min(ahead, behind + TURN_COST) + math.log(growth) - iou(box, expected) / 4
        cost += MISSED_COST if track.missed else 0.0
        return max(BASE_SCORE - cost, 1e-6)


def _middle(box: Sequence[float]) -> tuple[float, float]:
    return box[0] + box[2] / 2, box[1] + box[3] / 2


def _width(box: Sequence[float]) -> float:
    """The side of a square as large; never 0."""
    return math.sqrt(max(box[2] * box[3], 1))


class Smoother:
    """Exponential moving averages of arrays, one per track."""

    def __init__(self) -> None:
        self._known: dict[int, NDArray[np.float64]] = {}

    def smooth(self, track: int, new: NDArray[np.float64], weight: float) -> NDArray[np.float64]:
        """`weight * before + (1 - weight) * new`; `new` itself for a track's first.

        Args:
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

    Args:
        boxes: the averages of float64 `(4,)` boxes, updated here.
        weight: as in `Smoother.smooth`.
    """
    before = boxes.known(track)
    moved = before is not None and iou(before.tolist(), box) < STILL_IOU
    left, top, width, height = boxes.smooth(
        track, np.array(box, np.float64), 0.0 if moved else weight
    )
    return round(left), round(top), round(width), round(height)
