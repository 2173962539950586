"""Faces to model input: the single implementation that training and every later use share."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from fer_bench.errors import FerBenchError
from fer_bench.types import LUMA, InputSpec


def check_faces(images: NDArray[np.uint8] | Tensor) -> None:
    """Refuses what is no batch of faces, uint8 `(B, H, W)` gray or `(B, H, W, 3)` RGB.

    Raises:
        FerBenchError: another type or shape, as of PyTorch's `(B, 3, H, W)` or floats in [0, 1].
    """
    right = images.ndim == 3 or (images.ndim == 4 and images.shape[-1] == 3)
    if images.dtype not in (np.uint8, torch.uint8) or not right:
        raise FerBenchError(
            "expected uint8 images of shape (N, H, W) or (N, H, W, 3), got "
            f"{images.dtype} of shape {tuple(images.shape)}: convert them to 8-bit gray or RGB"
        )


def to_unit(images: NDArray[np.uint8] | Tensor, channels: int) -> Tensor:
    """uint8 `(B, H, W)` gray or `(B, H, W, 3)` RGB to float32 `(B, C', H, W)` in [0, 1].

    C' is 1 for gray faces even where the model wants 3 channels: they are expanded after resizing,
    which is a third of the work and the same result.

    Raises:
        FerBenchError: as `check_faces`.
    """
    check_faces(images)
    if isinstance(images, np.ndarray):  # copied: a memory-mapped batch may be read-only
        images = torch.tensor(np.ascontiguousarray(images))
    x = images.unsqueeze(1) if images.ndim == 3 else images.permute(0, 3, 1, 2)
    x = x.float().div_(255)
    if x.shape[1] == 3 and channels == 1:
        weights = x.new_tensor(LUMA).view(1, 3, 1, 1)
        x = (x * weights).sum(1, keepdim=True)
    return x


def resize(x: Tensor, spec: InputSpec) -> Tensor:
    """`(B, C, H, W)` resized to the spec's square with antialiasing, as Pillow does.

    Bicubic overshoots at edges; Pillow, whose 8-bit images CLIP's networks have seen, clips that
    after each of its passes, along rows and then along columns, and gives whole gray levels.
    """
    size = (spec.size, spec.size)
    if x.shape[-2:] == size:
        return x
    kind, _, eight_bits = spec.interpolation.partition("-")
    if eight_bits:
        return _resize_levels(x, size, kind)
    if kind == "bilinear":
        return F.interpolate(x, size=size, mode="bilinear", antialias=True, align_corners=False)
    for height in (x.shape[-2], spec.size):
        x = F.interpolate(
            x, size=(height, spec.size), mode="bicubic", antialias=True, align_corners=False
        ).clamp_(0, 1)
    return x.mul_(255).round_().div_(255)


def _resize_levels(x: Tensor, size: tuple[int, int], kind: str) -> Tensor:
    """As torchvision resizes 8-bit pictures, bit for bit on a CPU; elsewhere rounded at the end."""
    levels = x.mul(255).round_().clamp_(0, 255)
    if x.device.type == "cpu":
        levels = levels.to(torch.uint8)
    levels = F.interpolate(levels, size=size, mode=kind, antialias=True, align_corners=False)
    return levels.float().round_().clamp_(0, 255).div_(255)


def normalise(x: Tensor, spec: InputSpec, out: Tensor | None = None) -> Tensor:
    """`(x - mean) / std` per channel; a gray batch is expanded to the spec's channels here.

    Args:
        out: as in `to_input`.
    """
    # As bias + x / std: one pass over memory, where (x - mean) / std takes two.
    planes = [
        (x.new_tensor(-mean / std), x[:, min(channel, x.shape[1] - 1)], 1 / std)
        for channel, (mean, std) in enumerate(zip(spec.mean, spec.std, strict=True))
    ]
    if x.requires_grad:  # autograd cannot write into a tensor that is there already
        return torch.stack(
            [torch.add(bias, plane, alpha=scale) for bias, plane, scale in planes], 1
        )
    if out is None:
        out = x.new_empty(len(x), spec.channels, *x.shape[-2:])
    for channel, (bias, plane, scale) in enumerate(planes):
        torch.add(bias, plane, alpha=scale, out=out[:, channel])
    return out


def to_input(
    images: NDArray[np.uint8] | Tensor, spec: InputSpec, out: Tensor | None = None
) -> Tensor:
    """uint8 faces `(B, H, W)` or `(B, H, W, 3)` RGB to float32 `(B, channels, size, size)`.

    Args:
        out: where to write the result, of that shape, instead of a new tensor. A loop that is done
            with each batch before the next saves its page faults, most of the time at 224 px (38
            MB).

    Raises:
        FerBenchError: as `check_faces`.
    """
    return normalise(resize(to_unit(images, spec.channels), spec), spec, out)
