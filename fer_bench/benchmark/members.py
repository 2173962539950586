"""Finished runs that others are made of: an ensemble's members, a student's teachers."""

from __future__ import annotations

from collections.abc import Sequence

from fer_bench.data.dataset import FaceDataset
from fer_bench.errors import FerBenchError
from fer_bench.evaluation.calibration import with_temperature
from fer_bench.evaluation.confusion import scores
from fer_bench.evaluation.ensemble_weights import fit_weights
from fer_bench.inference.classifier import load_ensemble, load_run_model
from fer_bench.models.classifier import Classifier
from fer_bench.results.leaderboard.rankings import answered_fingerprint
from fer_bench.results.record import Member
from fer_bench.results.store import ResultsStore
from fer_bench.results.stored_run import StoredRun
from fer_bench.specs.run import DataSpec, EnsembleSpec, RunSpec


def assemble(
    store: ResultsStore, spec: EnsembleSpec, dataset: FaceDataset
) -> tuple[Classifier, tuple[Member, ...]]:
    """The ensemble's network and its members; their weights are fitted on the selection split.

    Raises:
        FerBenchError: a member that is missing, unfinished, of other data or without its weights,
            or members that do not fit together.
    """
    runs = _finished(store, spec.ensemble, spec, dataset)
    members = _weighted(store, runs, spec)
    return load_ensemble(runs[0].folder.parent, members), members


def load_teachers(store: ResultsStore, spec: RunSpec, dataset: FaceDataset) -> list[Classifier]:
    """The networks that a run learns from, in eval mode.

    Raises:
        FerBenchError: as `assemble`; a teacher that saw other data may have seen the test images.
    """
    return [load_run_model(run) for run in _finished(store, spec.teachers, spec, dataset)]


def require_named(store: ResultsStore, names: Sequence[str], dataset: FaceDataset) -> None:
    """Members and teachers are kept by their names on the data: no namesake may take their place.

    Args:
        names: as they were given, and as `ResultsStore.find` takes them.

    Raises:
        FerBenchError: a run of another data set or outside the results.
    """
    for name in names:
        run = store.find(name)
        if run.dataset != dataset.name:
            raise FerBenchError(
                f"run {run.id} is of the data set {run.dataset}, expected one of {dataset.name}: "
                "choose runs of the same data"
            )
        store.require_here(run)


def _finished(
    store: ResultsStore, names: Sequence[str], spec: DataSpec, dataset: FaceDataset
) -> list[StoredRun]:
    runs = [store.find(f"{dataset.name}/{name}") for name in names]
    expected = dataset.whole_fingerprint if spec.limit is None else dataset.fingerprint
    for run in runs:
        record = run.require_record()
        if record.status != "done":
            raise FerBenchError(f"run {run.name} is {record.status}: finish it first")
        if isinstance(record.spec, EnsembleSpec):
            raise FerBenchError(f"run {run.name} is an ensemble: name its members instead")
        if answered_fingerprint(record) != expected:
            raise FerBenchError(
                f"run {run.name} was trained on other data or splits than {dataset.source} has "
                f"here (protocol {spec.protocol}, {len(dataset.emotions)} classes): choose runs of "
                "the same data"
            )
        if record.spec.selection_split != spec.selection_split:
            raise FerBenchError(
                f"run {run.name} was chosen on its {record.spec.selection_split} split, expected "
                f"{spec.selection_split}: choose runs of the same splits"
            )
    return runs


def _weighted(
    store: ResultsStore, runs: Sequence[StoredRun], spec: EnsembleSpec
) -> tuple[Member, ...]:
    temperatures = [run.require_record().temperature or 1.0 for run in runs]
    weights = [1 / len(runs)] * len(runs)
    if spec.weighting == "fitted":
        calibrated = []
        for run, temperature in zip(runs, temperatures, strict=True):
            predictions = store.predictions(run)
            chosen = predictions[predictions["split"] == spec.selection_split].sort_values("id")
            labels, probabilities = scores(chosen, run.require_record().dataset.emotions)
            calibrated.append(with_temperature(probabilities, temperature))
        weights = fit_weights(labels, calibrated).tolist()
    return tuple(
        Member(
            run=run.name,
            weight=weight,
            temperature=temperature,
            pretraining=run.require_record().pretraining,
        )
        for run, weight, temperature in zip(runs, weights, temperatures, strict=True)
    )
