"""Runs that differ in their seed alone, as one experiment; experiments against each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from fer_bench.studies.comparison.paired import ALPHA, Resamples, holm, interval95, welch
from fer_bench.studies.comparison.seeds import experiment_of
from fer_bench.studies.comparison.shared_images import SharedAnswers, display_names


@dataclass(frozen=True, kw_only=True)
class RunPair:
    """Two runs on the same images; `a` is the one with the higher accuracy, `b` the other.

    Attributes:
        both_right, only_a_right, only_b_right, both_wrong: images; they sum to all of them.
        accuracy_difference, macro_f1_difference: a's minus b's, in [-1, 1]; the intervals are 95 %
            percentile intervals of a paired bootstrap over the images.
        p: of the exact McNemar test.
        p_holm: corrected for all pairs that were compared with it.
        same_answer: share of images.
        kappa: Cohen's.
    """

    a: str
    b: str
    both_right: int
    only_a_right: int
    only_b_right: int
    both_wrong: int
    accuracy_difference: float
    accuracy_interval: tuple[float, float]
    macro_f1_difference: float
    macro_f1_interval: tuple[float, float]
    p: float
    p_holm: float
    same_answer: float
    kappa: float

    @property
    def significant(self) -> bool:
        """Whether the images show a difference: Holm p below 0.05."""
        return self.p_holm < ALPHA

    @property
    def deciding_p(self) -> float:
        """The p-value that `significant` goes by."""
        return self.p_holm

    @property
    def test(self) -> str:
        """The name of the test behind it."""
        return "McNemar"


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """Trained runs whose ids differ in `-sN` alone; its name is theirs without the seed.

    Attributes:
        accuracy, macro_f1: means over the runs, in [0, 1].
        accuracy_sd, macro_f1_sd: sample standard deviations; None for one run.
    """

    name: str
    runs: tuple[str, ...]
    accuracy: float
    accuracy_sd: float | None
    macro_f1: float
    macro_f1_sd: float | None


@dataclass(frozen=True, kw_only=True)
class ExperimentPair:
    """Two experiments on the same images; `a` is the one with the higher mean accuracy.

    Attributes:
        seeds_a, seeds_b: runs on each side.
        accuracy_difference: of the means over seeds, a's minus b's; its interval is over the
            images.
        p_welch: of Welch's t-test over the seeds' accuracies, None where a side has a single seed
            (or no spread at all).
        p_welch_holm: corrected for all experiments compared.
        p_mcnemar: the largest Holm-corrected McNemar p-value between a run of `a` and one of `b`.
        significant: with seeds on both sides, the difference is large next to the seeds' spread
            (Welch) and its interval over the images leaves out 0; otherwise each run of `a` is
            significantly better than each of `b`.
    """

    a: str
    b: str
    seeds_a: int
    seeds_b: int
    accuracy_difference: float
    accuracy_interval: tuple[float, float]
    p_welch: float | None
    p_welch_holm: float | None
    p_mcnemar: float
    significant: bool

    @property
    def deciding_p(self) -> float:
        """The p-value that `significant` goes by."""
        return self.p_mcnemar if self.p_welch_holm is None else self.p_welch_holm

    @property
    def test(self) -> str:
        """The name of the test behind it."""
        return "McNemar" if self.p_welch_holm is None else "Welch"


def experiments(
    shared: SharedAnswers, accuracy: Sequence[float], macro_f1: Sequence[float]
) -> list[Experiment]:
    """The experiments that runs belong to, best mean accuracy first.

    Args:
        accuracy, macro_f1: of each run, `(K,)`.
    """
    names = shared.names
    members: dict[str, list[int]] = {}
    modes = [record.spec.labels.mode for record in shared.records]
    for number, run in enumerate(display_names(shared.runs)):
        members.setdefault(experiment_of(run, modes[number]), []).append(number)
    groups = []
    for rows in members.values():
        accuracies, f1 = np.take(accuracy, rows), np.take(macro_f1, rows)
        several = len(rows) > 1
        groups.append(
            Experiment(
                name=experiment_of(names[rows[0]], modes[rows[0]]),
                runs=tuple(names[i] for i in rows),
                accuracy=float(accuracies.mean()),
                accuracy_sd=float(accuracies.std(ddof=1)) if several else None,
                macro_f1=float(f1.mean()),
                macro_f1_sd=float(f1.std(ddof=1)) if several else None,
            )
        )
    return sorted(groups, key=lambda one: -one.accuracy)


def experiment_pairs(
    groups: Sequence[Experiment],
    names: Sequence[str],
    accuracy: Sequence[float],
    draws: Resamples,
    pairs: Sequence[RunPair],
) -> list[ExperimentPair]:
    """Every two experiments against each other.

    Args:
        groups: as `experiments` gives them.
        names, accuracy: of each run, `(K,)`.
        draws: of these runs, in their order.
        pairs: of these runs.
    """
    position = {name: number for number, name in enumerate(names)}
    rows = [[position[run] for run in one.runs] for one in groups]
    contests = list(combinations(range(len(groups)), 2))
    raw = [welch(np.take(accuracy, rows[a]), np.take(accuracy, rows[b])) for a, b in contests]
    known = [p for p in raw if p is not None]
    corrected = iter(holm(known).tolist())
    result = []
    for (a, b), p_welch in zip(contests, raw, strict=True):
        means = [draws.accuracy[:, rows[side]].mean(axis=1) for side in (a, b)]
        low, high = interval95(means[0] - means[1])
        p_welch_holm = None if p_welch is None else next(corrected)
        between = [p for p in pairs if _stand_between(p, groups[a], groups[b])]
        significant = all(p.significant and p.a in groups[a].runs for p in between)
        if p_welch_holm is not None:
            significant = p_welch_holm < ALPHA and low > 0
        result.append(
            ExperimentPair(
                a=groups[a].name,
                b=groups[b].name,
                seeds_a=len(rows[a]),
                seeds_b=len(rows[b]),
                accuracy_difference=groups[a].accuracy - groups[b].accuracy,
                accuracy_interval=(low, high),
                p_welch=p_welch,
                p_welch_holm=p_welch_holm,
                p_mcnemar=max(p.p_holm for p in between),
                significant=significant,
            )
        )
    return result


def _stand_between(pair: RunPair, a: Experiment, b: Experiment) -> bool:
    return (pair.a in a.runs and pair.b in b.runs) or (pair.a in b.runs and pair.b in a.runs)
