"""Figures of the pages Compare, Latency, Robustness, Labels and Explain, as first seen there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import plotly.graph_objects as go

from fer_bench import settings
from fer_bench.errors import FerBenchError
from fer_bench.formatting import how_many
from fer_bench.report.contents import ReportContents
from fer_bench.report.paper import best_answered
from fer_bench.results.parse import read_history, read_predictions
from fer_bench.results.stored_run import HISTORY, PREDICTIONS, StoredRun
from fer_bench.studies.comparison.compare import compare
from fer_bench.studies.comparison.figures import comparison_figures
from fer_bench.studies.explain.figures import placed_features
from fer_bench.studies.labels.figures import leak_intervals
from fer_bench.studies.labels.leakage import leakage, leakage_table
from fer_bench.studies.latency.figures import frame_words, latency_figures
from fer_bench.studies.latency.tables import (
    machines,
    measurement_table,
    one_per_model,
    stage_table,
)
from fer_bench.studies.robustness import figures as robustness_figures
from fer_bench.studies.robustness.tables import collect, transfer_table
from fer_bench.studies.robustness.tables import settings as measured_alike

#: So many networks or runs are told apart in one figure.
MOST_DRAWN = 3
#: What the words behind the longest bar need in a narrow figure, pixels.
WORDS_PX = 36


class Drawn(NamedTuple):
    """A figure, its file's name without an ending, its title and the runs that it shows.

    `n` and `protocol` say what it is over, where that is not the runs' test images.
    """

    name: str
    title: str
    figure: go.Figure
    runs: list[StoredRun]
    n: str = ""
    protocol: str = ""


def _compare(contents: ReportContents) -> Iterator[Drawn]:
    """The best runs of each benchmark that have predictions."""
    for number, one in enumerate(contents.benchmarks, start=1):
        best = best_answered([contents.source(int(n)) for n in one.ranked["source"]])
        if len(best) < 2:
            continue
        runs = [source.run for source in best]
        answers = [read_predictions(run.folder / PREDICTIONS) for run in runs]
        comparison = compare(runs, answers, names=[source.title for source in best])
        histories = {
            run.id: read_history(run.folder / HISTORY)
            for run in runs
            if (run.folder / HISTORY).is_file()
        }
        names = ", ".join(f"{letter}: {name}" for name, letter in comparison.letters.items())
        for kind, (title, figure) in comparison_figures(comparison, histories).items():
            yield Drawn(f"compare-{number}-{kind}", f"{title}; {names}; {one.name}", figure, runs)


def _latency(contents: ReportContents) -> Iterator[Drawn]:
    """On each machine one network of each model, by one face and as many threads as it has."""
    if not contents.measured:
        raise FerBenchError("no run was measured: `python -m fer_bench latency RUN` does")
    runs = {source.run.id: source for source in contents.sources}
    for number, machine in enumerate(machines(contents.measured), start=1):
        here = [one for one in contents.measured if one.report.machine == machine]
        names = one_per_model(sorted(here, key=lambda m: runs[m.name].number), MOST_DRAWN)
        here = [one for one in here if one.name in names]
        calls, stages = measurement_table(here), stage_table(here)
        calls = calls[calls["threads"] == calls["threads"].max()]
        calls = calls[calls["batch"] == calls["batch"].min()]
        stages = stages[stages["threads"] == stages["threads"].max()]
        titled = [
            table.assign(network=[runs[name].title for name in table["network"]])
            for table in (calls, stages)
        ]
        drawn = latency_figures(*titled)
        # Not every network was measured in frames, or with so many threads.
        tables = {"stages": stages, "latency-bars": calls[calls["error"] == ""]}
        over = {"stages": frame_words(stages)}
        for kind, (title, figure) in drawn.items():
            shown = [runs[name].run for name in tables[kind]["network"].unique()]
            figure.update_layout(margin_r=WORDS_PX)
            n = over.get(kind, "1 face per call")
            yield Drawn(f"machine-{number}-{kind}", f"{title} on {machine}", figure, shown, n)


def _robustness(contents: ReportContents) -> Iterator[Drawn]:
    """Runs that were measured on the same corrupted images, and the other data sets."""
    runs = {source.run.id: source for source in contents.sources}
    stored = [source.run for source in contents.sources]
    reports = collect(stored)
    if not reports.robustness:
        raise FerBenchError("no run was measured: `python -m fer_bench robustness RUN` does")

    def called(name: str) -> str:
        return runs[name].title

    for number, (words, group) in enumerate(measured_alike(reports.robustness).items(), start=1):
        first = group[:MOST_DRAWN]
        drawn = {
            "ranking": (robustness_figures.ranking(group, called), group),
            "by-severity": (robustness_figures.by_severity(first, called), first),
            "by-corruption": (robustness_figures.by_corruption(first[0], called), first[:1]),
        }
        for kind, ((title, figure), of) in drawn.items():
            shown = [runs[one.name].run for one in of]
            n = how_many(of[0].report.tested_on.n, "test image")
            yield Drawn(f"robustness-{number}-{kind}", f"{title}; {words}", figure, shown, n)
    table = transfer_table(stored, reports.transfers)
    if len(table):
        title, figure = robustness_figures.transfer(table, called)
        shown = [runs[name].run for name in table["run"].unique()]
        yield Drawn("transfer", title, figure, shown)


def _labels(contents: ReportContents) -> Iterator[Drawn]:
    """What leaked test images are worth to the ranked runs of each benchmark."""
    titles = {source.run.id: source.title for source in contents.sources}
    for number, one in enumerate(contents.benchmarks, start=1):
        ranked = [contents.source(int(n)).run for n in one.ranked["source"]]
        runs = {run.id: run for run in ranked if (run.folder / PREDICTIONS).is_file()}
        scores = {
            name: leakage(
                read_predictions(run.folder / PREDICTIONS), run.require_record().dataset.emotions
            )
            for name, run in runs.items()
        }
        leaks = {name: leak for name, leak in scores.items() if leak is not None}
        if leaks:
            title, figure = leak_intervals(leakage_table(leaks), titles.__getitem__)
            shown = [runs[name] for name in leaks]
            yield Drawn(f"leak-{number}", f"{title}; {one.name}", figure, shown)


def _explain(contents: ReportContents) -> Iterator[Drawn]:
    """How the first network with weights sorts the test images, which have to be at hand."""
    best = next((source for source in contents.sources if source.run.has_weights), None)
    data = settings.data_source()
    if best is None:
        raise FerBenchError("no run has its weights next to it")
    if data is None:
        raise FerBenchError(
            f"it needs the images of {best.record.dataset.name}: set FER_BENCH_DATA to where "
            "they lie"
        )
    from fer_bench.data.load import load_dataset
    from fer_bench.inference.classifier import open_classifier
    from fer_bench.studies.explain.feature_map import feature_map

    spec = best.record.spec
    dataset = load_dataset(data, protocol=spec.protocol, emotions=spec.emotions, limit=spec.limit)
    network = open_classifier(best.run, "torch-fp32")
    title, figure = placed_features(feature_map(network.model, dataset))
    yield Drawn("features", f"{title}, {best.title}", figure, [best.run])


#: What draws each page's figures; a `FerBenchError` says why a page has none.
PAGES: dict[str, Callable[[ReportContents], Iterator[Drawn]]] = {
    "Compare": _compare,
    "Latency": _latency,
    "Robustness": _robustness,
    "Labels": _labels,
    "Explain": _explain,
}


def study_figures(contents: ReportContents) -> tuple[list[Drawn], list[str]]:
    """The pages' figures, and a sentence for each page that leaves some out."""
    drawn: list[Drawn] = []
    left_out = []
    for page, figures in PAGES.items():
        try:
            drawn.extend(figures(contents))
        except FerBenchError as error:
            left_out.append(f"figures of page {page} are left out: {error}")
    return drawn, left_out
