"""Trying a network out on plain pictures before it is trusted with faces."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from fer_bench.errors import FerBenchError, one_line
from fer_bench.types import InputSpec


def probe_faces(spec: InputSpec) -> Tensor:
    """Eight pictures as a network wants them: noise of two kinds, black, white and ramps."""
    generator = torch.Generator().manual_seed(0)
    shape = (spec.channels, spec.size, spec.size)
    noise = torch.rand(2, *shape, generator=generator)
    coarse = torch.rand(2, spec.channels, 4, 4, generator=generator)
    ramp = torch.linspace(0, 1, spec.size).expand(shape)
    plain = torch.stack([torch.zeros(shape), torch.ones(shape), ramp, ramp.transpose(1, 2)])
    faces = torch.cat([noise, nn.functional.interpolate(coarse, shape[1:]), plain])
    mean, std = (torch.tensor(values).view(1, -1, 1, 1) for values in (spec.mean, spec.std))
    return (faces.mul(255).round().div(255) - mean) / std


def require_outputs(
    forward: Callable[[Tensor], Tensor],
    spec: InputSpec,
    source: str,
    doubtful: str = "check --input-size, --layout and --colour",
) -> Tensor:
    """What a network gives for `probe_faces`, `(8, C)`.

    Args:
        doubtful: what may be wrong where it cannot take them.

    Raises:
        FerBenchError: it cannot take them, gives no row for each, or values that are not finite.
    """
    faces = probe_faces(spec)
    try:
        outputs = forward(faces)
    except (RuntimeError, FerBenchError, ValueError) as error:
        raise FerBenchError(
            f"{source} cannot be run on {spec.size} px faces of {spec.channels} channels: "
            f"{one_line(str(error)):.200}; {doubtful}"
        ) from None
    if outputs.ndim != 2 or len(outputs) != len(faces) or outputs.shape[1] < 2:
        raise FerBenchError(
            f"{source} gives values of shape {tuple(outputs.shape)} for {len(faces)} faces: "
            f"expected ({len(faces)}, emotions), a classifier's"
        )
    if not torch.isfinite(outputs).all():
        raise FerBenchError(
            f"{source} gives values that are not finite (NaN or infinite) for plain pictures: its "
            "weights are broken, or it wants other values (--value-range, --mean, --std)"
        )
    return outputs.float()
