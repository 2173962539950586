"""Every figure of a comparison: of the page Compare and of `report --figures`."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
import plotly.graph_objects as go

from fer_bench import plots
from fer_bench.studies.comparison import tables
from fer_bench.studies.comparison.compare import Comparison
from fer_bench.types import QUANTITIES


def comparison_figures(
    comparison: Comparison, histories: Mapping[str, pd.DataFrame]
) -> dict[str, tuple[str, go.Figure]]:
    """Title and figure by kind.

    Args:
        histories: the runs' epochs by `StoredRun.id`; ensembles and frozen answers have none.
    """
    matrix = tables.agreement_matrix(comparison).rename(
        index=comparison.letters, columns=comparison.letters
    )
    classes = tables.class_table(comparison)
    drawn = {
        "forest": (
            "Differences of pairs",
            plots.difference_forest(tables.pair_table(comparison)),
        ),
        "agreement": ("Same answer", plots.agreement_heat_map(matrix)),
        "recall": ("Differences of Recall per emotion", plots.class_differences(classes, "recall")),
        "f1": ("Differences of F1 per emotion", plots.class_differences(classes, "f1")),
    }
    curves, models = {}, {}
    for name, run in zip(comparison.names, comparison.shared.runs, strict=True):
        if run.id in histories:
            label = f"{comparison.letters[name]} · {name}"
            curves[label], models[label] = histories[run.id], run.require_record().spec.labels.model
    if curves:
        for quantity in QUANTITIES:
            title = f"Validation {quantity} over the epochs"
            figure = plots.validation_curves(curves, models, quantity)
            drawn[f"curves-{quantity}"] = title, figure
    return drawn
