"""A stored run's network in another format, compared on faces that suit the run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fer_bench.backends.export.export import check_target, export_model
from fer_bench.backends.export.verify import Faces
from fer_bench.backends.quantize import CALIBRATING
from fer_bench.data.cache import pixel_hashes
from fer_bench.data.dataset import draw_rows
from fer_bench.data.load import Source
from fer_bench.errors import FerBenchError
from fer_bench.evaluation.metrics import align
from fer_bench.inference.classifier import load_run_model
from fer_bench.models.export_metadata import describe
from fer_bench.results.record import RunRecord
from fer_bench.results.reports.exports import EXPORTS, Export, add_export
from fer_bench.results.stored_run import StoredRun
from fer_bench.types import Progress, Split, silent

#: Faces to compare on; a thousand tell 0.1 points of accuracy apart.
COMPARED = 1000


@dataclass(frozen=True, kw_only=True)
class ExportReport:
    """An export that is on disk.

    Attributes:
        recorded: where its numbers stand.
        problem: why they stand nowhere, in words; empty where they do.
    """

    run: str
    path: Path
    export: Export
    recorded: Path | None
    problem: str


@dataclass(frozen=True, kw_only=True)
class ExportJob:
    """A run to export, and the faces that its network is compared and calibrated on.

    Attributes:
        called: what the commands of its model card call the run.
        data: whose validation split is compared on, or the test split where there is no other.
        calibration: whose training split int8 is calibrated on; None for fp32.
        limit: faces to compare on.
    """

    run: StoredRun
    called: str
    data: Source
    calibration: Source | None = None
    limit: int = COMPARED
    progress: Progress = silent

    def write(self, out: Path, format: str, *, force: bool = False) -> ExportReport:
        """Exports the network, and stores the numbers of the comparison next to the run's record.

        Raises:
            FerBenchError: no weights next to the record, data that do not fit, or as
                `backends.export.export.export_model`.
            RunFailed: the file differs too much from PyTorch.
        """
        run, record = self.run, self.run.require_record()
        check_target(out, format, "int8" if self.calibration else "fp32", force=force)
        model = load_run_model(run)
        chosen = calibration_faces(record, self.calibration) if self.calibration else None
        export = export_model(
            model,
            out,
            format,
            metadata=describe(model, run=run.name, temperature=record.temperature),
            faces=comparison_faces(record, self.data, model.emotions, self.limit, chosen),
            calibration=chosen,
            force=force,
            progress=self.progress,
        )
        problem = ""
        try:
            add_export(run.folder, export)
        except FerBenchError as why:  # the export itself is there and good
            problem = str(why)
        return ExportReport(
            run=run.name,
            path=out,
            export=export,
            recorded=None if problem else run.folder / EXPORTS,
            problem=problem,
        )


def calibration_faces(record: RunRecord, source: Source) -> Faces:
    """Random faces of the training split, at most `CALIBRATING`.

    Raises:
        FerBenchError: the data cannot be read, or have no training split.
    """
    dataset = source.load_for(record.spec)
    chosen = draw_rows(dataset.indices("train"), CALIBRATING)
    return Faces(images=dataset.images[chosen], source=f"{dataset.name} train")


def comparison_faces(
    record: RunRecord,
    source: Source,
    emotions: tuple[str, ...],
    limit: int = COMPARED,
    calibration: Faces | None = None,
) -> Faces:
    """Random faces of the validation split, else of the test split; none equals a calibrating one.

    Raises:
        FerBenchError: the data cannot be read, or hold no such face that the model could name.
    """
    dataset = source.load_for(record.spec)
    split: Split = "val" if dataset.split_sizes()["val"] else "test"
    indices = dataset.indices(split)
    known, labels = align(dataset.labels[indices], dataset.emotions, emotions)
    indices = indices[known]
    if calibration is not None:
        apart = ~np.isin(dataset.hashes[indices], pixel_hashes(calibration.images))
        indices, labels = indices[apart], labels[apart]
    if not len(indices):
        raise FerBenchError(
            f"the {split} split of {dataset.source} has no face to compare on that the model "
            f"knows ({', '.join(emotions)}) and that int8 was not calibrated on: give other data"
        )
    chosen = draw_rows(np.arange(len(indices)), limit)
    return Faces(
        images=dataset.images[indices[chosen]],
        source=f"{dataset.name} {split}" if dataset.comparable else dataset.name,
        labels=labels[chosen] if dataset.comparable else None,
    )
