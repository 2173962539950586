"""Tables for people: seeds averaged, CSV without formulae, harmless text."""

from __future__ import annotations

import csv
import io
import math
from pathlib import Path

import pandas as pd
import pytest
from record_fixtures import make_record, stored
from table_fixtures import table

from fer_bench.formatting import (
    as_percents,
    escape,
    file_size,
    interval,
    percent,
    safe_csv,
    setting,
    three_digits,
)
from fer_bench.results.leaderboard.headline import headline
from fer_bench.results.summary import summary_table
from fer_bench.studies.comparison.seeds import over_seeds


def test_over_seeds_averages_runs_that_differ_in_seed_alone() -> None:
    records = [make_record(seed=s) for s in (0, 1, 2)] + [make_record(model="vgg16", accuracy=0.3)]
    table = summary_table([stored(r) for r in records])
    averaged = over_seeds(table)
    accuracies = table["test_accuracy"][:3]
    first, second = averaged.to_dict("records")
    assert (first["model"], first["seeds"]) == ("resnet18", 3)
    assert first["test_accuracy"] == pytest.approx(accuracies.mean())
    assert first["test_accuracy_sd"] == pytest.approx(accuracies.std())
    assert (second["model"], second["seeds"]) == ("vgg16", 1)
    assert math.isnan(second["test_accuracy_sd"])


def test_over_seeds_keeps_what_only_the_name_tells_apart() -> None:
    names = ["net-18ep-s0", "net-18ep-s1", "net-9ep-s2", "net-18ep-taught-by-1-s0", "ensemble-a"]
    table = summary_table([stored(make_record(name=name)) for name in names])
    averaged = over_seeds(table)
    assert dict(zip(averaged["experiment"], averaged["seeds"], strict=True)) == {
        "net-18ep": 2,
        "net-9ep": 1,
        "net-18ep-taught-by-1": 1,
        "ensemble-a": 1,
    }


def test_over_seeds_keeps_limited_and_failed_runs_apart() -> None:
    records = [
        make_record(),
        make_record(seed=1, limit=5, not_comparable_because=["limit"]),
        make_record(seed=2, status="failed"),
    ]
    averaged = over_seeds(summary_table([stored(r) for r in records]))
    assert sorted(averaged[["comparable", "seeds"]].values.tolist()) == [[False, 1], [True, 1]]


@table("cell", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
def test_text_that_looks_like_a_formula_is_defused_in_csv(cell: str) -> None:
    text = safe_csv(pd.DataFrame({"name": [cell], "value": [-0.5]})).decode()
    assert list(csv.reader(io.StringIO(text, newline="")))[1] == [f"'{cell}", "-0.5"]


def test_csv_headers_are_defused_too() -> None:
    assert safe_csv(pd.DataFrame({"=A1": ["plain"]})) == b'"\'=A1"\n"plain"\n'


def test_escaped_text_is_shown_as_it_is() -> None:
    assert escape("<b>x</b> [a](javascript:b)\n# c $d$") == (
        r"\<b\>x\<\/b\> \[a\]\(javascript\:b\) \# c \$d\$"
    )
    assert escape("plain words 7") == "plain words 7"


def test_numbers_read_well() -> None:
    assert percent(0.7312) == "73.1\N{NO-BREAK SPACE}%"
    assert percent(None) == percent(math.nan) == "–"
    assert interval(0.7, 0.755) == "70.0 – 75.5\N{NO-BREAK SPACE}%"
    assert interval(0.7, math.nan) == interval(None, None) == "–"
    table = as_percents(pd.DataFrame({"a": [0.5], "b": [0.5]}), ["a", "absent"])
    assert table.to_dict("records") == [{"a": 50.0, "b": 0.5}]


@table(
    ("value", "text"),
    [
        (None, "–"),
        ("", "–"),
        ([], "–"),
        (["a", 1], "a, 1"),
        (0, "0"),
        (False, "no"),
        (True, "yes"),
        (3375.813514266998, "3375.81"),
        ([0.1, 1e-05], "0.1, 1e-05"),
        (0.0, "0"),
    ],
)
def test_settings_read_well(value: object, text: str) -> None:
    assert setting(value) == text


@table(
    ("value", "text"),
    [(0, "0"), (0.7321, "0.732"), (7.3, "7.3"), (99.96, "100"), (131.4, "131"), (1180, "1,180")],
)
def test_measured_numbers_have_three_digits(value: float, text: str) -> None:
    assert three_digits(value) == text


def test_file_sizes_read_well(tmp_path: Path) -> None:
    file = tmp_path / "weights"
    for size, text in ((10, "1 kB"), (12_345, "12 kB"), (44_800_000, "44.8 MB")):
        with file.open("wb") as f:
            f.truncate(size)
        assert file_size(file) == text


def test_the_headline_names_what_there_is() -> None:
    test = make_record().metrics["test"]
    full = headline(test, clean=test, tta=test, calibrated_ece=0.0194)
    assert [t.name for t in full] == [
        "Accuracy", "Clean test", "With TTA", "Macro F1", "Balanced", "ROC-AUC", "ECE",
    ]  # fmt: skip
    assert full[0].value == percent(test.accuracy)
    assert full[0].below == interval(*test.accuracy_ci95)
    assert full[-1].below == "0.019 calibrated"
    without = headline(
        test.model_copy(update={"roc_auc": None}), clean=None, tta=None, calibrated_ece=None
    )
    assert [(t.name, t.value) for t in without if t.name == "ROC-AUC"] == [("ROC-AUC", "–")]
    assert len(without) == 5
    assert without[-1].below is None
