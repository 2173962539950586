"""Figures of calibration: reliability, and what answering only when sure gains."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from fer_bench.plots.style import (
    ACCENT,
    DASHES,
    GRAY,
    NAME_HEIGHT,
    SHARES,
    SPARE_COLOURS,
    broken,
    diagonal,
    finish,
)

#: Heights of the figures, pixels; of the second, without its legend.
WITH_COUNTS, CURVES = 520, 380
#: The picked run's curve comes first; the others take these.
CURVE_COLOURS = (ACCENT, *SPARE_COLOURS)


def reliability_diagram(table: pd.DataFrame, ece: float | None) -> go.Figure:
    """How often predictions of a given confidence are right; the diagonal is perfect calibration.

    Args:
        table: as `evaluation.calibration.reliability` gives it: `confidence, accuracy, count` per
            bin; empty bins are left out, larger markers hold more images.
        ece: named in the legend; None where there are no probabilities.
    """
    bins = table[table["count"] > 0]
    weight = np.sqrt(bins["count"] / bins["count"].max())
    figure = go.Figure(diagonal(name="perfect"))
    figure.add_scatter(
        x=bins["confidence"],
        y=bins["accuracy"],
        mode="lines+markers",
        name="this run" if ece is None else f"this run, ECE {ece:.3f}",
        line={"color": ACCENT, "width": 2},
        marker={"size": 6 + 14 * weight, "opacity": 0.85},
        cliponaxis=False,  # bins at 0 and 100 % keep their whole marker
        customdata=bins["count"],
        hovertemplate="confidence %{x:.1%}, right %{y:.1%}, %{customdata:,} images",
    )
    finish(figure, height=440, x_title="Confidence", y_title="Accuracy")
    figure.update_xaxes(SHARES)
    figure.update_yaxes(SHARES)
    return figure


def reliability_with_counts(
    table: pd.DataFrame, *, x_title: str, y_title: str, colour: str = ACCENT
) -> go.Figure:
    """Reliability as bars over the images of each bin; a perfect bar's end meets its marker.

    Args:
        table: as `evaluation.calibration.reliability` gives it; empty bins stay empty. The marker
            stands at the bin's mean confidence, on the diagonal.
    """
    bins = table[table["count"] > 0]
    middle, width = (bins["low"] + bins["high"]) / 2, bins["high"] - bins["low"]
    figure = make_subplots(
        rows=2, cols=1, shared_xaxes=True, row_heights=[0.72, 0.28], vertical_spacing=0.04
    )
    shape = {"x": middle, "width": width, "marker_color": colour, "showlegend": False}
    figure.add_bar(
        **shape,
        y=bins["accuracy"],
        opacity=0.75,
        customdata=bins[["low", "high", "confidence", "count"]],
        hovertemplate="%{customdata[0]:.0%} – %{customdata[1]:.0%}: mean %{customdata[2]:.1%}, "
        "right %{y:.1%}, %{customdata[3]:,} images<extra></extra>",
        row=1,
        col=1,
    )
    figure.add_trace(diagonal(name="perfect"), row=1, col=1)
    figure.add_scatter(
        x=bins["confidence"],
        y=bins["confidence"],
        mode="markers",
        marker={"symbol": "circle-open", "size": 9, "color": GRAY, "line": {"width": 2}},
        name="mean of the bin",
        hoverinfo="skip",
        row=1,
        col=1,
    )
    figure.add_bar(
        **shape, y=bins["count"], hovertemplate="%{y:,} images<extra></extra>", row=2, col=1
    )
    finish(figure, height=WITH_COUNTS, y_title=y_title)
    figure.update_layout(bargap=0.05)
    figure.update_xaxes(SHARES)
    figure.update_xaxes(title=x_title, row=2, col=1)
    figure.update_yaxes(SHARES, row=1, col=1)
    figure.update_yaxes(title="Images", automargin=True, nticks=4, row=2, col=1)
    return figure


def risk_coverage_curves(
    curves: Mapping[str, pd.DataFrame], marked: tuple[float, float] | None = None
) -> go.Figure:
    """Errors among the answered images over the share that is answered, a line per run.

    Args:
        curves: by run's name, `evaluation.selective.risk_coverage` of it; the first one stands out.
        marked: coverage and risk of a threshold on the first curve.
    """
    figure = go.Figure()
    for number, (name, table) in enumerate(curves.items()):
        figure.add_scatter(
            x=table["coverage"],
            y=table["risk"],
            mode="lines",
            name=broken(name),
            line={
                "color": CURVE_COLOURS[number % len(CURVE_COLOURS)],
                "dash": DASHES[number % len(DASHES)],
                "width": 1.5 if number else 2.5,
            },
            customdata=table["threshold"],
            hovertemplate="from %{customdata:.1%} on: %{x:.1%} answered, %{y:.1%} of them wrong",
        )
    if marked:
        figure.add_scatter(
            x=[marked[0]],
            y=[marked[1]],
            mode="markers",
            marker={"size": 13, "color": ACCENT, "line": {"color": "white", "width": 2}},
            name="threshold",
            cliponaxis=False,
            hoverinfo="skip",
        )
    height = CURVES + NAME_HEIGHT * len(curves)
    finish(figure, height=height, x_title="Answered", y_title="Wrong answers of these")
    figure.update_xaxes(SHARES)
    figure.update_yaxes(tickformat=".0%", rangemode="tozero")
    return figure
