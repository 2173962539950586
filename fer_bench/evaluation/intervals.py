"""So many of so many: a rate with an interval that holds for a handful of images too."""

from __future__ import annotations

from dataclasses import dataclass
from math import hypot, nan


@dataclass(frozen=True, kw_only=True)
class Rate:
    """`hits` of `n`, for instance right answers of images; `n` may be 0."""

    hits: int
    n: int

    @property
    def value(self) -> float:
        """In [0, 1]; NaN of nothing."""
        return self.hits / self.n if self.n else nan

    @property
    def ci95(self) -> tuple[float, float]:
        """The 95 % Wilson score interval (Wilson 1927), in [0, 1]; NaN of nothing.

        Unlike the bootstrap it keeps a width where all or none of a few images are right.
        """
        from scipy.stats import binomtest

        if not self.n:
            return nan, nan
        interval = binomtest(self.hits, self.n).proportion_ci(0.95, "wilson")
        return float(interval.low), float(interval.high)


def difference_ci95(first: Rate, second: Rate) -> tuple[float, float]:
    """The 95 % interval of `first - second`, two rates over different images.

    Newcombe 1998 (Statistics in Medicine 17:873), method 10: from both Wilson intervals.
    """
    difference = first.value - second.value
    (first_low, first_high), (second_low, second_high) = first.ci95, second.ci95
    return (
        difference - hypot(first.value - first_low, second_high - second.value),
        difference + hypot(first_high - first.value, second.value - second_low),
    )
