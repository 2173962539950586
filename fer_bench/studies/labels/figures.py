"""The figure of leaked test images: of the page Labels and of `report --figures`."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd
import plotly.graph_objects as go

from fer_bench import plots


def leak_intervals(table: pd.DataFrame, called: Callable[[str], str]) -> tuple[str, go.Figure]:
    """A `leakage_table` whose runs people call so: title and figure."""
    figure = plots.leak_intervals(table.assign(run=table["run"].map(called)))
    return "Accuracy on clean, whole and leaked test images", figure
