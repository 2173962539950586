"""The network whose latency is measured: a run's own, or one of its design with random weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from fer_bench.emotions import FER2013
from fer_bench.errors import FerBenchError, unknown_name
from fer_bench.hubs.address import is_on_hub
from fer_bench.inference.classifier import load_run_model
from fer_bench.models.build import MODELS, PREFIXES, build_model, is_external
from fer_bench.models.classifier import Classifier, ModelRequest, Option
from fer_bench.models.ensemble import EnsembleMember, make_ensemble
from fer_bench.models.flops import count_flops
from fer_bench.results.record import RunRecord
from fer_bench.results.reports.latency_files import network_folder, network_name
from fer_bench.results.store import DEFAULT, ResultsStore
from fer_bench.results.stored_run import StoredRun, read_run
from fer_bench.specs.run import RunSpec

Weights = Literal["trained", "random"]


@dataclass(frozen=True, kw_only=True)
class NetworkSource:
    """Where a network comes from, small enough to be sent to another process.

    Attributes:
        run: the folder of a run; else `request` describes a network that is no run.
    """

    run: Path | None = None
    request: ModelRequest | None = None


@dataclass(frozen=True, kw_only=True)
class NetworkToMeasure:
    """A classifier to measure, in eval mode on the CPU.

    Attributes:
        name: the run's, or the network's as `network_name` makes it.
        size_mib: of its weights as they are stored.
        flops: per face, a multiply and an add counted as two; None for an ONNX file.
        folder: where its reports are stored.
        record: the run's; None for a network that is no run.
    """

    name: str
    model: Classifier
    weights: Weights
    size_mib: float
    flops: int | None
    folder: Path
    source: NetworkSource
    record: RunRecord | None = None


def find_network(
    store: ResultsStore,
    name: str,
    *,
    options: Mapping[str, Option] | None = None,
    pretraining: str = "none",
) -> NetworkToMeasure:
    """A run by its name, as `ResultsStore.find` takes it, or else a model by its name.

    The time of a network does not depend on what its weights hold: a run without them is measured
    with random ones.

    Args:
        options, pretraining: of a model, as in training; a run has its own.

    Raises:
        FerBenchError: no such run or model (near names suggested), a run with options, or a model
            that cannot be built.
    """
    if name in MODELS or name.partition(":")[0] in PREFIXES:
        request = ModelRequest(
            name=name, emotions=FER2013, options=dict(options or {}), pretraining=pretraining
        )
        model = _seeded(request)
        own = network_name(name, request.options, model.input_spec.size)
        folder = network_folder(store.root, own)
        return NetworkToMeasure(
            name=own,
            model=model,
            weights="random",
            size_mib=_size_in_memory(model),
            flops=count_flops(model),
            folder=folder,
            source=NetworkSource(request=request),
        )
    if is_external(name):
        raise FerBenchError(
            f"{name:.80} is no run yet: make it one with `evaluate --model {name:.80}`, and name "
            "that run"
        )
    run = _find_run(store, name)
    if options or pretraining != "none":
        raise FerBenchError(
            f"{name} is a run, whose options are settled: leave --option and --pretraining out, or "
            "name a model"
        )
    record = run.require_record()
    model, weights = _run_network(run)
    size = _size_in_memory(model)
    if weights == "trained":
        size = sum(file.stat().st_size for file in run.weight_files) / 2**20
    return NetworkToMeasure(
        name=run.name,
        model=model,
        weights=weights,
        size_mib=size,
        flops=count_flops(model),
        folder=run.folder,
        source=NetworkSource(run=run.folder),
        record=record,
    )


def open_network(source: NetworkSource) -> Classifier:
    """The network of this source, once more.

    Raises:
        FerBenchError: it is no longer there.
    """
    if source.request is not None:
        return _seeded(source.request)
    assert source.run is not None  # nosec B101  # a source has either
    return _run_network(read_run(source.run))[0]


def _find_run(store: ResultsStore, name: str) -> StoredRun:
    try:
        return store.find(name)
    except FerBenchError:
        runs = {run.name for run in store.runs()}
        # Known, but of several data sets, or none is the default; or the hub said why not.
        if name in runs | {DEFAULT} or is_on_hub(name):
            raise
        known = {DEFAULT, *runs, *MODELS, *(f"{prefix}:NAME" for prefix in PREFIXES)}
        raise unknown_name("run or model", name, known) from None


def _run_network(run: StoredRun) -> tuple[Classifier, Weights]:
    if run.has_weights:
        return load_run_model(run), "trained"
    record = run.require_record()
    if not record.members:
        return _of_its_design(record), "random"
    members = [
        EnsembleMember(
            model=_run_network(read_run(run.folder.parent / member.run))[0],
            weight=member.weight,
            temperature=member.temperature,
        )
        for member in record.members
    ]
    return make_ensemble(members), "random"


def _of_its_design(record: RunRecord) -> Classifier:
    spec = record.spec
    if not isinstance(spec, RunSpec):
        raise FerBenchError(
            f"expected a network to measure, got run {record.name}, which has none here: finish an "
            "ensemble first; of an external system only its answers are stored"
        )
    request = ModelRequest(
        name=spec.model,
        emotions=record.dataset.emotions,
        options=dict(spec.model_options),
        head=spec.recipe.head,
        head_dropout=spec.recipe.head_dropout,
    )
    return _seeded(request)


def _seeded(request: ModelRequest) -> Classifier:
    """Built with the same random weights each time."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return build_model(request)


def _size_in_memory(model: Classifier) -> float:
    """MiB of its weights and buffers."""
    size: int = sum(tensor.nbytes for tensor in model.state_dict().values())
    return size / 2**20
