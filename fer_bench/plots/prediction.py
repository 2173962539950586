"""Figures of one face's probabilities."""

from __future__ import annotations

from collections.abc import Mapping

import plotly.graph_objects as go

from fer_bench.formatting import percent
from fer_bench.plots.style import GRID, emotion_colour, finish, label


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
