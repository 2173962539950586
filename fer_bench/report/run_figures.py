"""One run's figures: its curves and its confusion matrix, as files next to its record."""

from __future__ import annotations

import plotly.graph_objects as go

import fer_bench
from fer_bench import plots
from fer_bench.errors import FerBenchError
from fer_bench.evaluation.confusion import normalised
from fer_bench.formatting import how_many, one_line
from fer_bench.report.figure_files import PaperFigure, for_paper
from fer_bench.report.tables import per_class
from fer_bench.results.record import RunRecord
from fer_bench.results.store import HISTORY, ResultsStore, StoredRun
from fer_bench.results.summary import reproduce_command
from fer_bench.results.titles import run_title
from fer_bench.types import Quantity

#: Where they go, below the run's folder.
FOLDER = "figures"
CURVES: tuple[Quantity, ...] = ("accuracy", "loss")


def run_figures(store: ResultsStore, run: StoredRun) -> list[PaperFigure]:
    """Accuracy and loss over the epochs, the confusion matrix, and F1 of each emotion.

    A run without epochs, such as an ensemble, has no curves.

    Raises:
        FerBenchError: a run that is not finished, or whose curves are damaged.
    """
    record = run.require_record()
    test = record.metrics.get("test")
    if test is None:
        raise FerBenchError(f"run {run.id} is {record.status}: only a finished run has figures")
    shares = normalised(test.confusion, "true")
    drawn = [
        _of(record, run, "confusion", "Confusion matrix",
            plots.confusion_matrix(shares, record.dataset.emotions, shares=True)),
        _of(record, run, "f1", "F1 of each emotion",
            plots.per_class_bars(per_class(test))),
    ]  # fmt: skip
    if not (run.folder / HISTORY).is_file() or record.training is None:
        return drawn
    history = store.history(run)
    if history.empty:
        return drawn
    curves = [
        _of(record, run, f"{quantity}-curve", f"{quantity.capitalize()} over the epochs",
            plots.training_curve(history, quantity, record.training.best_epoch))
        for quantity in CURVES
    ]  # fmt: skip
    return [*curves, *drawn]


def _of(record: RunRecord, run: StoredRun, name: str, title: str, figure: go.Figure) -> PaperFigure:
    facts = {
        "Title": f"{title}, {run_title(record)}",
        "n": how_many(record.metrics["test"].n, "test image"),
        "Protocol": record.dataset.protocol,
        "Run": run.id,
        "Run command": reproduce_command(record),
        "Software": f"FER Bench {fer_bench.__version__}",
    }
    return PaperFigure(
        name=name,
        figure=for_paper(figure),
        facts={key: one_line(text) for key, text in facts.items()},
    )
