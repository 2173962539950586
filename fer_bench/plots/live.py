"""The chart of a live session."""

from __future__ import annotations

from typing import Any

import pandas as pd

from fer_bench.emotions import COLOURS, FER2013
from fer_bench.plots.style import MODEL_COLOURS

#: How much of the past the timeline shows, seconds.
SHOWN_S = 60
#: Points that are further apart are not joined, seconds.
GAP_S = 1.0
#: People's lines: colours that are told apart by everybody, and dashes beside them.
DASHES = ([1, 0], [6, 3], [2, 2], [8, 3, 2, 3])


def emotion_timeline(timeline: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, Any]]:
    """What each person showed over the last minute, one line a person, now on the right.

    The one chart that is Vega-Lite's: Streamlit draws it anew every second in place, while it
    replaces a Plotly chart by another, which blinks.

    timeline: as `inference.live.LiveSession.timeline` gives it: `seconds` from -60 to 0, `face`,
        `emotion`, `score`.

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
    colours = list(MODEL_COLOURS.values())
    return data, {
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
            "color": {
                "field": "person",
                "type": "nominal",
                "scale": {
                    "domain": people,
                    "range": [colours[i % len(colours)] for i in range(len(people))],
                },
                "legend": {"orient": "top", "title": None, "columns": 4},
            },
            "strokeDash": {
                "field": "person",
                "type": "nominal",
                "scale": {
                    "domain": people,
                    "range": [DASHES[i % len(DASHES)] for i in range(len(people))],
                },
                "legend": None,
            },
        },
    }
