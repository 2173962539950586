"""Figures of a data set: its balance, its annotators' agreement, and what its leak is worth."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
import plotly.graph_objects as go

from fer_bench.plots.style import (
    ACCENT,
    GRAY,
    SHARES,
    broken,
    emotion_colour,
    error_bars,
    finish,
    label,
)

#: Splits share an emotion's colour and differ in strength.
STRENGTH = {"train": 1.0, "val": 0.6, "test": 0.3}
#: Rates of `studies.labels.annotators.accuracy_by_agreement`: column, name, colour.
AGREEMENT_LINES = (
    ("accuracy", "answer is the label", ACCENT),
    ("answer_favoured", "answer is the voters' favourite", "#12a594"),
    ("label_favoured", "label is the voters' favourite", "#f5a524"),
)
#: Sets of `studies.labels.leakage.leakage_table`: column, name, colour.
LEAK_SETS = (
    ("clean", "clean test", ACCENT),
    ("whole", "whole test", GRAY),
    ("leaked", "leaked images alone", "#e5484d"),
)
#: Rates of `studies.labels.human_line.people_table`: column, name, colour.
PEOPLE_BARS = (
    ("label_agreement", "voters give the label", ACCENT),
    ("one_voter", "one voter names what most others do", GRAY),
)
#: Height of one run, and of the rest of the figure, pixels.
RUN_HEIGHT, FRAME_HEIGHT = 54, 100


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


def agreement_lines(table: pd.DataFrame) -> go.Figure:
    """How often label, answer and the voters' favourite agree, by how much the voters agree.

    Args:
        table: as `studies.labels.annotators.accuracy_by_agreement` gives it.
    """
    edges = zip(table["low"], table["high"], strict=True)
    names = [f"≤ {high:.0%}" if low == 0 else f"{high:.0%}" for low, high in edges]
    ticks = [f"{n}<br>{count:,}" for n, count in zip(names, table["images"], strict=True)]
    figure = go.Figure()
    for column, name, colour in AGREEMENT_LINES:
        value = table[column]
        figure.add_scatter(
            x=names,
            y=value,
            mode="lines+markers",
            name=name,
            line={"color": colour, "width": 2},
            error_y=error_bars(
                value, table[f"{column}_low"], table[f"{column}_high"], color=None, width=3
            ),
            customdata=table[["images", f"{column}_low", f"{column}_high"]],
            hovertemplate="%{x} agree: %{y:.1%} (%{customdata[1]:.1%} – %{customdata[2]:.1%}), "
            "%{customdata[0]:,} images",
        )
    title = "Voters who chose the favourite, at most; images"
    finish(figure, height=460, x_title=title, y_title="Share")
    # Plotly would read "50%" as a number and leave the first bin out.
    figure.update_xaxes(type="category", tickvals=names, ticktext=ticks)
    figure.update_yaxes(SHARES)
    return figure


def leak_intervals(table: pd.DataFrame) -> go.Figure:
    """Accuracy on the clean, the whole and the leaked test images, a row per run.

    Args:
        table: as `studies.labels.leakage.leakage_table` gives it, drawn from top to bottom.
    """
    positions = list(range(len(table)))
    figure = go.Figure()
    for step, (column, name, colour) in enumerate(LEAK_SETS):
        value = table[f"{column}_accuracy"]
        figure.add_scatter(
            x=value,
            y=[position + 0.2 * (step - 1) for position in positions],
            mode="markers",
            name=name,
            marker={"color": colour, "size": 9},
            error_x=error_bars(
                value, table[f"{column}_low"], table[f"{column}_high"], color=None, width=3
            ),
            customdata=[
                [label(run), n, low, high]
                for run, n, low, high in zip(
                    table["run"],
                    table[f"{column}_n"],
                    table[f"{column}_low"],
                    table[f"{column}_high"],
                    strict=True,
                )
            ],
            hovertemplate="%{customdata[0]}<br>%{x:.1%} (%{customdata[2]:.1%} – "
            "%{customdata[3]:.1%}) of %{customdata[1]:,} images",
        )
    finish(figure, height=FRAME_HEIGHT + RUN_HEIGHT * max(len(table), 2), x_title="Accuracy")
    figure.update_yaxes(
        tickvals=positions,
        ticktext=[broken(run) for run in table["run"]],
        range=[len(table) - 0.4, -0.6],  # by itself the axis leaves a row empty at either end
        showgrid=False,
    )
    figure.update_xaxes(tickformat=".0%", tickangle=0, nticks=5)
    return figure


def people_bars(table: pd.DataFrame) -> go.Figure:
    """How far people agree, emotion by emotion.

    Args:
        table: as `studies.labels.human_line.people_table` gives it.
    """
    figure = go.Figure()
    for column, name, colour in PEOPLE_BARS:
        figure.add_bar(
            x=table["emotion"].map(label),
            y=table[column],
            name=name,
            marker_color=colour,
            customdata=table["faces"],
            hovertemplate="%{x}: %{y:.1%} (%{customdata:,} faces with this label)",
        )
    finish(figure, height=380, y_title="Share of voters")
    figure.update_layout(barmode="group")
    figure.update_yaxes(SHARES)
    return figure
