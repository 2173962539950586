"""The figures that come first about a run's metrics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fer_bench.formatting import how_many, interval, percent, three_decimals
from fer_bench.results.leaderboard.glossary import TERMS, explain
from fer_bench.results.record import Metrics

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, kw_only=True)
class Tile:
    """One figure in a box: its name, its value, a line below it and a line on hovering."""

    name: str
    value: str
    below: str | None = None
    explanation: str | None = None


def _accuracy(name: str, metrics: Metrics, explanation: str) -> Tile:
    return Tile(
        name=name,
        value=percent(metrics.accuracy),
        below=interval(*metrics.accuracy_ci95),
        explanation=f"{explanation}; below, its 95 % bootstrap interval",
    )


def headline(
    metrics: Metrics, *, clean: Metrics | None, tta: Metrics | None, calibrated_ece: float | None
) -> list[Tile]:
    """The figures that come first about one set of images; the others where there are such."""
    shown = [_accuracy("Accuracy", metrics, how_many(metrics.n, "image"))]
    if clean:
        seen = f"{how_many(clean.n, 'image')} not seen in training"
        shown.append(_accuracy("Clean test", clean, seen))
    if tta:
        shown.append(_accuracy("With TTA", tta, TERMS["tta"]))
    return [
        *shown,
        Tile(name="Macro F1", value=percent(metrics.macro_f1), explanation=TERMS["macro f1"]),
        Tile(
            name="Balanced",
            value=percent(metrics.balanced_accuracy),
            explanation=TERMS["balanced"],
        ),
        Tile(
            name="ROC-AUC",
            value=three_decimals(metrics.roc_auc),
            explanation=TERMS["roc-auc"],
        ),
        Tile(
            name="ECE",
            value=three_decimals(metrics.ece),
            below=None if calibrated_ece is None else f"{calibrated_ece:.3f} calibrated",
            explanation=explain("ece", "calibrated ece"),
        ),
    ]


def per_class(metrics: Metrics) -> pd.DataFrame:
    """`emotion, precision, recall, f1, support` of a record's metrics.

    An emotion without images has no recall and no F1: NaN here, where records have 0.
    """
    import pandas as pd

    rows = [{"emotion": e, **m.model_dump()} for e, m in metrics.per_class.items()]
    table = pd.DataFrame(rows)
    held = table["support"] > 0
    return table.assign(recall=table["recall"].where(held), f1=table["f1"].where(held))
