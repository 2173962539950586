"""One run's figures: its curves and its confusion matrix, as files next to its record."""

from __future__ import annotations

import plotly.graph_objects as go

from fer_bench import plots
from fer_bench.errors import FerBenchError
from fer_bench.evaluation.confusion import normalised
from fer_bench.report.figure_files import PaperFigure, for_paper
from fer_bench.report.figures import of_answers
from fer_bench.results.leaderboard.headline import per_class
from fer_bench.results.record import RunRecord
from fer_bench.results.reproduce import figure_facts
from fer_bench.results.store import ResultsStore
from fer_bench.results.stored_run import HISTORY, StoredRun
from fer_bench.results.titles import run_title
from fer_bench.types import Quantity

#: Where they go, below the run's folder.
FOLDER = "figures"
CURVES: tuple[Quantity, ...] = ("accuracy", "loss")


def run_figures(store: ResultsStore, run: StoredRun) -> list[PaperFigure]:
    """Curves over the epochs, confusion, F1 and images of each emotion, and what the answers show.

    A run without epochs, such as an ensemble, has no curves.

    Raises:
        FerBenchError: a run that is not finished, or whose curves or predictions are damaged.
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
        _of(record, run, "balance", f"Class balance of {record.dataset.name}",
            plots.class_balance(record.dataset.class_counts)),
    ]  # fmt: skip
    for kind, (title, figure) in of_answers(store, run).items():
        drawn.append(_of(record, run, kind, title, figure))
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
    command = f"python -m fer_bench results --figures {run.id}"
    facts = figure_facts(f"{title}, {run_title(record)}", [run], command)
    return PaperFigure(name=name, figure=for_paper(figure), facts=facts)
