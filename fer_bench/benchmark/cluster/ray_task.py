"""One run of a sweep as a Ray task, in any process of any machine, and what it says meanwhile."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import torch

from fer_bench.benchmark.runner import Runner
from fer_bench.benchmark.sweep import RunState, run_unless_finished
from fer_bench.data.dataset import FaceDataset
from fer_bench.data.load import Source
from fer_bench.errors import FerBenchError
from fer_bench.results.location import local_folder
from fer_bench.results.record import RunRecord
from fer_bench.results.store import ResultsStore
from fer_bench.settings import cache_dir
from fer_bench.specs.run import DataSpec, EnsembleSpec, RunSpec
from fer_bench.types import EPOCHS


@dataclass(frozen=True, kw_only=True)
class RunEvent:
    """What became known of a run.

    Attributes:
        words: the state for people: a failure's whole sentence, or the stage of a run at work.
        dataset: the data's name.
        node: the machine that it is on.
        epoch, epochs: how many are over, and of how many.
        val_accuracy: of the last of them.
    """

    run: str
    state: RunState | Literal["working"] = "waiting"
    words: str = ""
    dataset: str = ""
    node: str = ""
    epoch: int = 0
    epochs: int = 0
    val_accuracy: float | None = None


@dataclass(frozen=True, kw_only=True)
class Job:
    """What all tasks of a sweep get.

    Attributes:
        sweep: a name of its own, so that a process does not take an earlier sweep's data for its.
        address: of the results, a URL or an absolute path.
        mark: in that path's folder, which is thereby seen to be the same on every machine.
        home: what relative paths are meant from.
    """

    sweep: str
    runner: Runner
    source: Source
    address: str
    mark: Path | None
    home: Path
    threads: int


def mirrors() -> Path:
    """Where this machine keeps its copies of results that are at a URL."""
    return cache_dir() / "results"


def carry_out(job: Job, spec: RunSpec | EnsembleSpec, queue: Any) -> tuple[RunRecord, RunEvent]:
    """One task: a run, in a process that may have carried out others before."""
    node = platform.node()
    torch.set_num_threads(job.threads)
    if job.home.is_dir():
        os.chdir(job.home)
    if job.mark is not None and not job.mark.exists():
        raise FerBenchError(
            f"the results folder {job.address} of this machine is not that of {node}: choose a "
            "folder that all machines share, or a URL such as s3://bucket/lab"
        )
    try:
        dataset = _loaded(job.sweep, job.source, _data_of(spec))
    except FerBenchError as error:
        raise FerBenchError(f"on {node}: {error}", code=error.code) from None
    reporter = _Reporter(queue, RunEvent(run=spec.name, dataset=dataset.name, node=node))
    store = ResultsStore(local_folder(job.address, mirrors()))
    runner = replace(job.runner, store=store, progress=reporter.on_progress)
    record = run_unless_finished(spec, dataset, runner, reporter.on_run)
    return record, reporter.last


class _Reporter:
    """Sends the events of one run to the driver; does not wait for it, and fails no run."""

    def __init__(self, queue: Any, first: RunEvent) -> None:
        self._queue, self.last = queue, first

    def on_run(self, spec: RunSpec | EnsembleSpec, state: RunState, words: str) -> None:
        self.last = replace(self.last, state=state, words=words)
        if state in ("started", "waiting"):  # its end comes with the task's
            self._send(self.last)

    def on_progress(self, stage: str, done: int, total: int, figures: Mapping[str, float]) -> None:
        at_work = replace(self.last, state="working")
        if stage == EPOCHS:
            accuracy = figures.get("val_accuracy")
            self._send(
                replace(at_work, words="training", epoch=done, epochs=total, val_accuracy=accuracy)
            )
        elif stage != self.last.words and not stage.startswith("epoch "):
            self._send(replace(at_work, words=stage))

    def _send(self, event: RunEvent) -> None:
        self.last = event
        # Plain values: the queue's process need not import what makes them.
        self._queue.actor.put_nowait.remote(asdict(event))


@lru_cache(maxsize=4)
def _loaded(sweep: str, source: Source, spec: DataSpec) -> FaceDataset:
    """Loaded once for all the runs of a sweep that a process carries out."""
    return source.load(spec)


def _data_of(spec: RunSpec | EnsembleSpec) -> DataSpec:
    return DataSpec(**{name: getattr(spec, name) for name in DataSpec.model_fields})
