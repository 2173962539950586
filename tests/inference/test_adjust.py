"""Turn, crop, brightness and contrast, pixel by pixel."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from table_fixtures import table

from fer_bench.errors import FerBenchError
from fer_bench.inference.adjust import Adjustment, adjust

SHAPES = [(8, 8), (8, 8, 3), (5, 9), (5, 9, 3)]


def noise(shape: tuple[int, ...]) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


@pytest.mark.parametrize("shape", SHAPES)
def test_nothing_to_change_gives_the_same_array(shape: tuple[int, ...]) -> None:
    image = noise(shape)
    assert adjust(image, Adjustment()) is image


@table("shape", SHAPES)
@table(
    "change",
    [
        Adjustment(brightness=0.3),
        Adjustment(contrast=-0.3),
        Adjustment(rotation=33),
        Adjustment(crop=(0.2, 0, 0, 0.2)),
    ],
)
def test_the_kind_of_image_stays_and_the_one_given_is_left_alone(
    shape: tuple[int, ...], change: Adjustment
) -> None:
    image = noise(shape)
    before = image.copy()
    out = adjust(image, change)
    assert (out.dtype, out.ndim) == (np.uint8, image.ndim)
    assert not np.array_equal(out, before)
    np.testing.assert_array_equal(image, before)


@pytest.mark.parametrize("shape", SHAPES)
def test_brightness_multiplies(shape: tuple[int, ...]) -> None:
    image = noise(shape)
    assert adjust(image, Adjustment(brightness=-1)).max() == 0
    np.testing.assert_array_equal(adjust(image, Adjustment(brightness=-0.5)), image // 2)
    doubled = np.minimum(image.astype(int) * 2, 255)
    np.testing.assert_array_equal(adjust(image, Adjustment(brightness=1)), doubled)


def test_contrast_turns_about_the_mean() -> None:
    image = np.array([[40, 80], [120, 160]], np.uint8)  # mean 100
    expected = [[0, 60], [140, 220]]
    np.testing.assert_array_equal(adjust(image, Adjustment(contrast=1)), expected)
    np.testing.assert_array_equal(adjust(image, Adjustment(contrast=-1)), np.full((2, 2), 100))
    half = [[70, 90], [110, 130]]
    np.testing.assert_array_equal(adjust(image, Adjustment(contrast=-0.5)), half)


def test_contrast_of_colours_turns_about_their_mean_luma() -> None:
    image = np.full((4, 4, 3), (255, 0, 0), np.uint8)
    gray = adjust(image, Adjustment(contrast=-1))
    np.testing.assert_array_equal(gray, np.full((4, 4, 3), 76))  # 0.299 * 255


@table("shape", [(8, 8), (8, 8, 3), (9, 9)])
@table(("degrees", "quarters"), [(90, 1), (180, 2), (-90, 3), (-180, 2)])
def test_a_quarter_turn_moves_pixels_counter_clockwise(
    shape: tuple[int, ...], degrees: float, quarters: int
) -> None:
    image = noise(shape)
    turned = adjust(image, Adjustment(rotation=degrees))
    np.testing.assert_array_equal(turned, np.rot90(image, quarters))


def test_turning_keeps_the_size_and_repeats_the_edge() -> None:
    image = np.full((20, 40), 200, np.uint8)
    turned = adjust(image, Adjustment(rotation=30))
    np.testing.assert_array_equal(turned, image)


def test_a_small_turn_lifts_the_right_side() -> None:
    image = np.zeros((101, 101), np.uint8)
    image[50, 90] = 255
    row, column = np.unravel_index(adjust(image, Adjustment(rotation=10)).argmax(), image.shape)
    assert (row, column) == (43, 89)  # 40 px from the centre, at 10 degrees


def test_crop_cuts_each_side_by_its_share() -> None:
    image = noise((10, 20, 3))
    out = adjust(image, Adjustment(crop=(0.1, 0.2, 0.3, 0.4)))
    np.testing.assert_array_equal(out, image[2:6, 2:14])


def test_a_crop_never_takes_the_last_pixel() -> None:
    image = noise((1, 1))
    np.testing.assert_array_equal(adjust(image, Adjustment(crop=(0.9, 0.4, 0.09, 0.5))), image)


def test_the_order_is_turn_crop_brightness_contrast() -> None:
    image = noise((8, 8))
    at_once = adjust(
        image,
        Adjustment(rotation=90, crop=(0.5, 0, 0, 0.25), brightness=0.5, contrast=-0.5),
    )
    by_steps = np.rot90(image)[:6, 4:]
    by_steps = adjust(np.ascontiguousarray(by_steps), Adjustment(brightness=0.5))
    np.testing.assert_array_equal(at_once, adjust(by_steps, Adjustment(contrast=-0.5)))


@table(
    ("values", "message"),
    [
        ({"brightness": 1.1}, r"expected brightness in \[-1, 1\], got 1.1"),
        ({"contrast": -2}, r"expected contrast in \[-1, 1\], got -2"),
        ({"contrast": float("nan")}, r"expected contrast in \[-1, 1\], got nan"),
        ({"rotation": 181}, r"expected rotation in \[-180, 180\], got 181"),
        ({"crop": (0, 0, 1, 0)}, r"four shares in \[0, 1\).*got \(0, 0, 1, 0\)"),
        ({"crop": (-0.1, 0, 0, 0)}, "four shares"),
        ({"crop": (0, 0)}, "four shares"),
        ({"crop": (0.5, 0, 0.5, 0)}, "leaves nothing: left and right"),
        ({"crop": (0, 0.7, 0, 0.4)}, "leaves nothing"),
    ],
)
def test_what_cannot_be_is_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(FerBenchError, match=message):
        Adjustment(**values)


def test_what_is_no_image_is_refused() -> None:
    with pytest.raises(FerBenchError, match="expected an image as uint8 array"):
        adjust(np.zeros((4, 4), np.float32), Adjustment(brightness=0.5))


def test_an_image_too_long_to_turn_is_refused() -> None:
    image = np.zeros((2, 40_000), np.uint8)
    with pytest.raises(FerBenchError, match="cannot turn an image of 40000 x 2 pixels"):
        adjust(image, Adjustment(rotation=5))
    assert adjust(image, Adjustment(brightness=-1)).shape == image.shape
