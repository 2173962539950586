"""Runs to compare: made-up ones in a store, and tables of a few answers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from record_fixtures import make_history, make_predictions, make_record

from fer_bench.emotions import FER2013
from fer_bench.evaluation.comparing import Comparison, compare
from fer_bench.evaluation.shared_images import ImageSet
from fer_bench.results.record import RunRecord
from fer_bench.results.store import ResultsStore, StoredRun

#: Enough for a page, and quick.
FEW = 500
N_TEST = 140


def save_run(root: Path, record: RunRecord, predictions: pd.DataFrame | None = None) -> StoredRun:
    """A run with predictions; those of `make_record(accuracy=0.65)` unless given."""
    store = ResultsStore(root)
    if predictions is None:
        predictions = make_predictions(seed=record.spec.labels.seed)
    store.save(record, history=make_history(), predictions=predictions)
    return store.find(f"{record.dataset.name}/{record.name}")


def save_seeds(root: Path, model: str, accuracy: float, seeds: Sequence[int]) -> list[StoredRun]:
    """One experiment with several seeds; every seed errs on images of its own."""
    return [
        save_run(
            root,
            make_record(model=model, seed=seed, accuracy=accuracy),
            make_predictions(accuracy=accuracy, seed=seed),
        )
        for seed in seeds
    ]


def compare_stored(runs: Sequence[StoredRun], images: ImageSet = "test") -> Comparison:
    """`compare` with the predictions beside the records, by few resamples."""
    tables = [pd.read_parquet(run.folder / "predictions.parquet") for run in runs]
    return compare(runs, tables, images, n_resamples=FEW)


def answer_table(
    labels: Sequence[int], answers: Sequence[int], confidence: Sequence[float] | None = None
) -> pd.DataFrame:
    """Predictions on test images `a`, `b`, ...; the answer has its confidence, the rest is even."""
    sure = np.full(len(labels), 0.9) if confidence is None else np.asarray(confidence)
    n_classes = len(FER2013)
    probabilities = np.repeat(((1 - sure) / (n_classes - 1))[:, None], n_classes, axis=1)
    probabilities[np.arange(len(labels)), answers] = sure
    table = pd.DataFrame(
        {"id": list("abcdefghij"[: len(labels)]), "split": "test", "label": labels, "clean": True}
    )
    return table.assign(**{f"p_{e}": probabilities[:, c] for c, e in enumerate(FER2013)})
