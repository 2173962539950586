"""Figures of the leaderboard: who is how accurate, and at what cost."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from numpy.typing import ArrayLike, NDArray

from fer_bench.formatting import NBSP, hundredths, percent
from fer_bench.plots.style import GRAY, error_bars, finish, label, model_colour, shortened
from fer_bench.results.summary import run_ids
from fer_bench.results.titles import model_title

#: Models differ in their marks too, for readers who do not see colours.
SYMBOLS = (
    "circle", "square", "diamond", "triangle-up", "cross", "x", "star", "triangle-down", "pentagon",
    "hexagram",
)  # fmt: skip
#: Height of one bar with its gap, pixels.
BAR_HEIGHT = 30
#: Characters of a bar's name; a longer one is cut.
BAR_LABEL = 52
#: Heights of the cost figure without its legend, and of a line of that, pixels.
PLOT_HEIGHT, LEGEND_LINE = 340, 19
#: The line of marks below the bars.
PUBLISHED_ROW = "Published, not ranked"
#: Room above the best point and below the worst one, as a share of 1.
Y_MARGIN = 0.04


def accuracy_bars(
    table: pd.DataFrame,
    *,
    voters: float | None = None,
    published: pd.DataFrame | None = None,
) -> go.Figure:
    """Test accuracy of runs as horizontal bars with their intervals, best on top.

    Args:
        table: a summary table's columns `dataset, run, title, model, test_accuracy, ci_low,
            ci_high` in [0, 1]; rows without an accuracy are left out. Bars end in `dataset/run` as
            customdata.
        voters: how often a FER+ voter gives the data set's own label, in [0, 1]: a dashed line.
        published: `results.leaderboard.published.published_table`, marked on a line of its own
            below the bars.
    """
    shown = table.dropna(subset=["test_accuracy"]).sort_values("test_accuracy")
    accuracy, ids = shown["test_accuracy"], run_ids(shown)
    figure = go.Figure(
        go.Bar(
            x=accuracy,
            y=list(ids),
            orientation="h",
            marker_color=[model_colour(model) for model in shown["model"]],
            error_x=error_bars(accuracy, shown["ci_low"], shown["ci_high"]),
            customdata=np.column_stack(
                [shown["title"].map(label), shown["ci_low"], shown["ci_high"], ids]
            ),
            hovertemplate="%{customdata[0]}<br>%{x:.1%} "
            "(%{customdata[1]:.1%} – %{customdata[2]:.1%})<extra></extra>",
        )
    )
    finish(
        figure, height=60 + BAR_HEIGHT * max(len(shown), 3), x_title="Test accuracy", legend=False
    )
    # A phone leaves little room next to the names.
    figure.update_xaxes(tickformat=".0%", rangemode="tozero", tickangle=0, dtick=0.25)
    titles = [shortened(title, BAR_LABEL) for title in shown["title"]]
    rows = dict(zip(ids, titles, strict=True))
    if published is not None and len(published):
        _add_published(figure, published)
        rows = {PUBLISHED_ROW: PUBLISHED_ROW} | rows
        figure.update_layout(height=figure.layout.height + BAR_HEIGHT)
    figure.update_yaxes(
        tickvals=list(rows),
        ticktext=list(rows.values()),
        categoryorder="array",
        categoryarray=list(rows),
        showgrid=False,
    )
    if voters is not None:
        _add_voters(figure, voters)
    return figure


#: How a backbone was used: its name, and how full its bars are.
MODE_BARS = {"frozen": ("Frozen", 0.45, "/"), "full": ("Fully tuned", 1.0, "")}


#: What a frozen network gives whose weights nothing was learned by.
RANDOM_FEATURES = "Frozen: random features"


def frozen_and_full(table: pd.DataFrame) -> go.Figure:
    """Test accuracy of backbones, frozen next to fully tuned, with 95 % intervals.

    Args:
        table: as `results.leaderboard.five_models.five_models` gives it. Bars end in `dataset/run`
            as customdata.
    """
    figure = go.Figure()
    names = _with_accuracies(table)
    for mode, (name, strength, pattern) in MODE_BARS.items():
        shown = table[table["mode"] == mode]
        accuracy = shown["test_accuracy"]
        if mode == "frozen" and len(shown) and (shown["pretraining"] == "none").all():
            name = RANDOM_FEATURES
        figure.add_bar(
            x=shown["model"].map(names),
            y=accuracy,
            name=name,
            marker={
                "color": [model_colour(model) for model in shown["model"]],
                "opacity": strength,
                "pattern": {"shape": pattern},
            },
            error_y=error_bars(accuracy, shown["ci_low"], shown["ci_high"]),
            customdata=np.column_stack([shown["title"].map(label), run_ids(shown)]),
            hovertemplate="%{customdata[0]}<br>%{y:.1%}<extra></extra>",
        )
    finish(figure, height=340, y_title="Test accuracy")
    figure.update_layout(barmode="group")
    figure.update_yaxes(tickformat=".0%", rangemode="tozero")
    return figure


def _with_accuracies(table: pd.DataFrame) -> dict[str, str]:
    """Each model's title and, below it, its accuracies: `ResNet18`, `35.1 → 52.4 %`."""
    names = {}
    for model in table["model"].unique():
        own = table[table["model"] == model].set_index("mode")["test_accuracy"]
        values = [hundredths(own[mode]) for mode in MODE_BARS if mode in own]
        names[model] = f"{model_title(model)}<br>{' → '.join(values)}{NBSP}%"
    return names


def _add_published(figure: go.Figure, published: pd.DataFrame) -> None:
    """A mark per figure; hollow where it was not reproduced."""
    doubted = published["reproduced"].isin(["no", "disputed"])
    figure.add_scatter(
        x=published["accuracy"],
        y=[PUBLISHED_ROW] * len(published),
        mode="markers",
        marker={
            "symbol": ["diamond-open" if doubt else "diamond" for doubt in doubted],
            "size": 9,
            "color": GRAY,
        },
        text=[
            f"{label(m)} ({d})" for m, d in zip(published["model"], published["date"], strict=True)
        ],
        hovertemplate="%{text}<br>%{x:.1%}, as published; not measured here<extra></extra>",
    )


def _add_voters(figure: go.Figure, voters: float) -> None:
    figure.add_vline(
        x=voters,
        line={"color": GRAY, "dash": "dash", "width": 1.5},
        annotation={
            "text": f"one FER+ voter {percent(voters)}",
            "xanchor": "right",  # on a narrow screen there is no room to the right
            "yanchor": "bottom",
            "yref": "paper",
            "y": 1,
        },
    )
    figure.update_layout(margin={"t": 30})


def pareto_front(cost: ArrayLike, value: ArrayLike) -> NDArray[np.bool_]:
    """Which points no other point beats: none is as cheap and better, or cheaper and as good.

    Args:
        cost, value: float `(N,)`; less cost and more value are better. NaN is never on the front.

    Returns:
        bool `(N,)`.
    """
    costs = np.asarray(cost, dtype=float)
    values = np.asarray(value, dtype=float)
    known = np.isfinite(costs) & np.isfinite(values)
    no_worse = (costs[:, None] <= costs) & (values[:, None] >= values)
    better = (costs[:, None] < costs) | (values[:, None] > values)
    beaten = (no_worse & better & known[:, None]).any(axis=0)
    front: NDArray[np.bool_] = known & ~beaten
    return front


def accuracy_against(table: pd.DataFrame, cost: str, title: str, *, unit: str = "") -> go.Figure:
    """Test accuracy over a cost on a logarithmic axis, one point per run, Pareto front as a line.

    Args:
        table: columns `dataset, run, title, model, test_accuracy` and `cost`, the name of a numeric
            column (`parameters`, `flops`, `milliseconds`); rows without either number are left out.
        title: the cost in words, with its unit.
        unit: what follows the cost's number where a point is hovered over.
    """
    shown = table.dropna(subset=["test_accuracy", cost]).sort_values(cost)
    shown = shown[shown[cost].astype(float) > 0]
    figure = go.Figure()
    for number, (model, rows) in enumerate(shown.groupby("model", sort=True)):
        figure.add_scatter(
            x=rows[cost],
            y=rows["test_accuracy"],
            mode="markers",
            name=shortened(model_title(str(model)), 24),
            text=rows["title"].map(label),
            marker={
                "color": model_colour(str(model)),
                "symbol": SYMBOLS[number % len(SYMBOLS)],
                "size": 10,
            },
            customdata=[
                (f"{si_unit(value)}{unit}", run)
                for value, run in zip(rows[cost], run_ids(rows), strict=True)
            ],
            hovertemplate="%{text}<br>%{y:.1%} at %{customdata[0]}<extra></extra>",
        )
    front = shown[pareto_front(shown[cost], shown["test_accuracy"])]
    figure.add_scatter(
        x=front[cost],
        y=front["test_accuracy"],
        mode="lines+markers",
        line={"color": GRAY, "dash": "dot", "shape": "hv", "width": 1.5},
        marker={"symbol": "circle-open", "size": 18, "line": {"width": 2}},
        name="Pareto front",
        hoverinfo="skip",
    )
    # A narrow screen has the legend's entries one below the other.
    height = PLOT_HEIGHT + LEGEND_LINE * len(figure.data)
    finish(figure, height=height, x_title=title, y_title="Test accuracy")
    ticks = log_ticks(shown[cost])
    figure.update_xaxes(
        type="log", tickvals=list(ticks), ticktext=list(ticks.values()), tickangle=0
    )
    if len(
        shown
    ):  # a few points close together would get ticks finer than a percent, or beyond 100
        accuracy = shown["test_accuracy"]
        figure.update_yaxes(range=[accuracy.min() - Y_MARGIN, accuracy.max() + Y_MARGIN])
    figure.update_yaxes(tickformat=".0%")
    return figure


def log_ticks(values: pd.Series[float]) -> dict[float, str]:
    """Ticks at 1 and 3 times the powers of ten around the values: value -> `30M`.

    Values of less than one power of ten get more of them.
    """
    if values.empty:
        return {}
    digits = (1, 3) if values.max() >= 10 * values.min() else (1, 1.5, 2, 3, 5, 7)
    powers = range(math.floor(math.log10(values.min())), math.ceil(math.log10(values.max())) + 1)
    ticks = [digit * 10.0**power for power in powers for digit in digits]
    return {tick: si_unit(tick) for tick in ticks}


def si_unit(value: float) -> str:
    """`11.2M` for 11,200,000; nothing for NaN."""
    if math.isnan(value):
        return ""
    for size, letter in ((1e18, "E"), (1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.3g}{letter}"
    return f"{value:.3g}"
