"""What is drawn on an image, seen by its pixels."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import ImageColor
from table_fixtures import table

from fer_bench.emotions import COLOURS, FER2013
from fer_bench.errors import FerBenchError
from fer_bench.inference.detectors.base import Box, DetectedFace
from fer_bench.inference.drawing.faces import annotate, annotate_in_place, draw_figures
from fer_bench.inference.drawing.sprites import Rect, column_mask, rounded, text_mask
from fer_bench.inference.predictor import FacePrediction, named

GROUND = 128


def plain(width: int = 640, height: int = 480) -> NDArray[np.uint8]:
    return np.full((height, width, 3), GROUND, np.uint8)


def face(box: Box, emotion: str = "happy", score: float = 0.93) -> FacePrediction:
    probabilities = np.full(len(FER2013), (1 - score) / (len(FER2013) - 1))
    probabilities[FER2013.index(emotion)] = score
    return named(DetectedFace(box=box), probabilities, FER2013)


def is_colour(image: NDArray[np.uint8], emotion: str) -> NDArray[np.bool_]:
    """`(H, W)`: where a pixel has exactly the emotion's colour."""
    mask: NDArray[np.bool_] = (image == ImageColor.getrgb(COLOURS[emotion])).all(2)
    return mask


def changed(image: NDArray[np.uint8]) -> NDArray[np.bool_]:
    mask: NDArray[np.bool_] = (image != GROUND).any(2)
    return mask


def longest_run(row: NDArray[np.bool_]) -> int:
    """Most pixels in a row that are True."""
    padded = np.concatenate([[0], row, [0]]).astype(int)
    starts, ends = np.flatnonzero(np.diff(padded) == 1), np.flatnonzero(np.diff(padded) == -1)
    return int((ends - starts).max(initial=0))


@table("emotion", COLOURS)
def test_the_box_has_its_emotions_colour(emotion: str) -> None:
    prediction = FacePrediction(
        face=DetectedFace(box=(200, 150, 160, 160)),
        emotion=emotion,
        score=1.0,
        probabilities=np.eye(7)[0],
    )
    drawn = is_colour(annotate(plain(), [prediction], FER2013, bars=False), emotion)
    for y, x in [(230, 200), (230, 360), (150, 320), (310, 280)]:
        assert drawn[y - 1 : y + 2, x - 1 : x + 2].any()


def test_the_image_given_is_left_as_it_was_and_a_copy_comes_back() -> None:
    image = plain()
    drawn = annotate(image, [face((200, 150, 160, 160))], FER2013)
    assert (image == GROUND).all()
    in_place = plain()
    annotate_in_place(in_place, [face((200, 150, 160, 160))], FER2013)
    assert np.array_equal(in_place, drawn)


def test_the_label_stands_on_the_box_and_reads_left_to_right() -> None:
    """The mask of its own words, found where the plate is."""
    drawn = annotate(plain(), [face((200, 150, 160, 160))], FER2013, bars=False)
    plate = drawn[100:148, 200:330]
    ink = (255 - plate.max(2)).astype(np.uint8)  # dark words on amber
    words = text_mask("happy 93 %", round(480 * 0.038))
    found = float(cv2.matchTemplate(ink, words, cv2.TM_CCOEFF_NORMED).max())
    mirrored = float(cv2.matchTemplate(ink, words[:, ::-1].copy(), cv2.TM_CCOEFF_NORMED).max())
    assert found > 0.8 > mirrored


def test_names_and_second_predictions_make_the_label_longer_and_taller() -> None:
    box = (200, 200, 160, 160)
    alone = changed(annotate(plain(), [face(box)], FER2013, bars=False))[:195]
    with_name = annotate(plain(), [face(box)], FER2013, bars=False, names=["12"])
    with_second = annotate(
        plain(), [face(box)], FER2013, bars=False, others=[[face(box, "sad", 0.5)]]
    )
    assert changed(with_name)[:195].any(0).sum() > alone.any(0).sum()
    assert changed(with_second)[:195].any(1).sum() > 1.8 * alone.any(1).sum()


@pytest.mark.parametrize("score", [0.2, 0.6, 1.0])
def test_bars_are_as_long_as_the_probabilities(score: float) -> None:
    drawn = annotate(plain(), [face((100, 150, 160, 160), "happy", score)], FER2013)
    panel = drawn[150:, 270:]
    full = max(
        longest_run(row)
        for row in is_colour(
            annotate(plain(), [face((100, 150, 160, 160), "happy", 1.0)], FER2013)[150:, 270:],
            "happy",
        )
    )
    length = max(longest_run(row) for row in is_colour(panel, "happy"))
    assert length == pytest.approx(full * score, abs=1)
    for emotion in FER2013:
        assert is_colour(panel, emotion).any()


@pytest.mark.parametrize(
    "box",
    [(470, 150, 160, 160), (10, 150, 160, 160), (240, 10, 160, 160), (240, 310, 160, 160)],
    ids=["right", "left", "top", "bottom"],
)
def test_bars_find_room_inside_the_image_and_leave_the_face_free(box: Box) -> None:
    drawn = annotate(plain(), [face(box)], FER2013)
    left, top, width, height = box
    inside = changed(drawn)[top + 40 : top + height - 10, left + 10 : left + width - 10]
    assert not inside.any()
    assert all(is_colour(drawn, emotion).any() for emotion in FER2013)


def test_without_bars_no_other_colour_appears() -> None:
    drawn = annotate(plain(), [face((200, 150, 160, 160))], FER2013, bars=False)
    assert not any(is_colour(drawn, e).any() for e in FER2013 if e != "happy")


@pytest.mark.parametrize(
    "box",
    [(-60, -60, 120, 120), (600, 440, 200, 200), (-50, -50, 800, 800), (900, 900, 50, 50)],
    ids=["corner", "other corner", "larger than the image", "outside"],
)
def test_boxes_beyond_the_edge_are_drawn_as_far_as_they_go(box: Box) -> None:
    drawn = annotate(plain(), [face(box)], FER2013, others=[[face(box, "sad", 0.5)]])
    assert is_colour(drawn, "happy").any()


@pytest.mark.parametrize("size", [(48, 48), (1, 1), (3, 200), (200, 3), (1920, 1080)])
def test_images_of_any_size_are_drawn_on(size: tuple[int, int]) -> None:
    width, height = size
    drawn = annotate(plain(width, height), [face((0, 0, width, height))], FER2013, names=["1"])
    assert drawn.shape == (height, width, 3)
    assert changed(drawn).any()


def test_the_words_grow_with_the_image() -> None:
    """So that an 8K photo reads like a small one: a plate on one four times as large is as well."""

    def plate_height(scale: int) -> int:
        image = plain(640 * scale, 480 * scale)
        box = (200 * scale, 150 * scale, 160 * scale, 160 * scale)
        drawn = annotate(image, [face(box)], FER2013, bars=False)
        return int(is_colour(drawn, "happy")[: 140 * scale, 204 * scale].sum())

    assert plate_height(4) == pytest.approx(4 * plate_height(1), rel=0.15)


def test_forty_faces_are_all_there() -> None:
    boxes = [(20 + 75 * (i % 8), 20 + 90 * (i // 8), 50, 50) for i in range(40)]
    emotions = [FER2013[i % 7] for i in range(40)]
    faces = [face(box, emotion) for box, emotion in zip(boxes, emotions, strict=True)]
    drawn = annotate(plain(), faces, FER2013, names=[str(i) for i in range(40)])
    for (left, top, _, height), emotion in zip(boxes, emotions, strict=True):
        edge = is_colour(drawn, emotion)[top + 10 : top + height - 10, left - 2 : left + 3]
        assert edge.any()


def test_a_gray_image_becomes_rgb() -> None:
    drawn = annotate(np.full((480, 640), GROUND, np.uint8), [face((200, 150, 160, 160))], FER2013)
    assert np.array_equal(drawn, annotate(plain(), [face((200, 150, 160, 160))], FER2013))


def test_no_faces_leave_the_image_as_it_is() -> None:
    assert np.array_equal(annotate(plain(), [], FER2013), plain())


@pytest.mark.parametrize(
    ("extra", "sentence"),
    [
        ({"names": ["1", "2"]}, "expected 1 names, one per face, got 2"),
        ({"others": []}, "expected 1 groups of predictions, one per face, got 0"),
    ],
)
def test_a_wrong_number_of_names_is_refused(extra: dict, sentence: str) -> None:
    with pytest.raises(FerBenchError, match=sentence):
        annotate(plain(), [face((0, 0, 9, 9))], FER2013, **extra)


def test_what_is_no_image_is_refused() -> None:
    with pytest.raises(FerBenchError, match=r"expected an image .* got float64 of shape \(4, 4\)"):
        annotate(np.zeros((4, 4)), [], FER2013)


def test_figures_stand_in_the_bottom_left_corner() -> None:
    image = plain()
    draw_figures(image, ["30 fps", "14 ms"])
    assert changed(image)[400:, :100].any()
    assert not changed(image)[:400].any() and not changed(image)[:, 100:].any()


def test_words_are_rendered_once() -> None:
    assert text_mask("sad 51 %", 17) is text_mask("sad 51 %", 17)
    assert column_mask(FER2013, 13, 18).shape[0] == 18 * len(FER2013)


def test_a_rounded_box_touches_its_edges_and_leaves_its_corners() -> None:
    points = rounded(Rect(10, 20, 100, 50), 8)
    assert points.min(0).tolist() == [10, 20] and points.max(0).tolist() == [110, 70]
    assert [10, 20] not in points.tolist()
