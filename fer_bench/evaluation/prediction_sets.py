"""Sets of emotions that hold the true one as often as asked: split conformal prediction.

Vovk, Gammerman & Shafer 2005; with a threshold for each class: Vovk 2012, arXiv 1209.2673.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fer_bench.errors import FerBenchError
from fer_bench.evaluation.calibration import calibrated_scores, temperature_of, with_temperature
from fer_bench.evaluation.confusion import of_set, scores
from fer_bench.evaluation.intervals import Rate
from fer_bench.results.record import EmotionCoverage, RunRecord, SetCoverage

Kind = Literal["marginal", "class-wise"]
KINDS: tuple[Kind, ...] = get_args(Kind)
#: What records say.
LEVEL = 0.9


@dataclass(frozen=True, kw_only=True)
class SetRule:
    """Which emotions of a face are named: those with a probability of at least its threshold.

    thresholds: float64 `(C,)`, in [0, 1]; the answer itself is always named.
    """

    level: float
    kind: Kind
    thresholds: NDArray[np.float64]

    def sets(self, probabilities: NDArray[np.floating]) -> NDArray[np.bool_]:
        """bool `(N, C)`: which emotions each face's set holds.

        probabilities: float `(N, C)`, calibrated as those that the rule was fitted on.
        """
        chosen: NDArray[np.bool_] = probabilities >= self.thresholds
        chosen[np.arange(len(chosen)), probabilities.argmax(axis=1)] = True
        return chosen


def require_level(level: float) -> float:
    """The level, if it is one.

    Raises:
        FerBenchError: it is not between 0 and 1.
    """
    if not 0 < level < 1:
        raise FerBenchError(
            f"expected a coverage between 0 and 1 for the sets, such as 0.9, got {level:g}"
        )
    return level


def fit_sets(
    labels: NDArray[np.int64],
    probabilities: NDArray[np.floating],
    level: float = LEVEL,
    kind: Kind = "class-wise",
) -> SetRule:
    """The thresholds whose sets hold the true emotion with at least the asked probability.

    Marginal: over all faces together. Class-wise: over the faces of each emotion, so that a rare
    one is not left to pay; an emotion with too few faces for the level is always in the set.

    Args:
        labels: int64 `(N,)`, of faces that neither trained the network nor are tested on.
        probabilities: float `(N, C)`.

    Raises:
        FerBenchError: a level that is none.
    """
    require_level(level)
    n_classes = probabilities.shape[1]
    of_truth = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    if kind == "marginal":
        thresholds = np.full(n_classes, _threshold(of_truth, level))
    else:
        thresholds = np.array([_threshold(of_truth[labels == c], level) for c in range(n_classes)])
    return SetRule(level=level, kind=kind, thresholds=thresholds)


def _threshold(of_truth: NDArray[np.float64], level: float) -> float:
    """The largest that `ceil((n + 1) level)` of n true emotions reach; 0 without so many."""
    needed = int(np.ceil((len(of_truth) + 1) * level - 1e-9))
    if needed > len(of_truth):
        return 0.0
    return float(np.sort(of_truth)[len(of_truth) - needed])


def rule_of(
    record: RunRecord,
    predictions: pd.DataFrame,
    level: float = LEVEL,
    kind: Kind = "class-wise",
    *,
    temperature: float | None = None,
) -> SetRule:
    """A run's rule, fitted on its stored answers to the selection split, after its temperature.

    temperature: of the probabilities that the rule is for; None for `temperature_of`'s.

    Raises:
        FerBenchError: a level that is none, or no such answers stored.
    """
    require_level(level)
    selection = record.spec.selection_split
    rows = of_set(predictions, selection)
    if rows.empty:
        raise FerBenchError(
            f"run {record.name} has no stored predictions on {selection}, which prediction sets "
            "are fitted on: choose another run or train it again"
        )
    labels, plain = scores(rows, record.dataset.emotions)
    used = temperature or temperature_of(record, predictions) or 1.0
    return fit_sets(labels, with_temperature(plain, used), level, kind)


def coverage(
    rule: SetRule,
    labels: NDArray[np.int64],
    probabilities: NDArray[np.floating],
    emotions: Sequence[str],
) -> SetCoverage:
    """How often the sets hold the true emotion, and how large they are; per emotion too."""
    sets = rule.sets(probabilities)
    held, size = sets[np.arange(len(labels)), labels], sets.sum(axis=1)

    def of(chosen: NDArray[np.bool_]) -> EmotionCoverage:
        rate = Rate(hits=int(held[chosen].sum()), n=int(chosen.sum()))
        low, high = rate.ci95
        return EmotionCoverage(
            n=rate.n, coverage=rate.value, ci95=(low, high), mean_size=float(size[chosen].mean())
        )

    return SetCoverage(
        level=rule.level,
        kind=rule.kind,
        thresholds=dict(zip(emotions, rule.thresholds.tolist(), strict=True)),
        all=of(np.ones(len(labels), dtype=bool)),
        per_emotion={e: of(labels == c) for c, e in enumerate(emotions) if (labels == c).any()},
    )


def measure_sets(
    record: RunRecord, predictions: pd.DataFrame, level: float = LEVEL
) -> list[SetCoverage]:
    """Both kinds, fitted on the selection split and measured on test.

    Raises:
        FerBenchError: as `rule_of`, or no stored predictions on test.
    """
    test = record.spec.test_split
    if of_set(predictions, test).empty:
        raise FerBenchError(f"run {record.name} has no stored predictions on {test}")
    held_out = calibrated_scores(predictions, record, test)
    return [
        coverage(rule_of(record, predictions, level, kind), *held_out, record.dataset.emotions)
        for kind in KINDS
    ]


def coverage_table(found: SetCoverage) -> pd.DataFrame:
    """One row for all faces and one per emotion: `emotion, n, coverage, low, high, mean_size`."""
    rows = [("all", found.all), *found.per_emotion.items()]
    return pd.DataFrame(
        [
            {
                "emotion": name,
                "n": one.n,
                "coverage": one.coverage,
                "low": one.ci95[0],
                "high": one.ci95[1],
                "mean_size": one.mean_size,
            }
            for name, one in rows
        ]
    )
