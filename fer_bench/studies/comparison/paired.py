"""Statistics of several classifiers on the same images: McNemar, Holm, bootstrap, agreement."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

#: Resamples of a paired bootstrap; the ends of a 95 % interval then stay within some 0.03 of its
#: standard error from run to run of the bootstrap.
N_RESAMPLES = 10_000
#: Two results differ where a (corrected) p-value is below this.
ALPHA = 0.05
#: Numbers drawn at a time, which bounds the memory.
MOST_DRAWN = 4_000_000


def mcnemar_exact(only_a: int, only_b: int) -> float:
    """The exact McNemar test's two-sided p-value: are A and B right equally often?

    Where they are, an image that only one of them gets right is as likely A's as B's: a binomial
    test at one half (McNemar 1947, doi 10.1007/BF02295996; exact form: Dietterich 1998,
    doi 10.1162/089976698300017197).

    Args:
        only_a, only_b: images that only A, or only B, names rightly. Without any the p-value is 1.
    """
    from scipy.stats import binomtest  # as below: half of the leaderboard's imports, unused there

    discordant = only_a + only_b
    return float(binomtest(only_a, discordant, 0.5).pvalue) if discordant else 1.0


def holm(p_values: ArrayLike) -> NDArray[np.float64]:
    """P-values corrected for their number, so that one false alarm in all of them stays rare.

    The step-down method of Holm (1979, https://www.jstor.org/stable/4615733): the smallest of m
    is multiplied by m, the next by m - 1, ...; never below an earlier one, never above 1.

    Args:
        p_values: float `(m,)`.

    Returns:
        float64 `(m,)`, in the same order.
    """
    given = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(given, kind="stable")
    factors = np.arange(len(given), 0, -1)
    corrected = np.empty_like(given)
    corrected[order] = np.minimum(np.maximum.accumulate(given[order] * factors), 1.0)
    return corrected


def welch(a: ArrayLike, b: ArrayLike) -> float | None:
    """Two-sided p-value of Welch's t-test: do two sets of seeds have the same mean?

    Args:
        a, b: float `(n,)`, a number per seed. None with fewer than two on a side, or without
            spread.
    """
    from scipy.stats import ttest_ind_from_stats

    first, second = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if min(len(first), len(second)) < 2 or (np.ptp(first) == 0 and np.ptp(second) == 0):
        return None
    test = ttest_ind_from_stats(
        first.mean(), first.std(ddof=1), len(first),
        second.mean(), second.std(ddof=1), len(second),
        equal_var=False,
    )  # fmt: skip
    return float(test.pvalue)


@dataclass(frozen=True, kw_only=True)
class Resamples:
    """What K classifiers reach on R draws of N images, with replacement, the same for all.

    Attributes:
        accuracy, macro_f1: float64 `(R, K)`, in [0, 1]. Macro-F1 is the mean over the classes that
            a draw holds, as in a record.
    """

    accuracy: NDArray[np.float64]
    macro_f1: NDArray[np.float64]


def resample(
    labels: NDArray[np.int64],
    answers: NDArray[np.int64],
    n_classes: int,
    *,
    seed: int = 0,
    n_resamples: int = N_RESAMPLES,
) -> Resamples:
    """A paired bootstrap: whole images are drawn, so that their difficulty cancels out.

    The draws depend on `N` and `seed` alone: who else takes part changes no classifier's numbers.

    Args:
        labels: int64 `(N,)`, from 0 to `n_classes - 1`; N is 1 or more.
        answers: int64 `(K, N)`, each classifier's answers.
    """
    rng = np.random.default_rng(seed)
    n = len(labels)
    at_once = max(MOST_DRAWN // n, 1)
    counted = _indicators(labels, answers, n_classes)
    parts = []
    for start in range(0, n_resamples, at_once):
        rows = min(at_once, n_resamples - start)
        drawn = rng.integers(n, size=(rows, n))
        drawn += np.arange(rows)[:, None] * n
        times = np.bincount(drawn.ravel(), minlength=rows * n).reshape(rows, n)
        parts.append(times.astype(np.float32) @ counted)  # sums below 2^24 are exact
    sums = np.concatenate(parts).astype(np.float64).reshape(n_resamples, -1, n_classes)
    true = sums[:, :1]  # (R, 1, C)
    right, given = sums[:, 1::2], sums[:, 2::2]  # (R, K, C)
    f1 = 2 * right / np.maximum(given + true, 1)
    return Resamples(
        accuracy=right.sum(axis=2) / n, macro_f1=f1.sum(axis=2) / (true > 0).sum(axis=2)
    )


def _indicators(
    labels: NDArray[np.int64], answers: NDArray[np.int64], n_classes: int
) -> NDArray[np.float32]:
    """What F1 counts: float32 `(N, (1 + 2 K) C)`, blocks of C columns.

    The first block says which class an image is of; then two for each classifier: rightly named
    as this class, and named as this class at all.
    """
    classes = np.arange(n_classes)
    true = labels[:, None] == classes
    blocks = [true]
    for answer in answers:
        given = answer[:, None] == classes
        blocks += [given & true, given]
    return np.concatenate(blocks, axis=1).astype(np.float32)


def interval95(draws: NDArray[np.float64]) -> tuple[float, float]:
    """The 95 % percentile interval of bootstrap draws, float `(R,)`."""
    low, high = np.percentile(draws, [2.5, 97.5])
    return float(low), float(high)


def agreement(a: NDArray[np.int64], b: NDArray[np.int64]) -> tuple[float, float]:
    """Share of images with the same answer, and Cohen's kappa: that share beyond chance's.

    Args:
        a, b: int64 `(N,)`. Kappa (Cohen 1960, doi 10.1177/001316446002000104, scikit-learn's) is 1
            for the same answers everywhere, 0 for agreement by chance, and may be negative.
    """
    from sklearn.metrics import cohen_kappa_score

    same = float((a == b).mean())
    # With one class alone kappa is 0 / 0; the same answers everywhere are full agreement.
    return same, float(cohen_kappa_score(a, b)) if same < 1 else 1.0
