"""The leaderboard as Markdown and as LaTeX, each number with the record it comes from."""

from __future__ import annotations

from fer_bench.markdown import prose
from fer_bench.report import tables
from fer_bench.report.contents import Benchmark, Contents, Source
from fer_bench.report.formats import to_latex, to_markdown

HOW = (
    "Accuracy on the test images, with the 95 % bootstrap interval; checkpoints were chosen on "
    "validation images. Clean leaves out test images that also stand in train or val; TTA averages "
    "over views of an image; ECE is the expected calibration error, 15 bins."
)
NO_RANKED = "No run can be ranked: they are on drawn faces or on a part of the images."


def _ranked(contents: Contents) -> list[Benchmark]:
    """The benchmarks that rank a run."""
    return [one for one in contents.benchmarks if len(one.ranked)]


def markdown_tables(contents: Contents) -> str:
    """A Markdown document: a table per benchmark, seeds together, and the records behind them."""
    parts = ["# Results", prose(HOW)]
    shown = _ranked(contents)
    if not shown:
        parts.append(NO_RANKED)
    for one in shown:
        parts += [f"## {prose(one.name)}", to_markdown(tables.leaderboard(one.ranked))]
        if (together := tables.seeds(one.ranked)) is not None:
            parts += ["### Over seeds", to_markdown(together)]
    if sources := ranked_sources(contents):
        parts += ["## Records", to_markdown(tables.sources(sources, commands=True))]
    return "\n\n".join(parts) + "\n"


def latex_tables(contents: Contents) -> str:
    """The same as LaTeX tables in booktabs' style, to be read in by `\\input`."""
    parts = [r"% Needs \usepackage{booktabs}. Written by FER Bench: do not edit."]
    shown = _ranked(contents)
    if not shown:
        parts.append(f"% {NO_RANKED}")
    for number, one in enumerate(shown, start=1):
        caption = f"{one.name}. {HOW}"
        table = tables.leaderboard(one.ranked)
        parts.append(to_latex(table, caption=caption, label=f"tab:fer-bench-{number}"))
        if (together := tables.seeds(one.ranked)) is not None:
            caption = f"{one.name}: mean and sample standard deviation over seeds."
            label = f"tab:fer-bench-{number}-seeds"
            parts.append(to_latex(together, caption=caption, label=label))
    if sources := ranked_sources(contents):
        table = tables.sources(sources, commands=False)
        caption = "The records behind the numbers: where each comes from."
        parts.append(to_latex(table, caption=caption, label="tab:fer-bench-records"))
    return "\n\n".join(parts) + "\n"


def ranked_sources(contents: Contents) -> list[Source]:
    """The records of the ranked runs, and those that they went on from."""
    ranked = [one.ranked for one in contents.benchmarks]
    numbers = {int(n) for rows in ranked for n in (*rows["source"], *rows["start"])}
    return [contents.source(number) for number in sorted(numbers - {0})]
