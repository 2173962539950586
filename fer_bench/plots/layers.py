"""A network's layers: where its parameters and its operations are."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from fer_bench.plots.style import ACCENT, GRAY, finish

#: Height of a layer's bar, and of the rest of the figure, pixels.
BAR_HEIGHT, FRAME_HEIGHT = 18, 120


def layer_bars(table: pd.DataFrame) -> go.Figure:
    """Parameters and operations of each layer that has any, first to last from above.

    table: columns `name, kind, parameters, flops`, a row per layer.
    """
    shown = table[(table["parameters"] > 0) | (table["flops"] > 0)]
    titles = ("Parameters", "Operations for one image")
    figure = make_subplots(cols=2, shared_yaxes=True, subplot_titles=titles)
    for column, (name, colour) in enumerate({"parameters": ACCENT, "flops": GRAY}.items(), start=1):
        bars = go.Bar(
            x=shown[name],
            y=shown["name"],
            text=shown["kind"],
            textposition="none",
            orientation="h",
            marker_color=colour,
            hovertemplate="%{y}<br>%{text}<br>%{x:,}<extra></extra>",
            showlegend=False,
        )
        figure.add_trace(bars, row=1, col=column)
    finish(figure, height=FRAME_HEIGHT + BAR_HEIGHT * len(shown))
    figure.update_yaxes(autorange="reversed", showgrid=False)
    return figure
