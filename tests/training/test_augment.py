"""Batch augmentation: what each setting may change, and that each image draws its own."""

from __future__ import annotations

import pytest
import torch
from table_fixtures import table
from torch import Tensor

from fer_bench.specs.recipe import Augmentation
from fer_bench.training.augment import augment, mix

EVERYTHING = Augmentation(
    flip=True,
    rotate=15,
    scale=(0.8, 1.2),
    translate=0.1,
    brightness=0.3,
    contrast=0.3,
    erase=0.5,
)
SINGLE = {
    "flip": Augmentation(flip=True),
    "rotate": Augmentation(rotate=20),
    "scale": Augmentation(scale=(0.7, 1.3)),
    "translate": Augmentation(translate=0.2),
    "brightness": Augmentation(brightness=0.4),
    "contrast": Augmentation(contrast=0.4),
    "erase": Augmentation(erase=0.9),
    "everything": EVERYTHING,
}


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def batch(n: int = 16, channels: int = 1, size: int = 24) -> Tensor:
    return torch.rand(n, channels, size, size, generator=generator(99))


def test_nothing_configured_returns_the_same_tensor() -> None:
    x = batch()
    assert augment(x, Augmentation(), generator()) is x


@table("channels", [1, 3])
@table("config", SINGLE.values(), ids=SINGLE.keys())
def test_shape_and_range_are_kept_and_the_input_untouched(
    config: Augmentation, channels: int
) -> None:
    x = batch(channels=channels)
    before = x.clone()
    out = augment(x, config, generator())
    assert out.shape == x.shape
    assert out.dtype == x.dtype
    assert 0 <= float(out.min()) <= float(out.max()) <= 1
    assert torch.equal(x, before)
    assert not torch.equal(out, x)


@table("config", SINGLE.values(), ids=SINGLE.keys())
def test_the_generator_alone_decides(config: Augmentation) -> None:
    x = batch()
    assert torch.equal(augment(x, config, generator(5)), augment(x, config, generator(5)))
    assert not torch.equal(augment(x, config, generator(5)), augment(x, config, generator(6)))


@table("config", SINGLE.values(), ids=SINGLE.keys())
def test_each_image_draws_its_own(config: Augmentation) -> None:
    same_image_16_times = batch(1).expand(16, -1, -1, -1)
    out = augment(same_image_16_times, config, generator())
    assert len(torch.unique(out.flatten(1), dim=0)) > 1


def test_flip_alone_gives_each_image_or_its_mirror() -> None:
    x = batch(200)
    out = augment(x, Augmentation(flip=True), generator())
    kept = (out == x).flatten(1).all(1)
    mirrored = (out == x.flip(-1)).flatten(1).all(1)
    assert torch.all(kept ^ mirrored)
    assert 60 < int(mirrored.sum()) < 140


def test_flip_within_the_affine_map_is_the_same_mirror() -> None:
    x = batch(50)
    barely_turned = Augmentation(flip=True, rotate=1e-4)
    out = augment(x, barely_turned, generator())
    kept = (out - x).abs().amax((1, 2, 3)) < 1e-3
    mirrored = (out - x.flip(-1)).abs().amax((1, 2, 3)) < 1e-3
    assert torch.all(kept ^ mirrored)
    assert 0 < int(mirrored.sum()) < 50


def test_translation_moves_by_whole_pixels_where_it_should() -> None:
    x = torch.zeros(32, 1, 25, 25)
    x[:, :, 12, 12] = 1
    out = augment(x, Augmentation(translate=0.2), generator())
    rows, columns = out.sum((1, 3)), out.sum((1, 2))
    place = torch.arange(25.0)
    moved_down = (rows * place).sum(1) - 12
    moved_right = (columns * place).sum(1) - 12
    assert float(moved_down.abs().max()) <= 5.001
    assert float(moved_right.abs().max()) <= 5.001
    assert float(moved_down.abs().max()) > 2
    assert float((moved_down - moved_right).abs().max()) > 1


def test_scale_above_one_enlarges() -> None:
    x = torch.zeros(8, 1, 40, 40)
    x[:, :, 10:30, 10:30] = 1
    out = augment(x, Augmentation(scale=(1.5, 1.5)), generator())
    assert torch.allclose(out.sum((1, 2, 3)), torch.tensor(30.0**2), rtol=0.02)


def test_rotation_turns_without_shearing_even_where_the_sides_differ() -> None:
    rows, columns = torch.arange(40) - 19.5, torch.arange(80) - 39.5
    round_blob = torch.exp(-(rows[:, None] ** 2 + columns**2) / 30).expand(8, 1, 40, 80)
    out = augment(round_blob, Augmentation(rotate=15), generator())
    assert torch.allclose(out, round_blob, atol=0.03)


def test_brightness_multiplies_within_its_bounds() -> None:
    x = torch.full((64, 1, 4, 4), 0.5)
    factors = augment(x, Augmentation(brightness=0.2), generator())[:, 0, 0, 0] / 0.5
    assert 0.8 <= float(factors.min()) < 0.85
    assert 1.15 < float(factors.max()) <= 1.2


def test_contrast_keeps_the_mean_and_scales_the_distance_from_it() -> None:
    x = 0.5 + 0.2 * (batch(64) - 0.5)
    out = augment(x, Augmentation(contrast=0.5), generator())
    assert torch.allclose(out.mean((1, 2, 3)), x.mean((1, 2, 3)), atol=1e-5)
    stretch = out.std((1, 2, 3)) / x.std((1, 2, 3))
    assert 0.5 <= float(stretch.min()) < 0.6
    assert 1.4 < float(stretch.max()) <= 1.5001


def test_erasing_fills_one_rectangle_with_the_image_mean() -> None:
    x = batch(100, channels=3, size=48)
    out = augment(x, Augmentation(erase=1), generator())
    for before, after in zip(x, out, strict=True):
        changed = (before != after).any(0)
        rows, columns = changed.any(1), changed.any(0)
        assert int(changed.sum()) == int(rows.sum()) * int(columns.sum())
        assert 0.015 <= float(changed.float().mean()) <= 0.22
        assert torch.equal(
            after[:, changed], before.mean((1, 2), keepdim=True)[:, 0].expand(-1, changed.sum())
        )


def test_erasing_touches_the_configured_share_of_images() -> None:
    x = batch(400)
    changed = (augment(x, Augmentation(erase=0.25), generator()) != x).flatten(1).any(1)
    assert 70 <= int(changed.sum()) <= 130


ONE_HOT = torch.eye(7)[torch.arange(16) % 7]


@pytest.mark.parametrize(("mixup", "cutmix"), [(0.4, 0.0), (0.0, 1.0), (0.4, 1.0)])
def test_mixed_targets_sum_to_one(mixup: float, cutmix: float) -> None:
    for seed in range(10):
        x, targets = mix(batch(), ONE_HOT, mixup=mixup, cutmix=cutmix, generator=generator(seed))
        assert x.shape == batch().shape
        assert torch.allclose(targets.sum(1), torch.ones(16))
        assert 0 <= float(targets.min()) <= float(targets.max()) <= 1


def test_no_mixing_returns_what_came() -> None:
    x = batch()
    mixed, targets = mix(x, ONE_HOT, mixup=0, cutmix=0, generator=generator())
    assert mixed is x
    assert targets is ONE_HOT


def test_mixup_blends_pixels_by_the_share_in_the_targets() -> None:
    shades = torch.linspace(0, 1, 7)
    x = (ONE_HOT @ shades).view(16, 1, 1, 1).expand(-1, 1, 8, 8)
    mixed, targets = mix(x, ONE_HOT, mixup=1.0, cutmix=0, generator=generator())
    assert torch.allclose(mixed[:, 0, 0, 0], targets @ shades, atol=1e-6)
    assert not torch.equal(targets, ONE_HOT)


def test_cutmix_pastes_a_rectangle_whose_area_is_in_the_targets() -> None:
    shades = torch.linspace(0, 1, 7)
    x = (ONE_HOT @ shades).view(16, 1, 1, 1).expand(-1, 1, 20, 20)
    mixed, targets = mix(x, ONE_HOT, mixup=0, cutmix=1.0, generator=generator(1))
    assert torch.allclose(mixed.mean((1, 2, 3)), targets @ shades, atol=1e-6)
    assert set(mixed.unique().tolist()) <= set(shades.tolist())
    assert not torch.equal(targets, ONE_HOT)


@pytest.mark.parametrize(("mixup", "cutmix"), [(0.4, 0.0), (0.0, 1.0), (0.4, 1.0)])
def test_mixing_is_decided_by_the_generator(mixup: float, cutmix: float) -> None:
    first = mix(batch(), ONE_HOT, mixup=mixup, cutmix=cutmix, generator=generator(2))
    again = mix(batch(), ONE_HOT, mixup=mixup, cutmix=cutmix, generator=generator(2))
    assert torch.equal(first[0], again[0])
    assert torch.equal(first[1], again[1])
