"""The report's figures as files for a paper: SVG and PNG at column width, or Plotly's HTML."""

from __future__ import annotations

import asyncio
import html
import json
import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import plotly.graph_objects as go
from markupsafe import Markup
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from fer_bench import plots
from fer_bench.errors import FerBenchError
from fer_bench.formatting import how_many
from fer_bench.report import figures
from fer_bench.report.contents import Benchmark, ReportContents
from fer_bench.report.figures import INK
from fer_bench.report.study_figures import Drawn
from fer_bench.results.reproduce import figure_facts
from fer_bench.results.store import ResultsStore
from fer_bench.studies.labels.human_line import people_table
from fer_bench.templates import render

#: One column of a paper of two, in millimetres, and in the pixels of a browser at 96 dpi.
COLUMN_MM = 89
COLUMN_PX = round(COLUMN_MM / 25.4 * 96)
#: Pixels of the PNG for each of those: 384 dpi.
SCALE = 4
#: 7.5 points.
FONT_PX = 10
#: A line of such letters.
LINE_PX = 13
#: Characters of a line of a run's name next to its bar.
NAME_LINE = 26
NO_BROWSER = (
    "the figures are Plotly's HTML, which saves itself as SVG, as no Chrome or Chromium {} and run "
    "this again for SVG and PNG files"
)


@dataclass(frozen=True, kw_only=True)
class PaperFigure:
    """A figure and what its file says about it.

    Attributes:
        name: the file's, without its ending.
        facts: title, n, protocol, runs and commands, by the key that they have in the file.
    """

    name: str
    figure: go.Figure
    facts: Mapping[str, str]


def paper_figures(store: ResultsStore, contents: ReportContents, command: str) -> list[PaperFigure]:
    """Every figure of the report, benchmark by benchmark; `study_figures` has the pages' others.

    Args:
        store: where the records of `contents` lie.
        command: the command line that makes these files.
    """
    drawn = []
    for number, one in enumerate(contents.benchmarks, start=1):
        if len(one.ranked):
            words = re.sub(r"[^a-z0-9]+", "-", one.name.partition(" · data ")[0].lower())
            stem = f"{number}-{words.strip('-')}"
            drawn += [
                figure._replace(name=f"{stem}-{figure.name}", title=f"{figure.title}; {one.name}")
                for figure in _of_benchmark(store, contents, one)
            ]
    return drawn_for_paper(drawn, command)


def drawn_for_paper(drawn: Sequence[Drawn], command: str) -> list[PaperFigure]:
    """Figures of `study_figures`, as `paper_figures` gives the report's."""
    return [
        PaperFigure(
            name=one.name,
            figure=for_paper(one.figure),
            facts=figure_facts(one.title, one.runs, command, n=one.n, protocol=one.protocol),
        )
        for one in drawn
    ]


def _of_benchmark(store: ResultsStore, contents: ReportContents, one: Benchmark) -> Iterator[Drawn]:
    """The figures of one benchmark; what the names begin with, the caller knows."""

    def of(name: str, title: str, figure: go.Figure, numbers: Iterable[int]) -> Drawn:
        return Drawn(name, title, figure, [contents.source(number).run for number in numbers])

    every = [int(number) for number in one.ranked["source"]]
    shown = every[: figures.MOST_BARS]
    accuracy = _wrapped(figures.accuracy(one))
    yield of("accuracy", "Test accuracy with 95 % intervals", accuracy, shown)
    five, runs = figures.backbones(one)
    if five is not None:
        yield of("backbones", "The five backbones, frozen next to fully tuned", five, runs)
    timed = figures.against_latency(one, contents.measured)
    for number, (machine, figure, runs) in enumerate(timed, start=1):
        yield of(
            f"latency-{number}", f"Test accuracy over time per face on {machine}", figure, runs
        )
    best = contents.source(every[0])
    if "test" not in best.record.metrics:
        return
    run = str(one.ranked["title"].iloc[0])
    yield of("confusion", f"Confusion matrix, {run}", figures.confusion(best), every[:1])
    yield of("f1", f"F1 of each emotion, {run}", figures.classes(best), every[:1])
    people = one.people
    if people is not None:
        figure, n = plots.people_bars(people_table(people)), how_many(people.faces, "test face")
        yield Drawn("people", "The human line", figure, [], n, people.protocol)
    try:
        answers = figures.of_answers(store, best.run)
    except FerBenchError:  # the page says so
        return
    for kind, (title, figure) in answers.items():
        yield of(kind, f"{title}, {run}", figure, every[:1])


def for_paper(figure: go.Figure) -> go.Figure:
    """On white, in dark letters of a size that a column of a paper has."""
    figure.update_layout(
        width=COLUMN_PX,
        paper_bgcolor="white",
        plot_bgcolor="white",
        font={"color": INK, "size": FONT_PX},
    )
    figure.update_xaxes(tickfont_color=INK, title_font_color=INK)
    figure.update_yaxes(tickfont_color=INK, title_font_color=INK)
    return figure


def _wrapped(bars: go.Figure) -> go.Figure:
    """Bars whose names take lines instead of the bars' room; a bar is as high as two lines."""
    names = [html.unescape(name) for name in bars.layout.yaxis.ticktext]
    lines = [textwrap.wrap(name, NAME_LINE) for name in names]
    more = max(map(len, lines)) - 2
    if more > 0:
        bars.update_layout(height=bars.layout.height + more * LINE_PX * len(lines))
    return bars.update_yaxes(ticktext=["<br>".join(map(html.escape, one)) for one in lines])


def figure_files(drawn: Sequence[PaperFigure], folder: Path) -> tuple[dict[Path, bytes], str]:
    """The files' contents, and a sentence where they are not SVG and PNG.

    Needs Chrome or Chromium, which Plotly draws with; nothing is loaded from a network.
    """
    from kaleido.errors import BrowserFailedError, ChromeNotFoundError

    try:
        return asyncio.run(_images(drawn, folder)), ""
    except ChromeNotFoundError:
        why = NO_BROWSER.format("was found: install one")
    except BrowserFailedError:
        why = NO_BROWSER.format("would start: mend it")
    return {folder / f"{one.name}.html": _page(one).encode() for one in drawn}, why


async def _images(drawn: Sequence[PaperFigure], folder: Path) -> dict[Path, bytes]:
    import kaleido

    files: dict[Path, bytes] = {}
    # MathJax would be loaded from a server.
    async with kaleido.Kaleido(mathjax=False) as browser:
        for one in drawn:
            size = {"width": COLUMN_PX, "height": one.figure.layout.height}
            for kind, stamped, scale in (("svg", stamp_svg, 1), ("png", stamp_png, SCALE)):
                options = {"format": kind, "scale": scale, **size}
                picture = await browser.calc_fig(one.figure.to_dict(), options)
                files[folder / f"{one.name}.{kind}"] = stamped(picture, one.facts)
    return files


def stamp_svg(drawing: bytes, facts: Mapping[str, str]) -> bytes:
    """An SVG as wide as a column that says what it is.

    Args:
        drawing: an SVG file.
        facts: with `Title`.

    Returns:
        the file with `<title>`, `<desc>` (a fact a line) and `<metadata>` (the facts as JSON).
    """
    text = drawing.decode("utf-8")
    described = "\n".join(f"{key}: {value}" for key, value in facts.items())
    stamp = "".join(
        f"<{tag}>{html.escape(content, quote=False)}</{tag}>"
        for tag, content in (
            ("title", facts["Title"]),
            ("desc", described),
            ("metadata", json.dumps(dict(facts), ensure_ascii=False)),
        )
    )
    opening, rest = re.split(r"(?<=>)", text, maxsplit=1)
    opening = re.sub(r'\bwidth="\d+"', f'width="{COLUMN_MM}mm"', opening, count=1)
    opening = re.sub(r' height="\d+"', "", opening, count=1)  # the view box has the proportions
    return f"{opening}{stamp}{rest}".encode()


def stamp_png(picture: bytes, facts: Mapping[str, str]) -> bytes:
    """A PNG whose `tEXt` chunks say what it is (`iTXt` beyond Latin 1), with its size in print.

    Args:
        picture: a PNG file.
    """
    info = PngInfo()
    for key, value in facts.items():
        info.add_text(key, value)
    target = BytesIO()
    with Image.open(BytesIO(picture)) as image:
        dots = image.width / (COLUMN_MM / 25.4)
        image.save(target, "PNG", pnginfo=info, dpi=(dots, dots))
    return target.getvalue()


def _page(one: PaperFigure) -> str:
    """The figure as a page of its own, which saves it as SVG by the button above it."""
    config = {
        "displaylogo": False,
        "displayModeBar": True,
        "toImageButtonOptions": {"format": "svg", "filename": one.name, "width": COLUMN_PX},
    }
    page = one.figure.to_html(
        full_html=False, include_plotlyjs=True, config=config, div_id="figure"
    )
    values = {"facts": one.facts, "drawn": Markup(page)}  # nosec B704  # Plotly's own HTML
    return render("fer_bench.report", "figure.html", values)
