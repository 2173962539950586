"""From boxes to crops: exact geometry, at the border, outside and turned by the eyes."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from fer_bench.inference.crop import crop_face
from fer_bench.inference.detectors.base import Box, DetectedFace, Point
from fer_bench.types import InputSpec


def spec(margin: float = 0.0) -> InputSpec:
    return InputSpec(size=48, channels=1, mean=(0.5,), std=(0.5,), face_margin=margin)


def numbered(height: int = 40, width: int = 50) -> NDArray[np.uint8]:
    """Every pixel tells its row and column: `(row, column, 7)`."""
    rows, columns = np.mgrid[:height, :width]
    return np.stack([rows, columns, np.full_like(rows, 7)], axis=2).astype(np.uint8)


def expected(left: int, top: int, side: int, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    rows = np.clip(np.arange(top, top + side), 0, image.shape[0] - 1)
    columns = np.clip(np.arange(left, left + side), 0, image.shape[1] - 1)
    return image[np.ix_(rows, columns)]


@pytest.mark.parametrize(
    ("box", "margin", "square"),
    [
        pytest.param((10, 12, 8, 8), 0.0, (10, 12, 8), id="as the detector frames it"),
        pytest.param((10, 12, 8, 8), 0.5, (8, 10, 12), id="with the model's margin"),
        pytest.param((10, 12, 8, 4), 0.0, (10, 10, 8), id="a flat box made square"),
        pytest.param((10, 12, 4, 8), 0.0, (8, 12, 8), id="a tall box made square"),
        pytest.param((0, 0, 50, 40), 0.0, (0, -5, 50), id="the whole picture"),
        pytest.param((-3, -4, 10, 10), 0.0, (-3, -4, 10), id="over the upper left corner"),
        pytest.param((45, 35, 10, 10), 0.0, (45, 35, 10), id="over the lower right corner"),
        pytest.param((-30, -40, 10, 10), 0.0, (-30, -40, 10), id="wholly outside, before"),
        pytest.param((70, 80, 10, 10), 0.0, (70, 80, 10), id="wholly outside, behind"),
        pytest.param((-20, -20, 100, 100), 0.0, (-20, -20, 100), id="larger than the picture"),
        pytest.param((5, 5, 0, 0), 0.0, (4, 4, 1), id="of no size"),
    ],
)
@pytest.mark.parametrize("colour", [True, False], ids=["RGB", "gray"])
def test_crop_is_the_square_and_repeats_the_edge(
    box: Box, margin: float, square: tuple[int, int, int], colour: bool
) -> None:
    image = numbered() if colour else numbered()[..., 0]

    crop = crop_face(image, DetectedFace(box=box), spec(margin))

    assert np.array_equal(crop, expected(*square, image))


def test_a_whole_image_is_left_alone() -> None:
    image = numbered()
    face = DetectedFace(box=(0, 0, 50, 40), is_whole=True)
    assert crop_face(image, face, spec(0.5)) is image


def test_level_eyes_change_no_pixel() -> None:
    face = DetectedFace(box=(10, 12, 9, 9), eyes=((12.0, 15.0), (16.0, 15.0)))
    assert np.array_equal(crop_face(numbered(), face, spec()), numbered()[12:21, 10:19])


@pytest.mark.parametrize(
    ("eyes", "turns"),
    [
        pytest.param(((14.0, 13.0), (14.0, 19.0)), 1, id="leaning right: counter-clockwise"),
        pytest.param(((14.0, 19.0), (14.0, 13.0)), -1, id="leaning left: clockwise"),
        pytest.param(((17.0, 16.0), (11.0, 16.0)), 2, id="upside down"),
    ],
)
@pytest.mark.parametrize("side", [8, 9])
def test_quarter_turns_are_exact(eyes: tuple[Point, Point], turns: int, side: int) -> None:
    image = numbered()
    crop = crop_face(image, DetectedFace(box=(10, 12, side, side), eyes=eyes), spec())
    assert np.array_equal(crop, np.rot90(image[12 : 12 + side, 10 : 10 + side], turns))


def centre_of(image: NDArray[np.uint8]) -> Point:
    """Centre of light (x, y)."""
    rows, columns = np.mgrid[: image.shape[0], : image.shape[1]]
    light = image.astype(np.float64)
    return float((columns * light).sum() / light.sum()), float((rows * light).sum() / light.sum())


@pytest.mark.parametrize("degrees", [-40, -12.5, 5, 30])
def test_alignment_makes_the_eyes_level(degrees: float) -> None:
    turn = np.radians(degrees)
    middle, reach = np.array([100.0, 90.0]), np.array([np.cos(turn), np.sin(turn)]) * 20
    eyes = (tuple(middle - reach), tuple(middle + reach))
    face = DetectedFace(box=(50, 50, 100, 100), eyes=(eyes[0], eyes[1]))
    rows, columns = np.mgrid[:200, :200]
    seen = []
    for x, y in eyes:
        spot = 255 * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / 18)
        seen.append(centre_of(crop_face(spot.astype(np.uint8), face, spec())))

    (x1, y1), (x2, y2) = seen

    assert y1 == pytest.approx(y2, abs=0.1)
    assert x2 - x1 == pytest.approx(40, abs=0.1)  # upright and not resized


def test_turned_crop_at_a_corner_repeats_the_edge() -> None:
    image = np.full((30, 30), 90, np.uint8)
    face = DetectedFace(box=(-20, -20, 40, 40), eyes=((0.0, 0.0), (5.0, 3.0)))
    assert np.array_equal(crop_face(image, face, spec(0.3)), np.full((52, 52), 90, np.uint8))


def test_a_panorama_wider_than_opencv_warps_is_cropped_too() -> None:
    image = np.zeros((64, 40_000), np.uint8)
    image[:, 39_000:] = 200
    face = DetectedFace(box=(39_500, 10, 40, 40), eyes=((39_510.0, 20.0), (39_530.0, 25.0)))
    assert np.array_equal(crop_face(image, face, spec()), np.full((40, 40), 200, np.uint8))
