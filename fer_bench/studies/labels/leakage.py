"""What the leak is worth: accuracy with and without test images that stand in training too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from fer_bench.evaluation.confusion import of_set, scores
from fer_bench.evaluation.intervals import Rate, difference_ci95
from fer_bench.formatting import percent

#: The three sets of test images, in reading order.
SETS = ("whole", "clean", "leaked")


@dataclass(frozen=True, kw_only=True)
class Leakage:
    """A run's right answers on the whole test, on its clean images and on the leaked ones.

    Leaked images have the pixels of an image in train or val.
    """

    whole: Rate
    clean: Rate
    leaked: Rate

    @property
    def worth(self) -> float:
        """Accuracy on the whole test less that on its clean part, in [-1, 1]; NaN with no clean."""
        return self.whole.value - self.clean.value

    @property
    def worth_ci95(self) -> tuple[float, float]:
        """Its 95 % interval; NaN where there are no clean or no leaked images.

        whole - clean = share of leaked images * (leaked - clean), and these two are disjoint.
        """
        share = self.leaked.n / self.whole.n
        low, high = difference_ci95(self.leaked, self.clean)
        return share * low, share * high


def leakage(predictions: pd.DataFrame, emotions: Sequence[str]) -> Leakage | None:
    """From a run's predictions alone; None where they hold no test images."""
    test = of_set(predictions, "test")
    if test.empty:
        return None
    labels, probabilities = scores(test, emotions)
    right = probabilities.argmax(1) == labels
    clean = test["clean"].to_numpy(dtype=bool)
    everything = np.ones(len(test), dtype=bool)
    whole, pure, leaked = (
        Rate(hits=int(right[chosen].sum()), n=int(chosen.sum()))
        for chosen in (everything, clean, ~clean)
    )
    return Leakage(whole=whole, clean=pure, leaked=leaked)


def leakage_table(leaks: Mapping[str, Leakage]) -> pd.DataFrame:
    """One row per run, the most accurate on clean images first.

    Returns:
        Columns `run`; of each of `SETS` its `_accuracy, _low, _high` (95 % interval) and `_n`
        images; `worth, worth_low, worth_high`. Rates in [0, 1], NaN of nothing.
    """
    rows = []
    for run, leak in leaks.items():
        row: dict[str, object] = {"run": run}
        for name, rate in zip(SETS, (leak.whole, leak.clean, leak.leaked), strict=True):
            low, high = rate.ci95
            row |= {f"{name}_accuracy": rate.value, f"{name}_low": low, f"{name}_high": high}
            row[f"{name}_n"] = rate.n
        low, high = leak.worth_ci95
        rows.append(row | {"worth": leak.worth, "worth_low": low, "worth_high": high})
    columns = ["run", *(f"{s}_{c}" for s in SETS for c in ("accuracy", "low", "high", "n"))]
    table = pd.DataFrame(rows, columns=[*columns, "worth", "worth_low", "worth_high"])
    return table.sort_values("clean_accuracy", ascending=False, ignore_index=True, kind="stable")


def sentence(run: str, leak: Leakage) -> str:
    """What the leak is worth to a run, in words."""
    start = f"{leak.leaked.n:,} of the {leak.whole.n:,} test images of {run} "
    if not leak.leaked.n:
        return f"None of the {leak.whole.n:,} test images of {run} stands in train or val."
    start += "stand in train or val too, with the same pixels. "
    if not leak.clean.n:
        return f"{start}No clean image is left to compare with."
    low, high = leak.worth_ci95
    return (
        f"{start}It names {percent(leak.leaked.value)} of these and {percent(leak.clean.value)} "
        f"of the others: the leak is worth {_points(leak.worth)} points of its test accuracy "
        f"({_points(low)} to {_points(high)})."
    )


def _points(share: float) -> str:
    """A difference of rates in percentage points, with its sign."""
    return f"{100 * share:+.1f}".replace("-", "\N{MINUS SIGN}")
