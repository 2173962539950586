"""How fast runs go: by finished runs of the same kind, by the FLOPs of others, or measured now."""

from __future__ import annotations

import math
import statistics
import tempfile
import time
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fer_bench.benchmark.initial_weights import request_for
from fer_bench.data.dataset import FaceDataset
from fer_bench.data.synthetic import draw_face
from fer_bench.emotions import FER2013
from fer_bench.errors import FerBenchError
from fer_bench.evaluation.evaluate import predict_probabilities
from fer_bench.evaluation.tta import PLAIN, views_of
from fer_bench.models.build import build_model
from fer_bench.models.classifier import Classifier
from fer_bench.models.lora import merge_lora
from fer_bench.results.record import RunRecord
from fer_bench.results.store import ResultsStore
from fer_bench.specs.recipe import Schedule
from fer_bench.specs.run import RunSpec
from fer_bench.training.finetune import finetune
from fer_bench.training.job import TrainingJob
from fer_bench.types import SPLITS, Mode

#: A training pass costs as many operations as this many forward passes: backward takes two.
TRAINING = 3

Kind = Literal["recorded", "estimated", "measured"]
#: Images in a measured training step on a CPU, where larger ones gain nothing, and steps on a GPU.
CPU_BATCH, GPU_STEPS = 16, 8
#: The first epoch of a measurement warms up; the median of three leaves it out.
EPOCHS = 3


@dataclass(frozen=True, kw_only=True)
class Rates:
    """Images per second of each kind of pass, and where the numbers come from.

    Attributes:
        training: forward and backward.
        evaluation: forward in fp32, as every evaluation runs.
        features: forward through the extractor of frozen features.
        head: a head's epochs on cached features; infinite where no record tells, as they take about
            a second.
        kind: `recorded` by runs of the same kind, `estimated` by the FLOPs of another model's run,
            or `measured` just now.
    """

    training: float
    evaluation: float
    features: float
    head: float = math.inf
    kind: Kind
    source: str

    def scaled(self, training: float, forward: float) -> Rates:
        """The same device with a network that takes its passes in other times."""
        return replace(
            self,
            training=self.training * training,
            evaluation=self.evaluation * forward,
            features=self.features * forward,
        )


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What a finished run says about the speed of its kind.

    Attributes:
        device, hardware: `cpu` or `cuda`, and which one.
        flops: per image and forward pass.
    """

    spec: RunSpec
    device: str
    hardware: str
    flops: int | None
    rates: Rates

    def is_of(self, spec: RunSpec) -> bool:
        """Whether a run would go as fast."""
        return kind_of(self.spec) == kind_of(spec)


def kind_of(spec: RunSpec) -> tuple[Hashable, ...]:
    """Equal for runs that go equally fast: network, size, mode and number of teachers."""
    options = {name: value for name, value in spec.model_options.items() if value}
    return spec.model, tuple(sorted(options.items())), spec.mode, len(spec.teachers)


def passes_per_evaluation(tta: str) -> int:
    """Times that each image goes through the network in the final evaluation."""
    return len(dict.fromkeys((PLAIN, *views_of(tta))))


def evidence_in(store: ResultsStore) -> list[Evidence]:
    """What all finished runs of a store say; damaged and unfinished ones say nothing."""
    known = []
    for run in store.runs():
        record = run.record
        if record is None or record.status != "done" or not isinstance(record.spec, RunSpec):
            continue
        try:
            history = store.history(run)
        except FerBenchError:
            continue
        evidence = evidence_of(record, history)
        if evidence is not None:
            known.append(evidence)
    return known


def evidence_of(record: RunRecord, history: pd.DataFrame) -> Evidence | None:
    """A finished run's rates on one device; None where its times say nothing.

    Evaluation is what lies between the end of training and the end of the run, so it holds the
    building of the network too. A resumed run's is taken by FLOPs.
    """
    spec, info, model = record.spec, record.training, record.model
    if not isinstance(spec, RunSpec) or info is None or model is None or not record.finished_at:
        return None
    sizes = record.dataset.split_sizes
    head = math.inf
    if spec.mode == "frozen":
        extraction = info.seconds - float(history["seconds"].sum())
        views = 2 if spec.recipe.augmentation.flip else 1
        passes = sizes["train"] * views + sizes[spec.selection_split]
        forward = passes / extraction if extraction > 0 else 0.0
        head = float(history["images_per_second"].median())
    else:
        forward = TRAINING * info.images_per_second
    elapsed = (record.finished_at - record.started_at).total_seconds() - info.seconds
    evaluated = sizes[spec.selection_split] + sizes[spec.test_split]
    if elapsed > 0:
        evaluation = evaluated * passes_per_evaluation(spec.tta) / elapsed
        # Nothing is slower than fp32 on the network itself, unless the run was resumed.
        evaluation = min(evaluation, forward) if forward else evaluation
    else:
        evaluation = forward
    forward = forward or evaluation  # zero-shot: nothing else is done
    if not forward > 0:
        return None
    rates = Rates(
        training=forward / TRAINING,
        evaluation=evaluation,
        features=forward,
        head=head,
        kind="recorded",
        source=f"{record.name}, on {record.hardware}",
    ).scaled(1 / info.processes, 1 / info.processes)
    return Evidence(
        spec=spec, device=info.device, hardware=record.hardware, flops=model.flops, rates=rates
    )


def find_rates(
    spec: RunSpec, flops: int | None, evidence: Iterable[Evidence], device: str, hardware: str
) -> Rates | None:
    """The best that runs on this kind of device say about one; None where they say nothing.

    Runs on the very hardware come first, as processors differ by a factor of three; among them
    those that would go as fast; then the nearest in kind of work, model and FLOPs, whose rates are
    taken times the ratio of FLOPs.

    Args:
        flops: of the run's network, per image and forward pass.
        device, hardware: `cpu` or `cuda`, and which one (`Environment.hardware`).
    """
    of_kind = [e for e in evidence if e.device == device]
    here = [e for e in of_kind if e.hardware == hardware]
    return _rates_by(here, spec, flops) or _rates_by(of_kind, spec, flops)


def _rates_by(evidence: Sequence[Evidence], spec: RunSpec, flops: int | None) -> Rates | None:
    same = [e.rates for e in evidence if e.is_of(spec)]
    if same:
        return _together(same)
    others = [e for e in evidence if e.flops]
    if not flops or not others:
        return None

    def distance(one: Evidence) -> tuple[bool, bool, float]:
        is_other_work = (one.spec.mode == "frozen") != (spec.mode == "frozen")
        is_other_model = one.spec.model != spec.model
        return is_other_work, is_other_model, abs(math.log((one.flops or 1) / flops))

    least = min(map(distance, others))
    nearest = [e for e in others if distance(e) == least]
    rates = _together([_by_flops(e, spec, flops) for e in nearest])
    return replace(rates, kind="estimated", source=f"{rates.source}, by FLOPs")


def _by_flops(other: Evidence, spec: RunSpec, flops: int) -> Rates:
    """Another run's rates for this run's network, and teachers as large as their students."""
    forward = (other.flops or 1) / flops
    taught = (TRAINING + len(other.spec.teachers)) / (TRAINING + len(spec.teachers))
    return other.rates.scaled(forward * taught, forward)


def _together(rates: Sequence[Rates]) -> Rates:
    """The median of several runs; of features the slowest, as others found theirs cached."""
    first = rates[0]
    return Rates(
        training=statistics.median(r.training for r in rates),
        evaluation=statistics.median(r.evaluation for r in rates),
        features=min(r.features for r in rates),
        head=statistics.median(r.head for r in rates),
        kind=first.kind,
        source=first.source if len(rates) == 1 else f"{first.source} and {len(rates) - 1} more",
    )


def measure(spec: RunSpec, side: int, device: str) -> Rates:
    """A few training steps and forward passes on drawn faces, now; writes nothing that stays.

    A second or two for small networks, longer for large ones on a CPU. Weights are random,
    which takes no download and no other time. Teachers are counted by FLOPs.

    Args:
        side: of the faces, pixels.

    Raises:
        FerBenchError: a network that cannot be built.
    """
    size = min(spec.recipe.batch_size, CPU_BATCH) if device == "cpu" else spec.recipe.batch_size
    dataset = _drawn(size if device == "cpu" else size * GPU_STEPS, side)
    changed = {
        "batch_size": size,
        "epochs": EPOCHS,
        "early_stopping": 0,
        "schedule": Schedule(),
    }
    recipe = spec.recipe.model_copy(update=changed)
    changes = {"recipe": recipe, "teachers": (), "votes": None, "emotions": None, "limit": None}
    mode: Mode = "lora" if spec.mode == "lora" else "full"
    model = build_model(replace(request_for(spec, dataset.emotions), mode=mode, pretraining="none"))
    with tempfile.TemporaryDirectory() as scratch:
        changed_spec = spec.model_copy(update=changes)
        outcome = finetune(TrainingJob(model, dataset, changed_spec, Path(scratch), device=device))
    if spec.mode == "lora":
        merge_lora(model)
    training = outcome.info.images_per_second
    return Rates(
        training=training * TRAINING / (TRAINING + len(spec.teachers)),
        evaluation=_forward_rate(model, dataset.images[:size], device),
        features=training * TRAINING,
        kind="measured",
        source=f"measured on {device}",
    )


def _forward_rate(model: Classifier, images: NDArray[np.uint8], device: str) -> float:
    predict_probabilities(model, images, device=device)
    started = time.perf_counter()
    predict_probabilities(model, images, device=device)
    return len(images) / (time.perf_counter() - started)


def _drawn(n_train: int, side: int) -> FaceDataset:
    """Faces of all emotions in turn: `n_train` to train on and seven in each other split."""
    splits = np.repeat(np.arange(len(SPLITS)), [n_train, len(FER2013), len(FER2013)])
    labels = np.arange(len(splits)) % len(FER2013)
    rng = np.random.default_rng(0)
    return FaceDataset(
        name="synthetic",
        source="drawn faces",
        protocol="official",
        images=np.stack([draw_face(FER2013[label], size=side, rng=rng) for label in labels]),
        labels=labels.astype(np.int64),
        ids=np.array([str(i) for i in range(len(splits))]),
        hashes=np.arange(len(splits), dtype=np.uint64),
        splits=splits.astype(np.int8),
        emotions=FER2013,
        comparable=False,
    )
