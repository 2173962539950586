"""`report`: the stored records as one HTML page, and as tables for a paper."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fer_bench.cli.console import err, out, print_json, say_step
from fer_bench.cli.options import DEFAULT_RESULTS, Json, Results, comma_list

if TYPE_CHECKING:
    from fer_bench.report import ReportContents
    from fer_bench.results.store import ResultsStore

MARKDOWN, LATEX, METHODS = "leaderboard.md", "leaderboard.tex", "methods.txt"


def report(
    file: Annotated[Path, typer.Option("--out", help="The HTML file to write.")] = Path(
        "report.html"
    ),
    dataset: Annotated[
        str | None, typer.Option(help="Only runs on this data set, such as `fer2013`.")
    ] = None,
    tables: Annotated[
        Path | None,
        typer.Option(
            help=f"Folder for {MARKDOWN}, {LATEX} (booktabs), {METHODS} and BibTeX entries."
        ),
    ] = None,
    columns: Annotated[
        str | None,
        typer.Option(help="Of the leaderboards in --tables: run,accuracy,interval,f1,…"),
    ] = None,
    figures: Annotated[
        Path | None,
        typer.Option(help="Folder for every figure as SVG and PNG, one column of a paper wide."),
    ] = None,
    readme: Annotated[
        Path | None,
        typer.Option(help="A README: write its tables between its marks for results."),
    ] = None,
    store: Results = DEFAULT_RESULTS,
    as_json: Json = False,
) -> None:
    """Write the stored results as one HTML page that needs no network.

    Leaderboards with intervals and seeds, accuracy against latency, the best run's confusion and
    calibration, environments, and for each number the record it comes from.

    Example: python -m fer_bench report --out report.html --tables paper --figures paper
    """
    from fer_bench.report import (
        REFERENCES,
        bibtex,
        collect,
        latex_tables,
        markdown_tables,
        methods,
        report_page,
        with_results,
    )

    contents = collect(store, dataset)
    chosen = comma_list("columns", columns)
    files = {file: report_page(store, contents).encode()}
    if tables is not None:
        files |= {
            tables / MARKDOWN: markdown_tables(contents, chosen).encode(),
            tables / LATEX: latex_tables(contents, chosen).encode(),
            tables / METHODS: methods(contents).encode(),
            tables / REFERENCES: bibtex(contents).encode(),
        }
    if figures is not None:
        files |= _figures(store, contents, figures)
    if readme is not None:
        files[readme] = with_results(_read(readme), contents).encode()
    _write(files)
    if as_json:
        print_json(
            {
                "files": list(map(str, files)),
                "benchmarks": [
                    {"name": one.name, "ranked": len(one.ranked), "not_ranked": len(one.others)}
                    for one in contents.benchmarks
                ],
                "without_result": [name for name, _, _ in contents.without_result],
            }
        )
        return
    for path, content in files.items():
        out.print(f"{path}  {len(content) / 1e3:,.0f} kB", markup=False)
    say_step(f"open {shlex.quote(str(file))} in a browser")


def _figures(store: ResultsStore, contents: ReportContents, folder: Path) -> dict[Path, bytes]:
    """The figures' files; says on stderr where they could not become images."""
    from fer_bench.report.figure_files import drawn_for_paper, figure_files, paper_figures
    from fer_bench.report.study_figures import study_figures

    words = ["report", "--figures", str(folder), "--results", str(store.location)]
    command = shlex.join(["python", "-m", "fer_bench", *words])
    of_pages, left_out = study_figures(contents)
    drawn = paper_figures(store, contents, command) + drawn_for_paper(of_pages, command)
    files, remark = figure_files(drawn, folder)
    for sentence in (*left_out, *filter(None, [remark])):
        err.print(sentence, markup=False)
    return files


def _read(readme: Path) -> str:
    """The README's text.

    Raises:
        FerBenchError: it cannot be read.
    """
    from fer_bench.errors import FerBenchError

    try:
        return readme.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise FerBenchError(f"cannot read {readme} as text: {error}") from None


def _write(files: Mapping[Path, bytes]) -> None:
    """All of them or none.

    Raises:
        FerBenchError: they cannot be written.
    """
    from fer_bench.errors import FerBenchError
    from fer_bench.storage import write_atomically

    try:
        write_atomically(files, parents=True)
    except OSError as error:
        raise FerBenchError(
            f"cannot write {error.filename or next(iter(files))}: {error.strerror or error}; free "
            "some space or choose another place"
        ) from None
