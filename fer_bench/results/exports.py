"""Exported files of a run, and how close they come to it: `exports.json` beside its record."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from fer_bench.errors import FerBenchError
from fer_bench.results.documents import claimed_version, not_saved, place_of, sole_use
from fer_bench.results.latency import Fidelity
from fer_bench.results.location import write_results
from fer_bench.results.record import Part

EXPORTS, EXPORTS_VERSION = "exports.json", 1
ExportPrecision = Literal["fp32", "int8"]


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


class ExportsFile(Part):
    """`exports.json`: one export for each format and precision."""

    schema_version: int = EXPORTS_VERSION
    exports: list[Export] = Field(default_factory=list)


def read_exports(folder: Path) -> list[Export]:
    """What a run's folder says of its exports; none where nothing was exported yet.

    Raises:
        FerBenchError: a file that is damaged or was written by a newer FER Bench.
    """
    path = folder / EXPORTS
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise FerBenchError(f"cannot read {path}: {error.strerror}") from None
    if claimed_version(text) > EXPORTS_VERSION:
        raise FerBenchError(
            f"{path} was written by a newer FER Bench: this one reads schema {EXPORTS_VERSION}; "
            "update FER Bench"
        )
    try:
        return ExportsFile.model_validate_json(text).exports
    except ValidationError as error:
        reason = f"{place_of(error)}: {error.errors()[0]['msg']}"
        raise FerBenchError(f"{path} is damaged ({reason}): delete it and export again") from None


def add_export(folder: Path, export: Export) -> None:
    """Puts an export beside a run's others, in place of one of its format and precision.

    Raises:
        FerBenchError: the file that is there cannot be read, or the folder cannot be written; what
            was there before is intact.
    """
    path, kind = folder / EXPORTS, (export.format, export.precision)
    with sole_use(path):
        others = [one for one in read_exports(folder) if (one.format, one.precision) != kind]
        exports = sorted([*others, export], key=lambda one: (one.format, one.precision))
        text = ExportsFile(exports=exports).model_dump_json(indent=2).encode() + b"\n"
        try:
            write_results({path: text})
        except OSError as error:
            raise not_saved(path, error) from None
