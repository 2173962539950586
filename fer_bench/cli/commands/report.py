"""`report`: the stored records as one HTML page, and as tables for a paper."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fer_bench.cli.console import out, print_json
from fer_bench.cli.options import DEFAULT_RESULTS, Json, Results

MARKDOWN, LATEX = "leaderboard.md", "leaderboard.tex"


def report(
    file: Annotated[Path, typer.Option("--out", help="The HTML file to write.")] = Path(
        "report.html"
    ),
    dataset: Annotated[
        str | None, typer.Option(help="Only runs on this data set, such as `fer2013`.")
    ] = None,
    tables: Annotated[
        Path | None, typer.Option(help=f"Folder for {MARKDOWN} and {LATEX} (booktabs).")
    ] = None,
    results: Results = DEFAULT_RESULTS,
    as_json: Json = False,
) -> None:
    """Write the stored results as one HTML page that needs no network.

    Leaderboards with intervals and seeds, accuracy against latency, the best run's confusion and
    calibration, environments, and for each number the record it comes from.

    Example: python -m fer_bench report --out report.html --tables paper
    """
    from fer_bench.errors import FerBenchError
    from fer_bench.report import collect, latex_tables, markdown_tables, report_page
    from fer_bench.results.store import ResultsStore
    from fer_bench.storage import write_atomically

    store = ResultsStore(results)
    contents = collect(store, dataset)
    files = {file: report_page(store, contents)}
    if tables is not None:
        files |= {
            tables / MARKDOWN: markdown_tables(contents),
            tables / LATEX: latex_tables(contents),
        }
    try:
        for path in files:
            path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically({path: text.encode() for path, text in files.items()})
    except OSError as error:
        raise FerBenchError(
            f"cannot write {error.filename or file}: {error.strerror or error}; free some space "
            "or choose another place"
        ) from None
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
    for path, text in files.items():
        out.print(f"{path}  {len(text.encode()) / 1e3:,.0f} kB", markup=False)
