"""Does a probability of 0.8 mean right four times in five? Reliability, ECE, temperature."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from fer_bench.evaluation.confusions import scores
from fer_bench.types import Split

#: The usual number of bins (Guo et al. 2017, arXiv 1706.04599).
N_BINS = 15
#: Temperatures that are searched; no trained network's lies outside.
TEMPERATURES = (0.05, 20.0)


def reliability(
    labels: NDArray[np.int64], probabilities: NDArray[np.floating], n_bins: int = N_BINS
) -> pd.DataFrame:
    """How often the model is right at each level of confidence (its largest probability).

    Own code because scikit-learn's `calibration_curve` is binary only and drops empty bins.

    Args:
        labels: int64 `(N,)`, class numbers.
        probabilities: float `(N, C)`, rows sum to 1.
        n_bins: number of equal-width bins over [0, 1]; a bin holds its upper edge.

    Returns:
        One row per bin, empty ones too: `low, high` (edges), `count`, `confidence` and `accuracy`
        (means over the bin's images, in [0, 1]; NaN in an empty bin).
    """
    confidence = probabilities.max(1).astype(np.float64)
    right = probabilities.argmax(1) == labels
    edges = np.linspace(0, 1, n_bins + 1)
    bins = np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, n_bins - 1)
    count = np.bincount(bins, minlength=n_bins)
    with np.errstate(invalid="ignore"):  # 0 / 0 is the NaN of an empty bin
        return pd.DataFrame(
            {
                "low": edges[:-1],
                "high": edges[1:],
                "count": count,
                "confidence": np.bincount(bins, confidence, n_bins) / count,
                "accuracy": np.bincount(bins, right, n_bins) / count,
            }
        )


def expected_calibration_error(
    labels: NDArray[np.int64], probabilities: NDArray[np.floating], n_bins: int = N_BINS
) -> float:
    """Mean distance between confidence and accuracy over `reliability`'s bins, by their counts.

    Returns:
        ECE in [0, 1]; 0 is perfectly calibrated (Guo et al. 2017, arXiv 1706.04599, eq. 3).
    """
    table = reliability(labels, probabilities, n_bins)
    gap = (table["confidence"] - table["accuracy"]).abs()
    return float((gap * table["count"]).sum() / table["count"].sum())


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

    def log_loss(log_temperature: float) -> float:
        scaled = with_temperature(probabilities, np.exp(log_temperature))
        of_truth = scaled[np.arange(len(labels)), labels]
        return float(-np.log(np.clip(of_truth, 1e-12, None)).mean())

    found = minimize_scalar(log_loss, bounds=np.log(TEMPERATURES), method="bounded")
    return float(np.exp(found.x))


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """A model's temperature, and the calibration error that it leaves, `ece`, by split."""

    temperature: float
    ece: dict[str, float]


def calibrate(
    predictions: pd.DataFrame, emotions: Sequence[str], selection_split: Split
) -> Calibration:
    """Fits the temperature on the selection split and measures every split with it.

    predictions: as `evaluation.predicting.Evaluation` describes them.
    """
    by_split = {str(s): scores(rows, emotions) for s, rows in predictions.groupby("split")}
    temperature = fit_temperature(*by_split[selection_split])
    ece = {
        split: expected_calibration_error(labels, with_temperature(probabilities, temperature))
        for split, (labels, probabilities) in by_split.items()
    }
    return Calibration(temperature=temperature, ece=ece)
