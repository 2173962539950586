"""Exported files of a run, and how close they come to it: `exports.json` next to its record."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

from pydantic import Field

from fer_bench.models.export_metadata import ExportPrecision
from fer_bench.results.documents import EntriesFile
from fer_bench.results.record import Document, Part
from fer_bench.results.reports.latency import Fidelity

EXPORTS, EXPORTS_VERSION = "exports.json", 1


class ExportedFile(Part):
    """One file of an export."""

    name: str = Field(description="without its folder")
    bytes: int
    sha256: str


class CalibrationFaces(Part):
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
    calibration: CalibrationFaces | None = Field(None, description="of int8")
    packages: dict[str, str] = Field(description="versions of what converted and ran it")
    exported_at: datetime

    @property
    def kind(self) -> tuple[str, str]:
        """Its format and precision; a run has one export of each kind."""
        return self.format, self.precision

    @property
    def bytes(self) -> int:
        """Of all its files."""
        return sum(file.bytes for file in self.files)


class ExportsFile(Document):
    """`exports.json`: one export for each format and precision."""

    again: ClassVar[str] = "export again"

    schema_version: int = EXPORTS_VERSION
    exports: list[Export] = Field(default_factory=list)


STORED: EntriesFile[Export] = EntriesFile(
    EXPORTS, ExportsFile, same=lambda export: export.kind, order=lambda export: export.kind
)
read_exports, add_export = STORED.read, STORED.add
