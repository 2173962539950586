"""Every figure of corrupted faces and other data: of the page Robustness and `report --figures`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pandas as pd
import plotly.graph_objects as go

from fer_bench import plots
from fer_bench.studies.robustness.tables import (
    MEAN,
    RunReport,
    curves,
    severity_table,
    summary,
)

#: What people call a run, from its `dataset/run`.
Titles = Callable[[str], str]


def ranking(group: Sequence[RunReport], called: Titles) -> tuple[str, go.Figure]:
    """Mean corruption accuracy of runs that were measured alike: title and figure."""
    return "Mean accuracy under corruptions", plots.robustness_bars(titled(summary(group), called))


def by_severity(
    runs: Sequence[RunReport], called: Titles, corruption: str = MEAN
) -> tuple[str, go.Figure]:
    """Accuracy by the severity of a corruption, or of all: title and figure."""
    figure = plots.severity_curves(titled(curves(runs, corruption), called))
    return f"Accuracy by severity, {corruption}", figure


def by_corruption(one: RunReport, called: Titles) -> tuple[str, go.Figure]:
    """A run's accuracy under each corruption at each severity: title and figure."""
    figure = plots.severity_heatmap(severity_table(one.report), one.report.clean.accuracy)
    return f"Accuracy under each corruption, {called(one.name)}", figure


def transfer(table: pd.DataFrame, called: Titles) -> tuple[str, go.Figure]:
    """Accuracy on other data sets, from a `transfer_table`: title and figure."""
    figure = plots.transfer_matrix(titled(table, called))
    return "Accuracy of runs on other data sets", figure


def titled(table: pd.DataFrame, called: Titles) -> pd.DataFrame:
    """The table with its runs as people call them."""
    return table.assign(run=table["run"].map(called))
