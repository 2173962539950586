"""Many runs, one after the other; those that are finished stay as they are."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace
from functools import partial
from typing import Literal

from fer_bench.benchmark.initial_weights import as_recorded, request_for
from fer_bench.benchmark.plan import data_key, with_precision
from fer_bench.benchmark.runner import Runner
from fer_bench.data.dataset import FaceDataset
from fer_bench.data.load import Source
from fer_bench.emotions import FER2013
from fer_bench.errors import FerBenchError, RunFailed
from fer_bench.models.summary import outline
from fer_bench.results.locks import run_lock
from fer_bench.results.record import RunRecord
from fer_bench.results.store import ResultsStore
from fer_bench.specs.run import DataSpec, EnsembleSpec, RunSpec
from fer_bench.types import Mode

#: What becomes known of a run of a sweep; the last three end it.
RunState = Literal["waiting", "started", "skipped", "done", "failed"]
#: Hears of a run: its state, and that in words for people (a failure's whole sentence).
OnRun = Callable[[RunSpec | EnsembleSpec, RunState, str], None]


def require_possible(specs: Sequence[RunSpec | EnsembleSpec], precision: str) -> None:
    """Refuses before the first training what would fail at its turn, hours later.

    Raises:
        FerBenchError: a model's options, or as `plan.with_precision`.
    """
    for spec in specs:
        if isinstance(spec, RunSpec):
            with_precision(spec, precision)
            if spec.model.startswith("clip:"):  # whose configuration may be on the hub
                continue
            mode: Mode = "full" if spec.mode == "zero-shot" else spec.mode
            outline(replace(request_for(spec, FER2013), pretraining="none", mode=mode))


def run_sweep(
    specs: Sequence[RunSpec | EnsembleSpec],
    source: Source,
    runner: Runner,
    on_run: OnRun,
) -> list[RunRecord]:
    """Carries out every run that is not finished yet; a failed one does not stop the others.

    Returns the stored records of all of them, in order.

    Raises:
        FerBenchError: as `require_possible`, data that cannot be loaded, or a finished run of
            the same name that differs.
    """
    require_possible(specs, runner.precision)
    records = []
    loaded: dict[Hashable, FaceDataset] = {}
    for spec in specs:
        key = data_key(spec)
        if key not in loaded:
            loaded[key] = source.load(spec)
        records.append(run_unless_finished(spec, loaded[key], runner, on_run))
    return records


def run_unless_finished(
    spec: RunSpec | EnsembleSpec, dataset: FaceDataset, runner: Runner, on_run: OnRun
) -> RunRecord:
    """One run of a sweep and its stored record, whether it is done or failed.

    One that another process is at is waited for.

    Raises:
        FerBenchError: a finished run of the same name that differs.
    """
    wait = partial(on_run, spec, "waiting", "waiting: another process carries it out")
    with run_lock(runner.store.folder(dataset.name, spec.name), wait=wait):
        if is_finished(runner.store, spec, dataset):
            on_run(spec, "skipped", "skipped")
        else:
            on_run(spec, "started", "started")
            try:
                runner.run(spec, dataset)
                on_run(spec, "done", "done")
            except RunFailed as error:
                on_run(spec, "failed", str(error))
    return runner.store.find(f"{dataset.name}/{spec.name}").require_record()


def is_finished(store: ResultsStore, spec: RunSpec | EnsembleSpec, dataset: FaceDataset) -> bool:
    """Whether a done record of exactly this run is stored.

    Raises:
        FerBenchError: a done run of this name is stored, but of other settings or other data.
    """
    if not store.exists_done(dataset.name, spec.name):
        return False
    stored = store.find(f"{dataset.name}/{spec.name}").require_record()
    is_same = _what_counts(stored.spec) == _what_counts(as_recorded(spec))
    if not is_same or stored.dataset.fingerprint != dataset.fingerprint:
        what = "on other data" if is_same else "with other settings"
        way_out = "rename the recipe, or train it again with `train --force`"
        if isinstance(spec, EnsembleSpec):
            way_out = "give another title, or make it again with `ensemble --force`"
        raise FerBenchError(
            f"run {spec.name} is finished in {store.location}, but {what}: choose another results "
            f"folder, {way_out}"
        )
    return True


def _what_counts(spec: DataSpec) -> DataSpec:
    """A specification whose recipe names no learning rates but its own model's."""
    if not isinstance(spec, RunSpec):
        return spec
    return spec.model_copy(update={"recipe": spec.recipe.only_for(spec.model)})
