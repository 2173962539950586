"""Carrying out runs: train, evaluate once, write the record; then the next one."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import pandas as pd
import torch

from fer_bench import distributed
from fer_bench.benchmark.initial_weights import starting_model
from fer_bench.benchmark.members import assemble, load_teachers
from fer_bench.benchmark.records import describe_model, finished, new_record
from fer_bench.benchmark.seen_images import Hashes, as_file, others_of, seen_images
from fer_bench.benchmark.trackers.services import check_trackers
from fer_bench.benchmark.trackers.tracked_run import tracked
from fer_bench.data.dataset import FaceDataset
from fer_bench.errors import FerBenchError, RunFailed
from fer_bench.evaluation.evaluate import Evaluation, evaluate
from fer_bench.features.extractors import check_extractor
from fer_bench.models.classifier import Classifier, ModelRequest
from fer_bench.models.flops import count_parameters
from fer_bench.models.lora import merge_lora
from fer_bench.models.weights import model_files, round_parameters
from fer_bench.results.locks import is_carried_out, run_lock
from fer_bench.results.parse import HISTORY_COLUMNS
from fer_bench.results.record import (
    Member,
    RunRecord,
    Status,
    TrainingInfo,
)
from fer_bench.results.store import SEEN, ResultsStore, StoredRun
from fer_bench.specs.run import DataSpec, EnsembleSpec, RunSpec
from fer_bench.training.checkpoint import has_checkpoint
from fer_bench.training.finetune import finetune
from fer_bench.training.frozen import train_frozen
from fer_bench.training.job import TrainingJob
from fer_bench.training.outcome import TrainingOutcome
from fer_bench.types import Dtype, Progress, silent

INTERRUPTED = (
    "it was interrupted by Ctrl-C or a signal: train it again with `--resume` to go on after the "
    "last finished epoch"
)


@dataclass(frozen=True, kw_only=True)
class Runner:
    """How runs are carried out: where results go, on what device, with which weights kept.

    precision: what networks are trained in where their recipe leaves it open; `auto` measures.
    extractor: what computes frozen features; `auto` measures.
    weights: how the trained network is stored beside its record, and None for not at all. With
        `float16` it is rounded before it is evaluated: the record is of the stored one.
    trackers: names of `trackers.services.TRACKERS` that follow each run beside its record.

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
        new one is. With `resume`, an interrupted run
        goes on after its last finished epoch.

        Several processes (`fer_bench.distributed`) share the work; the main one writes.

        Raises:
            RunFailed: the run failed; the record with the error is stored, unless it would replace
                a finished one. Or another process carries it out.
        """
        _require_same_data(dataset)
        claim = run_lock(self.store, dataset.name, spec.name)
        with ExitStack() as block:
            distributed.on_main(lambda: block.enter_context(claim))
            return self._follow(spec, dataset)

    def _follow(self, spec: RunSpec | EnsembleSpec, dataset: FaceDataset) -> RunRecord:
        work_dir = self._scratch(spec, dataset)
        with tracked(
            self.trackers,
            spec,
            dataset,
            results=self.store.root,
            work_dir=work_dir,
            resume=self.resume,
            device=self.device,
        ) as tracking:
            runner = replace(self, progress=tracking.listen(self.progress))
            record = runner._run(spec, dataset)
            tracking.conclude(record)
        return record

    def _run(self, spec: RunSpec | EnsembleSpec, dataset: FaceDataset) -> RunRecord:
        record = new_record(spec, dataset)
        distributed.on_main(lambda: self._begin(record))
        work_dir = self._scratch(spec, dataset)
        try:
            record = self._make_and_evaluate(record, spec, dataset, work_dir)
        except KeyboardInterrupt:
            if distributed.is_main():
                self._save_unless_done(_ended(record, "interrupted", INTERRUPTED))
            raise
        except Exception as error:
            message = str(error)
            if not isinstance(error, FerBenchError):
                distributed.let_the_first_speak(error)
                message = f"{type(error).__name__}: {message}"
            if distributed.is_main():
                self._save_unless_done(_ended(record, "failed", message))
            failure = RunFailed(f"run {spec.name} failed: {message}")
            if isinstance(error, FerBenchError):  # 2 where the input was bad, not the run
                failure.exit_code, failure.shared = error.exit_code, error.shared
            raise failure from error
        if distributed.is_main():
            shutil.rmtree(work_dir.parent, ignore_errors=True)
        return record

    def _begin(self, record: RunRecord) -> None:
        self.store.tidy(record.dataset.name, record.name)
        self._save_unless_done(record)

    def _scratch(self, spec: RunSpec | EnsembleSpec, dataset: FaceDataset) -> Path:
        """A checkpoint is only ever resumed by the same specification over the same data."""
        return scratch_folder(self.store, spec, dataset)

    def _save_unless_done(self, record: RunRecord) -> None:
        if not self.store.exists_done(record.dataset.name, record.name):
            self.store.save(record)

    def _make_and_evaluate(
        self,
        record: RunRecord,
        spec: RunSpec | EnsembleSpec,
        dataset: FaceDataset,
        work_dir: Path,
    ) -> RunRecord:
        members: tuple[Member, ...] = ()
        torch.manual_seed(0 if isinstance(spec, EnsembleSpec) else spec.seed)
        with distributed.raise_together():
            if isinstance(spec, EnsembleSpec):
                model, members = assemble(self.store, spec, dataset)
            else:
                model = starting_model(request_for(spec, dataset), spec)
            others = others_of(spec, self.store, dataset)
            seen, silent_runs = seen_images(others, dataset)
        record = _with_reasons(record, others, silent_runs)
        if isinstance(spec, EnsembleSpec):
            trainable, outcome = 0, _untrained(self.device)
        else:
            _, trainable = count_parameters(model)
            outcome = self._train(model, dataset, spec, work_dir)
            if spec.mode == "lora":
                merge_lora(model)
            if self.weights is not None:
                round_parameters(model, self.weights)
        evaluation = evaluate(
            model,
            dataset,
            splits=(spec.selection_split, spec.test_split),
            tta=spec.tta,
            device=self.device,
            progress=self.progress,
        )
        model.cpu()
        kept = None if silent_runs else seen
        return distributed.on_main(
            lambda: self._finish(record, model, trainable, members, outcome, evaluation, kept)
        )

    def _finish(
        self,
        record: RunRecord,
        model: Classifier,
        trainable: int,
        members: tuple[Member, ...],
        outcome: TrainingOutcome,
        evaluation: Evaluation,
        seen: Hashes | None,
    ) -> RunRecord:
        """Stores the finished run; its record.

        seen: hashes of all images that its weights have seen; None where that is not known.
        """
        dtype = "float32" if members else self.weights or "float32"
        parts = {
            "model": describe_model(model, trainable, dtype),
            "training": outcome.info,
            "members": members,
        }
        done = finished(record.model_copy(update=parts), evaluation)
        keep = self.weights if not members else None
        network = dict(model_files(model, keep)) if keep else {}
        if keep and seen is not None:
            network[SEEN] = as_file(seen)
        self.store.save(
            done, history=outcome.history, predictions=evaluation.predictions, network=network
        )
        return done

    def _train(
        self, model: Classifier, dataset: FaceDataset, spec: RunSpec, work_dir: Path
    ) -> TrainingOutcome:
        if spec.mode == "zero-shot":
            return _untrained(self.device)
        with distributed.raise_together():
            spec = with_precision(spec, self.precision)
        job = TrainingJob(
            model, dataset, spec, work_dir, self.progress, self.device, resume=self.resume
        )
        if spec.mode == "frozen":
            return train_frozen(job, self.extractor)
        with distributed.raise_together():
            teachers = load_teachers(self.store, spec, dataset)
        return finetune(job, teachers)


def scratch_folder(store: ResultsStore, spec: RunSpec | EnsembleSpec, dataset: FaceDataset) -> Path:
    """Where a run that is not finished keeps its checkpoint, for this specification and data."""
    return store.work_folder(dataset.name, spec.name) / _identity(spec, dataset)


def left_unfinished(
    store: ResultsStore, spec: RunSpec | EnsembleSpec, dataset: FaceDataset
) -> bool:
    """Whether this run ended early and left a checkpoint to go on from."""
    at_work = is_carried_out(store.folder(dataset.name, spec.name))
    return not at_work and has_checkpoint(scratch_folder(store, spec, dataset))


def with_precision(spec: RunSpec, precision: str) -> RunSpec:
    """The specification to train by; the recorded one leaves open what was chosen outside it.

    Raises:
        FerBenchError: its recipe says another precision.
    """
    if precision in ("auto", spec.recipe.precision):
        return spec
    if spec.recipe.precision != "auto":
        raise FerBenchError(
            f"recipe {spec.recipe.name!r} says precision {spec.recipe.precision}, got --precision "
            f"{precision}: leave it out, or choose a recipe with precision auto"
        )
    recipe = spec.recipe.model_copy(update={"precision": precision})
    return spec.model_copy(update={"recipe": recipe})


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


def request_for(spec: RunSpec, dataset: FaceDataset) -> ModelRequest:
    """What the model builder is asked for."""
    return ModelRequest(
        name=spec.model,
        emotions=dataset.emotions,
        mode=spec.mode,
        pretraining=spec.pretraining,
        options=dict(spec.model_options),
        head=spec.recipe.head,
        head_dropout=spec.recipe.head_dropout,
        prompts=dict(spec.prompts),
    )


def _untrained(device: str) -> TrainingOutcome:
    info = TrainingInfo(
        epochs_run=0,
        best_epoch=0,
        seconds=0,
        images_per_second=0,
        device=device,
        precision="fp32",
        precision_reason="nothing is trained",
        batch_size=0,
        processes=distributed.count(),
    )
    return TrainingOutcome(history=pd.DataFrame(columns=list(HISTORY_COLUMNS)), info=info)
