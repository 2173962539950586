"""A record of a network that was trained elsewhere, run here as it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from fer_bench.benchmark.external_systems.answers import require_new
from fer_bench.benchmark.records import describe_model, finished, new_record
from fer_bench.config import validate
from fer_bench.data.dataset import FaceDataset
from fer_bench.data.load import Source
from fer_bench.errors import FerBenchError
from fer_bench.evaluation.evaluate import evaluate
from fer_bench.models.build import open_external
from fer_bench.models.classifier import Option
from fer_bench.models.external.model import ExternalModel
from fer_bench.models.weights import model_files
from fer_bench.results.record import RunRecord
from fer_bench.results.store import ResultsStore
from fer_bench.specs.run import ExternalSpec
from fer_bench.types import Progress, Split, silent


@dataclass(frozen=True, kw_only=True)
class ExternalReport:
    """The record of a network from elsewhere, and what was decided about it, in sentences."""

    record: RunRecord
    notes: tuple[str, ...]


def evaluate_external(
    store: ResultsStore,
    model: str,
    source: Source,
    *,
    options: Mapping[str, Option] | None = None,
    about: Mapping[str, Any] | None = None,
    device: str = "cpu",
    force: bool = False,
    progress: Progress = silent,
) -> ExternalReport:
    """Measures a network as a run's is measured, and stores its record with the network.

    Args:
        model: `onnx:FILE`, `hf:ID`, `hf:FOLDER`, `torchscript:FILE` or `pt2:FILE`.
        options: what it does not say itself, see `models.external.options.ExternalOptions`.
        about: fields of `ExternalSpec`: its name, licence, what it was trained on, which data.
        force: replace the record of an earlier evaluation.

    Emotions that it does not know are left out of the data, and those that the data do not have out
    of its answers.

    Raises:
        FerBenchError: a network that cannot be opened or is unclear (says which option makes it
            clear), data that do not fit, or a record that is there already.
        RunFailed: its answers are not finite.
    """
    started = datetime.now(UTC)
    opened = open_external(model, options or {})
    spec = _spec(opened, dict(about or {}))
    dataset = source.load(spec, complete=False)
    emotions, notes = _common(opened, dataset)
    if emotions != dataset.emotions:
        spec = spec.model_copy(update={"emotions": emotions})
        dataset = source.load(spec, complete=False)
    if not force:
        require_new(store, spec, dataset)
    network = opened.classifier(dataset.emotions)
    splits: tuple[Split, ...] = ("val", "test") if dataset.split_sizes()["val"] else ("test",)
    evaluation = evaluate(
        network, dataset, splits=splits, tta="none", device=device, progress=progress
    )
    network.cpu()
    record = new_record(spec, dataset, started)
    record = record.model_copy(update={"model": describe_model(network)})
    record = finished(record, evaluation)
    store.save(record, predictions=evaluation.predictions, network=model_files(network))
    return ExternalReport(record=record, notes=(*opened.notes, *notes))


def _spec(opened: ExternalModel, about: dict[str, Any]) -> ExternalSpec:
    name = about.pop("external", "") or opened.name.partition(":")[2]
    about = {key: value for key, value in about.items() if value not in (None, "")}
    values = {"version": opened.version[:12], "source": opened.name, **about}
    values |= {"external": name, "model": opened.name, "model_options": dict(opened.options)}
    return validate(ExternalSpec, values, f"the external model {name!r:.80}")


def _common(opened: ExternalModel, dataset: FaceDataset) -> tuple[tuple[str, ...], list[str]]:
    """The emotions that both know, in the data's order, and sentences about the others.

    Raises:
        FerBenchError: fewer than two.
    """
    common = tuple(e for e in dataset.emotions if e in opened.emotions)
    if len(common) < 2:
        raise FerBenchError(
            f"{opened.name} knows {', '.join(opened.emotions)} and {dataset.source} has "
            f"{', '.join(dataset.emotions)}: expected two emotions or more in common; choose other "
            "data, or say the labels with --labels"
        )
    notes = []
    if lacking := [e for e in dataset.emotions if e not in common]:
        notes.append(
            f"it does not know {', '.join(lacking)}: images of them are left out, so that its "
            "numbers stand in a ranking of their own"
        )
    if beyond := [e for e in opened.emotions if e not in common]:
        notes.append(
            f"the data have no {', '.join(beyond)}: left out of its answers, the others' share is "
            "1 without it"
        )
    return common, notes
