"""Corrupted faces: the same for a seed however they are batched, worse with each severity."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray
from table_fixtures import table

from fer_bench.data.synthetic import read_synthetic
from fer_bench.errors import FerBenchError
from fer_bench.studies.robustness.corruptions import CORRUPTIONS, SEVERITIES, Corruption, corrupt

NAMES = tuple(CORRUPTIONS)
#: These draw nothing at random.
FIXED = {"blur", "over-exposure", "jpeg", "low-resolution"}


@cache
def drawn(size: int = 48) -> NDArray[np.uint8]:
    return read_synthetic(n_per_class=3, size=size).images


def faces(colour: bool = False, size: int = 48) -> NDArray[np.uint8]:
    """21 drawn faces; in colour their channels differ."""
    gray = drawn(size)
    return np.stack([gray, gray // 2 + 60, 255 - gray], -1) if colour else gray


def differences(images: NDArray[np.uint8], name: str) -> list[float]:
    """Mean absolute difference to the clean images, by severity."""
    return [
        float(np.abs(corrupt(images, name, severity).astype(float) - images).mean())
        for severity in SEVERITIES
    ]


@table("colour", [False, True], ids=["gray", "rgb"])
@table("name", NAMES)
def test_shape_and_type_stay_and_the_images_are_left_alone(name: str, colour: bool) -> None:
    images = faces(colour)
    before = images.copy()
    for severity in SEVERITIES:
        found = corrupt(images, name, severity)
        assert (found.shape, found.dtype) == (images.shape, np.uint8)
        assert all((a != b).any() for a, b in zip(found, images, strict=True))
    assert (images == before).all()


@table("name", NAMES)
def test_severity_0_is_the_images_themselves(name: str) -> None:
    images = faces()
    found = corrupt(images, name, 0)
    assert (found == images).all()
    assert not np.shares_memory(found, images)


@table("colour", [False, True], ids=["gray", "rgb"])
@table("name", NAMES)
def test_each_severity_changes_more_than_the_one_before(name: str, colour: bool) -> None:
    found = differences(faces(colour), name)
    assert found == sorted(found) and len(set(found)) == len(SEVERITIES)


@table("name", NAMES)
def test_an_image_is_corrupted_alike_in_any_batch_and_order(name: str) -> None:
    images = faces()
    whole = corrupt(images, name, 3, seed=5)
    parts = [corrupt(images[start : start + 4], name, 3, seed=5) for start in range(0, 21, 4)]
    assert (np.concatenate(parts) == whole).all()
    order = np.random.default_rng(0).permutation(len(images))
    assert (corrupt(images[order], name, 3, seed=5) == whole[order]).all()


@table("name", NAMES)
def test_the_seed_decides(name: str) -> None:
    images = faces()
    first = corrupt(images, name, 3, seed=1)
    assert (corrupt(images, name, 3, seed=1) == first).all()
    assert (corrupt(images, name, 3, seed=2) == first).all() == (name in FIXED)


@table("name", NAMES)
def test_a_face_is_corrupted_about_as_much_in_another_resolution(name: str) -> None:
    at_48, at_96 = (differences(faces(size=size), name)[2] for size in (48, 96))
    assert at_96 == pytest.approx(at_48, rel=0.5)


@table("name", NAMES)
def test_oblong_images_are_corrupted_too(name: str) -> None:
    images = faces()[:, 6:42]
    assert corrupt(images, name, 5).shape == (21, 36, 48)


@table("name", NAMES)
def test_every_corruption_has_a_summary_and_five_levels_in_words(name: str) -> None:
    corruption: Corruption = CORRUPTIONS.load(name)
    rising = sorted(corruption.levels)
    assert CORRUPTIONS.entry(name).summary
    assert list(corruption.levels) in (rising, rising[::-1])
    assert len({corruption.describe(severity) for severity in SEVERITIES}) == 5


def test_colours_keep_their_order_under_compression() -> None:
    red = np.zeros((1, 16, 16, 3), np.uint8)
    red[..., 0] = 200
    found = corrupt(red, "jpeg", 1)[0, 8, 8].astype(int)
    assert found[0] > 150 and found[1:].max() < 50


def test_light_is_taken_and_given_by_the_level() -> None:
    gray = np.full((1, 48, 48), 60, np.uint8)
    light = CORRUPTIONS.load("low-light").levels[2], CORRUPTIONS.load("over-exposure").levels[2]
    for name, share in zip(("low-light", "over-exposure"), light, strict=True):
        assert corrupt(gray, name, 3).mean() == pytest.approx(60 * share, rel=0.05)


def test_noise_has_the_deviation_of_its_level() -> None:
    gray = np.full((1, 96, 96), 128, np.uint8)
    level = CORRUPTIONS.load("noise").levels[1]
    assert corrupt(gray, "noise", 2).std() == pytest.approx(255 * level, rel=0.05)


def test_a_shift_moves_pixels_and_blurs_none() -> None:
    dot = np.zeros((1, 48, 48), np.uint8)
    dot[0, 24, 24] = 255
    found = corrupt(dot, "off-centre", 3)[0]
    (place,) = np.argwhere(found == 255)
    assert (found > 0).sum() == 1
    assert np.hypot(*(place - 24)) == pytest.approx(0.14 * 48, abs=1)


@pytest.mark.parametrize(("name", "rows"), [("eyes-covered", 19), ("mouth-covered", 37)])
def test_a_band_covers_its_part_of_the_face_alone(name: str, rows: int) -> None:
    images = faces()[:1]
    changed = np.argwhere(corrupt(images, name, 2)[0] != images[0])
    low, high = changed[:, 0].min(), changed[:, 0].max()
    assert low < rows < high
    assert high - low < 48 / 4
    assert set(changed[:, 1]) <= set(range(5, 43))


@table(
    ("images", "name", "severity", "sentence"),
    [
        (faces(), "gaussian", 1, "unknown corruption 'gaussian': known: blur, "),
        (faces(), "motion-blurr", 1, "did you mean 'motion-blur'"),
        (faces(), "blur", 6, "expected a severity from 0 to 5, got 6"),
        (faces(), "blur", -1, "expected a severity from 0 to 5, got -1"),
        (faces().astype(np.float32), "blur", 1, "expected uint8 images .* got float32"),
        (faces()[0], "blur", 1, r"expected uint8 images of shape .* got uint8 of shape \(48, 48\)"),
    ],
)
def test_what_cannot_be_corrupted_is_one_sentence(images, name, severity, sentence) -> None:
    with pytest.raises(FerBenchError, match=sentence):
        corrupt(images, name, severity)
