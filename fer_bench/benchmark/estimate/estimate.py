"""What a plan of runs will take: image passes, seconds, bytes and money, before anything is run.

The cost model and its limits are described in docs/guides/scaling.md.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from fer_bench.benchmark.estimate.rates import TRAINING, Rates, passes_per_evaluation
from fer_bench.benchmark.estimate.size import (
    RECORD,
    Disk,
    Sizes,
    disk_of,
    feature_passes,
    network_of,
    predictions_of,
)
from fer_bench.benchmark.plan import data_key
from fer_bench.specs.run import EnsembleSpec, RunSpec
from fer_bench.types import Dtype, Split


@dataclass(frozen=True, kw_only=True)
class Work:
    """Image passes of a run, by kind as in `rates.Rates`; with early stopping at most these.

    Attributes:
        validation: forward after each epoch.
        head: of cached features through the head.
    """

    training: int = 0
    validation: int = 0
    features: int = 0
    head: int = 0
    evaluation: int = 0

    def seconds(self, rates: Rates) -> float:
        """The time of all passes, one after the other."""
        return (
            self.training / rates.training
            + self.validation / (TRAINING * rates.training)
            + self.features / rates.features
            + self.head / rates.head
            + self.evaluation / rates.evaluation
        )


@dataclass(frozen=True, kw_only=True)
class RunEstimate:
    """One run of a plan. seconds: None where nothing tells the rate."""

    name: str
    finished: bool = False
    images: Mapping[Split, int] = field(default_factory=lambda: MappingProxyType({}))
    epochs: int = 0
    work: Work = field(default_factory=Work)
    disk: Disk = field(default_factory=Disk)
    seconds: float | None = 0.0
    rate: float | None = None
    kind: str = "finished"
    source: str = ""


@dataclass(frozen=True, kw_only=True)
class PlanEstimate:
    """All runs, on `workers` devices that each carry out one run at a time.

    Attributes:
        pixels: bytes of the decoded images, once for each data source.
        price_per_hour: of one device; it is paid for until the last run is done.
    """

    runs: tuple[RunEstimate, ...]
    pixels: int
    workers: int = 1
    price_per_hour: float | None = None

    @property
    def unknown(self) -> int:
        """Runs whose rate nothing tells; they are in no sum."""
        return sum(run.seconds is None for run in self.runs)

    @property
    def device_seconds(self) -> float:
        """All runs one after the other; those without an estimate count as 0."""
        return math.fsum(run.seconds or 0.0 for run in self.runs)

    @property
    def wall_seconds(self) -> float:
        """Each run goes, in order, to the device that is free first."""
        free = [0.0] * self.workers
        for run in self.runs:
            heapq.heapreplace(free, free[0] + (run.seconds or 0.0))
        return max(free)

    @property
    def price(self) -> float | None:
        """Of all devices for the whole time, in the currency of `price_per_hour`."""
        if self.price_per_hour is None:
            return None
        return self.wall_seconds / 3600 * self.workers * self.price_per_hour

    @property
    def stays(self) -> int:
        """Bytes on disk when all is done."""
        return self.pixels + sum(run.disk.stays for run in self.runs)

    @property
    def passes(self) -> int:
        """Bytes that come on top while runs are at work: the largest checkpoints."""
        largest = sorted((run.disk.checkpoint for run in self.runs), reverse=True)
        return sum(largest[: self.workers])


def images_per_epoch(n: int, batch_size: int) -> int:
    """Images of full batches; the few left over wait for another epoch."""
    return n if n < batch_size else n - n % batch_size


def work_of(spec: RunSpec, sizes: Sizes) -> Work:
    """A run's image passes, as `training` and `evaluation.evaluate.evaluate` go through them."""
    recipe = spec.recipe
    train, val = sizes.splits["train"], sizes.splits[spec.selection_split]
    test = sizes.splits[spec.test_split]
    evaluation = (val + test) * passes_per_evaluation(spec.tta)
    epoch = images_per_epoch(train, recipe.batch_size)
    if spec.mode == "zero-shot":
        return Work(evaluation=evaluation)
    if spec.mode == "frozen":
        return Work(
            features=feature_passes(spec, sizes),
            head=recipe.epochs * (epoch + val),
            evaluation=evaluation,
        )
    return Work(
        training=recipe.epochs * epoch,
        validation=recipe.epochs * val,
        evaluation=evaluation,
    )


def estimate_plan(
    specs: Sequence[RunSpec | EnsembleSpec],
    *,
    sizes: Callable[[RunSpec | EnsembleSpec], Sizes],
    finished: Callable[[RunSpec | EnsembleSpec], bool],
    rates: Callable[[RunSpec], Rates | None],
    members: Callable[[str], RunSpec | None],
    weights: Dtype | None = "float32",
    workers: int = 1,
    price_per_hour: float | None = None,
) -> PlanEstimate:
    """The cost of a plan, run by run.

    Args:
        members: the specification of an ensemble's member, by name; None where it is not known.
        weights: how trained weights are stored.

    Raises:
        FerBenchError: a network that cannot be built.
    """
    planned = {spec.name: spec for spec in specs if isinstance(spec, RunSpec)}
    extracted: set[tuple[object, ...]] = set()
    runs, pixels = [], 0
    for spec in specs:
        have = sizes(spec)
        pixels = max(pixels, have.pixels)
        if finished(spec):
            runs.append(RunEstimate(name=spec.name, finished=True))
        elif isinstance(spec, EnsembleSpec):
            known = [planned.get(name) or members(name) for name in spec.ensemble]
            runs.append(_ensemble(spec, have, [rates(m) if m else None for m in known]))
        else:
            again = spec.mode == "frozen" and _features_key(spec) in extracted
            extracted.add(_features_key(spec))
            runs.append(_run(spec, have, rates(spec), weights, again=again))
    return PlanEstimate(
        runs=tuple(runs), pixels=pixels, workers=workers, price_per_hour=price_per_hour
    )


def _features_key(spec: RunSpec) -> tuple[object, ...]:
    """What two runs share whose features are computed once: network, weights, data and views."""
    seed = spec.seed if spec.pretraining == "none" else None  # random weights differ by seed
    options = tuple(sorted(spec.model_options.items()))
    return (
        spec.model,
        options,
        spec.pretraining,
        seed,
        data_key(spec),
        spec.recipe.augmentation.flip,
    )


def _run(
    spec: RunSpec, sizes: Sizes, rates: Rates | None, weights: Dtype | None, *, again: bool
) -> RunEstimate:
    work, disk = work_of(spec, sizes), disk_of(spec, sizes, network_of(spec), weights)
    if again:
        work, disk = replace(work, features=0), replace(disk, features=0)
    speed = {"frozen": "features", "zero-shot": "evaluation"}.get(spec.mode, "training")
    return RunEstimate(
        name=spec.name,
        images=sizes.splits,
        epochs=0 if spec.mode == "zero-shot" else spec.recipe.epochs,
        work=work,
        disk=disk,
        seconds=work.seconds(rates) if rates else None,
        rate=getattr(rates, speed) if rates else None,
        kind=rates.kind if rates else "unknown",
        source=rates.source if rates else "",
    )


def _ensemble(spec: EnsembleSpec, sizes: Sizes, members: Sequence[Rates | None]) -> RunEstimate:
    """Every member answers for the selection and the test split; nothing is trained."""
    images = sizes.splits[spec.selection_split] + sizes.splits[spec.test_split]
    passes = images * passes_per_evaluation(spec.tta)
    known = [rates for rates in members if rates]
    slowness = math.fsum(1 / rates.evaluation for rates in known)
    whole = len(known) == len(members)
    return RunEstimate(
        name=spec.name,
        images=sizes.splits,
        work=Work(evaluation=passes * len(members)),
        disk=Disk(predictions=predictions_of(spec, sizes), record=RECORD),
        seconds=passes * slowness if whole else None,
        rate=1 / slowness if whole else None,
        kind="estimated" if whole else "unknown",
        source="its members" if whole else "",
    )
