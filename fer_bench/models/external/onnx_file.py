"""`onnx:FILE`: any ONNX classifier of square faces, brought to the form of our own exports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from fer_bench.errors import FerBenchError, one_line
from fer_bench.models.classifier import Classifier, ModelRequest, Option
from fer_bench.models.export_metadata import OUTPUT, ExportMetadata
from fer_bench.models.external.model import ExternalModel, portable_name, read_labels
from fer_bench.models.external.onnx_graph import (
    NEEDS,
    Ends,
    adapted,
    add_metadata,
    input_of,
    load_proto,
    parameters_in,
    read_strings,
)
from fer_bench.models.external.onnx_input import read_input
from fer_bench.models.external.onnx_network import OnnxNetwork, open_session, run, session_errors
from fer_bench.models.external.options import ExternalOptions, options_for
from fer_bench.models.external.probing import require_outputs
from fer_bench.types import InputSpec, Provenance

#: How far from 1 the outputs of a picture may sum to be probabilities.
SUM_TOLERANCE = 1e-3


class OnnxFile:
    """The `models.external.model.ExternalKind` onnx."""

    def open(self, source: str, options: Mapping[str, Option]) -> ExternalModel:
        """See `ExternalKind`."""
        path = Path(source).expanduser()
        asked = options_for(path, options)
        return open_proto(load_proto(path), path.name, portable_name("onnx", source), asked)

    def rebuild(self, request: ModelRequest) -> Classifier:
        """See `ExternalKind`."""
        return rebuild(request)


def rebuild(request: ModelRequest) -> Classifier:
    """A stored network's shell, of the size that its `architecture` tells."""
    network = OnnxNetwork(
        int(request.architecture["bytes"]), int(request.architecture["parameters"])
    )
    nothing = InputSpec(size=8, channels=1, mean=(0.0,), std=(1.0,))  # the card has the true one
    return _classifier(network, request, nothing, Provenance(architecture="ONNX file"))


def open_proto(
    proto: Any, source: str, name: str, options: ExternalOptions, notes: Sequence[str] = ()
) -> ExternalModel:
    """The model in an `onnx.ModelProto`.

    Args:
        source: what messages call it.
        name: what records call it.
        notes: what is to be printed before the rest.

    Raises:
        FerBenchError: as `ExternalKind.open`.
    """
    strings = read_strings(proto)
    if "fer_bench" in strings:
        return _own_export(proto, source, name, options, strings)
    layout = read_input(input_of(proto, source), options, source)
    ends = Ends(input=layout, output=_output(proto, options, source))
    values = _try_out(proto, ends, layout.spec, source)
    stated = options.labels
    if stated is None:
        raise FerBenchError(
            f"{source} does not say what its {values.shape[1]} outputs are: name the emotions in "
            "their order with --labels, such as angry,disgust,fear,happy,sad,surprise,neutral"
        )
    labels, left_out = read_labels(stated, values.shape[1], source, stated=True)
    are_probabilities, decided = _kind_of_outputs(values, options, source)
    ends = replace(ends, are_probabilities=are_probabilities)
    return _model(
        proto,
        source,
        name,
        ends,
        labels=labels,
        spec=layout.spec,
        options=options,
        notes=(*notes, *layout.notes, decided, *left_out),
    )


def _own_export(
    proto: Any, source: str, name: str, options: ExternalOptions, strings: Mapping[str, str]
) -> ExternalModel:
    if options_given := options.as_words():
        raise FerBenchError(
            f"{source} is an export of FER Bench and says itself how it wants its faces: leave "
            f"{', '.join(options_given)} out"
        )
    metadata = ExportMetadata.from_strings(strings, source)
    ends = Ends(input=None, output=OUTPUT)
    values = _try_out(proto, ends, metadata.input_spec, source)
    labels, _ = read_labels(metadata.emotions, values.shape[1], source, stated=True)
    about = f"run {metadata.run}" if metadata.run else f"a {metadata.model}"
    return _model(
        proto,
        source,
        name,
        ends,
        labels=labels,
        spec=metadata.input_spec,
        options=options,
        notes=(f"an export of FER Bench, {about}: labels and preprocessing are its own",),
    )


def _model(
    proto: Any,
    source: str,
    name: str,
    ends: Ends,
    *,
    labels: tuple[str | None, ...],
    spec: InputSpec,
    options: ExternalOptions,
    notes: tuple[str, ...],
) -> ExternalModel:
    parameters = parameters_in(proto)

    def build(emotions: tuple[str, ...], columns: tuple[int, ...]) -> Classifier:
        chosen = columns if columns != tuple(range(len(labels))) else ()
        file = adapted(proto, replace(ends, columns=chosen))
        add_metadata(file, ExportMetadata(model=name, emotions=emotions, input_spec=spec))
        content = _content(file, source)
        request = ModelRequest(
            name=name,
            emotions=emotions,
            architecture={"bytes": len(content), "parameters": parameters},
        )
        provenance = Provenance(architecture=f"ONNX file {source}", weights=source)
        return _classifier(OnnxNetwork(content, parameters), request, spec, provenance).eval()

    return ExternalModel(
        name=name, labels=labels, notes=notes, build=build, options=options.as_words()
    )


def _classifier(
    network: OnnxNetwork, request: ModelRequest, spec: InputSpec, provenance: Provenance
) -> Classifier:
    return Classifier(
        backbone=network,
        head=nn.Identity(),
        feature_size=len(request.emotions),
        input_spec=spec,
        request=request,
        provenance=provenance,
    )


def _content(proto: Any, source: str) -> bytes:
    """Raises FerBenchError for more than fits into one file."""
    from google.protobuf.message import EncodeError

    try:
        return bytes(proto.SerializeToString())
    except (EncodeError, ValueError):  # protobuf's two implementations
        raise FerBenchError(f"{source} is larger than the 2 GB that one ONNX file holds") from None


def _output(proto: Any, options: ExternalOptions, source: str) -> str:
    names = [output.name for output in proto.graph.output]
    if options.output is not None and options.output not in names:
        raise FerBenchError(
            f"{source} has no output {options.output!r:.80}: expected --option output= one of "
            f"{', '.join(names):.160}"
        )
    if options.output is None and len(names) != 1:
        raise FerBenchError(
            f"{source} has {len(names)} outputs ({', '.join(names):.160}): say which one holds the "
            "emotions with --option output=NAME"
        )
    return options.output or names[0]


def session_of(content: bytes, source: str) -> Any:
    """A session of a file.

    Raises:
        FerBenchError: ONNX Runtime cannot open it.
    """
    try:
        errors = session_errors()
    except ImportError as error:
        raise FerBenchError(
            f"onnxruntime is not installed ({error}): {NEEDS}", code="missing_extra"
        ) from None
    try:
        return open_session(content, torch.get_num_threads())
    except errors as error:
        line = one_line(str(error))
        raise FerBenchError(
            f"ONNX Runtime cannot open {source}: {line:.300}; export it again"
        ) from None


def _try_out(proto: Any, ends: Ends, spec: InputSpec, source: str) -> Tensor:
    """The network's own outputs `(8, C)` for `probe_faces`.

    Raises:
        FerBenchError: it cannot be run, or gives something else.
    """
    session = session_of(_content(adapted(proto, ends), source), source)
    return require_outputs(lambda faces: run(session, faces), spec, source)


def _kind_of_outputs(values: Tensor, options: ExternalOptions, source: str) -> tuple[bool, str]:
    """Whether outputs are probabilities, and a sentence about it.

    Raises:
        FerBenchError: it cannot be known, or is not as stated.
    """
    low, high = float(values.min()), float(values.max())
    sums = bool(((values.sum(1) - 1).abs() < SUM_TOLERANCE).all())
    within = low >= -SUM_TOLERANCE and high <= 1 + SUM_TOLERANCE
    if options.outputs == "probabilities" and low < -SUM_TOLERANCE:
        raise FerBenchError(
            f"{source} gives values down to {low:.3g}, which are no probabilities: say --option "
            "outputs=logits"
        )
    if options.outputs is not None:
        return options.outputs == "probabilities", f"its outputs are {options.outputs}, as said"
    if within and sums:
        return True, "its outputs are probabilities (each picture's sum to 1): no softmax is added"
    if within:
        raise FerBenchError(
            f"{source} gives values between 0 and 1 that do not sum to 1 (from {low:.3g} to "
            f"{high:.3g} on plain pictures): say --option outputs=logits (a softmax follows) or "
            "outputs=probabilities (they are scaled to sum to 1)"
        )
    return False, f"its outputs are logits (from {low:.3g} to {high:.3g}): a softmax follows"
