"""Figures of a run's mistakes: confusion, per class, ROC."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from numpy.typing import ArrayLike

from fer_bench.formatting import percent
from fer_bench.plots.style import GRID, HEAT_SCALE, SHARES, diagonal, emotion_colour, finish, label


def confusion_matrix(values: ArrayLike, emotions: Sequence[str], *, shares: bool) -> go.Figure:
    """A heat map with each cell's number in it; rows are true classes, top to bottom.

    Cells can be clicked: their customdata are the true and the predicted emotion, and both as one
    text, `true>predicted`.

    Args:
        values: float `(C, C)`, `[true][predicted]`, counts or shares in [0, 1]; NaN shows as a
            dash.
        shares: write cells as whole percents instead of counts.
    """
    cells = np.asarray(values, dtype=float)
    names = [label(e) for e in emotions]
    top = np.nanmax(cells, initial=0.0) or 1.0
    figure = go.Figure(
        go.Heatmap(
            z=cells,
            x=names,
            y=names,
            zmin=0,
            zmax=1.0 if shares else top,
            colorscale=HEAT_SCALE,
            showscale=False,
            xgap=2,
            ygap=2,
            hovertemplate="true %{y}, predicted %{x}: %{z"
            + (":.1%}" if shares else ":,d}")
            + "<extra></extra>",
        )
    )
    pairs = [(row, column) for row in range(len(names)) for column in range(len(names))]
    figure.add_scatter(  # a heat map's own cells do not answer clicks
        x=[names[column] for _, column in pairs],
        y=[names[row] for row, _ in pairs],
        mode="markers+text",
        text=[_cell_text(cells[pair], shares) for pair in pairs],
        customdata=[
            (emotions[row], emotions[column], f"{emotions[row]}>{emotions[column]}")
            for row, column in pairs
        ],
        textfont={"size": 12},
        marker={"symbol": "square", "size": 38, "opacity": 0},
        selected={"marker": {"opacity": 0}},
        unselected={"marker": {"opacity": 0}},
        hoverinfo="skip",
    )
    finish(
        figure,
        height=120 + 46 * len(names),
        x_title="Predicted",
        y_title="True",
        legend=False,
    )
    figure.update_xaxes(showgrid=False, tickangle=-45)
    figure.update_yaxes(showgrid=False, autorange="reversed")
    return figure


def _cell_text(number: float, shares: bool) -> str:
    if np.isnan(number):
        return "–"
    return f"{number:.0%}" if shares else f"{number:,.0f}"


def per_class_bars(per_class: pd.DataFrame) -> go.Figure:
    """The F1 of each emotion, as bars in the emotions' colours.

    Args:
        per_class: columns `emotion` and `f1`, in [0, 1].
    """
    figure = go.Figure(
        go.Bar(
            x=per_class["emotion"].map(label),
            y=per_class["f1"],
            marker_color=[emotion_colour(e) for e in per_class["emotion"]],
            text=per_class["f1"].map(percent),
            textposition="outside",
            cliponaxis=False,
            hovertemplate="%{x}: %{y:.1%}<extra></extra>",
        )
    )
    finish(figure, height=320, y_title="F1", legend=False)
    figure.update_yaxes(tickformat=".0%", range=[0, 1.08])
    return figure


def roc_curves(table: pd.DataFrame) -> go.Figure:
    """One ROC curve per emotion against the rest.

    Args:
        table: as `evaluation.confusion.roc_table` gives it: `emotion, false_positive_rate,
            true_positive_rate, auc`.
    """
    figure = go.Figure(diagonal(GRID))
    for emotion, rows in table.groupby("emotion", sort=False):
        figure.add_scatter(
            x=rows["false_positive_rate"],
            y=rows["true_positive_rate"],
            mode="lines",
            name=f"{label(emotion)} {rows['auc'].iloc[0]:.3f}",
            line={"color": emotion_colour(str(emotion)), "width": 2},
            hovertemplate="false positives %{x:.1%}, true positives %{y:.1%}",
        )
    finish(figure, height=440, x_title="False positive rate", y_title="True positive rate")
    figure.update_xaxes(SHARES)
    figure.update_yaxes(SHARES)
    return figure
