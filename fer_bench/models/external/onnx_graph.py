"""ONNX files as graphs: read with care, and given the ends of our own exports.

The network itself stays as it is: before it, faces are brought into its order of axes and colours;
after it, its probabilities become logarithms and outputs that are left out fall away.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fer_bench.errors import FerBenchError, cannot_read, one_line, wrong_kind
from fer_bench.models.export_metadata import INPUT, OUTPUT, ExportMetadata
from fer_bench.models.external.onnx_input import FLOAT, UINT8, GraphInput, OnnxInput, graph_input

#: Keeps the logarithm of a probability finite.
TINY = 1e-12
#: Begins the names that are ours.
OURS = "fer_bench_"
NEEDS = "pip install onnx onnxruntime (or 'fer-bench[fast]')"


@dataclass(frozen=True, kw_only=True)
class Ends:
    """What is put before a network and after it.

    Attributes:
        input: None where it takes faces as they are, under our name for them.
        columns: the outputs that count, in their new order; () for all as they are.
    """

    input: OnnxInput | None
    output: str
    are_probabilities: bool = False
    columns: tuple[int, ...] = ()


def load_proto(path: Path) -> Any:
    """An `onnx.ModelProto` with all its weights inside.

    Raises:
        FerBenchError: no such file, a damaged one, or weights in another file that is not there.
    """
    try:
        import onnx
        from google.protobuf.message import DecodeError
        from onnx.checker import ValidationError
    except ImportError as error:
        raise FerBenchError(
            f"{error.name} is not installed: {NEEDS}", code="missing_extra"
        ) from None
    try:
        proto = onnx.load(path, load_external_data=False)
    except OSError as error:
        raise cannot_read(path, error) from None
    except DecodeError:
        what = wrong_kind(path) or "is damaged, or no ONNX file at all"
        raise FerBenchError(f"{path} {what}") from None
    if not proto.graph.node:
        what = wrong_kind(path) or "holds no network: it is damaged, or no ONNX file at all"
        raise FerBenchError(f"{path} {what}")
    elsewhere = _files_of_weights(proto)
    try:
        onnx.load_external_data_for_model(proto, str(path.parent))
    except (OSError, ValueError, ValidationError):
        raise FerBenchError(
            f"{path.name} keeps its weights in {', '.join(elsewhere):.160}, which is not whole "
            "next to it: copy it there"
        ) from None
    return proto


def _files_of_weights(proto: Any) -> list[str]:
    return sorted(
        {
            one_line(entry.value)
            for tensor in proto.graph.initializer
            for entry in tensor.external_data
            if entry.key == "location"
        }
    )


def input_of(proto: Any, source: str) -> GraphInput:
    """The network's one input.

    Raises:
        FerBenchError: it has none, or several.
    """
    weights = {tensor.name for tensor in proto.graph.initializer}
    inputs = [value for value in proto.graph.input if value.name not in weights]
    if len(inputs) != 1:
        names = ", ".join(value.name for value in inputs)
        raise FerBenchError(
            f"{source} has {len(inputs)} inputs ({names:.160}): expected one, pictures of faces"
        )
    return graph_input(inputs[0])


def parameters_in(proto: Any) -> int:
    """How many numbers a network holds: those of its initialisers."""
    count = 0
    for tensor in proto.graph.initializer:
        size = 1
        for side in tensor.dims:
            size *= side
        count += size
    return count


def read_strings(proto: Any) -> dict[str, str]:
    """What a file says about itself, as keys and values."""
    return {entry.key: entry.value for entry in proto.metadata_props}


def add_metadata(proto: Any, metadata: ExportMetadata) -> None:
    """Writes the metadata into an `onnx.ModelProto`, in place of what it had."""
    del proto.metadata_props[:]
    for key, value in metadata.as_strings().items():
        proto.metadata_props.add(key=key, value=value)
    proto.doc_string = metadata.preprocessing


def adapted(proto: Any, ends: Ends) -> Any:
    """A copy whose one input is `faces`, as our preprocessing gives them, and one output `logits`.

    Args:
        proto: left as it is.
    """
    model = copy.deepcopy(proto)
    graph = model.graph
    if ends.input is None and ends.output == OUTPUT and not ends.columns:
        return model
    renamed = {OUTPUT: f"{OURS}{OUTPUT}"}
    if ends.input is not None:
        renamed[INPUT] = f"{OURS}{INPUT}"
    _rename(graph, renamed)
    if ends.input is not None:
        _before(graph, ends.input, renamed.get(ends.input.graph.name, ends.input.graph.name))
    _after(graph, ends, renamed.get(ends.output, ends.output))
    return model


def _rename(graph: Any, names: Mapping[str, str]) -> None:
    """Renames tensors everywhere in a graph, in those inside it, too."""
    for value in (*graph.input, *graph.output, *graph.value_info, *graph.initializer):
        value.name = names.get(value.name, value.name)
    for node in graph.node:
        for ends in (node.input, node.output):
            ends[:] = [names.get(name, name) for name in ends]
        for attribute in node.attribute:
            for inside in (attribute.g, *attribute.graphs):
                if inside.node:
                    _rename(inside, names)


def _before(graph: Any, layout: OnnxInput, inner: str) -> None:
    """Puts `faces` before a network's input: gray repeated, colours turned, axes in its order."""
    from onnx import helper

    steps: list[tuple[str, dict[str, Any]]] = []
    nodes, last = [], INPUT
    if layout.channels == 3 and layout.spec.channels == 1:
        nodes.append(helper.make_node("Concat", [last] * 3, [f"{OURS}repeated"], axis=1))
        last = f"{OURS}repeated"
    if layout.colour == "bgr":
        nodes += [
            _constant(f"{OURS}bgr", [2, 1, 0]),
            helper.make_node("Gather", [last, f"{OURS}bgr"], [f"{OURS}turned"], axis=1),
        ]
        last = f"{OURS}turned"
    if layout.layout == "nhwc":
        steps.append(("Transpose", {"perm": [0, 2, 3, 1]}))
    if layout.graph.kind == UINT8:
        steps.append(("Round", {}))
    if layout.graph.kind != FLOAT:
        steps.append(("Cast", {"to": layout.graph.kind}))
    steps = steps or [("Identity", {})]
    for number, (kind, attributes) in enumerate(steps):
        name = inner if number == len(steps) - 1 else f"{OURS}step_{number}"
        nodes.append(helper.make_node(kind, [last], [name], **attributes))
        last = name
    for node in reversed(nodes):
        graph.node.insert(0, node)
    weights = {tensor.name for tensor in graph.initializer}
    weight_inputs = [value for value in graph.input if value.name in weights]
    batch = layout.graph.shape[0] or "batch"
    spec = layout.spec
    shape = [batch, spec.channels, spec.size, spec.size]
    del graph.input[:]
    graph.input.extend([helper.make_tensor_value_info(INPUT, FLOAT, shape), *weight_inputs])


def _after(graph: Any, ends: Ends, inner: str) -> None:
    """Puts `logits` after a network's output."""
    from onnx import helper

    nodes, last = [], inner
    kind = next(v.type.tensor_type for v in graph.output if v.name == inner)
    if kind.elem_type != FLOAT:
        nodes.append(helper.make_node("Cast", [last], [f"{OURS}float"], to=FLOAT))
        last = f"{OURS}float"
    if len(kind.shape.dim) != 2:
        nodes.append(helper.make_node("Flatten", [last], [f"{OURS}flat"], axis=1))
        last = f"{OURS}flat"
    if ends.are_probabilities:
        nodes += [
            _constant(f"{OURS}tiny", [TINY]),
            helper.make_node("Add", [last, f"{OURS}tiny"], [f"{OURS}above_zero"]),
            helper.make_node("Log", [f"{OURS}above_zero"], [f"{OURS}log"]),
        ]
        last = f"{OURS}log"
    if ends.columns:
        nodes += [
            _constant(f"{OURS}columns", ends.columns),
            helper.make_node("Gather", [last, f"{OURS}columns"], [f"{OURS}chosen"], axis=1),
        ]
        last = f"{OURS}chosen"
    nodes.append(helper.make_node("Identity", [last], [OUTPUT]))
    graph.node.extend(nodes)
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info(OUTPUT, FLOAT, ["batch", None]))


def _constant(name: str, values: Any) -> Any:
    """A node rather than an initialiser, which old files must list among their inputs, too."""
    from onnx import TensorProto, helper

    kind = TensorProto.FLOAT if isinstance(values[0], float) else TensorProto.INT64
    tensor = helper.make_tensor(name, kind, [len(values)], values)
    return helper.make_node("Constant", [], [name], value=tensor)
