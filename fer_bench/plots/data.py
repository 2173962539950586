"""Figures of a data set."""

from __future__ import annotations

from collections.abc import Mapping

import plotly.graph_objects as go

from fer_bench.plots.style import emotion_colour, finish, label

#: Splits share an emotion's colour and differ in strength.
STRENGTH = {"train": 1.0, "val": 0.6, "test": 0.3}


def class_balance(class_counts: Mapping[str, Mapping[str, int]]) -> go.Figure:
    """Each emotion's share of each split, so that splits of different sizes compare.

    Args:
        class_counts: split -> emotion -> images; empty splits are left out.
    """
    figure = go.Figure()
    for split, counts in class_counts.items():
        total = sum(counts.values())
        if not total:
            continue
        strength = STRENGTH.get(split, 1.0)
        figure.add_bar(
            x=[label(e) for e in counts],
            y=[n / total for n in counts.values()],
            name=label(split),
            marker={"color": [emotion_colour(e) for e in counts], "opacity": strength},
            customdata=list(counts.values()),
            hovertemplate="%{x}: %{customdata:,} images, %{y:.1%}<extra>"
            + label(split)
            + "</extra>",
            showlegend=False,
        )
        # A legend entry in neutral gray: a bar of many colours would show its first alone.
        figure.add_scatter(
            x=[None],
            y=[None],
            mode="markers",
            name=label(split),
            marker={"color": f"rgba(139, 141, 152, {strength})", "symbol": "square", "size": 12},
        )
    finish(figure, height=360, y_title="Share of the split")
    figure.update_layout(barmode="group", bargap=0.25)
    figure.update_yaxes(tickformat=".0%")
    return figure
