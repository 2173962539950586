"""The one input of an ONNX classifier: what it says of it, and what has to be stated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fer_bench.errors import FerBenchError
from fer_bench.models.external.options import ExternalOptions
from fer_bench.types import InputSpec

#: Numbers of `onnx.TensorProto`'s types.
FLOAT, UINT8, FLOAT16, DOUBLE = 1, 2, 10, 11


@dataclass(frozen=True, kw_only=True)
class GraphInput:
    """An input as the file declares it; None for sides that it leaves open."""

    name: str
    kind: int
    shape: tuple[int | None, ...]


@dataclass(frozen=True, kw_only=True)
class OnnxInput:
    """How faces reach the network's input.

    Attributes:
        spec: how they are prepared, in RGB order or gray, channels first.
        channels: of the input itself.
        layout, colour: its order of axes and channels.
    """

    graph: GraphInput
    spec: InputSpec
    channels: int
    layout: str
    colour: str
    notes: tuple[str, ...]


def graph_input(value: Any) -> GraphInput:
    """An `onnx.ValueInfoProto` in plain values."""
    tensor = value.type.tensor_type
    shape = tuple(
        dim.dim_value if dim.HasField("dim_value") and dim.dim_value > 0 else None
        for dim in tensor.shape.dim
    )
    return GraphInput(name=value.name, kind=tensor.elem_type, shape=shape)


def read_input(graph: GraphInput, options: ExternalOptions, source: str) -> OnnxInput:
    """How a network wants its faces.

    Raises:
        FerBenchError: no picture of a square face, what is left open and not stated, or what is
            stated and cannot be.
    """
    _require_picture(graph, source)
    layout, missing = _layout(graph, options, source)
    across = graph.shape[2:] if layout == "nchw" else graph.shape[1:3]
    stated = graph.shape[1] if layout == "nchw" else graph.shape[3]
    if stated not in (None, 1, 3):
        raise FerBenchError(
            f"{source} takes pictures of {stated} channels: expected 1 (gray) or 3 (colour)"
        )
    size = _size(across, options, source)
    if size is None:
        missing.append("the side of its input (--input-size)")
    colour = _colour(stated, options, source)
    if colour is None:
        missing.append("the order of its colours (--colour rgb, bgr or gray)")
    if options.value_range is None and options.mean is None:
        missing.append(
            "what values it takes (--value-range 0,1 or 0,255 or -1,1, and --mean and --std)"
        )
    if missing and options.labels is None:
        missing.insert(0, "its emotions (--labels angry,disgust,…, in the outputs' order)")
    if missing or size is None or colour is None:
        raise FerBenchError(
            f"{source} does not say {' nor '.join(missing)}: say it, or write the same keys into a "
            "YAML file of its name"
        )
    channels = stated or (1 if colour == "gray" else 3)
    return _put_together(graph, options, source, layout, size, colour, channels)


def _put_together(
    graph: GraphInput,
    options: ExternalOptions,
    source: str,
    layout: str,
    size: int,
    colour: str,
    channels: int,
) -> OnnxInput:
    spec_channels = 1 if colour == "gray" else 3
    mean, std = _constants(options, colour, channels, source)
    if graph.kind == UINT8 and (options.mean or options.value_range != (0, 255)):
        raise FerBenchError(
            f"{source} takes whole numbers of 8 bits: expected --value-range 0,255 without --mean"
        )
    spec = InputSpec(
        size=size,
        channels=1 if spec_channels == 1 else 3,
        mean=mean,
        std=std,
        interpolation=options.interpolation,
    )
    words = {"gray": "gray", "rgb": "red, green, blue", "bgr": "blue, green, red"}[colour]
    low, high = ((side - spec.mean[0]) / spec.std[0] for side in (0, 1))
    note = (
        f"its faces: {size} x {size} px, {words}, {layout.upper()}, black is {low:.3g} and white "
        f"{high:.3g}, resized {spec.interpolation}"
    )
    return OnnxInput(
        graph=graph, spec=spec, channels=channels, layout=layout, colour=colour, notes=(note,)
    )


def _require_picture(graph: GraphInput, source: str) -> None:
    if len(graph.shape) != 4:
        raise FerBenchError(
            f"the input {graph.name!r:.80} of {source} has {len(graph.shape)} axes: expected 4, "
            "pictures of faces (batch, channels, height, width)"
        )
    if graph.kind not in (FLOAT, UINT8, FLOAT16, DOUBLE):
        raise FerBenchError(
            f"the input {graph.name!r:.80} of {source} holds no pixels (ONNX type {graph.kind}): "
            "expected floating-point numbers or uint8"
        )
    if graph.shape[0] not in (None, 1):
        raise FerBenchError(
            f"{source} takes {graph.shape[0]} faces at a time: export it for one, or for any number"
        )


def _layout(graph: GraphInput, options: ExternalOptions, source: str) -> tuple[str, list[str]]:
    """`nchw` or `nhwc`, and what is missing to know it."""
    if options.layout is not None:
        return options.layout, []
    first, last = (graph.shape[axis] for axis in (1, 3))
    able = [name for name, n in (("nchw", first), ("nhwc", last)) if n in (1, 3)]
    if not able and None not in (first, last):
        raise FerBenchError(
            f"{source} takes pictures of shape {graph.shape[1:]}: expected 1 (gray) or 3 (colour) "
            "channels, first or last"
        )
    if len(able) == 1:
        return able[0], []
    return "nchw", ["the order of its axes (--layout nchw or nhwc)"]


def _size(across: Sequence[int | None], options: ExternalOptions, source: str) -> int | None:
    known = [side for side in across if side is not None]
    if len(set(known)) > 1:
        raise FerBenchError(
            f"{source} takes faces of {known[0]} x {known[1]} px: expected a square"
        )
    if known and options.input_size not in (None, known[0]):
        raise FerBenchError(
            f"{source} takes faces of {known[0]} px, got --input-size {options.input_size}: leave "
            "it out"
        )
    return known[0] if known else options.input_size


def _colour(channels: int | None, options: ExternalOptions, source: str) -> str | None:
    if channels == 1 and options.colour not in (None, "gray"):
        raise FerBenchError(
            f"{source} takes pictures of one channel, got --colour {options.colour}: say gray, or "
            "leave it out"
        )
    return "gray" if channels == 1 else options.colour


def _constants(
    options: ExternalOptions, colour: str, channels: int, source: str
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and std of values in [0, 1], in RGB order, of gray faces one each."""
    low, high = options.value_range or (0.0, 1.0)
    if high <= low:
        raise FerBenchError(f"expected --value-range LOW,HIGH, got {low:g},{high:g}")
    means, stds = options.mean or (0.0,), options.std or (1.0,)
    for what, values in (("mean", means), ("std", stds)):
        if len(values) not in (1, channels):
            raise FerBenchError(
                f"{source} takes {channels} channels, got {len(values)} values for --{what}: "
                f"expected 1 or {channels}"
            )
    if min(stds) <= 0:
        raise FerBenchError(f"expected --std above 0, got {min(stds):g}")
    if options.value_range is None and max(map(abs, means)) > 1:
        raise FerBenchError(
            f"a --mean of {max(means):g} is no part of values from 0 to 1: say --value-range too, "
            "such as 0,255"
        )
    wide = [list(values) * (channels if len(values) == 1 else 1) for values in (means, stds)]
    if colour == "gray":
        if any(len(set(values)) > 1 for values in wide):
            raise FerBenchError(
                f"{source} takes gray faces: expected one --mean and one --std for all channels"
            )
        wide = [values[:1] for values in wide]
    if colour == "bgr":
        wide = [values[::-1] for values in wide]
    span = high - low
    return tuple((m - low) / span for m in wide[0]), tuple(s / span for s in wide[1])
