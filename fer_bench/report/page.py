"""The report as one HTML page that opens from the file system, with no network.

Its words stand in `templates/report.html`.
"""

from __future__ import annotations

import fer_bench
from fer_bench.errors import FerBenchError
from fer_bench.report import figures, tables
from fer_bench.report.contents import Benchmark, NumberedRun, ReportContents
from fer_bench.report.figures import FigureWriter
from fer_bench.report.paper import NO_RANKED
from fer_bench.results.leaderboard.published import shipped_figures
from fer_bench.results.store import ResultsStore
from fer_bench.studies.labels.human_line import sentence
from fer_bench.templates import render

NO_PREDICTIONS = "the run has no predictions next to its record"
NO_PROBABILITIES = "the system gave one emotion per image and no probability"


def report_page(store: ResultsStore, contents: ReportContents) -> str:
    """The whole page, plotly.js in it; the same records give the same page.

    Args:
        store: where the records of `contents` lie.
        contents: what it is about.
    """
    values = {
        "contents": contents,
        "ranked": sum(len(one.ranked) for one in contents.benchmarks),
        "no_ranked": NO_RANKED,
        "most_bars": figures.MOST_BARS,
        "sections": [_section(store, contents, one) for one in contents.benchmarks],
        "data_sets": tables.data_sets(contents.sources),
        "published": tables.published(shipped_figures()),
        "without_result": tables.without_result(contents),
        "sources": tables.sources(contents.sources, commands=True),
        "environments": tables.environments(contents.sources),
        "draw": FigureWriter().write,
        "version": fer_bench.__version__,
    }
    return render("fer_bench.report", "report.html", values)


def _section(store: ResultsStore, contents: ReportContents, one: Benchmark) -> dict[str, object]:
    """A benchmark's tables and figures; None for those that it has not."""
    section: dict[str, object] = {
        "benchmark": one,
        "leaderboard": None,
        "others": tables.leaderboard(one.others) if len(one.others) else None,
        "reasons": sorted(set(one.others["why_not_comparable"])),
    }
    if one.ranked.empty:
        return section
    backbones, _ = figures.backbones(one)
    return section | {
        "leaderboard": tables.leaderboard(one.ranked),
        "accuracy": figures.accuracy(one),
        "people": sentence(one.people) if one.people else "",
        "backbones": backbones,
        "seeds": tables.seeds(one.ranked),
        "latencies": [
            (machine, figure)
            for machine, figure, _ in figures.against_latency(one, contents.measured)
        ],
        "best": _best(store, contents.source(int(one.ranked["source"].iloc[0]))),
    }


def _best(store: ResultsStore, source: NumberedRun) -> dict[str, object] | None:
    """A closer look at the best run of a benchmark, where its record has test results."""
    if "test" not in source.record.metrics:
        return None
    problem = NO_PREDICTIONS if source.record.has_probabilities else NO_PROBABILITIES
    try:
        found = figures.of_answers(store, source.run)
        _, calibration = found.get("calibration", ("", None))
    except FerBenchError as error:
        calibration, problem = None, str(error)
    return {
        "source": source,
        "confusion": figures.confusion(source),
        "classes": figures.classes(source),
        "calibration": calibration,
        "problem": problem,
    }
