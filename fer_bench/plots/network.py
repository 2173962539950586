"""Figures of one network: its layers, and how it was trained."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from fer_bench.plots.style import ACCENT, GRAY, finish
from fer_bench.types import Quantity

#: So many epochs each get a tick.
MOST_TICKS = 10
TITLES = {"accuracy": "Accuracy", "loss": "Loss"}
#: Height of a layer's bar, and of the rest of the figure, pixels.
BAR_HEIGHT, FRAME_HEIGHT = 18, 120


def training_curve(
    history: pd.DataFrame, quantity: Quantity, best_epoch: int | None = None
) -> go.Figure:
    """Train and val over the epochs; the chosen epoch is marked.

    Args:
        history: columns `epoch, train_<quantity>, val_<quantity>`, as in a run's `history.csv`.
    """
    figure = go.Figure()
    for split, colour, dash in (("train", GRAY, "dot"), ("val", ACCENT, "solid")):
        figure.add_scatter(
            x=history["epoch"],
            y=history[f"{split}_{quantity}"],
            mode="lines+markers",
            name=split,
            line={"color": colour, "dash": dash, "width": 2},
            marker={"size": 5},
            hovertemplate="epoch %{x}: %{y:.4f}",
        )
    best = history[history["epoch"] == best_epoch]
    if len(best):
        figure.add_scatter(
            x=best["epoch"],
            y=best[f"val_{quantity}"],
            mode="markers",
            name=f"chosen: epoch {best_epoch}",
            marker={"color": ACCENT, "size": 13, "symbol": "star"},
            hoverinfo="skip",
        )
    finish(figure, height=320, x_title="Epoch", y_title=TITLES[quantity])
    if len(history) <= MOST_TICKS:  # left alone, Plotly marks halves of an epoch
        figure.update_xaxes(dtick=1)
    if quantity == "accuracy":
        figure.update_yaxes(tickformat=".0%")
    return figure


def layer_bars(table: pd.DataFrame) -> go.Figure:
    """Parameters and operations of each layer that has any, first to last from above.

    Args:
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
