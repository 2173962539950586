"""Does a probability of 0.8 mean right four times in five? Reliability, ECE, temperature."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fer_bench.evaluation.confusion import of_set, scores
from fer_bench.results.record import RunRecord
from fer_bench.types import Split

if TYPE_CHECKING:  # `predict` needs neither tables nor a fit
    import pandas as pd

#: The usual number of bins (Guo et al. 2017, arXiv 1706.04599).
N_BINS = 15
#: Temperatures that are searched; no trained network's lies outside.
TEMPERATURES = (0.05, 20.0)


def _binned(score: NDArray[np.float64], happened: NDArray[np.bool_], n_bins: int) -> pd.DataFrame:
    """How often it happened at each level of the score; the table that `reliability` describes.

    Own code because scikit-learn's `calibration_curve` is binary only and drops empty bins.
    """
    import pandas as pd

    edges = np.linspace(0, 1, n_bins + 1)
    bins = np.clip(np.searchsorted(edges, score, side="left") - 1, 0, n_bins - 1)
    count = np.bincount(bins, minlength=n_bins)
    with np.errstate(invalid="ignore"):  # 0 / 0 is the NaN of an empty bin
        return pd.DataFrame(
            {
                "low": edges[:-1],
                "high": edges[1:],
                "count": count,
                "confidence": np.bincount(bins, score, n_bins) / count,
                "accuracy": np.bincount(bins, happened, n_bins) / count,
            }
        )


def _mean_gap(table: pd.DataFrame) -> float:
    """Mean distance between the columns `confidence` and `accuracy`, weighted by `count`."""
    gap = (table["confidence"] - table["accuracy"]).abs()
    return float((gap * table["count"]).sum() / table["count"].sum())


def reliability(
    labels: NDArray[np.int64], probabilities: NDArray[np.floating], n_bins: int = N_BINS
) -> pd.DataFrame:
    """How often the model is right at each level of confidence (its largest probability).

    Args:
        labels: int64 `(N,)`, class numbers.
        probabilities: float `(N, C)`, rows sum to 1.
        n_bins: number of equal-width bins over [0, 1]; a bin holds its upper edge.

    Returns:
        One row per bin, empty ones too: `low, high` (edges), `count`, `confidence` and `accuracy`
        (means over the bin's images, in [0, 1]; NaN in an empty bin).
    """
    confidence = probabilities.max(1).astype(np.float64)
    return _binned(confidence, probabilities.argmax(1) == labels, n_bins)


def class_reliability(
    labels: NDArray[np.int64],
    probabilities: NDArray[np.floating],
    emotion: int,
    n_bins: int = N_BINS,
) -> pd.DataFrame:
    """How often an image is of one emotion at each level of that emotion's probability.

    Args:
        emotion: its class number.

    Returns:
        As `reliability`; `confidence` is the emotion's mean probability and `accuracy` the share of
        images that are of it.
    """
    return _binned(probabilities[:, emotion].astype(np.float64), labels == emotion, n_bins)


def expected_calibration_error(
    labels: NDArray[np.int64], probabilities: NDArray[np.floating]
) -> float:
    """Mean distance between confidence and accuracy over `reliability`'s bins, by their counts.

    Returns:
        ECE in [0, 1]; 0 is perfectly calibrated (Guo et al. 2017, arXiv 1706.04599, eq. 3).
    """
    return _mean_gap(reliability(labels, probabilities))


def classwise_errors(
    labels: NDArray[np.int64], probabilities: NDArray[np.floating], emotions: Sequence[str]
) -> pd.DataFrame:
    """The calibration error of each emotion's own probability, over all images.

    Returns:
        One row per emotion: `emotion, images` (of it), `answers` (that name it), `share` (of it
        among all images), `mean_probability` (given to it; above `share` it is named too readily)
        and `ece`, the mean distance over `class_reliability`'s bins, by their counts. The mean of
        `ece` is the classwise ECE of Kull et al. 2019 (arXiv 1910.12656, section 2), which Nixon et
        al. 2019 (arXiv 1904.01685, section 3) call the static calibration error.
    """
    import pandas as pd

    n_classes = len(emotions)
    return pd.DataFrame(
        {
            "emotion": list(emotions),
            "images": np.bincount(labels, minlength=n_classes),
            "answers": np.bincount(probabilities.argmax(1), minlength=n_classes),
            "share": np.bincount(labels, minlength=n_classes) / len(labels),
            "mean_probability": probabilities.mean(0, dtype=np.float64),
            "ece": [
                _mean_gap(class_reliability(labels, probabilities, number))
                for number in range(n_classes)
            ],
        }
    )


@dataclass(frozen=True, kw_only=True)
class CalibrationErrors:
    """ece: of the answers. classwise_ece: of every emotion's probability. Both in [0, 1]."""

    ece: float
    classwise_ece: float


def calibration_errors(
    labels: NDArray[np.int64], probabilities: NDArray[np.floating], emotions: Sequence[str]
) -> CalibrationErrors:
    """`expected_calibration_error` and the mean of `classwise_errors`."""
    by_emotion = classwise_errors(labels, probabilities, emotions)["ece"]
    return CalibrationErrors(
        ece=expected_calibration_error(labels, probabilities),
        classwise_ece=float(by_emotion.mean()),
    )


def with_temperature(
    probabilities: NDArray[np.floating], temperature: float
) -> NDArray[np.float64]:
    """Probabilities `(N, C)` as if their logits had been divided by `temperature`."""
    logits = np.log(np.clip(probabilities.astype(np.float64), 1e-12, None)) / temperature
    raised = np.exp(logits - logits.max(1, keepdims=True))
    scaled: NDArray[np.float64] = raised / raised.sum(1, keepdims=True)
    return scaled


def fit_temperature(labels: NDArray[np.int64], probabilities: NDArray[np.floating]) -> float:
    """The temperature of the least log loss (Guo et al. 2017, arXiv 1706.04599, section 4.2).

    Fit it on validation data: above 1 where the model was too sure of itself, below 1 where it was
    not sure enough, as after label smoothing.

    Args:
        labels: int64 `(N,)`, class numbers.
        probabilities: float `(N, C)`, rows sum to 1.
    """
    from scipy.optimize import minimize_scalar

    def log_loss(log_temperature: float) -> float:
        scaled = with_temperature(probabilities, np.exp(log_temperature))
        of_truth = scaled[np.arange(len(labels)), labels]
        return float(-np.log(np.clip(of_truth, 1e-12, None)).mean())

    optimum = minimize_scalar(log_loss, bounds=np.log(TEMPERATURES), method="bounded")
    return float(np.exp(optimum.x))


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """A model's temperature, and the calibration error that it leaves, `ece`, by split."""

    temperature: float
    ece: dict[str, float]


def calibrate(
    predictions: pd.DataFrame, emotions: Sequence[str], selection_split: Split
) -> Calibration:
    """Fits the temperature on the selection split and measures every split with it.

    Args:
        predictions: as `evaluation.evaluate.Evaluation` describes them.
    """
    by_split = {str(s): scores(rows, emotions) for s, rows in predictions.groupby("split")}
    temperature = fit_temperature(*by_split[selection_split])
    ece = {
        split: expected_calibration_error(labels, with_temperature(probabilities, temperature))
        for split, (labels, probabilities) in by_split.items()
    }
    return Calibration(temperature=temperature, ece=ece)


def temperature_of(record: RunRecord, predictions: pd.DataFrame) -> float | None:
    """The record's temperature; without one, that of its stored selection split.

    Records of runs made before temperatures were stored have none. None where the predictions do
    not hold the selection split either.
    """
    if record.temperature is not None:
        return record.temperature
    selection = of_set(predictions, record.spec.selection_split)
    if selection.empty:
        return None
    return fit_temperature(*scores(selection, record.dataset.emotions))


def calibrated_scores(
    predictions: pd.DataFrame, record: RunRecord, metrics_key: str
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Labels `(N,)` and probabilities `(N, C)` of a set of images after the run's temperature.

    Args:
        predictions: all of the run's.
        metrics_key: `val`, `test` or `test_clean`. Without a temperature the probabilities are the
            plain ones; see `temperature_of`.
    """
    chosen = of_set(predictions, metrics_key)
    labels, probabilities = scores(chosen, record.dataset.emotions)
    return labels, with_temperature(probabilities, temperature_of(record, predictions) or 1.0)
