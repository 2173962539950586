"""Where in a network every part of an image still has a place of its own."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from fer_bench.errors import FerBenchError
from fer_bench.models.classifier import Classifier
from fer_bench.models.external.onnx_network import holds_onnx

#: Places along a side from which on a map tells parts of a face apart. ResNet-18's last map of a
#: 48 px face is 2 x 2: covering the hottest fifth of the face cost its answer 0.08 of probability,
#: by its 6 x 6 map 0.27 (60 FER2013 faces).
FINE_ENOUGH = 6
#: Places along a side of the map that sharpens it. On 16 FER2013 faces and the shipped default,
#: covering the hottest fifth cost the answer 0.26 of probability by the 6 x 6 map alone, 0.49 by
#: both; 0.46 where it was chosen by occlusion itself, squares of 12 px. The two kinds of map then
#: agree in rank by 0.41 instead of 0.40 (0.33 without softening both by a pixel of 48 first).
SHARP = 24


@dataclass(frozen=True, kw_only=True)
class LayerMap:
    """Where a network still has a place for every part of the image.

    Attributes:
        side: places along a side.
        margin: share of the image's side before the first place and after the last.
    """

    layer: nn.Module
    side: int
    margin: float


def find_maps(model: Classifier, x: Tensor, name: str) -> list[LayerMap]:
    """The map of the last module to run that gives one fine enough, else of the last at all; then
    that of the last one that is sharp, else of the sharpest, where it has more places.

    A map comes from a part with a convolution in it (in a residual network a whole stage, after
    its sum) or from the first norm of a transformer's block.

    Raises:
        FerBenchError: there is none larger than one place.
    """
    if holds_onnx(model):
        raise FerBenchError(
            f"cannot show where {name} looked: its network is an ONNX file, which gives no "
            "gradients; choose another model"
        )
    firsts = {id(norm) for block in model.modules() for norm in _norms(block)[:1]}
    maps: list[LayerMap] = []
    margin, seen = 0.0, set()

    def note(module: nn.Module, inputs: tuple[Tensor, ...], output: object) -> None:
        nonlocal margin
        if not isinstance(output, Tensor):
            return
        if isinstance(module, nn.Conv2d) and module.stride == (1, 1):
            before, after = inputs[0].shape[-1], output.shape[-1]
            if after < before and (before, after) not in seen:  # once for parallel branches
                seen.add((before, after))
                margin += (before - after) / 2 * (1 - 2 * margin) / before
        if side := _side(module, output):
            maps.append(LayerMap(layer=module, side=side, margin=margin))

    handles = [
        module.register_forward_hook(note)
        for module in model.modules()
        if id(module) in firsts or any(isinstance(part, nn.Conv2d) for part in module.modules())
    ]
    with torch.no_grad():
        model(x)
    for handle in handles:
        handle.remove()
    if not maps:
        raise FerBenchError(
            f"cannot show where {name} looked: expected a network with a convolution or "
            "transformer blocks that keep a map of the image, found neither; choose another model"
        )
    backwards = maps[::-1]
    late = next((m for m in backwards if m.side >= FINE_ENOUGH), maps[-1])
    sharpest = max(backwards, key=lambda m: m.side)
    early = next((m for m in backwards if m.side >= SHARP), sharpest)
    return [late, early] if early.side > late.side else [late]


def _norms(block: nn.Module) -> list[nn.Module]:
    """The layer norms of a transformer's block: it has one before attention, one before its MLP."""
    norms = [child for child in block.children() if is_token_norm(child)]
    return norms if len(norms) > 1 else []


def is_token_norm(module: nn.Module) -> bool:
    return isinstance(module, (nn.LayerNorm, nn.RMSNorm))


def _side(module: nn.Module, output: Tensor) -> int:
    """Places along a side of tokens `(1, N, D)` or `(1, H, W, D)`, or of a square map
    `(1, C, H, W)`; 0 where the output is neither, or a single place."""
    side = 0
    if isinstance(module, (nn.LayerNorm, nn.RMSNorm)):
        if output.ndim in (3, 4) and output.shape[-1] == module.normalized_shape[-1]:
            side = math.isqrt(math.prod(output.shape[1:-1]))
    elif output.ndim == 4 and output.shape[2] == output.shape[3]:
        side = output.shape[2]
    return side if side > 1 and len(output) == 1 else 0


def tokens_to_map(tokens: Tensor) -> Tensor:
    """`(1, N, D)` or `(1, H, W, D)` to `(1, D, H, W)`; class and register tokens, which stand
    before those of the square image, are dropped."""
    if tokens.ndim == 3:
        side = math.isqrt(tokens.shape[1])
        tokens = tokens[:, -side * side :].reshape(1, side, side, -1)
    return tokens.permute(0, 3, 1, 2)
