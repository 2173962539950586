"""Figures of runs side by side: differences, per class, agreement, validation curves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import pandas as pd
import plotly.graph_objects as go

from fer_bench.formatting import percent
from fer_bench.plots.network import MOST_TICKS, TITLES
from fer_bench.plots.style import (
    ACCENT,
    DASHES,
    GRAY,
    GRID,
    HEAT_SCALE,
    NAME_HEIGHT,
    broken,
    error_bars,
    finish,
    label,
    run_styles,
    write_cells,
)
from fer_bench.types import Quantity

PATTERNS = ("", "/", "x", ".", "\\", "-", "+", "|")
#: Height of a pair in the forest plot, of a run in the heat map, pixels.
PAIR_HEIGHT, CELL_HEIGHT = 44, 46
#: Where accuracy and macro-F1 stand above and below a pair's line.
OFFSET = 0.16


def difference_forest(pairs: pd.DataFrame) -> go.Figure:
    """Differences of pairs of runs with their 95 % intervals, in percentage points.

    Args:
        pairs: as `studies.comparison.tables.pair_table` gives it; from top to bottom in its order.
            A filled marker is a difference that is there: of accuracy, by the test; of macro-F1, by
            its interval, which leaves out 0.
    """
    figure = go.Figure()
    lines = [-float(row) for row in range(len(pairs))]
    for metric, name, colour, offset in (
        ("accuracy", "accuracy", ACCENT, OFFSET),
        ("macro_f1", "macro F1", GRAY, -OFFSET),
    ):
        middle = pairs[f"{metric}_difference"] * 100
        low, high = pairs[f"{metric}_low"] * 100, pairs[f"{metric}_high"] * 100
        there = pairs["significant"] if metric == "accuracy" else low * high > 0
        figure.add_scatter(
            x=middle,
            y=[line + offset for line in lines],
            mode="markers",
            name=name,
            marker={
                "color": colour,
                "size": 10,
                "line": {"color": colour, "width": 2},
                "symbol": ["circle" if filled else "circle-open" for filled in there],
            },
            error_x=error_bars(middle, low, high, color=colour, thickness=2, width=4),
            customdata=list(
                zip(pairs["a"].map(label), pairs["b"].map(label), low, high, strict=True)
            ),
            hovertemplate="%{customdata[0]}<br>− %{customdata[1]}<br>" + name + ": %{x:+.1f} points"
            " (%{customdata[2]:.1f} to %{customdata[3]:.1f})<extra></extra>",
        )
    figure.add_vline(x=0, line={"color": GRAY, "dash": "dot", "width": 1.5})
    height = 110 + PAIR_HEIGHT * max(len(pairs), 2)
    finish(figure, height=height, x_title="Percentage points ahead, with 95 % intervals")
    figure.update_yaxes(
        tickvals=lines,
        ticktext=pairs["letters"].map(label),
        range=[-len(pairs) + 0.4, 0.6],
        showgrid=False,
    )
    return figure


def class_differences(classes: pd.DataFrame, metric: Literal["recall", "f1"]) -> go.Figure:
    """By how much the first run is ahead of each other on each emotion, in percentage points.

    Args:
        classes: as `studies.comparison.tables.class_table` gives it, the first run's rows first.
    """
    first = classes["letter"].iloc[0]
    others = classes[classes["letter"] != first]
    figure = go.Figure()
    styles = run_styles(others.drop_duplicates("letter")["model"], PATTERNS)
    for (_, rows), (colour, pattern) in zip(
        others.groupby("letter", sort=False), styles, strict=True
    ):
        name = f"{first} − {rows['letter'].iloc[0]}"
        figure.add_bar(
            x=rows["emotion"].map(label),
            y=rows[f"{metric}_difference"] * 100,
            name=label(name),
            marker={"color": colour, "pattern": {"shape": pattern}},
            customdata=rows["images"],
            hovertemplate=f"{label(name)}, %{{x}}: %{{y:+.1f}} points, %{{customdata:,}} images"
            "<extra></extra>",
        )
    figure.add_hline(y=0, line={"color": GRID, "width": 1.5})
    finish(figure, height=340, y_title="Points ahead")
    figure.update_layout(barmode="group")
    return figure


def agreement_heat_map(matrix: pd.DataFrame) -> go.Figure:
    """How often every two runs give the same answer.

    Args:
        matrix: float `(K, K)` in [0, 1], as `studies.comparison.tables.agreement_matrix` gives it,
            under names short enough for an axis.
    """
    names = [label(name) for name in matrix.index]
    cells = matrix.to_numpy(dtype=float)
    figure = go.Figure(
        go.Heatmap(
            z=cells,
            x=names,
            y=names,
            zmin=min(0.5, float(cells.min())),
            zmax=1,
            colorscale=HEAT_SCALE,
            showscale=False,
            xgap=2,
            ygap=2,
            hovertemplate="%{y} and %{x}: the same answer to %{z:.1%}<extra></extra>",
        )
    )
    write_cells(figure, names, names, [[percent(value) for value in row] for row in cells])
    finish(figure, height=90 + CELL_HEIGHT * len(names), legend=False)
    figure.update_xaxes(showgrid=False, side="top", type="category")
    figure.update_yaxes(showgrid=False, autorange="reversed", type="category")
    return figure


def validation_curves(
    histories: Mapping[str, pd.DataFrame],
    models: Mapping[str, str],
    quantity: Quantity,
) -> go.Figure:
    """Several runs' validation accuracy or loss over their epochs.

    Args:
        histories: name -> columns `epoch, val_<quantity>`, as in a run's `history.csv`.
        models: name -> the run's model, whose colour its line has, as `run_styles` gives it.
    """
    figure = go.Figure()
    short = all(len(history) <= MOST_TICKS for history in histories.values())
    styles = run_styles([models[name] for name in histories], DASHES)
    for (name, history), (colour, dash) in zip(histories.items(), styles, strict=True):
        figure.add_scatter(
            x=history["epoch"],
            y=history[f"val_{quantity}"],
            mode="lines+markers" if short else "lines",  # many markers hide the dashes
            name=broken(name),
            line={"color": colour, "dash": dash, "width": 2},
            marker={"size": 5},
            hovertemplate="epoch %{x}: %{y:.4f}",
        )
    height = 260 + NAME_HEIGHT * len(styles)
    finish(figure, height=height, x_title="Epoch", y_title=f"Validation {TITLES[quantity].lower()}")
    if short:
        figure.update_xaxes(dtick=1)  # left alone, Plotly marks halves of an epoch
    if quantity == "accuracy":
        figure.update_yaxes(tickformat=".1%")
    return figure
