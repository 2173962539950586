"""What a report is about: the runs of a results folder, by benchmark, each with a number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from fer_bench.errors import FerBenchError, suggest
from fer_bench.results.leaderboard.published import PublishedFigure, about
from fer_bench.results.leaderboard.rankings import ranking_names
from fer_bench.results.lineage import starting_run
from fer_bench.results.record import RunRecord
from fer_bench.results.reports.human_line import HumanLine, human_line
from fer_bench.results.reports.latency_files import list_latencies
from fer_bench.results.store import ResultsStore
from fer_bench.results.stored_run import StoredRun
from fer_bench.results.summary import summary_table
from fer_bench.studies.latency.tables import MeasuredNetwork, measured_networks


@dataclass(frozen=True, kw_only=True)
class NumberedRun:
    """A record that numbers come from, and the number that stands for it in the report.

    Attributes:
        title: what people call it.
    """

    number: int
    run: StoredRun
    title: str

    @property
    def record(self) -> RunRecord:
        """Its record, which is readable."""
        return self.run.require_record()


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """Runs that are measured on the same images with the same emotions.

    Attributes:
        name: data set, protocol, emotions and the data's fingerprint.
        ranked, others: rows of `summary_table`, best test accuracy first, with the columns
            `source`, the number of each row's record, and `start`, that of the record it went on
            from, or 0; `others` are on drawn faces or on a part of the data.
        people: FER+'s voters on its test images, where they were measured.
        published: others' figures on its test images; never ranked.
    """

    name: str
    ranked: pd.DataFrame
    others: pd.DataFrame
    people: HumanLine | None = None
    published: tuple[PublishedFigure, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ReportContents:
    """Everything that a report shows.

    Attributes:
        sources: every finished run, in the order of their numbers, from 1.
        without_result: `dataset/run`, status and reason of failed, unfinished and unreadable runs.
        measured: networks with a latency report.
    """

    benchmarks: tuple[Benchmark, ...]
    sources: tuple[NumberedRun, ...]
    without_result: tuple[tuple[str, str, str], ...]
    measured: tuple[MeasuredNetwork, ...]

    def source(self, number: int) -> NumberedRun:
        """The record that a number stands for."""
        return self.sources[number - 1]


def collect(store: ResultsStore, dataset: str | None = None) -> ReportContents:
    """The runs of a results folder; with `dataset`, those of that data set alone.

    Benchmarks with the most ranked runs come first; records are numbered in that order, by
    accuracy.

    Raises:
        FerBenchError: no runs, or no such data set.
    """
    runs = store.runs()
    if not runs:
        raise FerBenchError(
            f"{store.location} holds no runs to report on; train one with "
            "`python -m fer_bench train`"
        )
    if dataset is not None:
        known = sorted({run.dataset for run in runs})
        if dataset not in known:
            raise FerBenchError(f"no run on the data set {dataset!r}: {suggest(dataset, known)}")
        runs = [run for run in runs if run.dataset == dataset]
    done = [run for run in runs if run.record and run.record.status == "done"]
    names = {run.id: run.require_record().spec.labels.model for run in done}
    benchmarks, sources = _numbered(done)
    return ReportContents(
        benchmarks=tuple(_with_references(one, sources, store.roots) for one in benchmarks),
        sources=sources,
        without_result=tuple(_without_result(runs)),
        measured=tuple(
            m for m in measured_networks(list_latencies(*store.roots), names) if m.name in names
        ),
    )


def _numbered(done: Sequence[StoredRun]) -> tuple[tuple[Benchmark, ...], tuple[NumberedRun, ...]]:
    names = ranking_names([run.require_record() for run in done])
    table = summary_table(done).assign(benchmark=names, place=range(len(done)))
    n_ranked = table.groupby("benchmark")["comparable"].sum()
    order = {name: (-n_ranked[name], name) for name in n_ranked.index}
    table["_order"] = table["benchmark"].map(order)
    table = table.sort_values("test_accuracy", ascending=False, kind="stable")
    table = table.sort_values("comparable", ascending=False, kind="stable")
    table = table.sort_values("_order", kind="stable").drop(columns="_order")
    sources = tuple(
        NumberedRun(number=n, run=done[index], title=title)
        for n, (index, title) in enumerate(zip(table["place"], table["title"], strict=True), 1)
    )
    numbers = {source.run.folder.resolve(): source.number for source in sources}
    starts = [starting_run(source.run) for source in sources]
    table = table.assign(
        source=range(1, len(table) + 1),
        start=[numbers.get(start.folder.resolve(), 0) if start else 0 for start in starts],
    )
    benchmarks = [
        Benchmark(name=str(name), ranked=rows[rows["comparable"]], others=rows[~rows["comparable"]])
        for name, rows in table.groupby("benchmark", sort=False)
    ]
    return tuple(benchmarks), sources


def _with_references(
    one: Benchmark, sources: Sequence[NumberedRun], roots: Sequence[Path]
) -> Benchmark:
    """What stands next to its ranking: people, and others' figures on the same test images."""
    if one.ranked.empty:
        return one
    record = sources[int(one.ranked["source"].iloc[0]) - 1].record
    return replace(one, people=human_line(roots, record), published=tuple(about(record.dataset)))


def _without_result(runs: Sequence[StoredRun]) -> list[tuple[str, str, str]]:
    rows = []
    for run in runs:
        if run.record is None:
            rows.append((run.id, "unreadable", run.problem or ""))
        elif run.record.status != "done":
            rows.append((run.id, run.record.status, run.record.error or "still running"))
    return rows
