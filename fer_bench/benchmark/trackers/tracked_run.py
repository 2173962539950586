"""Runs followed by trackers: a copy of what the record says, epoch by epoch, for their own pages.

The record stays what counts. A tracker hears the same progress as the console, draws no random
numbers of ours and may fail: then one sentence says so and the run goes on without it.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fer_bench import distributed
from fer_bench.benchmark.initial_weights import as_recorded
from fer_bench.benchmark.trackers.services import (
    Ending,
    Tracker,
    TrackerRun,
    Value,
    make_tracker,
    mlflow_store,
)
from fer_bench.data.dataset import FaceDataset
from fer_bench.environment import capture
from fer_bench.errors import FerBenchError, one_line
from fer_bench.results.location import write_results
from fer_bench.results.record import RunRecord
from fer_bench.specs.run import EnsembleSpec, RunSpec
from fer_bench.storage import read_json
from fer_bench.types import EPOCHS, Progress

#: Metrics of a record that trackers get, for each of its splits.
METRICS = ("accuracy", "macro_f1", "balanced_accuracy", "roc_auc", "ece", "log_loss")
#: In a run's scratch folder: the trackers' own runs, to go on with after a break.
MEMORY = "trackers.json"


def tracking_folder(results: Path) -> Path:
    """Where trackers store their files: next to the runs, where the store never looks."""
    return results / ".tracking"


@dataclass(kw_only=True)
class Tracking:
    """The trackers of one run that still work."""

    run: str
    trackers: dict[str, Tracker] = field(default_factory=dict)
    ending: Ending = "interrupted"
    error: str = ""

    def listen(self, progress: Progress) -> Progress:
        """A `Progress` that tells `progress` everything and the trackers each epoch."""

        def report(stage: str, done: int, total: int, figures: Mapping[str, float]) -> None:
            if stage == EPOCHS:
                self.log({k: v for k, v in figures.items() if k != "epoch"}, done)
            progress(stage, done, total, figures)

        return report if self.trackers else progress

    def conclude(self, record: RunRecord) -> None:
        """The finished run's metrics, at its last epoch."""
        self.ending = "done"
        self.log(final_figures(record), record.training.epochs_run if record.training else 0)

    def log(self, figures: Mapping[str, float], step: int) -> None:
        """Figures to every tracker."""
        for name in list(self.trackers):
            self._try(name, lambda tracker: tracker.log(figures, step))

    def start(self, name: str, run: TrackerRun, settings: Mapping[str, Value]) -> None:
        """One more tracker; a run that it goes on with has its settings already."""

        def start(tracker: Tracker) -> None:
            run.folder.mkdir(parents=True, exist_ok=True)
            tracker.start()
            if not run.id:
                tracker.describe(settings)

        self.trackers[name] = make_tracker(name, run)
        self._try(name, start)

    def close(self) -> None:
        """Ends the trackers' runs as this one ended."""
        for name in list(self.trackers):
            self._try(name, lambda tracker: tracker.finish(self.ending, self.error))

    def _try(self, name: str, work: Callable[[Tracker], None]) -> None:
        """Does it, or gives the tracker up with a sentence."""
        tracker = self.trackers[name]
        failures = tracker.failures()
        try:
            work(tracker)
        except failures as error:
            del self.trackers[name]
            _warn(f"{name} does not follow run {self.run} any more ({_reason(error)})")
            with suppress(AttributeError, *failures):  # so that the next run finds it closed
                tracker.finish("interrupted", "")


@contextmanager
def tracked(
    names: tuple[str, ...],
    spec: RunSpec | EnsembleSpec,
    dataset: FaceDataset,
    *,
    results: Path,
    work_dir: Path,
    resume: bool,
    device: str,
) -> Iterator[Tracking]:
    """Trackers that follow a run while the block lasts; of several processes, in the first alone.

    `conclude` says what came out; a block left by an error is a failed or an interrupted run.

    Args:
        names: of `trackers.services.TRACKERS`; empty for none.
        results: root of the store, whose `.tracking` holds the trackers' files.
        work_dir: the run's scratch, which stores the trackers' runs. With `resume` they go on.
    """
    tracking = Tracking(run=spec.name)
    if names and distributed.is_main():
        _settle_device(device)
        memory = work_dir / MEMORY
        known = _remembered(memory) if resume else {}
        folder, settings = tracking_folder(results), settings_of(spec, dataset)
        for name in names:
            run = TrackerRun(
                folder=folder, dataset=dataset.name, name=spec.name, id=known.get(name, "")
            )
            tracking.start(name, run, settings)
        _remember(memory, {name: t.id for name, t in tracking.trackers.items()})
    try:
        yield tracking
    except FerBenchError as error:
        tracking.ending, tracking.error = "failed", str(error)
        raise
    finally:
        tracking.close()


def settings_of(spec: RunSpec | EnsembleSpec, dataset: FaceDataset) -> dict[str, Value]:
    """A run's specification, data and machine as flat names: `recipe.optimizer.lr`; no paths."""
    machine = capture()
    described = {
        "run": spec.name,
        **as_recorded(spec).model_dump(mode="json"),
        "dataset": {
            "name": dataset.name,
            "source": dataset.source,
            "fingerprint": dataset.fingerprint,
            "images": dataset.split_sizes(),
        },
        "machine": {
            "cpu": machine.cpu,
            "gpu": machine.gpu,
            "threads": machine.threads,
            "torch": machine.packages.get("torch"),
            "fer_bench": machine.fer_bench,
            "git_commit": machine.git_commit,
        },
    }
    return dict(_flat(described, ""))


def _flat(value: Any, name: str) -> Iterator[tuple[str, Value]]:
    if isinstance(value, Mapping):
        for key, part in value.items():
            yield from _flat(part, f"{name}.{key}" if name else str(key))
    elif isinstance(value, (list, tuple)):
        if value:
            yield name, ", ".join(map(str, value))
    elif value is not None:
        yield name, value


def final_figures(record: RunRecord) -> dict[str, float]:
    """A record's metrics as flat names: `test_tta/accuracy`; those that it lacks are left out."""
    figures = {
        f"{split}/{metric}": getattr(metrics, metric)
        for split, metrics in record.metrics.items()
        for metric in METRICS
    }
    return {name: value for name, value in figures.items() if value is not None}


def where_to_look(names: tuple[str, ...], results: Path) -> list[str]:
    """For each tracker, a line that says how to see what it stored."""
    folder = tracking_folder(results)
    lines = {
        "tensorboard": f"tensorboard --logdir {shlex.quote(str(folder / 'tensorboard'))}",
        "mlflow": f"mlflow ui --backend-store-uri {shlex.quote(mlflow_store(folder))}",
        "wandb": "on your W&B server; what was tracked offline goes there by "
        f"`wandb sync {shlex.quote(str(folder / 'wandb'))}/offline-run-*`",
    }
    if os.environ.get("MLFLOW_TRACKING_URI"):
        lines["mlflow"] = "on the server that MLFLOW_TRACKING_URI names"
    return [f"tracked in {name}: {lines[name]}" for name in names]


def _settle_device(device: str) -> None:
    """Once for the whole process, before accelerate's trackers would ask for a GPU."""
    from accelerate import PartialState

    PartialState(cpu=device == "cpu")


def _remembered(memory: Path) -> dict[str, str]:
    if not isinstance(known := read_json(memory), dict):
        return {}
    return {str(k): v for k, v in known.items() if isinstance(v, str)}


def _remember(memory: Path, ids: Mapping[str, str]) -> None:
    try:
        write_results({memory: json.dumps(dict(ids)).encode()})
    except OSError as error:
        _warn(f"a resumed run will be a new one for its trackers ({error.strerror})")


def _reason(error: Exception) -> str:
    """The error in a few words, without what may stand in an address before its host."""
    text = one_line(str(error)) or type(error).__name__
    return f"{re.sub(r'//[^/@ ]+@', '//', text):.160}"


def _warn(sentence: str) -> None:
    sys.stderr.write(f"warning: {sentence}; the run goes on\n")
