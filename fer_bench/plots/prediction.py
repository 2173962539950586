"""Figures of one face's probabilities, and of many faces' features."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from fer_bench.formatting import percent
from fer_bench.plots.style import GRAY, GRID, emotion_colour, finish, label

Colouring = Literal["true", "predicted", "correct"]
WRONG = "#e5484d"


def probability_bars(probabilities: Mapping[str, float]) -> go.Figure:
    """Each emotion's probability as a horizontal bar, in the order given, from the top.

    Args:
        probabilities: emotion -> share in [0, 1]. The order stays the same from face to face and
            from model to model, so that bars side by side compare.
    """
    names = [label(emotion) for emotion in probabilities]
    values = list(probabilities.values())
    figure = go.Figure(
        go.Bar(
            x=values,
            y=names,
            orientation="h",
            marker={"color": [emotion_colour(e) for e in probabilities], "cornerradius": 4},
            text=list(map(percent, values)),
            textposition="outside",
            cliponaxis=False,
            hovertemplate="%{y}: %{x:.1%}<extra></extra>",
        )
    )
    finish(figure, height=40 + 32 * len(names), legend=False)
    # Room on the right for the number of a bar that fills the axis.
    figure.update_xaxes(range=[0, 1.18], tickformat=".0%", tickvals=[0, 0.25, 0.5, 0.75, 1])
    figure.update_yaxes(autorange="reversed", showgrid=False, ticklabelstandoff=6)
    figure.update_layout(bargap=0.35)
    return figure


def probability_pie(probabilities: Mapping[str, float]) -> go.Figure:
    """The probabilities as a ring with the likeliest emotion in its middle.

    Args:
        probabilities: emotion -> share in [0, 1]; at least one.
    """
    best = max(probabilities, key=lambda emotion: probabilities[emotion])
    figure = go.Figure(
        go.Pie(
            labels=[label(emotion) for emotion in probabilities],
            values=list(probabilities.values()),
            marker={
                "colors": [emotion_colour(e) for e in probabilities],
                "line": {"color": GRID, "width": 1},
            },
            textinfo="none",  # the bars next to it show the numbers
            hole=0.62,
            sort=False,
            direction="clockwise",
            hovertemplate="%{label}: %{percent}<extra></extra>",
        )
    )
    finish(figure, height=264, legend=False)
    figure.add_annotation(
        text=f"<b>{label(best)}</b><br>{percent(probabilities[best])}",
        showarrow=False,
        font={"size": 17},
    )
    return figure


def feature_scatter(table: pd.DataFrame, colour_by: Colouring) -> go.Figure:
    """Images as points in a network's feature space, brought down to a plane.

    Args:
        table: as `studies.explain.feature_map.feature_map` gives it: `id, x, y, true, predicted,
            confidence, correct`.
        colour_by: the true emotion, the predicted one, or whether the answer is right; wrong
            answers are drawn over right ones.
    """
    figure = go.Figure()
    for value, rows in table.groupby(colour_by, sort=False):
        right = colour_by == "correct"
        name = ("right" if value else "wrong") if right else str(value)
        colour = (GRAY if value else WRONG) if right else emotion_colour(name)
        figure.add_scatter(
            x=rows["x"],
            y=rows["y"],
            mode="markers",
            name=f"{label(name)}, {len(rows):,}",
            marker={"color": colour, "size": 6, "opacity": 0.45 if right and value else 0.8},
            zorder=int(right and not value),
            customdata=np.column_stack(
                [rows[c].map(label) for c in ("id", "true", "predicted")] + [rows["confidence"]]
            ),
            hovertemplate="%{customdata[0]}<br>true %{customdata[1]}, predicted %{customdata[2]}"
            "<br>confidence %{customdata[3]:.1%}<extra></extra>",
        )
    finish(figure, height=560)
    figure.update_xaxes(showgrid=False, showticklabels=False)
    figure.update_yaxes(showgrid=False, showticklabels=False, scaleanchor="x")
    return figure
