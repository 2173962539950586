"""Carrying out runs: train, evaluate once, write the record; then the next one."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import torch

from fer_bench import distributed
from fer_bench.benchmark.initial_weights import request_for, starting_model
from fer_bench.benchmark.members import assemble, load_teachers
from fer_bench.benchmark.plan import with_precision
from fer_bench.benchmark.records import describe_model, finished, new_record
from fer_bench.benchmark.seen_images import as_file, others_of, seen_images
from fer_bench.benchmark.trackers.services import check_trackers
from fer_bench.benchmark.trackers.tracked_run import tracked
from fer_bench.data.dataset import FaceDataset
from fer_bench.errors import FerBenchError, RunFailed
from fer_bench.evaluation.evaluate import Evaluation, evaluate
from fer_bench.features.extractors import check_extractor
from fer_bench.models.classifier import Classifier
from fer_bench.models.flops import count_parameters
from fer_bench.models.lora import merge_lora
from fer_bench.models.weights import model_files, round_parameters
from fer_bench.results.locks import is_carried_out, run_lock
from fer_bench.results.parse import read_history
from fer_bench.results.record import Member, RunRecord, Status
from fer_bench.results.store import ResultsStore
from fer_bench.results.stored_run import HISTORY, SEEN, StoredRun
from fer_bench.specs.run import DataSpec, EnsembleSpec, RunSpec
from fer_bench.training.finetune import finetune
from fer_bench.training.frozen import train_frozen
from fer_bench.training.job import TrainingJob, TrainingOutcome, untrained
from fer_bench.training.state import has_checkpoint
from fer_bench.types import EPOCHS, Dtype, Progress, silent

INTERRUPTED = (
    "it was interrupted by Ctrl-C or a signal: train it again with `--resume` to go on after the "
    "last finished epoch"
)


@dataclass(frozen=True, kw_only=True)
class Runner:
    """How runs are carried out: where results go, on what device, which weights are stored.

    Attributes:
        precision: what networks are trained in where their recipe leaves it open; `auto` measures.
        extractor: what computes frozen features; `auto` measures.
        weights: how the trained network is stored next to its record, and None for not at all. With
            `float16` it is rounded before it is evaluated: the record is of the stored one.
        trackers: names of `trackers.services.TRACKERS` that follow each run next to its record.

    Raises:
        FerBenchError: an unknown extractor or tracker, or a tracker that is not installed.
    """

    store: ResultsStore
    device: str = "cpu"
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    extractor: str = "auto"
    weights: Dtype | None = "float32"
    resume: bool = True
    progress: Progress = silent
    trackers: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_trackers(self.trackers)
        if self.extractor != "auto":
            check_extractor(self.extractor)

    def run(self, spec: RunSpec | EnsembleSpec, dataset: FaceDataset) -> RunRecord:
        """Trains and evaluates one run, or puts an ensemble together, and stores its record.

        The test split is read once.

        While it works the stored record says `running`; a failure is stored as `failed`, a
        KeyboardInterrupt as `interrupted`. A run that is finished already stays as it is until the
        new one is. With `resume`, an interrupted run goes on after its last finished epoch.

        Several processes (`fer_bench.distributed`) share the work; the main one writes.

        Raises:
            RunFailed: the run failed; the record with the error is stored, unless it would replace
                a finished one. Or another process carries it out.
        """
        _require_same_data(dataset)
        lock = run_lock(self.store.folder(dataset.name, spec.name))
        with ExitStack() as block:
            distributed.on_main(lambda: block.enter_context(lock))
            return _Work(self, spec, dataset).follow()


@dataclass(frozen=True)
class _Work:
    """One run at work: how it is carried out, what it is, and on which data."""

    runner: Runner
    spec: RunSpec | EnsembleSpec
    dataset: FaceDataset

    @property
    def scratch(self) -> Path:
        """A checkpoint is only ever resumed by the same specification over the same data."""
        return scratch_folder(self.runner.store, self.spec, self.dataset)

    def follow(self) -> RunRecord:
        """Carries it out; the trackers hear of it."""
        with tracked(
            self.runner.trackers,
            self.spec,
            self.dataset,
            results=self.runner.store.root,
            work_dir=self.scratch,
            resume=self.runner.resume,
            device=self.runner.device,
        ) as tracking:
            runner = replace(self.runner, progress=tracking.listen(self.runner.progress))
            record = replace(self, runner=runner).carry_out()
            tracking.conclude(record)
        return record

    def carry_out(self) -> RunRecord:
        """Stores the record as it goes: running, then done, failed or interrupted."""
        record = new_record(self.spec, self.dataset)
        distributed.on_main(lambda: self._begin(record))
        try:
            record = self._make_and_evaluate(record)
        except KeyboardInterrupt:
            if distributed.is_main():
                self._save_unless_done(_ended(record, "interrupted", INTERRUPTED))
            raise
        except Exception as error:
            message = str(error)
            if not isinstance(error, FerBenchError):
                distributed.wait_for_root_cause(error)
                message = f"{type(error).__name__}: {message}"
            if distributed.is_main():
                self._save_unless_done(_ended(record, "failed", message))
            failure = RunFailed(f"run {record.name} failed: {message}")
            if isinstance(error, FerBenchError):  # 2 where the input was bad, not the run
                failure.exit_code, failure.shared = error.exit_code, error.shared
                failure.code = error.code
            raise failure from error
        if distributed.is_main():
            shutil.rmtree(self.scratch.parent, ignore_errors=True)
        return record

    def _begin(self, record: RunRecord) -> None:
        self.runner.store.tidy(record.dataset.name, record.name)
        self._save_unless_done(record)

    def _save_unless_done(self, record: RunRecord) -> None:
        if not self.runner.store.exists_done(record.dataset.name, record.name):
            self.runner.store.save(record)

    def _make_and_evaluate(self, record: RunRecord) -> RunRecord:
        spec, runner = self.spec, self.runner
        members: tuple[Member, ...] = ()
        torch.manual_seed(0 if isinstance(spec, EnsembleSpec) else spec.seed)
        with distributed.raise_together():
            if isinstance(spec, EnsembleSpec):
                model, members = assemble(runner.store, spec, self.dataset)
            else:
                model = starting_model(request_for(spec, self.dataset.emotions), spec)
            others = others_of(spec, runner.store, self.dataset.name)
            seen, silent_runs = seen_images(others, self.dataset)
        record = _with_reasons(record, others, silent_runs)
        if isinstance(spec, EnsembleSpec):
            trainable, outcome = 0, untrained(runner.device)
        else:
            _, trainable = count_parameters(model)
            outcome = self._train(model, spec, self._with_history(record))
            if spec.mode == "lora":
                merge_lora(model)
            if runner.weights is not None:
                round_parameters(model, runner.weights)
        evaluation = self._evaluate(model)
        weights = None if members else runner.weights
        parts = {
            "model": describe_model(model, trainable, weights or "float32"),
            "training": outcome.info,
            "members": members,
        }

        def finish() -> RunRecord:
            done = finished(record.model_copy(update=parts), evaluation)
            network = dict(model_files(model, weights)) if weights else {}
            if network and not silent_runs:
                network[SEEN] = as_file(seen)
            runner.store.save(
                done, history=outcome.history, predictions=evaluation.predictions, network=network
            )
            return done

        return distributed.on_main(finish)

    def _evaluate(self, model: Classifier) -> Evaluation:
        evaluation = evaluate(
            model,
            self.dataset,
            splits=(self.spec.selection_split, self.spec.test_split),
            tta=self.spec.tta,
            device=self.runner.device,
            progress=self.runner.progress,
        )
        model.cpu()
        return evaluation

    def _with_history(self, record: RunRecord) -> Progress:
        """The progress that stores each epoch, so that others can follow a run that is training.

        Not where a finished run of this name is being made again: its curves stay until the end.
        """
        store, progress = self.runner.store, self.runner.progress
        if not distributed.is_main() or store.exists_done(record.dataset.name, record.name):
            return progress
        path = store.folder(record.dataset.name, record.name) / HISTORY
        rows: list[Mapping[Any, Any]] = []

        def report(stage: str, done: int, total: int, figures: Mapping[str, float]) -> None:
            if stage == EPOCHS:
                if not rows and done > 1 and path.exists():  # resumed
                    rows.extend(read_history(path).head(done - 1).to_dict("records"))
                rows.append(dict(figures))
                store.save(record, history=pd.DataFrame(rows))
            progress(stage, done, total, figures)

        return report

    def _train(self, model: Classifier, spec: RunSpec, progress: Progress) -> TrainingOutcome:
        runner = self.runner
        if spec.mode == "zero-shot":
            return untrained(runner.device)
        with distributed.raise_together():
            chosen = with_precision(spec, runner.precision)
        job = TrainingJob(
            model,
            self.dataset,
            chosen,
            self.scratch,
            progress,
            runner.device,
            resume=runner.resume,
        )
        if spec.mode == "frozen":
            return train_frozen(job, runner.extractor)
        with distributed.raise_together():
            teachers = load_teachers(runner.store, spec, self.dataset)
        return finetune(job, teachers)


def scratch_folder(store: ResultsStore, spec: RunSpec | EnsembleSpec, dataset: FaceDataset) -> Path:
    """Where the checkpoint of an unfinished run is, for this specification and data."""
    return store.work_folder(dataset.name, spec.name) / _identity(spec, dataset)


def left_unfinished(
    store: ResultsStore, spec: RunSpec | EnsembleSpec, dataset: FaceDataset
) -> bool:
    """Whether this run ended early and left a checkpoint to go on from."""
    at_work = is_carried_out(store.folder(dataset.name, spec.name))
    return not at_work and has_checkpoint(scratch_folder(store, spec, dataset))


def _with_reasons(
    record: RunRecord, others: Sequence[StoredRun], silent_runs: Sequence[str]
) -> RunRecord:
    """A record that is not comparable for what the runs that it is made of bring along."""
    reasons = list(record.not_comparable_because)
    for run in others:
        reasons += run.require_record().not_comparable_because
    reasons += [f"run {name} does not say which images it has seen" for name in silent_runs]
    return record.model_copy(update={"not_comparable_because": list(dict.fromkeys(reasons))})


def _ended(record: RunRecord, status: Status, error: str) -> RunRecord:
    changes = {"status": status, "error": error, "finished_at": datetime.now(UTC)}
    return record.model_copy(update=changes)


def _identity(spec: DataSpec, dataset: FaceDataset) -> str:
    text = spec.model_dump_json() + dataset.fingerprint
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _require_same_data(dataset: FaceDataset) -> None:
    seen = set(distributed.gather(dataset.fingerprint))
    with distributed.raise_together():
        if len(seen) > 1:
            raise FerBenchError(
                f"expected the same data in all {distributed.count()} processes, got "
                f"{len(seen)} kinds of {dataset.source}: give every host the same files"
            )
