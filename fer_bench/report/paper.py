"""The leaderboard as Markdown and as LaTeX, each number with the record it comes from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from fer_bench.report import tables
from fer_bench.report.contents import Benchmark, NumberedRun, ReportContents
from fer_bench.report.formats import to_latex, to_markdown
from fer_bench.report.tables import Table
from fer_bench.results.leaderboard.rankings import answered_fingerprint
from fer_bench.results.parse import read_predictions
from fer_bench.results.stored_run import PREDICTIONS
from fer_bench.studies.comparison.compare import compare
from fer_bench.templates import prose

HOW = (
    "Accuracy on the test images, with the 95 % bootstrap interval; checkpoints trained here were "
    "chosen on validation images. Clean leaves out test images that also stand in train or val; "
    "TTA averages over views of an image; ECE is the expected calibration error, 15 bins."
)
#: Runs that are tested two by two.
MOST_PAIRED = 4
NO_RANKED = "No run can be ranked: they are on drawn faces or on a part of the images."


def _ranked(contents: ReportContents) -> list[Benchmark]:
    """The benchmarks that rank a run."""
    return [one for one in contents.benchmarks if len(one.ranked)]


def markdown_tables(contents: ReportContents, columns: Sequence[str] | None = None) -> str:
    """A Markdown document: tables per benchmark, and the records behind them.

    Args:
        columns: of the leaderboards, as `tables.leaderboard` takes them.

    Raises:
        FerBenchError: an unknown column.
    """
    parts = ["# Results", prose(HOW)]
    shown = _ranked(contents)
    if not shown:
        parts.append(NO_RANKED)
    for one in shown:
        parts.append(f"## {prose(one.name)}")
        for part in _parts(contents, one, columns):
            parts += [f"### {prose(part.title)}"] if part.title else []
            parts.append(to_markdown(part.table))
    if sources := ranked_sources(contents):
        parts += ["## Records", to_markdown(tables.sources(sources, commands=True))]
    return "\n\n".join(parts) + "\n"


def latex_tables(contents: ReportContents, columns: Sequence[str] | None = None) -> str:
    """The same as LaTeX tables in booktabs' style, to be read in by `\\input`."""
    parts = [r"% Needs \usepackage{booktabs}. Written by FER Bench: do not edit."]
    shown = _ranked(contents)
    if not shown:
        parts.append(f"% {NO_RANKED}")
    for number, one in enumerate(shown, start=1):
        for part in _parts(contents, one, columns):
            caption = f"{one.name}: {part.caption}" if part.title else f"{one.name}. {HOW}"
            label = f"tab:fer-bench-{number}{part.suffix}"
            parts.append(to_latex(part.table, caption=caption, label=label))
    if sources := ranked_sources(contents):
        table = tables.sources(sources, commands=False)
        caption = "The records behind the numbers: where each comes from."
        parts.append(to_latex(table, caption=caption, label="tab:fer-bench-records"))
    return "\n\n".join(parts) + "\n"


class _Part(NamedTuple):
    """A benchmark's table; the leaderboard itself has no title."""

    table: Table
    title: str = ""
    caption: str = ""
    suffix: str = ""


def _parts(
    contents: ReportContents, one: Benchmark, columns: Sequence[str] | None
) -> Iterator[_Part]:
    yield _Part(tables.leaderboard(one.ranked, columns))
    if (together := tables.seeds(one.ranked)) is not None:
        caption = "mean and sample standard deviation over seeds."
        yield _Part(together, "Over seeds", caption, "-seeds")
    ranked = [contents.source(int(number)) for number in one.ranked["source"]]
    if tested := [source for source in ranked if "test" in source.record.metrics]:
        caption = "recall of each emotion on the test images."
        yield _Part(tables.per_emotion(tested), "Recall of each emotion", caption, "-emotions")
    best = best_answered(ranked)
    if len(best) > 1:
        caption = (
            "differences in accuracy on the same images with 95 % paired bootstrap intervals, "
            "exact McNemar tests and Holm's correction."
        )
        yield _Part(_pairs(best), f"The best {len(best)}, two by two", caption, "-pairs")


def best_answered(ranked: Sequence[NumberedRun]) -> list[NumberedRun]:
    """The best runs that have predictions, of the same images."""
    answered = [source for source in ranked if (source.run.folder / PREDICTIONS).exists()]
    same_data = answered_fingerprint(answered[0].record) if answered else None
    return [s for s in answered if answered_fingerprint(s.record) == same_data][:MOST_PAIRED]


def _pairs(best: Sequence[NumberedRun]) -> Table:
    """Runs as `best_answered` gives them, tested two by two."""
    runs = [source.run for source in best]
    comparison = compare(runs, [read_predictions(run.folder / PREDICTIONS) for run in runs])
    titles = {source.run.id: source.title for source in best}
    called = {
        name: titles[run.id]
        for name, run in zip(comparison.names, comparison.shared.runs, strict=True)
    }
    return tables.pairs(comparison, called)


def ranked_sources(contents: ReportContents) -> list[NumberedRun]:
    """The records of the ranked runs, and those that they went on from."""
    ranked = [one.ranked for one in contents.benchmarks]
    numbers = {int(n) for rows in ranked for n in (*rows["source"], *rows["start"])}
    return [contents.source(number) for number in sorted(numbers - {0})]
