"""The figure of a network's features: each image a point."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from fer_bench.plots.style import GRAY, emotion_colour, finish, label

Colouring = Literal["true", "predicted", "correct"]
WRONG = "#e5484d"


def feature_scatter(table: pd.DataFrame, colour_by: Colouring) -> go.Figure:
    """Images as points in a network's feature space, brought down to a plane.

    Args:
        table: as `studies.explain.feature_map.feature_map` gives it: `id, x, y, true, predicted,
            confidence, correct`.
        colour_by: the true emotion, the predicted one, or whether the answer is right; wrong
            answers are drawn over right ones.
    """
    figure = go.Figure()
    for value, rows in table.groupby(colour_by, sort=False):
        right = colour_by == "correct"
        name = ("right" if value else "wrong") if right else str(value)
        colour = (GRAY if value else WRONG) if right else emotion_colour(name)
        figure.add_scatter(
            x=rows["x"],
            y=rows["y"],
            mode="markers",
            name=f"{label(name)}, {len(rows):,}",
            marker={"color": colour, "size": 6, "opacity": 0.45 if right and value else 0.8},
            zorder=int(right and not value),
            customdata=np.column_stack(
                [rows[c].map(label) for c in ("id", "true", "predicted")] + [rows["confidence"]]
            ),
            hovertemplate="%{customdata[0]}<br>true %{customdata[1]}, predicted %{customdata[2]}"
            "<br>confidence %{customdata[3]:.1%}<extra></extra>",
        )
    finish(figure, height=560)
    figure.update_xaxes(showgrid=False, showticklabels=False)
    figure.update_yaxes(showgrid=False, showticklabels=False, scaleanchor="x")
    return figure
