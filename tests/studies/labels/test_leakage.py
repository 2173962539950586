"""Rates with intervals, and what planted leaks are worth."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from record_fixtures import make_metrics, make_predictions
from scipy.stats import norm

from fer_bench.emotions import FER2013
from fer_bench.evaluation.intervals import Rate, difference_ci95
from fer_bench.studies.labels.leakage import leakage, leakage_table, sentence

EMOTIONS = ("happy", "sad")


def planted(right_clean: int, n_clean: int, right_leaked: int, n_leaked: int) -> pd.DataFrame:
    """Test predictions with so many right answers among clean and leaked images, and one of val."""
    right = [i < right_clean for i in range(n_clean)] + [i < right_leaked for i in range(n_leaked)]
    n = len(right)
    test = pd.DataFrame(
        {
            "id": [f"{i}.png" for i in range(n)],
            "split": "test",
            "label": 0,
            "clean": np.arange(n) < n_clean,
            "p_happy": np.where(right, 0.9, 0.2),
            "p_sad": np.where(right, 0.1, 0.8),
        }
    )
    val = test[:1].assign(split="val", clean=False)
    return pd.concat([val, test], ignore_index=True)


@pytest.mark.parametrize(("hits", "n"), [(0, 4), (3, 4), (70, 100), (5, 5)])
def test_intervals_are_wilsons(hits: int, n: int) -> None:
    z, p = norm.ppf(0.975), hits / n
    middle = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * math.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    assert Rate(hits=hits, n=n).ci95 == pytest.approx((middle - half, middle + half), abs=1e-12)


def test_nothing_has_no_rate() -> None:
    assert math.isnan(Rate(hits=0, n=0).value)
    assert all(map(math.isnan, Rate(hits=0, n=0).ci95))


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [  # Newcombe 1998, table II, method 10, examples (a), (b) and (d)
        ((56, 70), (48, 80), (0.0524, 0.3339)),
        ((9, 10), (3, 10), (0.1705, 0.8090)),
        ((5, 56), (0, 29), (-0.0381, 0.1926)),
    ],
)
def test_differences_have_the_published_intervals(
    first: tuple[int, int], second: tuple[int, int], expected: tuple[float, float]
) -> None:
    rates = [Rate(hits=hits, n=n) for hits, n in (first, second)]
    assert difference_ci95(*rates) == pytest.approx(expected, abs=5e-5)


def test_the_leak_is_worth_what_the_clean_images_cost(
    same_sentence: Callable[[str], None],
) -> None:
    found = leakage(planted(6, 10, 9, 10), EMOTIONS)
    assert (found.whole, found.clean, found.leaked) == (
        Rate(hits=15, n=20),
        Rate(hits=6, n=10),
        Rate(hits=9, n=10),
    )
    assert found.worth == pytest.approx(0.15)
    low, high = difference_ci95(found.leaked, found.clean)
    assert found.worth_ci95 == pytest.approx((low / 2, high / 2))
    same_sentence(sentence("mine", found))


def test_whole_and_clean_are_the_numbers_of_the_record() -> None:
    predictions = make_predictions()
    metrics = make_metrics(predictions, FER2013)
    found = leakage(predictions, FER2013)
    assert found.whole.value == pytest.approx(metrics["test"].accuracy)
    assert found.clean.value == pytest.approx(metrics["test_clean"].accuracy)
    assert found.clean.n + found.leaked.n == found.whole.n == 140


def test_without_leaks_or_clean_images_there_is_nothing_to_compare() -> None:
    pure = leakage(planted(6, 10, 0, 0), EMOTIONS)
    assert (pure.worth, math.isnan(pure.worth_ci95[0])) == (0.0, True)
    assert sentence("mine", pure) == "None of the 10 test images of mine stands in train or val."
    foul = leakage(planted(0, 0, 6, 10), EMOTIONS)
    assert math.isnan(foul.worth)
    assert sentence("mine", foul).endswith("No clean image is left to compare with.")
    assert leakage(planted(6, 10, 0, 0)[:1], EMOTIONS) is None


def test_the_table_has_a_row_per_run_best_on_clean_images_first() -> None:
    table = leakage_table(
        {
            "worse": leakage(planted(6, 10, 10, 10), EMOTIONS),
            "better": leakage(planted(7, 10, 7, 10), EMOTIONS),
        }
    )
    assert table["run"].tolist() == ["better", "worse"]
    assert table["clean_accuracy"].tolist() == [0.7, 0.6]
    assert table["leaked_accuracy"].tolist() == [0.7, 1.0]
    assert table["leaked_n"].tolist() == [10, 10]
    assert table["worth"].tolist() == pytest.approx([0.0, 0.2])
    assert leakage_table({}).empty
