"""Random changes to training batches: tensors in, tensors out, each image its own draw.

Our own rather than kornia's: the same affine, light and erasing on a batch of 64 gray 48 px faces
took kornia 0.9 two to four times as long on one core, as all geometry is one resampling.
"""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from fer_bench.specs.recipe import Augmentation

#: Share of the image that an erased rectangle covers, and its height / width at most (and 1 / at
#: most): Random Erasing, arXiv 1708.04896, with half the paper's largest area, as faces fill ours.
ERASED_AREA = (0.02, 0.2)
ERASED_ASPECT = 3.3


def augment(x: Tensor, config: Augmentation, generator: Generator) -> Tensor:
    """Augments a batch before it is normalised; the same generator state gives the same batch.

    Args:
        x: float `(B, C, H, W)` in [0, 1], C = 1 or 3; left as it is.
        config: what to change and how much; where all is off, `x` itself is returned.
        generator: draws all randomness; one on the CPU gives the same draw on every device.

    Returns:
        float `(B, C, H, W)` in [0, 1].
    """
    if config.rotate or config.translate or config.scale != (1.0, 1.0):
        x = _move(x, config, generator)
    elif config.flip:
        mirrored = uniform(len(x), 0, 1, generator, x).view(-1, 1, 1, 1) < 0.5
        x = torch.where(mirrored, x.flip(-1), x)
    if config.brightness or config.contrast:
        x = _light(x, config, generator)
    if config.erase:
        x = _erase(x, config.erase, generator)
    return x


def mix(
    x: Tensor, targets: Tensor, *, mixup: float, cutmix: float, generator: Generator
) -> tuple[Tensor, Tensor]:
    """Mixes each image and its target with another's of the batch; one share for the batch.

    Mixup (arXiv 1710.09412) blends the images, CutMix (arXiv 1905.04899) pastes a rectangle;
    where both are on, each batch takes either with probability 1/2.

    Args:
        x: float `(B, C, H, W)`.
        targets: float `(B, K)`, one-hot or soft labels, rows sum to 1.
        mixup, cutmix: parameter of the symmetric Beta distribution that the share is drawn from;
            0 = off. With both off, `x` and `targets` themselves are returned.

    Returns:
        The mixed images and targets, of the same shapes; rows still sum to 1.
    """
    if not mixup and not cutmix:
        return x, targets
    # torch's own Beta sampler takes no generator, so NumPy's is seeded from it.
    rng = np.random.default_rng(int(torch.randint(2**62, (), generator=generator)))
    other = torch.randperm(len(x), generator=generator).to(x.device)
    cut = bool(cutmix) and (not mixup or rng.random() < 0.5)
    share = float(rng.beta(cutmix, cutmix) if cut else rng.beta(mixup, mixup))
    if cut:
        top, bottom, left, right = _box(x.shape[-2], x.shape[-1], share, rng)
        mixed = x.clone()
        mixed[:, :, top:bottom, left:right] = x[other, :, top:bottom, left:right]
        share = 1 - (bottom - top) * (right - left) / (x.shape[-2] * x.shape[-1])
    else:
        mixed = torch.lerp(x[other], x, share)
    return mixed, torch.lerp(targets[other], targets, share)


def uniform(n: int, low: float, high: float, generator: Generator, like: Tensor) -> Tensor:
    """float `(n,)`, each in [low, high), on the device of `like`."""
    draw = torch.rand(n, generator=generator, device=generator.device)
    return draw.to(like.device).mul_(high - low).add_(low)


def _move(x: Tensor, config: Augmentation, generator: Generator) -> Tensor:
    """Flip, rotation, scale and shift as one bilinear resampling; edges continue mirrored."""
    n, _, height, width = x.shape
    angle = uniform(n, -math.radians(config.rotate), math.radians(config.rotate), generator, x)
    zoom = uniform(n, *config.scale, generator, x)
    shift = uniform(2 * n, -2 * config.translate, 2 * config.translate, generator, x).view(n, 2)
    mirror = torch.ones_like(angle)
    if config.flip:
        mirror[uniform(n, 0, 1, generator, x) < 0.5] = -1
    cos, sin = torch.cos(angle) / zoom, torch.sin(angle) / zoom
    # Where each output pixel comes from, in [-1, 1] coordinates: hence the inverse of the zoom,
    # and the ratio of the sides, without which a rotation of an oblong image would shear it.
    across = torch.stack((mirror * cos, -mirror * sin * height / width, shift[:, 0]), 1)
    down = torch.stack((sin * width / height, cos, shift[:, 1]), 1)
    grid = F.affine_grid(torch.stack((across, down), 1), list(x.shape), align_corners=False)
    return F.grid_sample(x, grid.to(x.dtype), padding_mode="reflection", align_corners=False)


def _light(x: Tensor, config: Augmentation, generator: Generator) -> Tensor:
    """Brightness, then contrast around the image's own mean, in one pass; clamped to [0, 1]."""
    n = len(x)
    gain = uniform(n, 1 - config.brightness, 1 + config.brightness, generator, x)
    stretch = uniform(n, 1 - config.contrast, 1 + config.contrast, generator, x)
    offset = gain * (1 - stretch) * x.mean((1, 2, 3))
    return (x * (gain * stretch).view(n, 1, 1, 1)).add_(offset.view(n, 1, 1, 1)).clamp_(0, 1)


def _erase(x: Tensor, probability: float, generator: Generator) -> Tensor:
    """One rectangle per chosen image, filled with the image's mean colour."""
    n, _, height, width = x.shape
    chosen = uniform(n, 0, 1, generator, x) < probability
    area = uniform(n, *ERASED_AREA, generator, x)
    limit = math.log(ERASED_ASPECT)
    aspect = uniform(n, -limit, limit, generator, x).exp()
    tall = ((area * aspect).sqrt() * height).round().clamp(1, height)
    wide = ((area / aspect).sqrt() * width).round().clamp(1, width)
    top = (uniform(n, 0, 1, generator, x) * (height - tall + 1)).floor()
    left = (uniform(n, 0, 1, generator, x) * (width - wide + 1)).floor()
    rows = torch.arange(height, device=x.device) - top.view(n, 1)
    columns = torch.arange(width, device=x.device) - left.view(n, 1)
    in_rows = (rows >= 0) & (rows < tall.view(n, 1)) & chosen.view(n, 1)
    in_columns = (columns >= 0) & (columns < wide.view(n, 1))
    inside = in_rows.view(n, 1, height, 1) & in_columns.view(n, 1, 1, width)
    return torch.where(inside, x.mean((2, 3), keepdim=True), x)


def _box(
    height: int, width: int, share: float, rng: np.random.Generator
) -> tuple[int, int, int, int]:
    """CutMix's rectangle: `1 - share` of the area around a random centre, cut at the edges."""
    side = math.sqrt(1 - share)
    tall, wide = round(height * side), round(width * side)
    top = int(rng.integers(height)) - tall // 2
    left = int(rng.integers(width)) - wide // 2
    return max(top, 0), min(top + tall, height), max(left, 0), min(left + wide, width)
