"""A network layer by layer: shapes, parameters, operations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from fer_bench.models.build import build_model
from fer_bench.models.classifier import Classifier, ModelRequest
from fer_bench.models.external.onnx_network import OnnxNetwork, holds_onnx
from fer_bench.models.flops import count_parameters, without_fastpath


@dataclass(frozen=True, kw_only=True)
class Layer:
    """A module that has no parts, or has parameters or operations of its own.

    Attributes:
        name: as in the state dict, such as `backbone.layer1.0.conv1`.
        kind: its class.
        output: shape of what it gives for one image, without the batch; () where that is no tensor.
        parameters, trainable, flops: without those of its parts; a multiply and an add are two
            operations.
    """

    name: str
    kind: str
    output: tuple[int, ...]
    parameters: int
    trainable: int
    flops: int


@dataclass(frozen=True, kw_only=True)
class ModelSummary:
    """A network: its rows in the order in which they are defined; `flops` of one image.

    They are None where an ONNX file is in it, whose operations PyTorch does not see.
    """

    model: str
    input: tuple[int, ...]
    layers: tuple[Layer, ...]
    parameters: int
    trainable: int
    flops: int | None


def outline(request: ModelRequest) -> Classifier:
    """A model without weights, on PyTorch's meta device: no download, no work.

    Raises:
        FerBenchError: as `build_model`.
    """
    with torch.device("meta"):
        return build_model(request)


def summarize(model: Classifier) -> ModelSummary:
    """Runs the network once on zeros, on its own device; on the meta device that costs nothing."""
    spec = model.input_spec
    shape = (spec.channels, spec.size, spec.size)
    parts = {name: part for name, part in model.named_modules() if name}
    outputs: dict[str, tuple[int, ...]] = {}
    hooks = [
        part.register_forward_hook(partial(_note, outputs, name)) for name, part in parts.items()
    ]
    was_training = model.training
    counter = FlopCounterMode(display=False)
    try:
        device = next((p.device for p in model.parameters()), torch.device("cpu"))
        with torch.no_grad(), without_fastpath(), counter:
            model.eval()(torch.zeros(1, *shape, device=device))
    finally:
        model.train(was_training)
        for hook in hooks:
            hook.remove()
    totals = _totals(counter, type(model).__name__, parts)
    layers = [_layer(name, part, outputs, totals) for name, part in parts.items()]
    parameters, trainable = count_parameters(model)
    return ModelSummary(
        model=model.request.name,
        input=shape,
        layers=tuple(
            layer
            for layer in layers
            if layer.parameters or layer.flops or not list(parts[layer.name].children())
        ),
        parameters=parameters,
        trainable=trainable,
        flops=None if holds_onnx(model) else int(counter.get_total_flops()),
    )


def _note(
    outputs: dict[str, tuple[int, ...]], name: str, part: nn.Module, given: Any, output: Any
) -> None:
    """A forward hook: the first shape that a module gives."""
    first = output[0] if isinstance(output, tuple) and output else output
    shape = tuple(first.shape[1:]) if isinstance(first, Tensor) else ()
    outputs.setdefault(name, shape)


def _totals(counter: FlopCounterMode, root: str, parts: Mapping[str, nn.Module]) -> dict[str, int]:
    """Operations by module, those of its parts included."""
    counted = {
        name.removeprefix(f"{root}."): sum(operations.values())
        for name, operations in counter.get_flop_counts().items()
    }
    totals: dict[str, int] = {}
    for name, part in reversed(list(parts.items())):  # the parts of a module come after it
        within = sum(totals[f"{name}.{child}"] for child, _ in part.named_children())
        totals[name] = counted.get(name, within)  # one that is passed over has what its parts have
    return totals


def _layer(
    name: str, part: nn.Module, outputs: dict[str, tuple[int, ...]], totals: dict[str, int]
) -> Layer:
    own = list(part.parameters(recurse=False))
    within = sum(totals[f"{name}.{child}"] for child, _ in part.named_children())
    inside = part.parameters_inside if isinstance(part, OnnxNetwork) else 0
    return Layer(
        name=name,
        kind=type(part).__name__,
        output=outputs.get(name, ()),
        parameters=sum(p.numel() for p in own) + inside,
        trainable=sum(p.numel() for p in own if p.requires_grad),
        flops=totals[name] - within,
    )
