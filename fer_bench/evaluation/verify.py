"""Does a record say what its predictions say? Every figure is computed again and compared."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from fer_bench.errors import FerBenchError
from fer_bench.evaluation.calibration import calibrate
from fer_bench.evaluation.confusion import of_set, scores
from fer_bench.evaluation.metrics import compute_metrics
from fer_bench.results.record import Metrics, RunRecord

#: Metrics whose predictions are stored.
STORED_SETS = ("val", "test", "test_clean")
#: How far a figure may be off: probabilities are stored as float32, bootstraps and bins differ.
TOLERANCES = {"accuracy_ci95": 5e-3, "ece": 2e-3}
TOLERANCE = 1e-4


@dataclass(frozen=True, kw_only=True)
class Check:
    """One thing that was compared; `problem` says what does not agree, or is empty."""

    name: str
    problem: str = ""

    @property
    def agrees(self) -> bool:
        """Whether the record says what its predictions say."""
        return not self.problem


def verify(record: RunRecord, predictions: pd.DataFrame) -> list[Check]:
    """Compares a finished record with its predictions; needs neither data nor weights.

    predictions: as `ResultsStore.predictions` gives them.

    Raises:
        FerBenchError: a record that is not finished.
    """
    if record.status != "done":
        raise FerBenchError(
            f"run {record.name} is {record.status}: only a finished run is verified"
        )
    return list(_checks(record, predictions))


def _checks(record: RunRecord, predictions: pd.DataFrame) -> Iterator[Check]:
    yield Check(name="ids", problem=_ids(predictions))
    yield Check(name="clean images", problem=_clean(record, predictions))
    missing = [s for s in ("val", "test") if s in record.metrics and of_set(predictions, s).empty]
    yield Check(name="splits", problem=f"no predictions on {', '.join(missing)}" if missing else "")
    for key in STORED_SETS:
        rows = of_set(predictions, key)
        if rows.empty:
            continue
        if key not in record.metrics:
            yield Check(name=key, problem="predictions are stored, but the record has no metrics")
            continue
        yield Check(name=key, problem=_metrics(record, key, rows))
        if key in record.dataset.split_sizes:
            yield Check(name=f"{key} images", problem=_counts(record, key, rows))
    yield Check(name="temperature", problem=_temperature(record, predictions))


def _ids(predictions: pd.DataFrame) -> str:
    twice = predictions.loc[predictions["id"].duplicated(), "id"]
    return f"image {twice.iloc[0]} stands in the predictions twice" if len(twice) else ""


def _clean(record: RunRecord, predictions: pd.DataFrame) -> str:
    if (predictions["clean"] & (predictions["split"] != "test")).any():
        return "images outside test are marked clean"
    left_out = record.metrics["test_clean"].n_left_out if "test_clean" in record.metrics else 0
    found, claimed = int(predictions["clean"].sum()) + left_out, record.dataset.clean_test_size
    return f"{found:,} clean images, the record says {claimed:,}" if found != claimed else ""


def _counts(record: RunRecord, split: str, rows: pd.DataFrame) -> str:
    size, left_out = record.dataset.split_sizes[split], record.metrics[split].n_left_out
    if len(rows) + left_out != size:
        return f"{len(rows) + left_out:,} images, the record says {size:,}"
    counts = np.bincount(rows["label"], minlength=len(record.dataset.emotions)).tolist()
    claimed = [record.dataset.class_counts[split].get(e) for e in record.dataset.emotions]
    return f"{counts} images by emotion, the record says {claimed}" if counts != claimed else ""


def _metrics(record: RunRecord, key: str, rows: pd.DataFrame) -> str:
    claimed = record.metrics[key]
    try:
        labels, probabilities = scores(rows, record.dataset.emotions)
        found = compute_metrics(
            labels, probabilities, record.dataset.emotions, n_left_out=claimed.n_left_out
        )
    except FerBenchError as error:
        return str(error)
    return "; ".join(_differences(claimed, found))


def _differences(claimed: Metrics, found: Metrics) -> Iterator[str]:
    for name in Metrics.model_fields:
        said, computed = getattr(claimed, name), getattr(found, name)
        if name == "per_class":
            for emotion, own in computed.items():
                other = said.get(emotion)
                if other is None or not _close(
                    list(other.model_dump().values()), list(own.model_dump().values()), TOLERANCE
                ):
                    yield f"{name} of {emotion} is not what the predictions give"
        elif said is None and name in ("ece", "log_loss", "roc_auc"):
            continue  # an external system without probabilities
        elif not _close(said, computed, TOLERANCES.get(name, TOLERANCE)):
            yield f"{name} is {_short(computed)}, the record says {_short(said)}"


def _close(said: object, computed: object, tolerance: float) -> bool:
    if said is None or computed is None:
        return said is computed
    a, b = np.asarray(said, dtype=np.float64), np.asarray(computed, dtype=np.float64)
    return a.shape == b.shape and bool((np.abs(a - b) <= tolerance).all())


def _short(value: object) -> str:
    return f"{value:.5g}" if isinstance(value, float) else f"{value!s:.80}"


def _temperature(record: RunRecord, predictions: pd.DataFrame) -> str:
    selection = record.spec.selection_split
    if record.temperature is None or of_set(predictions, selection).empty:
        return ""
    found = calibrate(predictions, record.dataset.emotions, selection)
    if abs(found.temperature - record.temperature) > 0.01 * found.temperature:
        return f"it is {found.temperature:.4g}, the record says {record.temperature:.4g}"
    for split, ece in record.calibrated_ece.items():
        if split in found.ece and abs(found.ece[split] - ece) > TOLERANCES["ece"]:
            return f"ECE after it on {split} is {found.ece[split]:.4f}, the record says {ece:.4f}"
    return ""
