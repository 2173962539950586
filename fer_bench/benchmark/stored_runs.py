"""A stored run's model, measured on any data."""

from __future__ import annotations

from dataclasses import dataclass

from fer_bench import distributed
from fer_bench.benchmark.plan import Source
from fer_bench.evaluation.evaluate import evaluate
from fer_bench.evaluation.tta import tta_of
from fer_bench.inference.classifier import load_run_model
from fer_bench.results.record import Metrics
from fer_bench.results.store import ResultsStore
from fer_bench.types import Progress, Split, silent


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
    tta_views: int | None = None,
    limit: int | None = None,
    device: str = "cpu",
    progress: Progress = silent,
) -> EvaluationReport:
    """Measures a stored run's model on any source; with `tta`, over its recipe's views.

    tta_views: over this many views instead.

    A run trained on FER+ labels is measured on them over FER2013, elsewhere on the data's own.

    Raises:
        FerBenchError: no such run, no weights beside its record, or data that do not fit.
    """
    with distributed.raise_together():
        run = store.find(name)
        record = run.require_record()
        model = load_run_model(run)
        dataset = source.load_for(record.spec)
    if limit is not None:  # of this split alone: what is clean depends on the whole of train
        dataset = dataset.limited(limit, limit=(split,))
    views = record.spec.tta if tta else "none"
    if tta_views is not None:
        views = tta_of(tta_views)
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
