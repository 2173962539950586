"""A stored run's model, measured on any data."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fer_bench import distributed
from fer_bench.benchmark.plan import as_source
from fer_bench.benchmark.seen_images import n_seen
from fer_bench.data.load import Source
from fer_bench.evaluation.evaluate import evaluate as measure
from fer_bench.evaluation.tta import tta_of
from fer_bench.inference.classifier import load_run_model
from fer_bench.results.record import Metrics
from fer_bench.results.store import ResultsStore, open_results
from fer_bench.results.stored_run import StoredRun
from fer_bench.types import Progress, Split, silent


@dataclass(frozen=True, kw_only=True)
class EvaluationReport:
    """A stored model's metrics on one split of some data.

    Attributes:
        limit: at most so many images of it, evenly spread; None for all.
        n_seen: test images that the run was trained on or chosen by under another split, so that
            this is no test of it; `clean` leaves out those of this data's train and val alone.
    """

    run: str
    split: Split
    limit: int | None
    metrics: Metrics
    clean: Metrics | None
    emotions: tuple[str, ...]
    tta: str
    n_seen: int = 0


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

    Args:
        tta_views: over this many views instead.
        limit: at most so many images of the split, see `FaceDataset.spread`.

    A run trained on FER+ labels is measured on them over FER2013, elsewhere on the data's own.

    Raises:
        FerBenchError: no such run, no weights next to its record, or data that do not fit.
    """
    with distributed.raise_together():
        run = store.find(name)
        record = run.require_record()
        model = load_run_model(run)
        dataset = source.load_for(record.spec)
    dataset = dataset.spread(split, model.emotions, limit)
    views = record.spec.tta if tta else "none"
    if tta_views is not None:
        views = tta_of(tta_views)
    evaluation = measure(
        model, dataset, splits=(split,), tta=views, device=device, progress=progress
    ).metrics
    suffix = "_tta" if views != "none" else ""
    return EvaluationReport(
        run=run.name,
        split=split,
        limit=limit,
        metrics=evaluation[split + suffix],
        clean=evaluation.get(f"test_clean{suffix}"),
        emotions=model.emotions,
        tta=views,
        n_seen=n_seen(run, dataset) if split == "test" else 0,
    )


def evaluate(
    run: str | Path | StoredRun,
    data: str | Path | Source,
    *,
    split: Split = "test",
    tta: bool = False,
    tta_views: int | None = None,
    limit: int | None = None,
    results: str | Path | None = None,
    device: str = "auto",
    progress: Progress = silent,
) -> EvaluationReport:
    """Measures a stored run's model on a split of some data, as the command `evaluate` does.

    Args:
        run: its name, `dataset/run`, its folder, or `default`; or one that `train` gave.
        data: what `load_dataset` takes, or a `Source`; what is decided about it is a warning.
        split: `train`, `val` or `test`.
        tta: average over the views of the run's recipe.
        tta_views: average over so many views instead.
        limit: at most so many images of the split, evenly spread over it.
        results: where runs are, see `open_results`.
        device: `auto`, `cpu` or `cuda`.
        progress: hears of every step.

    Raises:
        FerBenchError: as `evaluate_run`.
    """
    source = as_source(data)
    return evaluate_run(
        open_results(results),
        str(run.folder if isinstance(run, StoredRun) else run),
        source,
        split=split,
        tta=tta,
        tta_views=tta_views,
        limit=limit,
        device=distributed.choose_device(device),
        progress=progress,
    )
