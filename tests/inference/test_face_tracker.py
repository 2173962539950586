"""Stable numbers for faces, and exact averages."""

from __future__ import annotations

import numpy as np
import pytest
from table_fixtures import table

from fer_bench.inference.face_tracker import FaceTracker, Smoother, iou, steadied

LEFT, RIGHT = (0, 0, 100, 100), (300, 0, 100, 100)


@table(
    ("one", "other", "expected"),
    [
        (LEFT, LEFT, 1.0),
        (LEFT, RIGHT, 0.0),
        (LEFT, (50, 0, 100, 100), 5000 / 15000),
        (LEFT, (25, 25, 50, 50), 0.25),
        (LEFT, (100, 0, 100, 100), 0.0),
        ((0, 0, 0, 0), (0, 0, 0, 0), 0.0),
    ],
)
def test_iou_is_intersection_over_union(one: tuple, other: tuple, expected: float) -> None:
    assert iou(one, other) == expected


def test_faces_keep_their_numbers_while_they_move_and_swap_places_in_the_list() -> None:
    tracker = FaceTracker()
    assert tracker.update([LEFT, RIGHT], 0.0) == [1, 2]
    assert tracker.update([(290, 5, 100, 100), (10, 5, 100, 100)], 0.1) == [2, 1]
    assert tracker.update([(20, 10, 100, 100)], 0.2) == [1]


def test_a_face_missed_for_a_moment_keeps_its_number_and_one_gone_longer_gets_a_new_one() -> None:
    tracker = FaceTracker(keep_s=1.0)
    assert tracker.update([LEFT], 0.0) == [1]
    assert tracker.update([], 0.5) == []
    assert tracker.update([LEFT], 1.0) == [1]
    assert tracker.update([], 2.01) == []
    assert tracker.update([LEFT], 2.02) == [2]
    assert tracker.update([LEFT, RIGHT], 2.03) == [2, 3]


def test_a_number_is_never_given_again() -> None:
    tracker = FaceTracker(keep_s=0.1)
    given = [tracker.update([LEFT], float(second))[0] for second in range(20)]
    assert given == list(range(1, 21))


def test_pairs_are_chosen_for_the_largest_overlap_in_all() -> None:
    """Greedy by order would give the first box the track that the second fits better."""
    tracker = FaceTracker()
    tracker.update([(0, 0, 100, 100), (60, 0, 100, 100)], 0.0)
    assert tracker.update([(50, 0, 100, 100), (5, 0, 100, 100)], 0.1) == [2, 1]


@pytest.mark.parametrize("elsewhere", [(200, 0, 100, 100), (0, 300, 100, 100), (0, 0, 250, 250)])
def test_a_face_elsewhere_or_of_another_size_is_another_face(elsewhere) -> None:
    tracker = FaceTracker()
    tracker.update([LEFT], 0.0)
    assert tracker.update([elsewhere], 0.1) == [2]


@table("step", [(75, 0), (-75, 0), (0, 75), (75, 75), (30, -75)])
@table("interval", [0.04, 0.5])
def test_a_face_that_moves_by_three_quarters_of_its_width_keeps_its_number(step, interval) -> None:
    tracker = FaceTracker()
    for i in range(12):
        box = (500 + i * step[0], 500 + i * step[1], 100, 100)
        assert tracker.update([box], i * interval) == [1]


def test_a_face_that_turns_round_keeps_its_number() -> None:
    tracker = FaceTracker()
    for i, x in enumerate([0, 75, 150, 225, 150, 75, 0, 75]):
        assert tracker.update([(x, 0, 100, 100)], i * 0.1) == [1]


@table("step", [7, 20, 50, 75])
@table("drop", [0, 4], ids=["low", "shifted"])
def test_two_faces_that_cross_do_not_swap(step, drop) -> None:
    """In whatever order the detector lists them."""
    tracker = FaceTracker()
    n = 600 // step
    for i in range(n):
        boxes = [(i * step, 100, 100, 100), (603 - i * step, 100 + drop, 100, 100)]
        found = tracker.update(boxes[:: 1 if i % 2 == 0 else -1], i * 0.1)
        assert found == ([1, 2] if i % 2 == 0 else [2, 1])


def test_of_two_faces_that_cross_the_one_behind_keeps_its_number() -> None:
    """The detector finds one box while one face covers the other."""
    tracker = FaceTracker()
    for i in range(16):
        boxes = [(i * 40, 100, 100, 100), (600 - i * 40, 100, 100, 100)]
        covered = abs(boxes[0][0] - boxes[1][0]) < 50
        found = tracker.update(boxes[:1] if covered else boxes, i * 0.1)
        assert found == ([1] if covered else [1, 2])


def numbers_of_three(fps: int, seed: int) -> list[set[int]]:
    """The numbers that each of three people gets who meet in the middle at different speeds.

    Boxes jitter by 3 % of their width, one in twenty is not found, and of two that overlap the
    one behind is not.
    """
    rng, tracker, seconds = np.random.default_rng(seed), FaceTracker(keep_frames=2), 4
    numbers: list[set[int]] = [set(), set(), set()]
    for i in range(seconds * fps + 1):
        share = i / fps / seconds
        middles = (80 + 480 * share, 560 - 480 * share, 320 + 10 * share)
        middle = np.array([middles, (150, 160, 155)]).T + rng.normal(0, 3, (3, 2))
        boxes = [(round(x) - 48, round(y) - 48, 96, 96) for x, y in middle]
        seen = [
            k
            for k, box in enumerate(boxes)
            if rng.random() >= 0.05 and all(iou(box, nearer) <= 0.3 for nearer in boxes[:k])
        ]
        for k, number in zip(seen, tracker.update([boxes[k] for k in seen], i / fps), strict=True):
            numbers[k].add(number)
    return numbers


@table("fps", [30, 10, 5])
def test_three_people_who_meet_keep_their_numbers(fps: int) -> None:
    """In 18 of 20 videos at least; before a face could be covered, in 1 to 8."""
    right = [sorted(map(list, numbers_of_three(fps, seed))) for seed in range(20)]
    assert right.count([[1], [2], [3]]) >= 18


def test_frames_far_apart_forget_nobody() -> None:
    """A slide show or a recording of a screen, whose next frame comes when something changes."""
    tracker = FaceTracker(keep_frames=2)
    for seconds, shown, numbers in (
        (0.0, [LEFT], [1]),
        (20.0, [LEFT], [1]),
        (40.0, [], []),
        (60.0, [LEFT], [1]),
        (61.0, [], []),
        (62.0, [], []),
        (90.0, [LEFT], [2]),
    ):
        assert tracker.update(shown, seconds) == numbers


def test_two_poor_pairs_do_not_break_up_a_good_one() -> None:
    """One of two leaves on the right while a third comes in on the left."""
    tracker = FaceTracker()
    assert tracker.update([(300, 0, 100, 100), (420, 0, 100, 100)], 0.0) == [1, 2]
    assert tracker.update([(300, 0, 100, 100), (180, 0, 100, 100)], 0.1)[0] == 1


def test_forty_faces_keep_forty_numbers() -> None:
    boxes = [(50 * (i % 8), 60 * (i // 8), 40, 40) for i in range(40)]
    tracker = FaceTracker()
    assert tracker.update(boxes, 0.0) == list(range(1, 41))
    moved = [(x + 4, y - 3, w, h) for x, y, w, h in reversed(boxes)]
    assert tracker.update(moved, 0.1) == list(range(40, 0, -1))


def test_smoothing_is_an_exponential_moving_average() -> None:
    smoother = Smoother()
    first, second = np.array([1.0, 0.0]), np.array([0.0, 1.0])
    assert smoother.smooth(1, first, 0.75).tolist() == [1.0, 0.0]
    assert smoother.smooth(1, second, 0.75).tolist() == [0.75, 0.25]
    assert smoother.smooth(1, second, 0.75).tolist() == [0.5625, 0.4375]
    assert smoother.smooth(1, first, 0.0).tolist() == [1.0, 0.0]


def test_tracks_are_smoothed_apart_and_forgotten_with_their_faces() -> None:
    smoother = Smoother()
    smoother.smooth(1, np.array([1.0]), 0.5)
    assert smoother.smooth(2, np.array([0.0]), 0.5).tolist() == [0.0]
    smoother.forget_all_but({2})
    assert smoother.known(1) is None
    assert smoother.smooth(1, np.array([0.5]), 0.5).tolist() == [0.5]


def test_a_box_that_stands_still_is_steadied_and_one_that_moves_is_followed_at_once() -> None:
    boxes = Smoother()
    assert steadied(boxes, 1, (100, 100, 80, 80), 0.5) == (100, 100, 80, 80)
    assert steadied(boxes, 1, (104, 100, 80, 80), 0.5) == (102, 100, 80, 80)
    assert steadied(boxes, 1, (150, 100, 80, 80), 0.5) == (150, 100, 80, 80)
    assert steadied(boxes, 1, (154, 102, 80, 80), 0.0) == (154, 102, 80, 80)
