"""Networks as TensorFlow Lite (LiteRT) files, through Google's litert-torch.

The metadata are the file `fer_bench.json` of a zip archive that follows the network, as labels do
in TensorFlow's own files: `unzip model.tflite` shows it, and interpreters pass over it.
"""

from __future__ import annotations

import contextlib
import io
import json
import tempfile
import zipfile
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fer_bench.backends.base import Forward, Unavailable, first_line
from fer_bench.data.files.archive import READ_ERRORS
from fer_bench.errors import FerBenchError, cannot_read
from fer_bench.models.classifier import Classifier
from fer_bench.models.export_metadata import ExportMetadata, ExportPrecision

METADATA_FILE = "fer_bench.json"
#: Metadata take less than 2 KB; more is not ours.
MOST_METADATA = 100_000


class TfliteFile:
    """The `ExportFormat` tflite: fp32, one face at a time."""

    suffixes = (".tflite",)
    precisions: tuple[ExportPrecision, ...] = ("fp32",)
    packages = ("litert-torch", "ai-edge-litert")

    def convert(
        self, model: Classifier, metadata: ExportMetadata, calibration: Tensor | None
    ) -> dict[str, bytes]:
        """See `ExportFormat`.

        Raises:
            Unavailable: the converter is not installed, or cannot convert the network.
        """
        litert_torch = _load("litert_torch")
        spec = model.input_spec
        sample = torch.zeros(1, spec.channels, spec.size, spec.size)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.tflite"
            try:
                with contextlib.redirect_stdout(io.StringIO()):  # its report of each step
                    litert_torch.convert(model, (sample,)).export(str(path))
            except (RuntimeError, ValueError, TypeError) as error:
                raise Unavailable(
                    f"{model.request.name} cannot be converted to TFLite: {first_line(error)}"
                ) from error
            return {".tflite": _with_archive(path.read_bytes(), metadata)}

    def read_metadata(self, path: Path) -> ExportMetadata:
        """See `ExportFormat`.

        Raises:
            FerBenchError: no such file, a damaged one, or one that is not ours.
        """
        metadata: Any = {}
        try:
            with zipfile.ZipFile(path) as archive:
                if archive.getinfo(METADATA_FILE).file_size < MOST_METADATA:
                    metadata = json.loads(archive.read(METADATA_FILE))
        except OSError as error:
            raise cannot_read(path, error) from None
        except (*READ_ERRORS, KeyError, RecursionError):
            metadata = {}
        return ExportMetadata.from_strings(
            metadata if isinstance(metadata, dict) else {}, str(path)
        )

    def open(self, path: Path) -> Forward:
        """See `ExportFormat`.

        Raises:
            FerBenchError: as `read_metadata`.
            Unavailable: what runs such files is not installed.
        """
        self.read_metadata(path)
        interpreters = _load("ai_edge_litert.interpreter")
        try:
            interpreter = interpreters.Interpreter(str(path))
            interpreter.allocate_tensors()
        except (RuntimeError, ValueError) as error:
            raise FerBenchError(f"{path} is damaged ({error}): export the run again") from None
        taken = interpreter.get_input_details()[0]["index"]
        given = interpreter.get_output_details()[0]["index"]

        def forward(x: Tensor) -> Tensor:
            logits = []
            for face in x:
                interpreter.set_tensor(taken, face[None].contiguous().numpy())
                interpreter.invoke()
                logits.append(torch.from_numpy(interpreter.get_tensor(given)))
            return torch.cat(logits)

        return forward


def _load(module: str) -> Any:
    """Imported on first use: it takes 5 s and brings a good deal along.

    Raises:
        Unavailable: it is not installed.
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise Unavailable(
            f"format tflite needs a package that is not installed ({error}): "
            "pip install litert-torch, best into an environment of its own, as it may want an "
            "older PyTorch",
            code="missing_extra",
        ) from error


def _with_archive(network: bytes, metadata: ExportMetadata) -> bytes:
    buffer = io.BytesIO(network)
    with zipfile.ZipFile(buffer, "a") as archive:  # after what is there
        archive.writestr(METADATA_FILE, json.dumps(metadata.as_strings(), indent=2))
    return buffer.getvalue()
