"""The report's figures: the dashboard's own, in HTML that needs no network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import plotly.graph_objects as go
from markupsafe import Markup

from fer_bench import plots
from fer_bench.errors import FerBenchError
from fer_bench.evaluation.calibration import calibrated_scores, reliability
from fer_bench.evaluation.confusion import normalised, of_set, roc_table, scores
from fer_bench.evaluation.selective import risk_coverage
from fer_bench.report.contents import Benchmark, NumberedRun
from fer_bench.results.leaderboard.five_models import five_models
from fer_bench.results.leaderboard.headline import per_class
from fer_bench.results.leaderboard.published import published_table
from fer_bench.results.store import ResultsStore
from fer_bench.results.stored_run import PREDICTIONS, StoredRun
from fer_bench.results.summary import run_ids
from fer_bench.studies.latency.tables import (
    FP32_TIME,
    MeasuredNetwork,
    fp32_milliseconds,
    machines,
)

#: More bars than this are no longer a picture.
MOST_BARS = 25
INK = "#1c2024"


class FigureWriter:
    """Figures as `<div>`s with a script each; the first one brings Plotly along."""

    def __init__(self) -> None:
        self.written = 0

    def write(self, figure: go.Figure) -> Markup:
        """One figure."""
        figure.update_layout(font_color=INK)
        figure.update_xaxes(tickfont_color=INK, title_font_color=INK)
        figure.update_yaxes(tickfont_color=INK, title_font_color=INK)
        drawn = figure.to_html(
            full_html=False,
            include_plotlyjs=not self.written,
            div_id=f"figure-{self.written + 1}",
            config={"displayModeBar": False, "responsive": True},
        )
        self.written += 1
        return Markup(drawn)  # nosec B704  # Plotly's own HTML


def accuracy(one: Benchmark) -> go.Figure:
    """The best runs as bars with their intervals, the human line and published figures.

    Two benchmarks may have runs of the same name.
    """
    return plots.accuracy_bars(
        one.ranked.head(MOST_BARS),
        voters=one.people.label_agreement.value if one.people else None,
        published=published_table(one.published),
    )


def backbones(one: Benchmark) -> tuple[go.Figure | None, list[int]]:
    """The five backbones, frozen next to full, and the numbers of their records.

    None where no backbone has both: there is nothing to put side by side.
    """
    five = five_models(one.ranked)
    if not five["model"].duplicated().any():
        return None, []
    return plots.frozen_and_full(five), [int(number) for number in five["source"]]


def against_latency(
    one: Benchmark, measured: Sequence[MeasuredNetwork]
) -> Iterator[tuple[str, go.Figure, list[int]]]:
    """For each machine that ranked runs were measured on: its name, accuracy over milliseconds of
    fp32, and the numbers of the records in it.
    """
    names = run_ids(one.ranked)
    here = [network for network in measured if network.name in set(names)]
    for machine in machines(here):
        times = names.map(fp32_milliseconds(here, machine))
        shown = one.ranked.assign(milliseconds=times).dropna(subset=["milliseconds"])
        if len(shown):
            figure = plots.accuracy_against(shown, "milliseconds", FP32_TIME, unit=" ms")
            yield machine, figure, [int(number) for number in shown["source"]]


def confusion(source: NumberedRun) -> go.Figure:
    """A run's confusion matrix on the test images, as shares of the true emotion."""
    record = source.record
    shares = normalised(record.metrics["test"].confusion, "true")
    return plots.confusion_matrix(shares, record.dataset.emotions, shares=True)


def classes(source: NumberedRun) -> go.Figure:
    """F1 of each emotion on the test images."""
    return plots.per_class_bars(per_class(source.record.metrics["test"]))


def of_answers(store: ResultsStore, run: StoredRun) -> dict[str, tuple[str, go.Figure]]:
    """What a run's answers to the test images show, by kind: title and figure.

    Nothing without predictions next to its record, nor of answers without probabilities.

    Raises:
        FerBenchError: the predictions are damaged.
    """
    record = run.require_record()
    if not ((run.folder / PREDICTIONS).exists() and record.has_probabilities):
        return {}
    predictions = store.predictions(run)
    rows, emotions = of_set(predictions, "test"), record.dataset.emotions
    if rows.empty:
        raise FerBenchError(f"the predictions of {run.name} hold no test image")
    answers = scores(rows, emotions)
    diagram = plots.reliability_diagram(reliability(*answers), record.metrics["test"].ece)
    risks = risk_coverage(*calibrated_scores(predictions, record, "test"))
    return {
        "calibration": ("Reliability diagram", diagram),
        "roc": (
            "ROC of each emotion against the rest",
            plots.roc_curves(roc_table(*answers, emotions)),
        ),
        "risk-coverage": ("Risk over coverage", plots.risk_coverage_curves({"this run": risks})),
    }
