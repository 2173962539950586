"""From a specification to runs: train, evaluate once, write the record; then the next one."""

from __future__ import annotations

import fnmatch
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import torch

from fer_bench.config import Protocol, Recipe, RunSpec, Sweep, SweepEntry, VoteMode, load_recipe
from fer_bench.data.base import FaceDataset
from fer_bench.data.loading import load_dataset
from fer_bench.emotions import emotion_set
from fer_bench.environment import capture
from fer_bench.errors import FerBenchError, RunFailed
from fer_bench.evaluation.predicting import evaluate
from fer_bench.models.base import Classifier, ModelRequest, Option
from fer_bench.models.catalogue import build_model, find_builder
from fer_bench.models.flops import count_flops, count_parameters
from fer_bench.models.lora import merge_lora
from fer_bench.models.weights import load_model, save_model
from fer_bench.results.describe import reproduce_command
from fer_bench.results.record import DatasetInfo, Metrics, ModelInfo, RunRecord, TrainingInfo
from fer_bench.results.store import ResultsStore, StoredRun
from fer_bench.training.finetune import finetune
from fer_bench.training.frozen import train_frozen
from fer_bench.training.outcome import TrainingOutcome
from fer_bench.types import SPLITS, Mode, Progress, Split, silent


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where the data of a benchmark come from; `load` gives the data set that a run asks for.

    votes_file, rows_file: for FER+ labels, see `data.loading.load_dataset`.
    """

    data: str
    votes_file: Path | None = None
    rows_file: Path | None = None

    def load(self, spec: RunSpec) -> FaceDataset:
        """The data of one run. The held-out split is the same for every seed of the training."""
        return load_dataset(
            self.data,
            protocol=spec.protocol,
            emotions=spec.emotions,
            votes=spec.votes,
            votes_file=self.votes_file,
            rows_file=self.rows_file,
            limit=spec.limit,
        )


def specify(
    *,
    model: str,
    mode: Mode,
    recipe: str,
    protocol: Protocol = "official",
    emotions: str | tuple[str, ...] | None = None,
    votes: VoteMode | None = None,
    pretraining: str = "imagenet",
    model_options: dict[str, Option] | None = None,
    seed: int = 0,
    epochs: int | None = None,
    limit: int | None = None,
) -> RunSpec:
    """One run's specification, with what its recipe implies filled in.

    Raises:
        FerBenchError: an unknown model, recipe or emotion, or a recipe that is not for the mode.
    """
    find_builder(model)
    chosen = load_recipe(recipe)
    if mode != "zero-shot" and mode not in chosen.modes:
        raise FerBenchError(
            f"recipe {chosen.name!r} is for mode {' or '.join(chosen.modes)}, got mode {mode!r}: "
            "choose another recipe or mode"
        )
    options = dict(model_options or {})
    if chosen.input_size:
        options.setdefault("input_size", chosen.input_size)
    return RunSpec(
        model=model,
        mode=mode,
        recipe=chosen.model_copy(update={"epochs": epochs}) if epochs else chosen,
        protocol=protocol,
        emotions=emotion_set(emotions) if emotions else chosen.emotions,
        votes=votes,
        pretraining=pretraining,
        model_options=options,
        seed=seed,
        epochs=epochs,
        limit=limit,
    )


def plan(sweep: Sweep, only: str | None = None, limit: int | None = None) -> list[RunSpec]:
    """A sweep's runs, in its order; `only` keeps those whose name matches a shell pattern.

    Raises:
        FerBenchError: as `specify`, two equal runs, or no run left.
    """
    specs = [spec for entry in sweep.runs for spec in _expand(sweep, entry, limit)]
    names = [spec.name for spec in specs]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise FerBenchError(f"{sweep.name}: run {twice[0]} is listed twice: remove one")
    kept = [s for s in specs if only is None or fnmatch.fnmatch(s.name, f"*{only}*")]
    if not kept:
        raise FerBenchError(
            f"{sweep.name}: no run matches {only!r}; there are {', '.join(names[:5])} …"
        )
    return kept


def _expand(sweep: Sweep, entry: SweepEntry, limit: int | None) -> Iterator[RunSpec]:
    for model in entry.models:
        for mode in entry.modes:
            for recipe in entry.recipes:
                for seed in entry.seeds:
                    yield specify(
                        model=model,
                        mode=mode,
                        recipe=recipe,
                        protocol=sweep.protocol,
                        emotions=sweep.emotions,
                        votes=sweep.votes,
                        pretraining=entry.pretraining or sweep.pretraining,
                        model_options=entry.model_options,
                        seed=seed,
                        epochs=entry.epochs,
                        limit=limit or entry.limit,
                    )


@dataclass(frozen=True, kw_only=True)
class Runner:
    """How runs are carried out: where results go, on what device, with which weights kept."""

    store: ResultsStore
    device: str = "cpu"
    extractor: str = "auto"
    keep_weights: bool = True
    resume: bool = True
    progress: Progress = silent

    def run(self, spec: RunSpec, dataset: FaceDataset) -> RunRecord:
        """Trains and evaluates one run and stores its record; the test split is read once.

        While it works the stored record says `running`; a failure is stored as `failed`. With
        `resume`, an interrupted run goes on after its last finished epoch.

        Raises:
            RunFailed: the run failed; the record with the error is stored.
        """
        record = RunRecord(
            name=spec.name,
            status="running",
            started_at=datetime.now(UTC),
            spec=spec,
            environment=capture(),
            dataset=describe_dataset(dataset),
            not_comparable_because=reasons_not_comparable(spec, dataset),
        )
        self.store.save(record)
        work_dir = self.store.work_folder(dataset.name, spec.name)
        try:
            record = self._train_and_evaluate(record, dataset, work_dir)
        except Exception as error:
            message = str(error) or type(error).__name__
            failed = record.model_copy(
                update={"status": "failed", "error": message, "finished_at": datetime.now(UTC)}
            )
            self.store.save(failed)
            raise RunFailed(f"run {spec.name} failed: {message}") from error
        shutil.rmtree(work_dir, ignore_errors=True)
        return record

    def _train_and_evaluate(
        self, record: RunRecord, dataset: FaceDataset, work_dir: Path
    ) -> RunRecord:
        spec = record.spec
        torch.manual_seed(spec.seed)
        model = build_model(request_for(spec, dataset))
        total, trainable = count_parameters(model)
        outcome = self._train(model, dataset, spec, work_dir)
        merge_lora(model)
        evaluation = evaluate(
            model,
            dataset,
            splits=(spec.selection_split, spec.test_split),
            tta=spec.recipe.tta,
            device=self.device,
            progress=self.progress,
        )
        model.cpu()
        done = record.model_copy(
            update={
                "status": "done",
                "finished_at": datetime.now(UTC),
                "model": ModelInfo(
                    parameters=total,
                    trainable_parameters=trainable,
                    flops=count_flops(model),
                    input_spec=model.input_spec,
                    provenance=model.provenance,
                ),
                "training": outcome.info,
                "metrics": evaluation.metrics,
            }
        )
        if self.keep_weights:
            save_model(model, self.store.folder(dataset.name, spec.name))
        self.store.save(done, history=outcome.history, predictions=evaluation.predictions)
        return done

    def _train(
        self, model: Classifier, dataset: FaceDataset, spec: RunSpec, work_dir: Path
    ) -> TrainingOutcome:
        if spec.mode == "zero-shot":
            return _untrained(spec.recipe, self.device)
        if spec.mode == "frozen":
            return train_frozen(
                model,
                dataset,
                spec,
                work_dir=work_dir,
                progress=self.progress,
                device=self.device,
                extractor=self.extractor,
                resume=self.resume,
            )
        return finetune(
            model,
            dataset,
            spec,
            work_dir=work_dir,
            progress=self.progress,
            device=self.device,
            resume=self.resume,
        )


def run_sweep(
    specs: list[RunSpec],
    source: Source,
    runner: Runner,
    on_run: Callable[[RunSpec, str], None],
) -> list[RunRecord]:
    """Carries out every run that is not finished yet; a failed one does not stop the others.

    `on_run` hears of each run: `skipped`, `started`, `done`, or the error's sentence.
    Returns the stored records of all of them, in order.
    """
    records = []
    loaded: dict[tuple[object, ...], FaceDataset] = {}
    for spec in specs:
        key = (spec.protocol, spec.emotions, spec.votes, spec.limit)
        if key not in loaded:
            loaded[key] = source.load(spec)
        dataset = loaded[key]
        if runner.store.exists_done(dataset.name, spec.name):
            on_run(spec, "skipped")
        else:
            on_run(spec, "started")
            try:
                runner.run(spec, dataset)
                on_run(spec, "done")
            except RunFailed as error:
                on_run(spec, str(error))
        stored = runner.store.find(f"{dataset.name}/{spec.name}")
        records.append(stored.readable())
    return records


@dataclass(frozen=True, kw_only=True)
class EvaluationReport:
    """A stored model's metrics on one split of some data."""

    run: str
    split: Split
    metrics: Metrics
    clean: Metrics | None
    emotions: tuple[str, ...]
    tta: str


def evaluate_run(
    store: ResultsStore,
    name: str,
    source: Source,
    *,
    split: Split = "test",
    tta: bool = False,
    limit: int | None = None,
    device: str = "cpu",
    progress: Progress = silent,
) -> EvaluationReport:
    """Measures a stored run's model on any source; with `tta`, over its recipe's views.

    Raises:
        FerBenchError: no such run, no weights beside its record, or data that do not fit.
    """
    run = store.find(name)
    record = run.readable()
    model = load_run_model(run)
    dataset = source.load(record.spec.model_copy(update={"limit": limit, "emotions": None}))
    views = record.spec.recipe.tta if tta else "none"
    found = evaluate(
        model, dataset, splits=(split,), tta=views, device=device, progress=progress
    ).metrics
    suffix = "_tta" if views != "none" else ""
    return EvaluationReport(
        run=run.name,
        split=split,
        metrics=found[split + suffix],
        clean=found.get(f"test_clean{suffix}"),
        emotions=model.emotions,
        tta=views,
    )


def load_run_model(run: StoredRun) -> Classifier:
    """The trained network of a run.

    Raises:
        FerBenchError: only its record is here; the message says how to train it again.
    """
    record = run.readable()
    if not run.has_weights:
        raise FerBenchError(
            f"the weights of run {run.name} are not here, only its record: train it again with "
            f"`{reproduce_command(record)}`"
        )
    return load_model(run.folder)


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
    )


def describe_dataset(dataset: FaceDataset) -> DatasetInfo:
    """The data as a record keeps them."""
    return DatasetInfo(
        name=dataset.name,
        source=dataset.source,
        fingerprint=dataset.fingerprint,
        protocol=dataset.protocol,
        emotions=dataset.emotions,
        split_sizes=dataset.split_sizes(),
        clean_test_size=int(dataset.clean_test.sum()),
        class_counts={split: dataset.class_counts(split) for split in SPLITS},
        n_left_out=len(dataset.left_out),
    )


def reasons_not_comparable(spec: RunSpec, dataset: FaceDataset) -> list[str]:
    """Why a run's numbers must not stand in a ranking; empty if they may."""
    reasons = []
    if not dataset.comparable:
        reasons.append("synthetic data")
    if spec.limit:
        reasons.append(f"limit: at most {spec.limit} images per split")
    return reasons


def _untrained(recipe: Recipe, device: str) -> TrainingOutcome:
    info = TrainingInfo(
        epochs_run=0,
        best_epoch=0,
        seconds=0,
        images_per_second=0,
        device=device,
        precision="fp32",
        precision_reason="nothing is trained",
        batch_size=recipe.batch_size,
    )
    return TrainingOutcome(history=pd.DataFrame(columns=["epoch", "val_accuracy"]), info=info)
