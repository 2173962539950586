"""A plan's estimate from what there is: its data, finished runs, and this machine."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field

from fer_bench.benchmark.estimate.estimate import PlanEstimate, estimate_plan
from fer_bench.benchmark.estimate.rates import (
    Evidence,
    Rates,
    evidence_in,
    find_rates,
    kind_of,
    measure,
)
from fer_bench.benchmark.estimate.size import Sizes, imagined_sizes, limited, network_of, sizes_of
from fer_bench.benchmark.plan import data_key
from fer_bench.benchmark.sweep import is_finished
from fer_bench.data.dataset import FaceDataset
from fer_bench.data.load import Source
from fer_bench.emotions import FER2013
from fer_bench.environment import capture
from fer_bench.errors import FerBenchError
from fer_bench.results.store import ResultsStore
from fer_bench.specs.run import DataSpec, EnsembleSpec, RunSpec
from fer_bench.types import Dtype

Spec = RunSpec | EnsembleSpec


def estimate(
    specs: Sequence[Spec],
    *,
    store: ResultsStore,
    source: Source | None,
    images: int | None = None,
    device: str = "cpu",
    weights: Dtype | None = "float32",
    workers: int = 1,
    price_per_hour: float | None = None,
    on_measure: Callable[[RunSpec], None] | None = None,
) -> PlanEstimate:
    """What runs would take; trains none of them and stores nothing.

    Args:
        source: their data; None with `images` for data that one does not have yet.
        images: instead of as many as the data have, in the same shares; no run is finished then.
        on_measure: hears of each network that is then measured now; None to go by finished runs.

    Raises:
        FerBenchError: data that cannot be loaded, a network that cannot be built, or a finished
            run of the same name that differs.
    """
    here = _Here(
        store=store,
        source=source,
        images=images,
        device=device,
        on_measure=on_measure,
        evidence=[] if on_measure else evidence_in(store),
    )
    return estimate_plan(
        specs,
        sizes=here.sizes,
        finished=here.finished,
        rates=here.rates,
        members=here.member,
        weights=weights,
        workers=workers,
        price_per_hour=price_per_hour,
    )


@dataclass(kw_only=True)
class _Here:
    """Answers `estimate_plan`; each data set is loaded and each network measured once."""

    store: ResultsStore
    source: Source | None
    images: int | None
    device: str
    on_measure: Callable[[RunSpec], None] | None
    evidence: list[Evidence]
    loaded: dict[Hashable, FaceDataset] = field(default_factory=dict)
    measured: dict[Hashable, Rates] = field(default_factory=dict)

    def dataset(self, spec: DataSpec) -> FaceDataset | None:
        """The run's data; with other numbers of images, all of them."""
        if self.source is None:
            return None
        asked = spec if self.images is None else spec.model_copy(update={"limit": None})
        key = data_key(asked)
        if key not in self.loaded:
            self.loaded[key] = self.source.load(asked)
        return self.loaded[key]

    def sizes(self, spec: Spec) -> Sizes:
        """What the run's data and results take."""
        dataset = self.dataset(spec)
        if dataset is None:
            network = network_of(spec) if isinstance(spec, RunSpec) else None
            classes = len(spec.emotions or FER2013)
            return limited(imagined_sizes(self.images or 0, network, classes), spec.limit)
        return limited(sizes_of(dataset, self.images), spec.limit)

    def finished(self, spec: Spec) -> bool:
        """Whether a whole run is stored already."""
        dataset = self.dataset(spec)
        if dataset is None or self.images is not None:
            return False
        return is_finished(self.store, spec, dataset)

    def rates(self, spec: RunSpec) -> Rates | None:
        """How fast it goes, from stored runs or measured now; None where neither tells."""
        if self.on_measure is None:
            hardware = capture().hardware(self.device)
            return find_rates(spec, network_of(spec).flops, self.evidence, self.device, hardware)
        kind = kind_of(spec)
        if kind not in self.measured:
            self.on_measure(spec)
            dataset = self.dataset(spec)
            side = network_of(spec).side if dataset is None else int(dataset.images.shape[1])
            self.measured[kind] = measure(spec, side, self.device)
        return self.measured[kind]

    def member(self, name: str) -> RunSpec | None:
        """A stored run's specification; None for one that is not there or is an ensemble."""
        try:
            record = self.store.find(name).record
        except FerBenchError:
            return None
        return record.spec if record and isinstance(record.spec, RunSpec) else None
