"""A classifier written to a file of another format, reloaded from there and compared."""

from __future__ import annotations

import hashlib
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from torch import Tensor

from fer_bench.backends.base import Forward, Unavailable
from fer_bench.backends.export.verify import Faces, compare_file
from fer_bench.data.preprocess import to_input
from fer_bench.environment import package_versions
from fer_bench.errors import FerBenchError, RunFailed
from fer_bench.models.classifier import Classifier
from fer_bench.models.export_metadata import ExportMetadata, ExportPrecision
from fer_bench.registry import Entry, Registry
from fer_bench.results.reports.exports import CalibrationFaces, Export, ExportedFile
from fer_bench.storage import write_atomically
from fer_bench.types import Progress, silent


class ExportFormat(Protocol):
    """A file format for networks.

    Attributes:
        suffixes: of its files; the first is that of the file to open.
        precisions: that a network can be stored in.
        packages: whose versions are recorded.
    """

    suffixes: tuple[str, ...]
    precisions: tuple[ExportPrecision, ...]
    packages: tuple[str, ...]

    def convert(
        self, model: Classifier, metadata: ExportMetadata, calibration: Tensor | None
    ) -> dict[str, bytes]:
        """The files' contents by suffix.

        Args:
            calibration: model input `(N, channels, S, S)` of faces, for int8; None for fp32.

        Raises:
            Unavailable: a package is missing, or this format cannot hold the network.
        """
        ...

    def read_metadata(self, path: Path) -> ExportMetadata:
        """What a file of ours says about itself.

        Raises:
            FerBenchError: no such file, a damaged one, or one that is not ours.
        """
        ...

    def open(self, path: Path) -> Forward:
        """The network in a file, to be run on the CPU, by one thread at a time.

        Raises:
            FerBenchError: as `read_metadata`.
            Unavailable: a package is missing, or cannot run it.
        """
        ...


FORMATS = Registry(
    "export format",
    {
        "onnx": Entry("fer_bench.backends.onnx:OnnxFile", "one .onnx file, any batch size"),
        "openvino": Entry(
            "fer_bench.backends.export.openvino:OpenVinoFiles",
            "OpenVINO IR, .xml with .bin next to it, any batch size",
        ),
        "tflite": Entry(
            "fer_bench.backends.export.tflite:TfliteFile", "one .tflite file, one face at a time"
        ),
    },
)


def check_target(
    out: Path, format: str, precision: ExportPrecision = "fp32", *, force: bool = False
) -> tuple[Path, ...]:
    """The files that an export to `out` would write, the one to open first.

    Args:
        force: whether files may be replaced that are no exports.

    Raises:
        FerBenchError: an unknown format, one without this precision, a wrong suffix, a folder, a
            folder that is not there, or a file that is not ours to replace.
        Unavailable: what reads files of this format is not installed.
    """
    handler: ExportFormat = FORMATS.load(format)()
    if precision not in handler.precisions:
        able = [name for name in FORMATS if precision in FORMATS.load(name)().precisions]
        raise FerBenchError(
            f"format {format} has no {precision} here: choose format {' or '.join(able)}, or leave "
            "--int8 out"
        )
    try:
        return _checked(out, handler, force)
    except OSError as error:
        raise FerBenchError(f"cannot write {out}: {error.strerror}; choose another file") from None


def _checked(out: Path, handler: ExportFormat, force: bool) -> tuple[Path, ...]:
    suffix = handler.suffixes[0]
    if out.is_dir():
        raise FerBenchError(f"{out} is a folder: expected a file, such as {out / f'model{suffix}'}")
    if out.suffix != suffix:
        raise FerBenchError(f"expected a file that ends in {suffix}, got {out.name!r}: rename it")
    if not out.parent.is_dir():
        raise FerBenchError(f"there is no folder {out.parent}: make it first")
    files = (out, *(out.with_suffix(other) for other in handler.suffixes[1:]))
    taken = [file for file in files if file.exists()]
    if taken and not force:
        try:
            handler.read_metadata(out)
        except Unavailable:
            raise
        except FerBenchError:
            raise FerBenchError(
                f"{taken[0]} is there already and is no whole export of FER Bench: choose another "
                "--out, or replace it with --force"
            ) from None
    return files


def export_model(
    model: Classifier,
    out: Path,
    format: str,
    *,
    metadata: ExportMetadata,
    faces: Faces,
    calibration: Faces | None = None,
    force: bool = False,
    progress: Progress = silent,
) -> Export:
    """Writes a classifier, opens the file again and compares it; only a faithful one stays.

    What was at `out` before is replaced at the very end, or left as it is.

    Args:
        model: in eval mode, on the CPU.
        metadata: what the file says about itself; its precision is set here.
        faces: to compare on.
        calibration: faces of the training split, none of which is among `faces`; makes it int8.

    Raises:
        FerBenchError: as `check_target`, or a folder that cannot be written.
        Unavailable: a package is missing, or the format cannot hold this network.
        RunFailed: the file differs too much from PyTorch.
    """
    precision: ExportPrecision = "int8" if calibration else "fp32"
    files = check_target(out, format, precision, force=force)
    handler: ExportFormat = FORMATS.load(format)()
    metadata = metadata.model_copy(update={"precision": precision})
    calibrating = to_input(calibration.images, model.input_spec) if calibration else None
    try:
        # Next to its place, so that renaming it there is one step, and shows early what may not be.
        with tempfile.TemporaryDirectory(prefix=".export-", dir=out.parent) as scratch:
            progress("converting", 0, 1, {})
            contents = handler.convert(model, metadata, calibrating)
            progress("converting", 1, 1, {})
            written = [Path(scratch) / file.name for file in files]
            write_atomically({file: contents[file.suffix] for file in written})
            if handler.read_metadata(written[0]) != metadata:
                raise RunFailed(f"{out.name} does not say what it should: it was deleted")
            forward = handler.open(written[0])
            agreement, accuracies = compare_file(model, forward, precision, faces, progress)
            for file, target in reversed(list(zip(written, files, strict=True))):
                file.replace(target)
    except OSError as error:
        raise FerBenchError(
            f"cannot write {out}: {error.strerror or error}; free some space or choose another "
            "folder"
        ) from None
    with_nncf = ("nncf",) if calibration else ()
    return Export(
        format=format,
        precision=precision,
        files=tuple(_described(file, contents[file.suffix]) for file in files),
        agreement=agreement,
        accuracies=accuracies,
        calibration=calibration
        and CalibrationFaces(faces=calibration.source, n=len(calibration.images)),
        packages=package_versions(("torch", *handler.packages, *with_nncf)),
        exported_at=datetime.now(UTC),
    )


def _described(file: Path, content: bytes) -> ExportedFile:
    digest = hashlib.sha256(content).hexdigest()
    return ExportedFile(name=file.name, bytes=len(content), sha256=digest)
