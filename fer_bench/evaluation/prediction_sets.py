"""Sets of emotions that hold the true one as often as asked: split conformal prediction.

Vovk, Gammerman & Shafer 2005; with a threshold for each class: Vovk 2012, arXiv 1209.2673. How
far a coverage may lie from the one asked for: Angelopoulos & Bates 2021, arXiv 2107.07511, on
checking for correct coverage; Marques 2023, arXiv 2303.02770.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from fer_bench.errors import FerBenchError
from fer_bench.evaluation.calibration import calibrated_scores, temperature_of, with_temperature
from fer_bench.evaluation.confusion import of_set, scores
from fer_bench.evaluation.intervals import Rate
from fer_bench.formatting import percent
from fer_bench.results.record import EmotionCoverage, RunRecord, SetCoverage

if TYPE_CHECKING:  # `predict` needs sets and no tables
    import pandas as pd

Kind = Literal["marginal", "class-wise"]
KINDS: tuple[Kind, ...] = get_args(Kind)
#: What records say.
LEVEL = 0.9


@dataclass(frozen=True, kw_only=True)
class SetRule:
    """Which emotions of a face are named: those with a probability of at least its threshold.

    Attributes:
        thresholds: float64 `(C,)`, in [0, 1]; the answer itself is always named.
        fitted_on: int64 `(C,)`, faces of each emotion that they were fitted on.
    """

    level: float
    kind: Kind
    thresholds: NDArray[np.float64]
    fitted_on: NDArray[np.int64]

    def sets(self, probabilities: NDArray[np.floating]) -> NDArray[np.bool_]:
        """bool `(N, C)`: which emotions each face's set holds.

        Args:
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
        FerBenchError: an invalid level.
    """
    require_level(level)
    n_classes = probabilities.shape[1]
    of_truth = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    if kind == "marginal":
        thresholds = np.full(n_classes, _threshold(of_truth, level))
    else:
        thresholds = np.array([_threshold(of_truth[labels == c], level) for c in range(n_classes)])
    counts = np.bincount(labels, minlength=n_classes)
    return SetRule(level=level, kind=kind, thresholds=thresholds, fitted_on=counts)


def _needed(n: int, level: float) -> int:
    """How many of n true emotions reach the threshold; n + 1 where n are too few for the level."""
    return int(np.ceil((n + 1) * level - 1e-9))


def _threshold(of_truth: NDArray[np.float64], level: float) -> float:
    """The largest that as many true emotions as needed reach; 0 without so many."""
    needed = _needed(len(of_truth), level)
    if needed > len(of_truth):
        return 0.0
    return float(np.sort(of_truth)[len(of_truth) - needed])


def expected_coverage(
    fitted_on: Sequence[int], tested_on: Sequence[int], level: float = LEVEL
) -> tuple[float, float]:
    """Where 95 % of coverages fall if the tested faces are like those of the fit.

    Both draws vary. Of a threshold that k of n faces reach, the tested ones that do are
    beta-binomial with k and n + 1 - k: about 1.4 times as wide here as the test images alone let
    expect. Several thresholds, each for its own faces, add up.

    Args:
        fitted_on, tested_on: faces of each threshold.

    Returns:
        Low and high, in [0, 1].
    """
    from scipy.stats import betabinom

    chances = np.ones(1)
    for n, tested in zip(fitted_on, tested_on, strict=True):
        needed = _needed(n, level)
        if needed > n:  # always in the set
            own = np.append(np.zeros(tested), 1.0)
        else:
            own = betabinom.pmf(np.arange(tested + 1), tested, needed, n + 1 - needed)
        chances = np.convolve(chances, own)
    below = np.cumsum(chances)
    low, high = np.searchsorted(below, [0.025, 0.975])
    return float(low / sum(tested_on)), float(high / sum(tested_on))


def rule_of(
    record: RunRecord,
    predictions: pd.DataFrame,
    level: float = LEVEL,
    kind: Kind = "class-wise",
    *,
    temperature: float | None = None,
) -> SetRule:
    """A run's rule, fitted on its stored answers to the selection split, after its temperature.

    Args:
        temperature: of the probabilities that the rule is for; None for `temperature_of`'s.

    Raises:
        FerBenchError: an invalid level, or no such answers stored.
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
    fitted, tested = rule.fitted_on, np.bincount(labels, minlength=len(emotions))
    if rule.kind == "marginal":  # one threshold for all faces
        of_all = expected_coverage([int(fitted.sum())], [len(labels)], rule.level)
    else:
        of_all = expected_coverage(fitted.tolist(), tested.tolist(), rule.level)

    def of(chosen: NDArray[np.bool_], expected: tuple[float, float] | None) -> EmotionCoverage:
        rate = Rate(hits=int(held[chosen].sum()), n=int(chosen.sum()))
        low, high = rate.ci95
        return EmotionCoverage(
            n=rate.n,
            coverage=rate.value,
            ci95=(low, high),
            expected95=expected,
            mean_size=float(size[chosen].mean()),
        )

    def of_emotion(c: int) -> EmotionCoverage:
        promised = rule.kind == "class-wise"
        own = (
            expected_coverage([int(fitted[c])], [int(tested[c])], rule.level) if promised else None
        )
        return of(labels == c, own)

    return SetCoverage(
        level=rule.level,
        kind=rule.kind,
        thresholds=dict(zip(emotions, rule.thresholds.tolist(), strict=True)),
        all=of(np.ones(len(labels), dtype=bool), of_all),
        per_emotion={e: of_emotion(c) for c, e in enumerate(emotions) if tested[c]},
    )


def standing(coverage: SetCoverage) -> str:
    """Whether the coverage of all faces is what the fit promises, in one sentence."""
    if coverage.all.expected95 is None:
        return ""
    low, high = coverage.all.expected95
    where = (
        f"Where the tested faces are like those of the fit, 95 % of such shares lie between "
        f"{percent(low)} and {percent(high)} (beta-binomial, both draws counted)"
    )
    if low <= coverage.all.coverage <= high:
        return f"{where}, as this one does."
    side = "above" if coverage.all.coverage > high else "below"
    return f"{where}; this one is {side}, so the test images are not quite like those of the fit."


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


def with_sets(record: RunRecord, predictions: pd.DataFrame) -> RunRecord:
    """The record with its prediction sets, measured from its stored predictions; all else stays.

    Raises:
        FerBenchError: as `measure_sets`, or a system that gave no probabilities.
    """
    if not record.has_probabilities:
        raise FerBenchError(f"{record.name} gave one emotion per image and no probabilities")
    return record.model_copy(update={"prediction_sets": measure_sets(record, predictions)})


def coverage_table(coverage: SetCoverage) -> pd.DataFrame:
    """One row for all faces and one per emotion.

    Columns `emotion, n, coverage, low, high, expected_low, expected_high, mean_size`; what is
    expected is NaN where nothing is promised: an emotion under a marginal threshold.
    """
    import pandas as pd

    rows = [("all", coverage.all), *coverage.per_emotion.items()]
    return pd.DataFrame(
        [
            {
                "emotion": name,
                "n": one.n,
                "coverage": one.coverage,
                "low": one.ci95[0],
                "high": one.ci95[1],
                "expected_low": one.expected95[0] if one.expected95 else np.nan,
                "expected_high": one.expected95[1] if one.expected95 else np.nan,
                "mean_size": one.mean_size,
            }
            for name, one in rows
        ]
    )
