"""Exported files of a run, and how close they come to it: `exports.json` beside its record."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import ClassVar

from pydantic import Field

from fer_bench.models.export_metadata import ExportPrecision
from fer_bench.results.documents import Document, read_document, sole_use, write_document
from fer_bench.results.record import Part
from fer_bench.results.reports.latency import Fidelity

EXPORTS, EXPORTS_VERSION = "exports.json", 1


class ExportedFile(Part):
    name: str = Field(description="without its folder")
    bytes: int
    sha256: str


class Calibration(Part):
    """The faces that int8 was calibrated on; all from the training split."""

    faces: str = Field(description="the data set's name")
    n: int


class Accuracies(Part):
    """Share of labelled faces named rightly, by PyTorch and by the exported file."""

    n: int
    pytorch: float
    exported: float

    @property
    def change(self) -> float:
        """Positive where the exported file is right more often."""
        return self.exported - self.pytorch


class Export(Part):
    """A run in another format, reloaded from disk and compared with PyTorch eager fp32."""

    format: str = Field(description="onnx, openvino or tflite")
    precision: ExportPrecision
    files: tuple[ExportedFile, ...] = Field(min_length=1, description="the one to open first")
    agreement: Fidelity
    accuracies: Accuracies | None = Field(None, description="where the faces have labels")
    calibration: Calibration | None = Field(None, description="of int8")
    packages: dict[str, str] = Field(description="versions of what converted and ran it")
    exported_at: datetime

    @property
    def bytes(self) -> int:
        """Of all its files."""
        return sum(file.bytes for file in self.files)


class ExportsFile(Document):
    """`exports.json`: one export for each format and precision."""

    again: ClassVar[str] = "export again"

    schema_version: int = EXPORTS_VERSION
    exports: list[Export] = Field(default_factory=list)


def read_exports(folder: Path) -> list[Export]:
    """What a run's folder says of its exports; none where nothing was exported yet.

    Raises:
        FerBenchError: a file that is damaged or was written by a newer FER Bench.
    """
    return list(read_document(folder / EXPORTS, ExportsFile).exports)


def add_export(folder: Path, export: Export) -> None:
    """Puts an export next to a run's others, in place of one of its format and precision.

    Raises:
        FerBenchError: the file that is there cannot be read, or the folder cannot be written; what
            was there before is intact.
    """
    path, kind = folder / EXPORTS, (export.format, export.precision)
    with sole_use(path):
        others = [one for one in read_exports(folder) if (one.format, one.precision) != kind]
        exports = sorted([*others, export], key=lambda one: (one.format, one.precision))
        write_document(path, ExportsFile(exports=exports))
