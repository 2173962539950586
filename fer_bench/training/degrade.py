"""What a webcam takes from training images: blur, resolution, light, noise, compression.

Drawn anew for each image from the ranges of `Augmentation`, in the order in which a camera adds
them. Robustness is measured with other code and fixed severities (`data.corruptions`).
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from fer_bench.specs.recipe import Augmentation
from fer_bench.training.augment import uniform

#: Photons that white stands for at full light: the fewer, the noisier; drawn log-uniformly.
PHOTONS = (100.0, 1000.0)
#: The luminance table of JPEG's annex K.1 (ITU-T T.81), for quality 50.
LUMINANCE = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)


def degrade(x: Tensor, config: Augmentation, generator: Generator) -> Tensor:
    """A batch with less quality; the same generator state gives the same batch.

    Args:
        x: float `(B, C, H, W)` in [0, 1], C = 1 or 3; left as it is.
        config: each degradation that is on hits each image with probability `config.degrade`.
        generator: draws all randomness; one on the CPU gives the same draw on every device.

    Returns:
        float `(B, C, H, W)` in [0, 1]; `x` itself where nothing is on.
    """
    if not config.degrade:
        return x
    steps = (
        (config.blur > 0, _blur, config.blur),
        (config.resolution < 1, _shrink, config.resolution),
        (config.light < 1, _dim, config.light),
        (config.noise > 0, _add_noise, config.noise),
        (config.jpeg < 100, _compress, float(config.jpeg)),
    )
    for is_on, step, strongest in steps:
        if is_on:
            hit = (uniform(len(x), 0, 1, generator, x) < config.degrade).nonzero().squeeze(1)
            if len(hit):
                x = x.index_copy(0, hit, step(x[hit], strongest, generator))
    return x


def _normal(x: Tensor, generator: Generator) -> Tensor:
    return torch.randn(x.shape, generator=generator, device=generator.device).to(x)


def _blur(x: Tensor, widest: float, generator: Generator) -> Tensor:
    """An oval Gaussian in a random direction: round as out of focus, long as of a moving head."""
    n, channels, height, width = x.shape
    side = min(height, width)
    along = uniform(n, 0, widest * side, generator, x).clamp_min(1e-2).view(n, 1, 1)
    across = (along * uniform(n, 0, 1, generator, x).view(n, 1, 1)).clamp_min(1e-2)
    angle = uniform(n, 0, math.pi, generator, x).view(n, 1, 1)
    radius = min(math.ceil(2.5 * widest * side), side - 1)
    offsets = torch.arange(-radius, radius + 1, device=x.device, dtype=x.dtype)
    down, right = torch.meshgrid(offsets, offsets, indexing="ij")
    u = torch.cos(angle) * right + torch.sin(angle) * down
    v = torch.cos(angle) * down - torch.sin(angle) * right
    kernels = torch.exp(-0.5 * ((u / along).square() + (v / across).square()))
    kernels = kernels / kernels.sum((1, 2), keepdim=True)
    kernels = kernels.repeat_interleave(channels, 0).unsqueeze(1)
    padded = F.pad(x, (radius,) * 4, mode="reflect").flatten(0, 1).unsqueeze(0)
    return F.conv2d(padded, kernels, groups=n * channels).view_as(x).clamp(0, 1)


def _shrink(x: Tensor, smallest: float, generator: Generator) -> Tensor:
    """Fewer pixels, enlarged again."""
    height, width = x.shape[-2:]
    shares = uniform(len(x), smallest, 1, generator, x).tolist()
    sizes = [(max(1, round(height * s)), max(1, round(width * s))) for s in shares]
    small = [F.interpolate(f[None], size, mode="area") for f, size in zip(x, sizes, strict=True)]
    return torch.cat([F.interpolate(f, (height, width), mode="bilinear") for f in small])


def _dim(x: Tensor, darkest: float, generator: Generator) -> Tensor:
    """Less light, and the shot noise of the photons that are left (as a Gaussian)."""
    n = len(x)
    light = uniform(n, math.log(darkest), 0, generator, x).exp().view(n, 1, 1, 1)
    low, high = map(math.log, PHOTONS)
    photons = uniform(n, low, high, generator, x).exp().view(n, 1, 1, 1)
    dark = x * light
    return (dark + _normal(x, generator) * (dark / photons).sqrt()).clamp(0, 1)


def _add_noise(x: Tensor, strongest: float, generator: Generator) -> Tensor:
    sigma = uniform(len(x), 0, strongest, generator, x).view(-1, 1, 1, 1)
    return (x + _normal(x, generator) * sigma).clamp(0, 1)


def _compress(x: Tensor, lowest: float, generator: Generator) -> Tensor:
    """JPEG's loss: 8 x 8 cosine coefficients rounded to steps by quality, as libjpeg scales them.

    Every channel as luminance, as colour is no part of what the networks here read.
    """
    height, width = x.shape[-2:]
    quality = uniform(len(x), lowest, 100, generator, x).round()
    scale = torch.where(quality < 50, 5000 / quality, 200 - 2 * quality).view(-1, 1, 1, 1, 1, 1)
    table = x.new_tensor(LUMINANCE).view(1, 1, 1, 8, 1, 8)
    steps = ((table * scale + 50) / 100).floor().clamp(1, 255)
    padded = F.pad(x, (0, -width % 8, 0, -height % 8), mode="replicate")
    rows, columns = padded.shape[2] // 8, padded.shape[3] // 8
    blocks = padded.view(*padded.shape[:2], rows, 8, columns, 8) * 255 - 128
    cosine = _cosine(x)
    # `(n, channels, block row, row in block, block column, column in block)` throughout.
    spectrum = torch.einsum("ur,ncarbs,vs->ncaubv", cosine, blocks, cosine)
    spectrum = (spectrum / steps).round() * steps
    blocks = torch.einsum("ur,ncaubv,vs->ncarbs", cosine, spectrum, cosine)
    restored = blocks.flatten(4, 5).flatten(2, 3)[..., :height, :width]
    return ((restored + 128) / 255).clamp(0, 1)


def _cosine(like: Tensor) -> Tensor:
    """The orthonormal 8-point DCT-II, `(frequency, position)`."""
    position = torch.arange(8, device=like.device, dtype=like.dtype)
    frequency = position.view(8, 1)
    basis = torch.cos(math.pi / 8 * (position + 0.5) * frequency) / 2
    basis[0] /= math.sqrt(2)
    return basis
