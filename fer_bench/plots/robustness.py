"""Figures of faces unlike those learnt: corrupted ones, and other data sets'."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from numpy.typing import NDArray

from fer_bench.formatting import percent
from fer_bench.plots.style import (
    DASHES,
    GRAY,
    HEAT_SCALE,
    broken,
    error_bars,
    finish,
    label,
    model_colour,
    run_styles,
    shortened,
    write_cells,
)

#: Height of one bar with its gap, or of a name in a legend, and of a row of a matrix, pixels.
BAR_HEIGHT, ROW_HEIGHT = 58, 34
#: A row of the transfer matrix, whose runs' names are broken into lines; the rest of that figure.
RUN_HEIGHT, FRAME_HEIGHT = 76, 110


def robustness_bars(table: pd.DataFrame) -> go.Figure:
    """Mean corruption accuracy with its interval, best on top, and the clean accuracy as a mark.

    Args:
        table: columns `run, model, mean_corruption_accuracy, ci_low, ci_high, clean_accuracy` in
            [0, 1] of `studies.robustness.tables.summary`; a bar per row.
    """
    shown = table[::-1]
    mean, names = shown["mean_corruption_accuracy"], [str(run) for run in shown["run"]]
    figure = go.Figure(
        go.Bar(
            x=mean,
            y=names,
            orientation="h",
            showlegend=False,
            marker_color=[model_colour(model) for model in shown["model"]],
            error_x=error_bars(mean, shown["ci_low"], shown["ci_high"]),
            customdata=shown["run"].map(label),
            hovertemplate="%{customdata}<br>%{x:.1%} under corruptions<extra></extra>",
        )
    )
    figure.add_scatter(
        x=shown["clean_accuracy"],
        y=names,
        mode="markers",
        name="clean",
        marker={"symbol": "diamond", "size": 10, "color": GRAY},
        hovertemplate="clean %{x:.1%}<extra></extra>",
    )
    height = FRAME_HEIGHT + BAR_HEIGHT * len(shown)
    finish(figure, height=height, x_title="Mean accuracy")
    figure.update_xaxes(tickformat=".0%", rangemode="tozero", tickangle=0, dtick=0.25)
    figure.update_yaxes(tickvals=names, ticktext=[broken(name) for name in names])
    figure.update_yaxes(showgrid=False)
    return figure


def severity_curves(table: pd.DataFrame) -> go.Figure:
    """Accuracy from clean (0) to the highest severity, a line per run.

    Args:
        table: columns `run, model, severity, accuracy, ci_low, ci_high` of
            `studies.robustness.tables.curves`, in [0, 1]; where an interval is missing, none is
            drawn.
    """
    figure = go.Figure()
    runs = table.groupby("run", sort=False)
    styles = run_styles(runs["model"].first(), DASHES)
    for (run, rows), (colour, dash) in zip(runs, styles, strict=True):
        figure.add_scatter(
            x=rows["severity"],
            y=rows["accuracy"],
            mode="lines+markers",
            name=broken(str(run)),
            line={"color": colour, "width": 2, "dash": dash},
            error_y=error_bars(
                rows["accuracy"], rows["ci_low"], rows["ci_high"], thickness=1, width=0
            ),
            hovertemplate="severity %{x}: %{y:.1%}<extra>" + label(run) + "</extra>",
        )
    finish(figure, height=340 + BAR_HEIGHT * len(styles), x_title="Severity", y_title="Accuracy")
    severities = sorted(table["severity"].unique())
    figure.update_xaxes(
        tickvals=severities, ticktext=[str(s) if s else "clean" for s in severities]
    )
    figure.update_yaxes(tickformat=".0%", rangemode="tozero")
    return figure


def severity_heatmap(table: pd.DataFrame, clean: float) -> go.Figure:
    """Accuracy under each corruption (rows) at each severity (columns), the share in each cell.

    Args:
        table: as `studies.robustness.tables.severity_table` gives it, in [0, 1].
        clean: the accuracy that counts as full colour, in [0, 1].
    """
    cells = table.to_numpy(dtype=float)
    words = [[f"{value:.0%}" for value in row] for row in cells]
    names = [label(name) for name in table.index]
    figure = _matrix(cells, words, [str(c) for c in table.columns], names, top=clean)
    figure.update_xaxes(title="Severity")
    return figure


def transfer_matrix(table: pd.DataFrame) -> go.Figure:
    """Accuracy of each run (rows) on each data set (columns); `own` marks data it learnt from.

    Args:
        table: columns `run, trained_on, tested_on, accuracy, own_data` of
            `studies.robustness.tables.transfer_table`, in [0, 1]; what was not tried stays empty.
    """
    cells = table.pivot(index="run", columns="tested_on", values="accuracy")
    cells = cells.loc[table["run"].drop_duplicates(), table["tested_on"].drop_duplicates()]
    own = set(table.loc[table["own_data"], ["run", "tested_on"]].itertuples(index=False, name=None))
    values = cells.to_numpy(dtype=float)
    words = [
        [
            "–" if np.isnan(value) else f"{percent(value)}{'<br>own' * ((run, data) in own)}"
            for data, value in zip(cells.columns, row, strict=True)
        ]
        for run, row in zip(cells.index, values, strict=True)
    ]
    trained = dict(zip(table["run"], table["trained_on"], strict=True))
    names = [f"{broken(run)}<br>{label(trained[run])}" for run in cells.index]
    columns = [shortened(data).replace(" · ", "<br>") for data in cells.columns]
    figure = _matrix(values, words, columns, names, top=1.0)
    figure.update_layout(height=FRAME_HEIGHT + RUN_HEIGHT * len(names))
    figure.update_xaxes(title="Tested on")
    figure.update_yaxes(title="Run, trained on")
    return figure


def _matrix(
    cells: NDArray[np.float64],
    words: Sequence[Sequence[str]],
    columns: Sequence[str],
    rows: Sequence[str],
    *,
    top: float,
) -> go.Figure:
    """A heat map in [0, top] with a text in each cell."""
    down, across = list(range(len(rows))), list(range(len(columns)))
    figure = go.Figure(
        go.Heatmap(
            z=cells,
            x=across,
            y=down,
            zmin=0,
            zmax=top or 1.0,
            colorscale=HEAT_SCALE,
            showscale=False,
            xgap=2,
            ygap=2,
            hovertemplate="%{customdata}<br>%{z:.1%}<extra></extra>",
            customdata=[[f"{row}, {column}" for column in columns] for row in rows],
        )
    )
    write_cells(figure, across, down, words)
    finish(figure, height=90 + ROW_HEIGHT * len(rows), legend=False)
    figure.update_xaxes(showgrid=False, tickvals=across, ticktext=columns)
    figure.update_yaxes(showgrid=False, tickvals=down, ticktext=rows, autorange="reversed")
    return figure
