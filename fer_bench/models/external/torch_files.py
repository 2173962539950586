"""`torchscript:FILE` and `pt2:FILE`: PyTorch's programs, run once to be brought into ONNX.

Both are programs: opening one can do whatever its author wrote. They run only in the command that
names the file; the run keeps the ONNX file, which is data. Pickles of Python objects, which both
formats may hold and PyTorch would load, are refused.
"""

from __future__ import annotations

import io
import json
import re
import warnings
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import torch
from torch import Tensor, nn

from fer_bench.errors import FerBenchError, cannot_read, one_line, wrong_kind
from fer_bench.models.classifier import Classifier, ModelRequest, Option
from fer_bench.models.export_metadata import INPUT, OUTPUT
from fer_bench.models.external.model import ExternalModel, portable_name
from fer_bench.models.external.onnx_file import open_proto, rebuild, session_of
from fer_bench.models.external.onnx_input import FLOAT, GraphInput, read_input
from fer_bench.models.external.onnx_network import run
from fer_bench.models.external.options import ExternalOptions, options_for
from fer_bench.models.external.probing import probe_faces, require_outputs
from fer_bench.models.pretrained import LOAD_ERRORS

#: How far ONNX may be from the program, of the values' own size.
TOLERANCE = 1e-4
#: PyTorch has no types for it.
_open_script: Any = torch.jit.load
TRUST = (
    "{source} is a program, and opening it ran it: name only files of people you trust; the run "
    "keeps it as ONNX, which is data"
)
#: What expressions of shapes in an exported program consist of; Python would evaluate others.
_EXPRESSION = re.compile(r"(?!.*__)[\w+*/()<>=, -]*")
_SYMBOL = re.compile(r"Symbol\('\w+'(, \w+=(True|False))*\)")
#: Objects of Python or C++ in an exported program, by how their files' names begin.
_OBJECTS = ("custom_obj_", "opaque_obj_")


class TorchScriptFile:
    """The `models.external.model.ExternalKind` torchscript."""

    def open(self, source: str, options: Mapping[str, Option]) -> ExternalModel:
        """See `ExternalKind`."""
        path = Path(source).expanduser()
        names = _names_in(path)
        if any(name.endswith("models/model.json") for name in names):
            raise FerBenchError(f"{path} is an exported program: name it pt2:{path}")
        if not any(PurePosixPath(name).parts[1:2] == ("code",) for name in names):
            raise FerBenchError(
                f"{path} holds pickled Python objects and no TorchScript program: they are never "
                "opened; save it with torch.jit.save(torch.jit.script(model), FILE), or as ONNX"
            )
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # that the format is an old one
                program = _open_script(path, map_location="cpu").eval()
        except (RuntimeError, ValueError) as error:
            raise _damaged(path, error) from None
        name = portable_name("torchscript", source)
        return _open(program, path, name, options_for(path, options), dynamo=False)

    def rebuild(self, request: ModelRequest) -> Classifier:
        """See `ExternalKind`."""
        return rebuild(request)


class ExportedProgramFile:
    """The `models.external.model.ExternalKind` pt2."""

    def open(self, source: str, options: Mapping[str, Option]) -> ExternalModel:
        """See `ExternalKind`."""
        path = Path(source).expanduser()
        _require_plain(path)
        try:
            program = torch.export.load(path)
        except (RuntimeError, ValueError, LookupError, TypeError, AssertionError) as error:
            raise _damaged(path, error) from None
        name = portable_name("pt2", source)
        return _open(program, path, name, options_for(path, options), dynamo=True)

    def rebuild(self, request: ModelRequest) -> Classifier:
        """See `ExternalKind`."""
        return rebuild(request)


def _damaged(path: Path, error: Exception) -> FerBenchError:
    return FerBenchError(f"{path} is damaged: {one_line(str(error)):.200}; save it again")


def _names_in(path: Path) -> list[str]:
    """The files in an archive.

    Raises:
        FerBenchError: no such file, or none of these formats.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.namelist()
    except OSError as error:
        raise cannot_read(path, error) from None
    except zipfile.BadZipFile:
        what = wrong_kind(path) or "is damaged, or a plain pickle, which is never opened"
        raise FerBenchError(
            f"{path} {what}: expected what torch.jit.save or torch.export.save writes"
        ) from None


def _require_plain(path: Path) -> None:
    """Refuses an exported program with anything in it that Python would unpickle or evaluate.

    Raises:
        FerBenchError: no exported program, or one with pickled objects or compiled code.
    """
    names = _names_in(path)
    if not any(name.endswith("models/model.json") for name in names):
        raise FerBenchError(
            f"{path} holds no exported program of this PyTorch ({torch.__version__}): save it "
            "again with torch.export.save"
        )
    with zipfile.ZipFile(path) as archive:
        try:
            for name in names:
                _require_plain_entry(name, archive.read(name))
        except (*LOAD_ERRORS, zipfile.BadZipFile, zlib.error) as error:
            raise FerBenchError(
                f"{path} is not opened: {one_line(str(error)):.200}; save the network as ONNX"
            ) from None


def _require_plain_entry(name: str, content: bytes) -> None:
    """Raises ValueError, which says what is wrong."""
    if "/aotinductor/" in name or name.endswith((".so", ".dll", ".dylib")):
        raise ValueError("it holds compiled code")
    if name.rpartition("/")[2].startswith(_OBJECTS):
        raise ValueError("it holds pickled objects")
    if name.endswith(".json"):
        _require_plain_values(json.loads(content))
    if name.endswith((".pt", ".pth", ".pkl", ".bin")):
        try:
            torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
        except LOAD_ERRORS:
            raise ValueError("it holds pickled objects") from None


def _require_plain_values(value: Any) -> None:
    if isinstance(value, list):
        for item in value:
            _require_plain_values(item)
    if not isinstance(value, dict):
        return
    for key, item in value.items():
        if key == "use_pickle" and item:
            raise ValueError("it holds pickled tensors")
        if key == "path_name" and str(item).startswith(_OBJECTS):
            raise ValueError("it holds pickled objects")
        if key == "expr_str" and not _EXPRESSION.fullmatch(_SYMBOL.sub("s", str(item))):
            raise ValueError(f"an expression in it is no sum of sizes ({item!r:.60})")
        _require_plain_values(item)


def _open(
    program: Any, path: Path, name: str, options: ExternalOptions, *, dynamo: bool
) -> ExternalModel:
    """The program as ONNX, which must answer as the program does.

    Raises:
        FerBenchError: what is not stated, a program that cannot be converted, or one that differs.
    """
    source = path.name
    shape, one_face = _declared(program) if dynamo else ((None,) * 4, False)
    graph = GraphInput(name=INPUT, kind=FLOAT, shape=shape)
    layout = read_input(graph, options, source)
    side, channels = layout.spec.size, layout.channels
    shape = (channels, side, side) if layout.layout == "nchw" else (side, side, channels)
    module: nn.Module = program.module() if dynamo else program
    plain = {"channels": channels, "mean": (0.0,) * channels, "std": (1.0,) * channels}
    spec = layout.spec.model_copy(update=plain)

    def forward(faces: Tensor) -> Tensor:
        turned = faces if layout.layout == "nchw" else faces.permute(0, 2, 3, 1).contiguous()
        parts = torch.split(turned, 1) if one_face else (turned,)
        with torch.no_grad():
            return torch.cat([_first(module(part)) for part in parts])

    expected = require_outputs(forward, spec, source)
    sample = torch.zeros(1 if one_face else 2, *shape)
    proto = _to_onnx(program, sample, source, dynamo=dynamo)
    faces = probe_faces(spec)
    turned = faces if layout.layout == "nchw" else faces.permute(0, 2, 3, 1).contiguous()
    given = run(session_of(proto.SerializeToString(), source), turned)
    apart = float((given - expected).abs().max())
    if not apart <= TOLERANCE * max(1.0, float(expected.abs().max())):
        raise FerBenchError(
            f"{source} as ONNX gives other values (by up to {apart:.2g}): export it to ONNX "
            "yourself and name that file"
        )
    notes = (
        TRUST.format(source=source),
        f"as ONNX its values differ by at most {apart:.1g} on plain pictures",
    )
    return open_proto(proto, source, name, options, notes)


def _first(value: Any) -> Tensor:
    """A program's one output, alone or in a list.

    Raises:
        ValueError: several, or no tensor.
    """
    if isinstance(value, (list, tuple)) and len(value) == 1:
        value = value[0]
    if not isinstance(value, Tensor):
        raise ValueError(f"it gives {type(value).__name__}, expected one tensor")
    return value


def _declared(program: Any) -> tuple[tuple[int | None, ...], bool]:
    """The sides of an exported program's one input, and whether it takes one face at a time."""
    user = set(program.graph_signature.user_inputs)
    inputs = [node.meta["val"] for node in program.graph.nodes if node.name in user]
    if len(inputs) != 1 or not isinstance(inputs[0], Tensor):
        raise FerBenchError(f"expected a program of one input, pictures, got {len(inputs)}")
    shape = tuple(side if isinstance(side, int) else None for side in inputs[0].shape)
    return shape, bool(shape) and shape[0] == 1


def _to_onnx(program: Any, sample: Tensor, source: str, *, dynamo: bool) -> Any:
    """An `onnx.ModelProto` of a program.

    Raises:
        FerBenchError: it cannot be converted, or a package is missing.
    """
    import onnx

    buffer: Any = io.BytesIO()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the exporter's notes on its own dependencies
            if dynamo:
                made = torch.onnx.export(
                    program, (sample,), dynamo=True, verbose=False,
                    input_names=[INPUT], output_names=[OUTPUT],
                )  # fmt: skip
                assert made is not None  # nosec B101  # it is, with dynamo
                return made.model_proto
            axes = {INPUT: {0: "batch"}, OUTPUT: {0: "batch"}}
            torch.onnx.export(
                program, (sample,), buffer, dynamo=False, input_names=[INPUT],
                output_names=[OUTPUT], dynamic_axes=axes, opset_version=17,
            )  # fmt: skip
    except (torch.onnx.OnnxExporterError, RuntimeError, ImportError) as error:
        line = one_line(str(error))
        raise FerBenchError(f"{source} cannot be converted to ONNX: {line:.200}") from None
    return onnx.load_from_string(buffer.getvalue())
