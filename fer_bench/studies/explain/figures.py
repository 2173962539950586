"""The figure of a network's features: of the page Explain and of `report --figures`."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go

from fer_bench import plots
from fer_bench.plots.prediction import Colouring


def placed_features(table: pd.DataFrame, colour_by: Colouring = "true") -> tuple[str, go.Figure]:
    """The points of a `feature_map`: title and figure."""
    return "Features, placed by t-SNE", plots.feature_scatter(table, colour_by)
