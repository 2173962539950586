"""Answering only when sure: what it gains in accuracy, and how many images stay unanswered.

Selective prediction by the largest probability (Geifman & El-Yaniv 2017, arXiv 1705.08500). A
threshold answers the images whose confidence reaches it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fer_bench.evaluation.intervals import Rate

#: Labels, int64 `(N,)`, and probabilities, float `(N, C)`, of one set of images.
Scores = tuple[NDArray[np.int64], NDArray[np.float64]]
#: Rounding of a risk, which must not turn 90 % away where 90 % are asked for.
TOLERANCE = 1e-9


@dataclass(frozen=True, kw_only=True)
class Accepted:
    """What a threshold does to a set of images.

    Attributes:
        accuracy: right answers of the answered images.
        share: answered images of all.
    """

    accuracy: Rate
    share: Rate

    @property
    def point(self) -> tuple[float, float] | None:
        """Coverage and risk, in [0, 1]; None where nothing is answered."""
        return (self.share.value, 1 - self.accuracy.value) if self.share.hits else None


def risk_coverage(labels: NDArray[np.int64], probabilities: NDArray[np.float64]) -> pd.DataFrame:
    """What each threshold answers, the strictest first.

    Args:
        labels: int64 `(N,)`, class numbers.
        probabilities: float `(N, C)`, rows sum to 1.

    Returns:
        One row per confidence that occurs: `threshold`, `answered` and `wrong` (images),
        `coverage` (answered images of all) and `risk` (wrong ones of the answered), in [0, 1].
    """
    confidence = probabilities.max(1)
    wrong = probabilities.argmax(1) != labels
    order = np.argsort(-confidence, kind="stable")
    falling = confidence[order]
    # Images of the same confidence are answered together.
    last = np.flatnonzero(np.append(falling[1:] != falling[:-1], True))
    n_wrong = np.cumsum(wrong[order])[last]
    return pd.DataFrame(
        {
            "threshold": falling[last],
            "answered": last + 1,
            "wrong": n_wrong,
            "coverage": (last + 1) / len(labels),
            "risk": n_wrong / (last + 1),
        }
    )


def area_under_risk_coverage(
    labels: NDArray[np.int64], probabilities: NDArray[np.float64]
) -> float:
    """AURC, the mean risk over the N coverages 1/N, 2/N, … 1; less is better.

    Geifman et al. 2019, arXiv 1805.08206, section 3. Images of the same confidence share their mean
    error, so that their order does not matter.
    """
    table = risk_coverage(labels, probabilities)
    answered = np.arange(1, len(labels) + 1)
    wrong = np.interp(answered, [0, *table["answered"]], [0, *table["wrong"]])
    return float((wrong / answered).mean())


def answered_above(
    labels: NDArray[np.int64], probabilities: NDArray[np.float64], threshold: float
) -> Accepted:
    """What a threshold in [0, 1] does to all images together."""
    sure = probabilities.max(1) >= threshold
    right = probabilities.argmax(1) == labels
    n_answered = int(sure.sum())
    return Accepted(
        accuracy=Rate(hits=int((sure & right).sum()), n=n_answered),
        share=Rate(hits=n_answered, n=len(labels)),
    )


def answered_by_emotion(
    labels: NDArray[np.int64],
    probabilities: NDArray[np.float64],
    emotions: Sequence[str],
    threshold: float,
) -> pd.DataFrame:
    """What a threshold does to the images of each emotion.

    Returns:
        Columns `emotion, images` (of it), `answered` (of these), `coverage`, `recall` (right ones
        of these answered), `answers` (that name it) and `precision` (right ones of these answers);
        rates in [0, 1], NaN of nothing.
    """
    sure = probabilities.max(1) >= threshold
    answer = probabilities.argmax(1)
    rows = []
    for number, emotion in enumerate(emotions):
        of_it, named = labels == number, sure & (answer == number)
        answered, hits = int((sure & of_it).sum()), int((named & of_it).sum())
        rows.append(
            {
                "emotion": emotion,
                "images": int(of_it.sum()),
                "answered": answered,
                "coverage": Rate(hits=answered, n=int(of_it.sum())).value,
                "recall": Rate(hits=hits, n=answered).value,
                "answers": int(named.sum()),
                "precision": Rate(hits=hits, n=int(named.sum())).value,
            }
        )
    return pd.DataFrame(rows)


def threshold_for(
    labels: NDArray[np.int64], probabilities: NDArray[np.float64], accuracy: float
) -> float | None:
    """The threshold that answers most images with at least this accuracy, in [0, 1].

    None where no threshold reaches it. Choose it on validation data.
    """
    table = risk_coverage(labels, probabilities)
    reached = table.loc[table["risk"] <= 1 - accuracy + TOLERANCE, "threshold"]
    return None if reached.empty else float(reached.iloc[-1])


@dataclass(frozen=True, kw_only=True)
class OperatingPoint:
    """An accuracy promised by a threshold: what it gave where it was chosen, and elsewhere."""

    threshold: float
    chosen_on: Accepted
    held_on: Accepted


def operating_point(validation: Scores, test: Scores, accuracy: float) -> OperatingPoint | None:
    """Chooses a threshold for an accuracy in [0, 1] on one set of images and applies it to another.

    None where no threshold reaches the accuracy on `validation`.
    """
    threshold = threshold_for(*validation, accuracy)
    if threshold is None:
        return None
    return OperatingPoint(
        threshold=threshold,
        chosen_on=answered_above(*validation, threshold),
        held_on=answered_above(*test, threshold),
    )
