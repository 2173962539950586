"""Networks as ONNX: made of a classifier, opened again, and asked what they are.

ONNX Runtime and the exporter are imported on first use: they take a second together.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from fer_bench.backends.base import Forward, Unavailable, first_line
from fer_bench.backends.quantize import has_attention, quantise_onnx
from fer_bench.errors import FerBenchError, cannot_read
from fer_bench.models.classifier import Classifier
from fer_bench.models.export_metadata import (
    INPUT,
    OUTPUT,
    ExportMetadata,
    ExportPrecision,
    describe,
)
from fer_bench.models.external.onnx_graph import add_metadata
from fer_bench.models.external.onnx_network import OnnxNetwork, session_errors
from fer_bench.models.external.onnx_network import open_session as start_session

if TYPE_CHECKING:
    import onnxruntime


class OnnxFile:
    """The `backends.export.export.ExportFormat` onnx."""

    suffixes = (".onnx",)
    precisions: tuple[ExportPrecision, ...] = ("fp32", "int8")
    packages = ("onnx", "onnxruntime")

    def convert(
        self, model: Classifier, metadata: ExportMetadata, calibration: Tensor | None
    ) -> dict[str, bytes]:
        """See `ExportFormat`."""
        onnx = to_onnx(model, metadata)
        if calibration is not None:
            onnx = quantise_onnx(onnx, calibration, attends=has_attention(model))
        return {".onnx": onnx}

    def read_metadata(self, path: Path) -> ExportMetadata:
        """See `ExportFormat`."""
        return read_metadata(path)

    def open(self, path: Path) -> Forward:
        """See `ExportFormat`."""
        session = open_session(path, torch.get_num_threads())

        def forward(x: Tensor) -> Tensor:
            return torch.from_numpy(session.run(None, {INPUT: x.contiguous().numpy()})[0])

        return forward


def to_onnx(model: Classifier, metadata: ExportMetadata | None = None) -> bytes:
    """A classifier as an ONNX file: input `faces`, output `logits`, any batch size, fp32.

    Args:
        model: in eval mode, on the CPU; left as it is.
        metadata: of the file; by default what the model itself says.

    Raises:
        Unavailable: a package is missing, or the model cannot be converted.
    """
    _require("onnx", "onnxscript")
    from google.protobuf.message import EncodeError

    if isinstance(model.backbone, OnnxNetwork):
        import onnx

        file = onnx.load_from_string(model.backbone.content)
        add_metadata(file, metadata or describe(model))
        return bytes(file.SerializeToString())
    spec = model.input_spec
    sample = torch.zeros(2, spec.channels, spec.size, spec.size)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the exporter's notes on its own dependencies
            program = torch.onnx.export(
                model,
                (sample,),
                dynamo=True,
                verbose=False,
                input_names=[INPUT],
                output_names=[OUTPUT],
                dynamic_shapes=({0: torch.export.Dim("batch")},),
            )
        assert program is not None  # nosec B101  # it is, with dynamo
        proto = program.model_proto
        _forget_origin(proto)
        add_metadata(proto, metadata or describe(model))
        return bytes(proto.SerializeToString())
    except torch.onnx.OnnxExporterError as error:
        line = first_line(error.__cause__ or error)
        raise Unavailable(f"{model.request.name} cannot be converted to ONNX: {line}") from error
    except EncodeError as error:
        raise Unavailable(
            f"{model.request.name} cannot be converted to ONNX: it is larger than the 2 GB that "
            "one file may hold"
        ) from error


def read_metadata(path: Path) -> ExportMetadata:
    """What an ONNX file of ours says about itself.

    Raises:
        FerBenchError: no such file, a damaged one, or one that is not ours.
        Unavailable: the package is missing.
    """
    _require("onnx")
    import onnx
    from google.protobuf.message import DecodeError

    try:
        proto = onnx.load(path, load_external_data=False)
    except OSError as error:
        raise cannot_read(path, error) from None
    except DecodeError:
        raise FerBenchError(
            f"{path} is damaged, or no ONNX file at all: export the run again"
        ) from None
    return ExportMetadata.from_strings({p.key: p.value for p in proto.metadata_props}, str(path))


def open_session(onnx: bytes | Path, threads: int) -> onnxruntime.InferenceSession:
    """An ONNX Runtime session on the CPU; takes `{"faces": float32}`, gives `[logits]`.

    Args:
        onnx: what `to_onnx` gives, or a file that it was written to.
        threads: that one call may use.

    Raises:
        FerBenchError: a file that is missing, damaged or not ours.
        Unavailable: ONNX Runtime is not installed, or cannot run this network.
    """
    _require("onnxruntime")
    if isinstance(onnx, Path):
        read_metadata(onnx)
    try:
        return start_session(onnx if isinstance(onnx, bytes) else str(onnx), threads)
    except session_errors() as error:
        line = first_line(error)
        if isinstance(onnx, Path):
            raise FerBenchError(f"{onnx} is damaged ({line}): export the run again") from error
        raise Unavailable(f"ONNX Runtime cannot run it: {line}") from error


def _require(*packages: str) -> None:
    """Raises Unavailable, which says how to install them, unless all these packages are there."""
    for package in packages:
        try:
            __import__(package)
        except ImportError as error:
            raise Unavailable(
                f"{package} is not installed ({error}): pip install {' '.join(packages)} "
                "(or 'fer-bench[fast]')",
                code="missing_extra",
            ) from error


def _forget_origin(proto: Any) -> None:
    """Drops the exporter's notes: they hold the paths of this machine, in each of the nodes."""
    proto.graph.ClearField("metadata_props")
    for things in (proto.graph.node, proto.graph.value_info, proto.graph.input, proto.graph.output):
        for thing in things:
            thing.ClearField("metadata_props")
            thing.ClearField("doc_string")
