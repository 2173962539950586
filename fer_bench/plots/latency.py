"""Figures of latency: back ends, and where the time of a frame goes."""

from __future__ import annotations

from typing import Any

import pandas as pd
import plotly.graph_objects as go

from fer_bench.formatting import three_digits
from fer_bench.plots.style import ACCENT, GRAY, broken, finish, label, model_colour

#: Height of one bar with its gap, and of the rest of a figure, pixels.
BAR_HEIGHT, FRAME_HEIGHT = 26, 90
#: Room on the right for the words behind a bar, as a share of the longest one.
WORDS_ROOM = 0.45
#: Marks further out, in longest bars, are drawn at the end.
FURTHEST_MARK = 1.6
#: Networks of one architecture share its colour and differ in this.
PATTERNS = ("", "/", "x", ".", "+")
#: Stages in the order of their work: column, name, colour.
STAGES = (
    ("detect_ms", "detect", GRAY),
    ("preprocess_ms", "preprocess", "#f5a524"),
    ("model_ms", "model", ACCENT),
    ("rest_ms", "rest", "rgba(139, 141, 152, 0.4)"),
)


def latency_bars(table: pd.DataFrame) -> go.Figure:
    """Median milliseconds per call by back end, a bar per network, with marks at p90 and p99.

    Args:
        table: columns `network, model, backend, median_ms, p90_ms, p99_ms, ratio, note` of
            `studies.latency.tables.measurement_table`, of one thread count and batch; `network` is
            shown as it is, a note as an asterisk. Rows without a median are left out. Back ends
            stand in the table's order.
    """
    shown = table.dropna(subset=["median_ms"]).assign(backend=table["backend"].map(label))
    backends = list(dict.fromkeys(shown["backend"]))
    # One call that was held up must not shrink every bar.
    end = min(shown["p99_ms"].max(), FURTHEST_MARK * shown["median_ms"].max())
    figure = go.Figure()
    models: list[str] = []
    for network, rows in shown.groupby("network", sort=False):
        model = str(rows["model"].iloc[0])
        pattern = PATTERNS[models.count(model) % len(PATTERNS)]
        group = {"orientation": "h", "offsetgroup": str(network), "legendgroup": str(network)}
        for trace in (_bars(rows, pattern, end), _p90_marks(rows, end), _p99_marks(rows, end)):
            figure.add_trace(trace.update(group))
        models.append(model)
    for name, symbol in (("p90", "line-ns"), ("p99", "diamond")):
        figure.add_scatter(x=[None], y=[None], mode="markers", name=name, marker=_mark(symbol))
    height = FRAME_HEIGHT + BAR_HEIGHT * max(len(shown), 3) + 10 * len(backends)
    finish(figure, height=height, x_title="Milliseconds per call")
    figure.update_layout(barmode="group", scattermode="group", bargap=0.3)
    figure.update_yaxes(
        categoryorder="array", categoryarray=backends, autorange="reversed", showgrid=False
    )
    figure.update_xaxes(range=[0, end * (1 + WORDS_ROOM)] if backends else None)
    return figure


def _bars(rows: pd.DataFrame, pattern: str, end: float) -> go.Bar:
    """A network's medians, each with a line to its p99 or the end of the axis."""
    network, colour = rows["network"].iloc[0], model_colour(str(rows["model"].iloc[0]))
    return go.Bar(
        x=rows["median_ms"],
        y=rows["backend"],
        name=broken(network),
        marker={"color": colour, "pattern": {"shape": pattern}},
        error_x={
            "array": rows["p99_ms"].clip(upper=end) - rows["median_ms"],
            "arrayminus": [0.0] * len(rows),
            "color": GRAY,
            "thickness": 1,
            "width": 0,
        },
        customdata=rows[["p90_ms", "p99_ms"]],
        hovertemplate="%{y}: median %{x:.3~g} ms, p90 %{customdata[0]:.3~g} ms, "
        "p99 %{customdata[1]:.3~g} ms<extra>" + label(network) + "</extra>",
    )


def _p90_marks(rows: pd.DataFrame, end: float) -> go.Scatter:
    return go.Scatter(
        x=rows["p90_ms"].where(rows["p90_ms"] <= end),
        y=rows["backend"],
        mode="markers",
        marker=_mark("line-ns"),
        showlegend=False,
        hoverinfo="skip",
    )


def _p99_marks(rows: pd.DataFrame, end: float) -> go.Scatter:
    """The marks at p99, or arrows at the end of the axis, with median and ratio behind them."""
    beyond = rows["p99_ms"] > end
    columns = (rows["median_ms"], rows["ratio"], rows["note"])
    words = [
        f"{three_digits(median)} ms"
        + ("" if pd.isna(ratio) else f" · {ratio:.1f}×")
        + (" *" if note else "")
        for median, ratio, note in zip(*columns, strict=True)
    ]
    symbols = ["arrow-right" if far else "diamond" for far in beyond]
    return go.Scatter(
        x=rows["p99_ms"].clip(upper=end),
        y=rows["backend"],
        mode="markers+text",
        text=words,
        textposition="middle right",
        cliponaxis=False,
        marker={**_mark("diamond"), "symbol": symbols},
        showlegend=False,
        hoverinfo="skip",
    )


def _mark(symbol: str) -> dict[str, Any]:
    size, line = (9, 2) if symbol == "line-ns" else (7, 0)
    return {"symbol": symbol, "size": size, "color": GRAY, "line": {"color": GRAY, "width": line}}


def stage_bars(table: pd.DataFrame) -> go.Figure:
    """Where the time of a frame goes: stacked stages, with the frames per second behind them.

    Args:
        table: columns `network, backend, detector, total_ms, frames_per_second` and those of
            `STAGES` of `studies.latency.tables.stage_table`; one bar per row, in the table's order.
    """
    positions = list(range(len(table)))
    figure = go.Figure()
    for column, name, colour in STAGES:
        figure.add_bar(
            x=table[column],
            y=positions,
            orientation="h",
            name=name,
            marker_color=colour,
            hovertemplate=f"{name} %{{x:.3~g}} ms<extra></extra>",
        )
    words = [
        f"{three_digits(total)} ms · {rate:.0f} fps"
        for total, rate in zip(table["total_ms"], table["frames_per_second"], strict=True)
    ]
    ends = table[[column for column, _, _ in STAGES]].sum(axis=1)
    figure.add_scatter(
        x=ends,
        y=positions,
        mode="text",
        text=words,
        textposition="middle right",
        cliponaxis=False,
        showlegend=False,
        hoverinfo="skip",
    )
    finish(figure, height=FRAME_HEIGHT + 64 * max(len(table), 2), x_title="Milliseconds per frame")
    figure.update_layout(barmode="stack", bargap=0.4, legend_traceorder="normal")
    names = zip(table["network"], table["backend"], table["detector"], strict=True)
    figure.update_yaxes(
        tickvals=positions,
        ticktext=[f"{broken(n)}<br>{label(b)}, {label(d)}" for n, b, d in names],
        autorange="reversed",
        showgrid=False,
    )
    figure.update_xaxes(range=[0, ends.max() * (1 + WORDS_ROOM)] if positions else None)
    return figure
