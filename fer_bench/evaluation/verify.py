"""Does a record say what its predictions and its data say? All is computed again and compared."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fer_bench.errors import FerBenchError
from fer_bench.evaluation.calibration import calibrate
from fer_bench.evaluation.confusion import PREFIXES, of_set, scores
from fer_bench.evaluation.metrics import compute_metrics
from fer_bench.evaluation.prediction_sets import coverage_table, measure_sets
from fer_bench.results.record import Metrics, RunRecord, SetCoverage
from fer_bench.specs.run import ExternalSpec, Protocol

#: Metrics whose predictions are stored.
STORED_SETS = ("val", "test", "test_clean")
#: How far a figure may be off: probabilities are stored as float32, bootstraps and bins differ.
#: A face on the edge of a threshold may fall to either side of it.
TOLERANCES = {"accuracy_ci95": 5e-3, "ece": 2e-3, "sets": 2e-3}
TOLERANCE = 1e-4
#: What a system that gives one emotion per image has no figures for.
NO_PROBABILITIES = {"ece": None, "log_loss": None, "roc_auc": None}


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
    yield Check(name="sets of images", problem=_known_sets(record))
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
    if record.name != spec.name:
        return f"its specification is that of {spec.name}, the record calls itself {record.name}"
    protocol = record.dataset.protocol  # or another word of `data.splits.describe`
    if protocol in get_args(Protocol) and protocol != spec.protocol:
        return f"its data are of protocol {protocol}, it is of {spec.protocol}"
    if record.finished_at and record.finished_at < record.started_at:
        return "it was finished before it was started"
    training = record.training
    if training and not 0 <= training.best_epoch <= training.epochs_run:
        return f"epoch {training.best_epoch} of {training.epochs_run} is called the best"
    if record.members and abs(sum(one.weight for one in record.members) - 1) > TOLERANCE:
        return "its members' weights do not sum to 1"
    return ""


def _known_sets(record: RunRecord) -> str:
    """Nothing is claimed of images whose answers nobody can look at."""
    keys = {f"{key}{suffix}" for key in STORED_SETS for suffix in PREFIXES}
    unknown = sorted(record.metrics.keys() - keys)
    if unknown:
        return f"metrics on {', '.join(unknown)}, of which no answers are stored"
    for split, counts in record.dataset.class_counts.items():
        size = record.dataset.split_sizes.get(split)
        if sum(counts.values()) != size:
            return f"{split} has {sum(counts.values()):,} images by emotion, and {size} in all"
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
    stored = any(str(column).startswith(PREFIXES["_tta"]) for column in predictions)
    for key in claimed:
        rows, name = of_set(predictions, key), f"{key}_tta"
        if stored:
            yield Check(name=name, problem=_metrics(record, name, rows, "_tta"))
        else:
            labels = rows["label"].to_numpy(dtype=np.int64)
            yield Check(name=name, problem=_within(record, name, labels))
    if claimed and not stored:
        note = "its predictions are not stored: its metrics are held against each other alone"
        yield Check(name="TTA", note=note)


def _within(record: RunRecord, key: str, labels: NDArray[np.int64]) -> str:
    """Whether metrics are those of their own confusion matrix, and that one is of these labels."""
    claimed, n_emotions = record.metrics[key], len(record.dataset.emotions)
    confusion = np.asarray(claimed.confusion)
    if confusion.shape != (n_emotions, n_emotions) or (confusion < 0).any():
        return "its confusion matrix is not one of counts of its emotions"
    counts = np.bincount(labels, minlength=n_emotions).tolist()
    if confusion.sum(axis=1).tolist() != counts:
        return f"its confusion matrix is not of the {counts} images by emotion"
    cells = np.indices(confusion.shape).reshape(2, -1)
    truth, answered = np.repeat(cells, confusion.ravel(), axis=1)
    metrics = compute_metrics(
        truth, np.eye(n_emotions)[answered], record.dataset.emotions, n_left_out=claimed.n_left_out
    )
    return "; ".join(_differences(claimed.model_copy(update=NO_PROBABILITIES), metrics, False))


def _metrics(record: RunRecord, key: str, rows: pd.DataFrame, suffix: str = "") -> str:
    claimed = record.metrics[key]
    try:
        labels, probabilities = scores(rows, record.dataset.emotions, suffix)
        found = compute_metrics(
            labels, probabilities, record.dataset.emotions, n_left_out=claimed.n_left_out
        )
    except FerBenchError as error:
        return str(error)
    calibrated = record.has_probabilities
    if not calibrated and not np.isin(probabilities, (0, 1)).all():
        return "its answers are probabilities, the record says that they are labels"
    return "; ".join(_differences(claimed, found, calibrated))


def _differences(claimed: Metrics, found: Metrics, calibrated: bool) -> Iterator[str]:
    for name in Metrics.model_fields:
        said, computed = getattr(claimed, name), getattr(found, name)
        if name == "per_class":
            if said.keys() != computed.keys():
                yield f"{name} is of {', '.join(said)}"
            for emotion, own in computed.items():
                other = said.get(emotion)
                if other is None or not _close(
                    list(other.model_dump().values()), list(own.model_dump().values()), TOLERANCE
                ):
                    yield f"{name} of {emotion} is not what the predictions give"
        elif name in NO_PROBABILITIES and not calibrated:
            if said is not None:
                yield f"{name} is {_short(said)}, which answers without probabilities do not have"
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
    if record.temperature is None:
        return "calibration is claimed, and no temperature" if record.calibrated_ece else ""
    if of_set(predictions, selection).empty:
        return f"it is fitted on {selection}, of which no answers are stored"
    fitted = calibrate(predictions, record.dataset.emotions, selection)
    if abs(fitted.temperature - record.temperature) > 0.01 * fitted.temperature:
        return f"it is {fitted.temperature:.4g}, the record says {record.temperature:.4g}"
    for split, ece in record.calibrated_ece.items():
        if split not in fitted.ece:
            return f"ECE after it on {split}, of which no answers are stored"
        if abs(fitted.ece[split] - ece) > TOLERANCES["ece"]:
            return f"ECE after it on {split} is {fitted.ece[split]:.4f}, the record says {ece:.4f}"
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
    if len(found) != len(record.prediction_sets):
        return "not two kinds of sets, marginal and class-wise, for each level"
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
        both_none = said[name].isna() & computed[name].isna()
        off = ~((said[name] - computed[name]).abs() <= TOLERANCES["sets"]) & ~both_none
        if off.any():
            row = int(off.to_numpy().argmax())
            return (
                f"{name} of {said['emotion'][row]} is {_short(float(computed[name][row]))}, "
                f"the record says {_short(float(said[name][row]))}"
            )
    if not _close(
        [claimed.thresholds.get(emotion, np.nan) for emotion in found.thresholds],
        list(found.thresholds.values()),
        TOLERANCES["sets"],
    ):
        return "its thresholds are not those that the predictions give"
    return ""
