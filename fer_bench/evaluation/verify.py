"""Does a record say what its predictions and its data say? All is computed again and compared."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fer_bench.data.dataset import FaceDataset
from fer_bench.errors import FerBenchError
from fer_bench.evaluation.calibration import calibrate
from fer_bench.evaluation.confusion import PREFIXES, of_set, scores
from fer_bench.evaluation.metrics import align, compute_metrics
from fer_bench.evaluation.prediction_sets import coverage_table, measure_sets
from fer_bench.results.record import Metrics, RunRecord, SetCoverage
from fer_bench.specs.run import ExternalSpec
from fer_bench.types import SPLITS

#: Metrics whose predictions are stored.
STORED_SETS = ("val", "test", "test_clean")
#: How far a figure may be off: probabilities are stored as float32, bootstraps and bins differ.
#: A face on the edge of a threshold may fall to either side of it.
TOLERANCES = {"accuracy_ci95": 5e-3, "ece": 2e-3, "sets": 2e-3}
TOLERANCE = 1e-4


@dataclass(frozen=True, kw_only=True)
class Check:
    """One thing that was compared.

    Attributes:
        problem: what does not agree, or empty.
        note: what could not be compared, and why; or empty.
    """

    name: str
    problem: str = ""
    note: str = ""

    @property
    def agrees(self) -> bool:
        """Whether the record says what its predictions say."""
        return not self.problem


def verify(record: RunRecord, predictions: pd.DataFrame) -> list[Check]:
    """Compares a finished record with its predictions; needs neither data nor weights.

    Args:
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
    yield Check(name="standing", problem=_standing(record))
    yield Check(name="ids", problem=_ids(predictions))
    yield Check(name="emotions", problem=_emotions(record, predictions))
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
    yield from _tta(record, predictions)
    yield Check(name="temperature", problem=_temperature(record, predictions))
    if record.prediction_sets:
        yield Check(name="prediction sets", problem=_sets(record, predictions))


def _standing(record: RunRecord) -> str:
    """Whether it stands in a ranking that its own specification keeps it out of."""
    reasons = " ".join(record.not_comparable_because)
    if record.spec.limit and "limit" not in reasons:
        return f"a run on {record.spec.limit} images per split is called comparable"
    spec = record.spec
    if isinstance(spec, ExternalSpec) and spec.trained_on == "in-sample" and record.comparable:
        return "a system trained on these test images is called comparable"
    return ""


def _emotions(record: RunRecord, predictions: pd.DataFrame) -> str:
    """Probabilities of these emotions and no others, each row with a sum of 1."""
    for suffix, prefix in PREFIXES.items():
        names = [str(c).removeprefix(prefix) for c in predictions if str(c).startswith(prefix)]
        if names != list(record.dataset.emotions) and (names or not suffix):
            return f"columns {prefix}... are of {', '.join(names)}, the record has others"
    return ""


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


def _tta(record: RunRecord, predictions: pd.DataFrame) -> Iterator[Check]:
    claimed = [key for key in STORED_SETS if f"{key}_tta" in record.metrics]
    if claimed and not any(str(column).startswith(PREFIXES["_tta"]) for column in predictions):
        yield Check(name="TTA", note="its predictions are not stored, its metrics not checked")
        return
    for key in claimed:
        rows = of_set(predictions, key)
        yield Check(name=f"{key}_tta", problem=_metrics(record, f"{key}_tta", rows, "_tta"))


def _metrics(record: RunRecord, key: str, rows: pd.DataFrame, suffix: str = "") -> str:
    claimed = record.metrics[key]
    try:
        labels, probabilities = scores(rows, record.dataset.emotions, suffix)
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


def _sets(record: RunRecord, predictions: pd.DataFrame) -> str:
    try:
        found = {
            (one.level, one.kind): one
            for level in sorted({one.level for one in record.prediction_sets})
            for one in measure_sets(record, predictions, level)
        }
    except FerBenchError as error:
        return str(error)
    for claimed in record.prediction_sets:
        problem = _set_difference(claimed, found[claimed.level, claimed.kind])
        if problem:
            return f"{claimed.kind} at {claimed.level:.0%}: {problem}"
    return ""


def _set_difference(claimed: SetCoverage, found: SetCoverage) -> str:
    said, computed = coverage_table(claimed), coverage_table(found)
    if said["emotion"].tolist() != computed["emotion"].tolist():
        return "not the emotions of the test images"
    for name in ("n", "coverage", "mean_size", "low", "high", "expected_low", "expected_high"):
        off = (said[name] - computed[name]).abs() > TOLERANCES["sets"]
        if off.any():
            row = int(off.to_numpy().argmax())
            return (
                f"{name} of {said['emotion'][row]} is {_short(float(computed[name][row]))}, "
                f"the record says {_short(float(said[name][row]))}"
            )
    if not _close(
        list(claimed.thresholds.values()), list(found.thresholds.values()), TOLERANCES["sets"]
    ):
        return "its thresholds are not those that the predictions give"
    return ""


def verify_data(record: RunRecord, predictions: pd.DataFrame, dataset: FaceDataset) -> list[Check]:
    """Compares a record and its predictions with the data that it names.

    Args:
        dataset: as the record's specification asks for it.
    """
    return list(_data_checks(record, predictions, dataset))


def _data_checks(
    record: RunRecord, predictions: pd.DataFrame, dataset: FaceDataset
) -> Iterator[Check]:
    claimed, found = record.dataset.fingerprint, dataset.fingerprint
    problem = f"it is {found[:12]}, the record says {claimed[:12]}" if found != claimed else ""
    yield Check(name="data fingerprint", problem=problem)
    sizes, said = dataset.split_sizes(), record.dataset.split_sizes
    problem = f"{sizes}, the record says {said}" if sizes != said else ""
    yield Check(name="data sizes", problem=problem)
    row_of = {str(identity): row for row, identity in enumerate(dataset.ids)}
    unknown = [one for one in predictions["id"] if one not in row_of]
    if unknown:
        yield Check(name="data images", problem=f"{dataset.source} has no image {unknown[0]:.160}")
        return
    rows = np.array([row_of[one] for one in predictions["id"]], dtype=np.int64)
    yield Check(name="data images", problem=_answered(predictions, dataset, rows))
    yield Check(name="data labels", problem=_labels(record, predictions, dataset, rows))
    yield Check(name="leak", problem=_leak(predictions, dataset, rows))


def _answered(predictions: pd.DataFrame, dataset: FaceDataset, rows: NDArray[np.int64]) -> str:
    """Whether each answer is of the split that it says."""
    splits = np.array([SPLITS.index(split) for split in predictions["split"]])
    wrong = dataset.splits[rows] != splits
    if not wrong.any():
        return ""
    row = int(wrong.argmax())
    number = int(dataset.splits[rows[row]])
    return (
        f"{int(wrong.sum()):,} images are not of the split that they stand under, such as "
        f"{predictions['id'].iloc[row]:.160}, of {SPLITS[number] if number >= 0 else 'no split'}"
    )


def _labels(
    record: RunRecord, predictions: pd.DataFrame, dataset: FaceDataset, rows: NDArray[np.int64]
) -> str:
    kept, labels = align(dataset.labels[rows], dataset.emotions, record.dataset.emotions)
    if not kept.all():
        return f"{int((~kept).sum()):,} images have no label among the record's emotions"
    wrong = labels != predictions["label"].to_numpy()
    if not wrong.any():
        return ""
    row = int(wrong.argmax())
    return (
        f"{int(wrong.sum()):,} labels are not the data's, such as that of "
        f"{predictions['id'].iloc[row]:.160}"
    )


def _leak(predictions: pd.DataFrame, dataset: FaceDataset, rows: NDArray[np.int64]) -> str:
    """Whether `clean` marks the test images whose pixels stand neither in train nor in val."""
    clean = predictions["clean"].to_numpy()
    leaked = int((clean & ~dataset.clean_test[rows]).sum())
    if leaked:
        return f"{leaked:,} images are called clean, though they stand in train or val too"
    missed = int((~clean & dataset.clean_test[rows]).sum())
    return f"{missed:,} images are clean, though they are not called so" if missed else ""
