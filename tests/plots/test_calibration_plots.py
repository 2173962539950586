"""The figures of calibration and of labels show the numbers they are given."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from fer_bench import plots
from fer_bench.evaluation.intervals import Rate
from fer_bench.studies.labels.leakage import Leakage, leakage_table

BINS = pd.DataFrame(
    {
        "low": [0.0, 0.5],
        "high": [0.5, 1.0],
        "count": [0, 20],
        "confidence": [np.nan, 0.8],
        "accuracy": [np.nan, 0.7],
    }
)


def test_reliability_stands_over_the_counts_of_its_bins() -> None:
    figure = plots.reliability_with_counts(BINS, x_title="Confidence", y_title="Right")
    bars, diagonal, mean, counts = figure.data
    assert (list(bars.x), list(bars.width), list(bars.y)) == ([0.75], [0.5], [0.7])
    assert (list(diagonal.x), list(diagonal.y)) == ([0, 1], [0, 1])
    assert (list(mean.x), list(mean.y)) == ([0.8], [0.8])
    assert (list(counts.x), list(counts.y), counts.yaxis) == ([0.75], [20], "y2")
    assert figure.layout.xaxis2.title.text == "Confidence"
    assert figure.layout.yaxis.title.text == "Right"


def test_each_run_has_its_risk_coverage_curve_and_the_threshold_a_mark() -> None:
    curve = pd.DataFrame({"threshold": [0.9, 0.6], "coverage": [0.5, 1.0], "risk": [0.1, 0.3]})
    mine, other, mark = plots.risk_coverage_curves(
        {"<b>mine</b>": curve, "other": curve}, (0.5, 0.1)
    ).data
    assert mine.name == "&lt;b&gt;mine&lt;/b&gt;"
    assert (list(mine.x), list(mine.y)) == ([0.5, 1.0], [0.1, 0.3])
    assert mine.line.color != other.line.color
    assert (list(mark.x), list(mark.y)) == ([0.5], [0.1])
    assert len(plots.risk_coverage_curves({"mine": curve}).data) == 1


def test_agreement_is_drawn_with_intervals_and_counts() -> None:
    row = {"low": 0.0, "high": 0.4, "images": 1200}
    for name in ("accuracy", "label_favoured", "answer_favoured"):
        row |= {name: 0.5, f"{name}_low": 0.4, f"{name}_high": 0.7}
    table = pd.DataFrame([row, {**row, "low": 0.4, "high": 0.5}])
    figure = plots.agreement_lines(table)
    assert figure.layout.xaxis.type == "category"
    assert list(figure.layout.xaxis.ticktext) == ["≤ 40%<br>1,200", "50%<br>1,200"]
    first = figure.data[0]
    assert list(first.y) == [0.5, 0.5]
    assert list(first.error_y.array) == pytest.approx([0.2, 0.2])
    assert list(first.error_y.arrayminus) == pytest.approx([0.1, 0.1])


def test_each_run_shows_clean_whole_and_leaked_accuracy() -> None:
    leak = Leakage(whole=Rate(hits=15, n=20), clean=Rate(hits=6, n=10), leaked=Rate(hits=9, n=10))
    figure = plots.leak_intervals(leakage_table({"<i>run</i>": leak}))
    assert [(trace.name, list(trace.x)) for trace in figure.data] == [
        ("clean test", [0.6]),
        ("whole test", [0.75]),
        ("leaked images alone", [0.9]),
    ]
    low, high = leak.leaked.ci95
    assert list(figure.data[2].error_x.array) == pytest.approx([high - 0.9])
    assert list(figure.data[2].error_x.arrayminus) == pytest.approx([0.9 - low])
    assert list(figure.layout.yaxis.ticktext) == ["&lt;i&gt;run&lt;/i&gt;"]
    assert list(figure.layout.yaxis.range) == [0.6, -0.6]  # the first run on top, no empty rows
