"""A record of a system that FER Bench did not run, from the answers that it gave."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from fer_bench.benchmark.records import finished, new_record
from fer_bench.data.dataset import FaceDataset
from fer_bench.errors import FerBenchError
from fer_bench.evaluation.evaluate import measure_answers
from fer_bench.evaluation.external_predictions import read_external, rows_by_split
from fer_bench.results.record import RunRecord
from fer_bench.results.store import ResultsStore
from fer_bench.results.stored_run import PREDICTIONS, StoredRun
from fer_bench.specs.run import ExternalSpec
from fer_bench.studies.comparison.paired import holm, mcnemar_exact
from fer_bench.studies.comparison.shared_images import join, why_not_together


@dataclass(frozen=True, kw_only=True)
class PairedResult:
    """A run next to another on the test images that both answered.

    Attributes:
        difference: of the accuracies, this one's less the other's.
        p, p_holm: of the exact McNemar test, and corrected for the number of others.
    """

    other: str
    images: int
    difference: float
    p: float
    p_holm: float


def require_new(store: ResultsStore, spec: ExternalSpec, dataset: FaceDataset) -> None:
    """Raises FerBenchError where a finished record of the same name would be replaced."""
    if store.exists_done(dataset.name, spec.name):
        raise FerBenchError(
            f"run {spec.name} is already there in {store.location}: say --force to replace it, or "
            "--name to keep both"
        )


def score(
    store: ResultsStore,
    predictions: Path,
    spec: ExternalSpec,
    dataset: FaceDataset,
    *,
    force: bool = False,
) -> RunRecord:
    """Measures a system's answers as a run's are measured, and stores its record.

    Args:
        spec: `answers` is set by what the file holds.
        force: replace an earlier record of this name, and a network that was stored with it.

    Raises:
        FerBenchError: a file or ids that do not fit, a record that is there already, or a disk
            that cannot be written.
    """
    started = datetime.now(UTC)
    if not force:
        require_new(store, spec, dataset)
    answers = read_external(predictions, dataset.emotions)
    positions = rows_by_split(dataset, answers, str(predictions))
    spec = spec.model_copy(update={"answers": answers.answers})
    evaluation = measure_answers(
        dataset, {split: answers.probabilities[rows] for split, rows in positions.items()}
    )
    record = finished(new_record(spec, dataset, started), evaluation)
    store.save(record, predictions=evaluation.predictions, network={})
    return record


def compare_with_others(store: ResultsStore, run: StoredRun) -> list[PairedResult]:
    """A run against every other finished run of the same data, the best of them first.

    Runs without predictions are left out.

    Raises:
        FerBenchError: the run, or another's predictions, cannot be read.
    """
    own = run.require_record()
    table = store.predictions(run)
    comparisons = []
    for other in store.runs():
        record = other.record
        if record is None or record.status != "done" or other.folder == run.folder:
            continue
        if why_not_together(own, record) or not (other.folder / PREDICTIONS).exists():
            continue
        shared = join([run, other], [table, store.predictions(other)], "test")
        mine = [one.folder for one in shared.runs].index(run.folder)
        right, others_right = (shared.answers[i] == shared.labels for i in (mine, 1 - mine))
        only = int((right & ~others_right).sum()), int((others_right & ~right).sum())
        comparisons.append((other.name, len(shared.ids), only))
    p_values = [mcnemar_exact(*only) for _, _, only in comparisons]
    results = [
        PairedResult(other=name, images=n, difference=(only[0] - only[1]) / n, p=p, p_holm=p_holm)
        for (name, n, only), p, p_holm in zip(
            comparisons, p_values, holm(p_values).tolist(), strict=True
        )
    ]
    return sorted(results, key=lambda one: one.difference)
