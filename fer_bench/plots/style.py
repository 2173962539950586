"""One look for every figure, on light and dark grounds: template, colours, safe labels."""

from __future__ import annotations

import html
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, product
from textwrap import wrap
from typing import Any
from zlib import crc32

import pandas as pd
import plotly.graph_objects as go

from fer_bench.emotions import COLOURS
from fer_bench.formatting import percent, three_digits

#: Grays that are legible on white and on near-black.
GRAY = "#8b8d98"
GRID = "rgba(139, 141, 152, 0.22)"
ACCENT = "#5b73e8"

#: One colour per architecture, and one for ensembles, on every page; any two differ for readers
#: who are colour-blind too. Other names take one of `SPARE_COLOURS`.
MODEL_COLOURS: dict[str, str] = {
    "resnet18": "#988cff",
    "vgg16": "#a93c97",
    "densenet121": "#5dc499",
    "vit-b-16": "#744ac0",
    "clip-vit-b-32": "#f89d13",
    "emotionlens": "#3cb3da",
    "expressio": "#a73b6c",
    "keras-cnn": "#806a4a",
    "compact-resnet": "#fe8958",
    "ensemble": "#778000",
}
SPARE_COLOURS = ("#12a594", "#6e56cf", "#ab4aba", "#0090ff", "#ad7f58")

#: Lines of runs differ in these too, for readers who do not see colours.
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
#: What a `broken` name in a legend takes on a narrow screen, pixels.
NAME_HEIGHT = 40
#: Transparent to two-thirds blue: the theme's own text colour is legible on all of it.
HEAT_SCALE = [[0, "rgba(91, 115, 232, 0.03)"], [1, "rgba(91, 115, 232, 0.72)"]]
#: An axis of shares from 0 to 1.
SHARES = {"range": [0, 1.02], "tickformat": ".0%", "dtick": 0.25}
#: Plotly's kinds of traces in words.
KINDS = {
    "bar": "Bar chart",
    "scatter": "Line chart",
    "heatmap": "Heat map",
    "pie": "Pie chart",
    "histogram": "Histogram",
}

#: Everything transparent and mid-toned, so that one figure fits both themes.
TEMPLATE = go.layout.Template(
    layout=go.Layout(
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"size": 13, "color": GRAY},
        xaxis={"gridcolor": GRID, "zeroline": False, "linecolor": GRID},
        yaxis={"gridcolor": GRID, "zeroline": False, "linecolor": GRID},
        legend={"bgcolor": "rgba(0,0,0,0)"},
    )
)


def emotion_colour(emotion: str) -> str:
    """The emotion's colour; gray for an unknown name."""
    return COLOURS.get(emotion, GRAY)


def model_colour(model: str) -> str:
    """The model's colour: the same on every page, in every session and on every machine."""
    key = model.lower().replace("_", "-")
    return MODEL_COLOURS.get(key, SPARE_COLOURS[crc32(key.encode()) % len(SPARE_COLOURS)])


def run_styles(models: Iterable[str], marks: Sequence[str]) -> list[tuple[str, str]]:
    """A colour and a mark for each run of a figure, no two the same.

    Its model's colour; where another run has that, one that no run's model has, and the next mark.
    """
    own = list(map(model_colour, models))
    spare = (colour for colour in MODEL_COLOURS.values() if colour not in own)
    styles = []
    for number, colour in enumerate(own):
        earlier = own[:number].count(colour)
        shown = next(spare, colour) if earlier else colour
        styles.append((shown, marks[earlier % len(marks)]))
    return styles


def label(text: object) -> str:
    """Text that Plotly shows as it is: its labels understand some HTML, records must not use it."""
    return html.escape(str(text), quote=False)


def shortened(text: object, length: int = 34) -> str:
    """A `label` of at most `length` characters, so that axis labels fit a narrow screen."""
    plain = str(text)
    if len(plain) > length:
        plain = f"{plain[: length - 1]}…"
    return label(plain)


def broken(name: object) -> str:
    """A `label` in at most three lines, so that long names fit a narrow screen."""
    return "<br>".join(map(label, wrap(str(name), 22, max_lines=3, placeholder="…")))


def error_bars(
    value: pd.Series[float],
    low: pd.Series[float],
    high: pd.Series[float],
    *,
    color: str | None = GRAY,
    thickness: float = 1.5,
    width: float | None = None,
) -> dict[str, object]:
    """An interval around each value, for `error_x` or `error_y`; without a colour, the trace's."""
    return {
        "type": "data",
        "symmetric": False,
        "array": (high - value).to_numpy(),
        "arrayminus": (value - low).to_numpy(),
        "color": color,
        "thickness": thickness,
        "width": width,
    }


def diagonal(colour: str = GRAY, name: str | None = None) -> go.Scatter:
    """The dotted line from 0 to 1 where both axes are equal; without a name not in the legend."""
    return go.Scatter(
        x=[0, 1],
        y=[0, 1],
        mode="lines",
        line={"color": colour, "dash": "dot"},
        name=name,
        showlegend=False if name is None else None,
        hoverinfo="skip",
    )


def finish(
    figure: go.Figure,
    *,
    height: int,
    x_title: str | None = None,
    y_title: str | None = None,
    legend: bool = True,
) -> go.Figure:
    """The figure in the common look: tight margins, legend above, `height` in pixels."""
    figure.update_layout(
        template=TEMPLATE,
        height=height,
        margin={"l": 8, "r": 8, "t": 36 if legend else 8, "b": 8},
        showlegend=legend,
        legend={"orientation": "h", "yanchor": "bottom", "y": 1.01, "x": 0, "title": None},
        # Names that have no room lie aslant: upright ones are hard to read.
        xaxis={"title": x_title, "automargin": True, "autotickangles": [0, -45]},
        yaxis={"title": y_title, "automargin": True},
        hovermode="closest",
        dragmode=False,
    )
    return figure


def write_cells(
    figure: go.Figure,
    columns: Sequence[str | int],
    rows: Sequence[str | int],
    words: Sequence[Sequence[str]],
) -> None:
    """A text in each cell of a heat map, in the theme's colour; `words` are `[row][column]`.

    All at once: Plotly goes through those it has whenever one is added.
    """
    figure.update_layout(
        annotations=[
            {"x": column, "y": row, "text": text, "showarrow": False, "font": {"size": 12}}
            for row, texts in zip(rows, words, strict=True)
            for column, text in zip(columns, texts, strict=True)
        ]
    )


def in_words(figure: go.Figure) -> str:
    """One sentence about a figure for readers who do not see it: its axes, series and extremes."""
    kind = KINDS.get(figure.data[0].type, "Chart") if figure.data else "Empty chart"
    layout = figure.layout
    axes = [axis.title.text for axis in (layout.yaxis, layout.xaxis) if axis.title.text]
    names = list(dict.fromkeys(_plain(one.name) for one in _shown(figure) if one.name))
    words = f"{kind}: {' over '.join(axes)}" if axes else kind
    if len(names) > 1:
        words += f" of {', '.join(names[:8])}{' and others' if len(names) > 8 else ''}"
    values = dict(_values(figure))
    if len(values) < 2:
        return words
    formats = [layout.xaxis.tickformat, layout.yaxis.tickformat, figure.data[0].hovertemplate]
    shares = kind == KINDS["pie"] or any(f and "%" in f.replace("%{", "") for f in formats)
    form = percent if shares else three_digits
    high, low = (pick(values, key=values.__getitem__) for pick in (max, min))
    return f"{words}; highest: {high} {form(values[high])}, lowest: {low} {form(values[low])}"


def _shown(figure: go.Figure) -> list[go.BaseTraceType]:
    """The series, without marks that only explain, and without what stands below the figure."""
    return [
        one
        for one in figure.data
        if one.hoverinfo != "skip" and getattr(one, "yaxis", None) in (None, "y")
    ]


def _values(figure: go.Figure) -> Iterator[tuple[str, float]]:
    """What a figure shows, named by place and series."""
    across, down = figure.layout.xaxis, figure.layout.yaxis
    for trace in _shown(figure):
        if trace.type == "heatmap":
            pairs = product(_names(trace.y, down), _names(trace.x, across))
            cells = zip(map(", ".join, pairs), chain.from_iterable(trace.z), strict=True)
        elif trace.type == "pie":
            cells = zip(map(_plain, trace.labels), trace.values, strict=True)
        else:
            is_horizontal = getattr(trace, "orientation", None) == "h" or down.ticktext is not None
            places, values = (trace.y, trace.x) if is_horizontal else (trace.x, trace.y)
            names = _names(places, down if is_horizontal else across)
            if trace.type == "scatter" and trace.text is not None:
                names = list(map(_plain, trace.text))
            series = f", {_plain(trace.name)}" if trace.name else ""
            cells = zip((name + series for name in names), values, strict=True)
        yield from ((name, float(value)) for name, value in cells if pd.notna(value))


def _names(places: Sequence[Any], axis: go.layout.XAxis | go.layout.YAxis) -> list[str]:
    """What stands at places of an axis; a number is named by the axis."""
    ticks = (
        dict(zip(axis.tickvals, axis.ticktext, strict=True)) if axis.ticktext is not None else {}
    )
    names = []
    for place in places:
        if place is None or isinstance(place, str):
            names.append(_plain(ticks.get(place, place)))
        else:  # series stand a little above and below the line that has the name
            number = float(place)
            known = ticks.get(round(number))
            names.append(_plain(known or f"{axis.title.text or ''} {three_digits(number)}".strip()))
    return names


def _plain(text: object) -> str:
    """A `label` or `broken` one as the text that it was."""
    return html.unescape(str(text).replace("<br>", " "))
