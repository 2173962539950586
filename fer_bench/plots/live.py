"""The charts of a live session and of a video."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from fer_bench.emotions import COLOURS, FER2013
from fer_bench.plots.style import ACCENT, MODEL_COLOURS, emotion_colour, finish

#: How much of the past the timeline shows, seconds.
SHOWN_S = 60
#: Points that are further apart are not joined, seconds.
GAP_S = 1.0
#: People's lines: colours that are distinguished by everybody, and dashes in addition.
DASHES = ([1, 0], [6, 3], [2, 2], [8, 3, 2, 3])
#: Of the charts with a row per person, pixels.
ROW_HEIGHT, LEAST_HEIGHT = 44, 130


def emotion_timeline(
    timeline: pd.DataFrame, text_colour: str | None = None
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """What each person showed over the last minute, one line a person, now on the right.

    The one chart that is Vega-Lite's: Streamlit draws it anew every second in place, while it
    replaces a Plotly chart by another, which blinks.

    Args:
        timeline: as `inference.live.LiveSession.timeline` gives it: `seconds` from -60 to 0,
            `face`, `emotion`, `score`.
        text_colour: of its words, as CSS writes it; None leaves them to the page's theme.

    Returns:
        The data with `person`, the line's name, and `part`, which counts the times that the person
        was away; and the chart's specification.
    """
    data = timeline.sort_values(["face", "seconds"], ignore_index=True)
    away = data.groupby("face")["seconds"].diff() > GAP_S
    data["part"] = away.groupby(data["face"]).cumsum().astype(int)
    data["person"] = "Face " + data["face"].astype(str)
    people = list(dict.fromkeys(data["person"]))
    shown = [e for e in COLOURS if e in FER2013 or e in set(data["emotion"])]
    words = {"labelColor": text_colour} if text_colour else {}
    return data, {
        "config": {"axis": words, "legend": words},
        "description": "What each person showed over the last minute, one line a person",
        "mark": {"type": "line", "interpolate": "step-after", "strokeWidth": 2.5},
        "encoding": {
            "x": {
                "field": "seconds",
                "type": "quantitative",
                "scale": {"domain": [-SHOWN_S, 0]},
                "axis": {
                    "values": [-60, -45, -30, -15, 0],
                    "labelExpr": "datum.value ? -datum.value + ' s' : 'now'",
                    "title": None,
                    "grid": False,
                },
            },
            "y": {
                "field": "emotion",
                "type": "nominal",
                "scale": {"domain": shown},
                "axis": {"title": None, "grid": True},
            },
            "detail": {"field": "part"},
            "color": _by_person(
                people,
                list(MODEL_COLOURS.values()),
                {"orient": "top", "title": None, "columns": 4},
            ),
            "strokeDash": _by_person(people, DASHES, None),
        },
    }


def _by_person(
    people: Sequence[str], values: Sequence[object], legend: dict[str, Any] | None
) -> dict[str, Any]:
    """An encoding that gives each person the next of the values, again from the first."""
    given = [values[number % len(values)] for number in range(len(people))]
    scale = {"domain": people, "range": given}
    return {"field": "person", "type": "nominal", "scale": scale, "legend": legend}


def person_timeline(spans: pd.DataFrame, at: float | None = None) -> go.Figure:
    """A row per person of a video and a bar per span, in the colour of its likeliest emotion.

    A click gives the start of its span, seconds.

    Args:
        spans: `track`, `emotion`, `start_s` and `end_s`, as `inference.files.people.Span` has them.
        at: where a line stands, seconds.
    """
    figure = go.Figure()
    for emotion, own in spans.groupby("emotion", sort=False):
        figure.add_bar(
            orientation="h",
            name=str(emotion),
            base=own["start_s"],
            x=own["end_s"] - own["start_s"],
            y=own["track"].map(_person),
            customdata=own[["end_s", "start_s"]],
            marker={"color": emotion_colour(str(emotion)), "line": {"width": 0}},
            hovertemplate=(
                f"%{{y}}: {emotion}<br>%{{customdata[1]:.2f}} to %{{customdata[0]:.2f}} s"
                "<extra></extra>"
            ),
        )
    finish(figure, height=_height(spans["track"].nunique()), x_title="Time (s)")
    figure.update_layout(barmode="overlay", bargap=0.25)
    figure.update_yaxes(autorange="reversed", type="category")
    if at is not None:
        figure.add_vline(at, line={"color": ACCENT, "width": 2})
    return figure


def person_shares(spans: pd.DataFrame) -> go.Figure:
    """A bar per person of a video: over which share of their time each emotion was the likeliest.

    Args:
        spans: as for `person_timeline`.
    """
    seconds = (spans["end_s"] - spans["start_s"]).groupby([spans["track"], spans["emotion"]]).sum()
    shares = seconds / seconds.groupby("track").transform("sum")
    figure = go.Figure()
    for emotion in spans["emotion"].unique():
        own = shares.xs(emotion, level="emotion")
        figure.add_bar(
            orientation="h",
            name=str(emotion),
            x=own,
            y=own.index.map(_person),
            marker={"color": emotion_colour(str(emotion))},
            hovertemplate=f"%{{y}}: {emotion} %{{x:.0%}}<extra></extra>",
        )
    finish(figure, height=_height(spans["track"].nunique()), x_title="Share of the person's time")
    figure.update_layout(barmode="stack", bargap=0.25, legend_traceorder="normal", margin_r=24)
    figure.update_xaxes(tickformat=".0%", range=[0, 1], dtick=0.25)
    figure.update_yaxes(autorange="reversed", type="category")
    return figure


def _person(track: int) -> str:
    return f"Person {track}"


def _height(n_people: int) -> int:
    return LEAST_HEIGHT + ROW_HEIGHT * n_people
