"""Every figure of measured times: of the page Latency and of `report --figures`."""

from __future__ import annotations

from typing import Any

import pandas as pd
import plotly.graph_objects as go

from fer_bench import plots
from fer_bench.formatting import how_many


def latency_figures(
    measurements: pd.DataFrame, stages: pd.DataFrame
) -> dict[str, tuple[str, go.Figure]]:
    """Title and figure by kind; none of a table that is empty.

    Args:
        measurements: rows of `measurement_table` of one thread count and batch.
        stages: rows of `stage_table` of that thread count.
    """
    measured = measurements[measurements["error"] == ""]
    drawn = {}
    if len(measured):
        drawn["latency-bars"] = "Time per call", plots.latency_bars(measured)
    if len(stages):
        drawn["stages"] = "Time of a frame, by stage", plots.stage_bars(stages)
    return drawn


def frame_words(stages: pd.DataFrame) -> str:
    """What frames the rows of a `stage_table` are of."""
    rows: list[Any] = list(stages.itertuples())
    frames = sorted({f"{row.frame} pixels with {how_many(row.faces, 'face')}" for row in rows})
    return f"frames of {' and '.join(frames)}"
