"""The report as one HTML page that opens from the file system, with no network."""

from __future__ import annotations

from importlib.resources import files

import fer_bench
from fer_bench.errors import FerBenchError
from fer_bench.formatting import how_many, three_decimals
from fer_bench.report import figures, tables
from fer_bench.report.contents import Benchmark, Contents, Source
from fer_bench.report.figures import FigureWriter
from fer_bench.report.formats import html_text, to_html
from fer_bench.report.paper import NO_RANKED
from fer_bench.results.leaderboard.published import shipped_figures
from fer_bench.results.store import ResultsStore
from fer_bench.studies.labels.human_line import sentence

STYLE = "report.css"
#: Nothing may be loaded from anywhere; the scripts and styles that run are those in the file.
POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:"
HOW = (
    "Each checkpoint trained here was chosen on validation images and the test images were read "
    "once, after training; how external systems were chosen is not always known. Accuracy "
    "stands with its 95 % bootstrap interval over the test images: differences smaller than "
    "the intervals mean little. <b>Clean</b> leaves out test images whose pixels also "
    "stand in train or val, <b>TTA</b> averages over views of an image, <b>ECE</b> is the expected "
    "calibration error over 15 bins (less is better). Runs on drawn faces or on a part of the "
    "images are not ranked. The number before a row leads to the record that its figures come from."
)
MARKED = "Diamonds are figures that others published for the same test images, not measured here."
PUBLISHED = (
    "<p>As their sources give them, not measured here and never ranked. A split that is not "
    "stated, a checkpoint chosen on test or an unreproduced figure says so.</p>"
)
#: Below the figure of the five.
BACKBONES = (
    "The five backbones, frozen beside fully tuned, each mode by one recipe, with 95 % intervals."
)


def report_page(store: ResultsStore, contents: Contents) -> str:
    """The whole page, plotly.js in it; the same records give the same page.

    store: where the records of `contents` lie.
    """
    title = "FER Bench: results"
    body = [f"<h1>{title}</h1>", *_introduction(contents)]
    writer = FigureWriter()
    for one in contents.benchmarks:
        body += _benchmark(store, contents, one, writer)
    body += ["<h2>Published numbers</h2>", PUBLISHED, to_html(tables.published(shipped_figures()))]
    if contents.without_result:
        body += ["<h2>Runs without a result</h2>", to_html(tables.without_result(contents))]
    if contents.sources:
        body += _sources(contents)
    body.append(f"<footer>Written by FER Bench {html_text(fer_bench.__version__)}.</footer>")
    style = (files("fer_bench.report") / STYLE).read_text(encoding="utf-8")
    head = [
        '<meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{title}</title>",
        f"<style>\n{style}</style>",
    ]
    lines = ["<!doctype html>", '<html lang="en">', "<head>", *head, "</head>"]
    return "\n".join([*lines, "<body>", *body, "</body>", "</html>", ""])


def _introduction(contents: Contents) -> list[str]:
    ranked = sum(len(one.ranked) for one in contents.benchmarks)
    n_runs, n_benchmarks = len(contents.sources), len(contents.benchmarks)
    what = f"{how_many(n_runs, 'finished run')} on {how_many(n_benchmarks, 'benchmark')}"
    lines = [
        "<h2>What was measured</h2>",
        f"<p>Networks that name the emotion of a face: {what}, {ranked:,} ranked. {HOW}</p>",
    ]
    if not ranked:
        lines.append(f"<p><b>{NO_RANKED}</b></p>")
    if contents.sources:
        lines.append(to_html(tables.data_sets(contents.sources)))
    return lines


def _benchmark(
    store: ResultsStore, contents: Contents, one: Benchmark, writer: FigureWriter
) -> list[str]:
    lines = [f"<h2>{html_text(one.name)}</h2>"]
    if len(one.ranked):
        lines.append(to_html(tables.leaderboard(one.ranked)))
        shown = f"The best {figures.MOST_BARS} runs" if len(one.ranked) > figures.MOST_BARS else ""
        caption = f"{shown or 'Test accuracy'} with 95 % intervals."
        people = f" {html_text(sentence(one.people))}" if one.people else ""
        marked = f" {MARKED}" if one.published else ""
        lines.append(writer.write(figures.accuracy(one), f"{caption}{marked}{people}"))
        backbones, _ = figures.backbones(one)
        if backbones is not None:
            lines.append(writer.write(backbones, BACKBONES))
        lines += _over_seeds(one)
        for machine, figure, _ in figures.against_latency(one, contents.measured):
            lines.append(writer.write(figure, _latency_caption(machine)))
        lines += _best(store, contents.source(one.ranked["source"].iloc[0]), writer)
    if len(one.others):
        reasons = sorted(set(one.others["why_not_comparable"]))
        lines += [
            "<h3>Not ranked</h3>",
            f"<p>Because of: {html_text(', '.join(reasons))}.</p>",
            to_html(tables.leaderboard(one.others)),
        ]
    return lines


def _over_seeds(one: Benchmark) -> list[str]:
    together = tables.seeds(one.ranked)
    if together is None:
        return ["<p>Every experiment here has one seed: how far seeds differ is not known.</p>"]
    return ["<h3>Over seeds</h3>", to_html(together)]


def _latency_caption(machine: str) -> str:
    return (
        f"One face per call on {html_text(machine)}, by the fastest back end that computes in "
        "fp32, as the accuracy was measured; runs that were not measured there are left out."
    )


def _best(store: ResultsStore, source: Source, writer: FigureWriter) -> list[str]:
    """A closer look at the best run of a benchmark."""
    name = f'<a href="#record-{source.number}">{html_text(source.run.name)}</a>'
    record = source.record
    if "test" not in record.metrics:
        return []
    lines = [
        f"<h3>The most accurate: {html_text(source.run.name)}</h3>",
        writer.write(
            figures.confusion(source),
            f"Of the test images of each emotion, how many {name} took for what.",
        ),
        writer.write(figures.classes(source), f"F1 of each emotion, {name}."),
    ]
    try:
        figure = figures.calibration(store, source)
    except FerBenchError as error:
        return [*lines, f"<p>No calibration: {html_text(error)}.</p>"]
    if figure is None:
        return [*lines, "<p>No calibration: the run has no predictions beside its record.</p>"]
    after = record.calibrated_ece.get("test")
    scaled = (
        ""
        if after is None or record.temperature is None
        else f" Its temperature, {record.temperature:.3f}, takes ECE from "
        f"{three_decimals(record.metrics['test'].ece)} to {after:.3f}."
    )
    caption = f"How often answers of a given confidence are right, {name}.{scaled}"
    return [*lines, writer.write(figure, caption)]


def _sources(contents: Contents) -> list[str]:
    return [
        "<h2>Records</h2>",
        "<p>Where each number comes from: the folder of the record below the results folder, the "
        "commit that wrote it, the SHA-256 fingerprint of its images, labels and splits, and the "
        "command that makes it again.</p>",
        to_html(tables.sources(contents.sources, commands=True)),
        "<h2>Environments</h2>",
        to_html(tables.environments(contents.sources)),
    ]
