"""Degraded training images: what each setting may take away, and that each image draws its own."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from table_fixtures import table
from torch import Tensor

from fer_bench.specs.recipe import Augmentation, load_recipe
from fer_bench.training.degrade import degrade

SAMPLE = Path(__file__).parents[2] / "assets" / "samples" / "astronaut.jpg"
SINGLE = {
    "blur": Augmentation(degrade=1, blur=0.06),
    "resolution": Augmentation(degrade=1, resolution=0.3),
    "light": Augmentation(degrade=1, light=0.3),
    "noise": Augmentation(degrade=1, noise=0.2),
    "jpeg": Augmentation(degrade=1, jpeg=5),
    "all of `robust`": load_recipe("robust").augmentation.model_copy(update={"degrade": 1}),
}


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def batch(n: int = 16, channels: int = 1, size: int = 48) -> Tensor:
    return torch.rand(n, channels, size, size, generator=generator(99))


def photograph() -> Tensor:
    """A gray 48 px photograph, `(1, 1, 48, 48)`."""
    image = np.asarray(Image.open(SAMPLE).convert("L").resize((48, 48)))
    return torch.tensor(image.copy())[None, None] / 255


def test_nothing_configured_returns_the_same_tensor() -> None:
    x = batch()
    assert degrade(x, Augmentation(flip=True, blur=0.1), generator()) is x
    assert degrade(x, Augmentation(degrade=1), generator()) is x


@table(("channels", "size"), [(1, 48), (3, 48), (3, 50)])
@table("config", SINGLE.values(), ids=SINGLE.keys())
def test_shape_and_range_are_kept_and_the_input_untouched(
    config: Augmentation, channels: int, size: int
) -> None:
    x = batch(channels=channels, size=size)
    before = x.clone()
    out = degrade(x, config, generator())
    assert out.shape == x.shape
    assert out.dtype == x.dtype
    assert 0 <= float(out.min()) <= float(out.max()) <= 1
    assert torch.equal(x, before)
    assert not torch.equal(out, x)


@table("config", SINGLE.values(), ids=SINGLE.keys())
def test_the_generator_alone_decides_and_each_image_draws_its_own(config: Augmentation) -> None:
    same_image_16_times = photograph().expand(16, -1, -1, -1)
    out = degrade(same_image_16_times, config, generator(5))
    assert torch.equal(out, degrade(same_image_16_times, config, generator(5)))
    assert len(torch.unique(out.flatten(1), dim=0)) > 8


def test_the_configured_share_of_images_is_hit() -> None:
    x = batch(400)
    out = degrade(x, Augmentation(degrade=0.25, noise=0.2), generator())
    assert 70 <= int((out != x).flatten(1).any(1).sum()) <= 130


def test_noise_has_a_standard_deviation_within_its_range() -> None:
    gray = torch.full((64, 1, 48, 48), 0.5)
    sigma = degrade(gray, Augmentation(degrade=1, noise=0.1), generator()).std((1, 2, 3))
    assert 0 <= float(sigma.min()) < 0.02
    assert 0.08 < float(sigma.max()) < 0.105


def test_light_is_a_share_of_what_there_was() -> None:
    gray = torch.full((200, 1, 48, 48), 0.8)
    share = degrade(gray, Augmentation(degrade=1, light=0.25), generator()).mean((1, 2, 3)) / 0.8
    assert 0.24 < float(share.min()) < 0.3
    assert 0.9 < float(share.max()) < 1.01


def test_blur_keeps_what_is_even_and_spreads_a_point() -> None:
    even = torch.full((8, 1, 48, 48), 0.3)
    assert torch.allclose(degrade(even, SINGLE["blur"], generator()), even, atol=1e-5)
    point = torch.zeros(64, 1, 48, 48)
    point[:, :, 24, 24] = 1
    out = degrade(point, SINGLE["blur"], generator())
    assert torch.allclose(out.sum((1, 2, 3)), torch.ones(64), atol=0.01)
    place = torch.arange(48.0) - 24
    variance = (out.sum((1, 2)) * place**2).sum(1) + (out.sum((1, 3)) * place**2).sum(1)
    assert float(variance.max()) < 2 * (0.06 * 48) ** 2


def test_fewer_pixels_keep_what_is_even_and_lose_what_is_fine() -> None:
    even = torch.full((8, 1, 48, 48), 0.3)
    assert torch.allclose(degrade(even, SINGLE["resolution"], generator()), even)
    fine = (torch.arange(48).view(-1, 1) + torch.arange(48)).remainder(2).float()
    contrast = degrade(fine.expand(64, 1, 48, 48), SINGLE["resolution"], generator()).std((2, 3))
    assert float(contrast.min()) < 0.05
    assert float(contrast.max()) <= 0.5


@pytest.mark.parametrize("quality", [5, 15, 40, 75])
def test_jpeg_loses_what_opencv_loses(quality: int) -> None:
    x = (photograph() * 255).round() / 255
    _, code = cv2.imencode(
        ".jpg",
        (x[0, 0].numpy() * 255).round().astype(np.uint8),
        [cv2.IMWRITE_JPEG_QUALITY, quality],
    )
    theirs = cv2.imdecode(code, cv2.IMREAD_GRAYSCALE).astype(float)
    draws = [
        degrade(x, Augmentation(degrade=1, jpeg=quality), generator(seed))[0, 0].numpy() * 255
        for seed in range(400)
    ]
    assert min(float(np.abs(ours - theirs).mean()) for ours in draws) < 0.5
