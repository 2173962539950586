"""The chart of a live session."""

from __future__ import annotations

from typing import Any

import pandas as pd

from fer_bench.plots.style import emotion_colour

#: How much of the past the timeline shows, seconds.
SHOWN_S = 60
#: Points that are further apart are not joined, seconds.
GAP_S = 1.0


def emotion_timeline(timeline: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Each emotion's probability over the last minute, now on the right.

    The one chart that is Vega-Lite's: Streamlit draws it anew every second in place, while it
    replaces a Plotly chart by another, which blinks.

    timeline: as `inference.live.LiveSession.timeline` gives it: `seconds` from -60 to 0, one column
        per emotion in [0, 1].

    Returns:
        The data, with empty rows where the face was away, and the chart's specification.
    """
    emotions = [str(name) for name in timeline.columns if name != "seconds"]
    away = timeline["seconds"].diff() > GAP_S
    empty = timeline.loc[away, ["seconds"]] - GAP_S / 2
    data = pd.concat([timeline, empty]).sort_values("seconds", ignore_index=True)
    return data, {
        "transform": [{"fold": emotions, "as": ["emotion", "probability"]}],
        "mark": {"type": "line", "strokeWidth": 2},
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
                "field": "probability",
                "type": "quantitative",
                "scale": {"domain": [0, 1]},
                "axis": {"format": ".0%", "values": [0, 0.25, 0.5, 0.75, 1], "title": None},
            },
            "color": {
                "field": "emotion",
                "type": "nominal",
                "scale": {"domain": emotions, "range": [emotion_colour(e) for e in emotions]},
                "legend": {"orient": "top", "title": None, "columns": 4},
            },
        },
    }
