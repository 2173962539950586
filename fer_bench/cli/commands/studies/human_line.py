"""`human-line`: how far people agree on a test's faces, and the runs next to them."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Annotated

import typer

from fer_bench.cli.console import err, out, print_json, say_next
from fer_bench.cli.options import (
    DEFAULT_RESULTS,
    Json,
    ProtocolName,
    Results,
    RowsFile,
    VotesFile,
    choose,
    open_source,
)
from fer_bench.errors import FerBenchError
from fer_bench.formatting import percent

if TYPE_CHECKING:
    from fer_bench.results.reports.human_line import HumanLine


def human_line(
    data: Annotated[
        str | None,
        typer.Option(help="FER2013 with FER+'s votes next to it; without it, the stored lines."),
    ] = None,
    protocol: ProtocolName = "official",
    votes_file: VotesFile = None,
    rows_file: RowsFile = None,
    save: Annotated[bool, typer.Option("--save", help="Store it for the pages.")] = False,
    store: Results = DEFAULT_RESULTS,
    as_json: Json = False,
) -> None:
    """How far people agree on the test faces, by FER+'s votes, and every run next to them.

    Example: python -m fer_bench human-line

    Example: python -m fer_bench human-line --data fer2013.zip --save
    """
    from fer_bench.benchmark import measure_human_line
    from fer_bench.results.reports.human_line import add_human_line, read_human_lines

    if data is None:
        if save:
            raise FerBenchError("--save stores what is measured: say --data DATA as well")
        lines = read_human_lines(store.roots, "fer2013")
        if not lines:
            raise FerBenchError(
                f"{store.location} holds no human line: measure one with `human-line --data DATA "
                "--save`"
            )
    else:
        source = open_source(data, votes_file, rows_file)
        lines = [measure_human_line(store, source, choose("protocol", protocol))]
        if save:
            file = add_human_line(store.root / "fer2013", lines[0])
            err.print(f"stored in {file}", markup=False)
    if as_json:
        print_json({"lines": [line.model_dump(mode="json") for line in lines]})
        return
    for line in lines:
        _print(line)
    if data is None or save:
        say_next("app", store)
    else:
        say_next(f"human-line --data {shlex.quote(data)} --save", store)


def _print(line: HumanLine) -> None:
    from fer_bench.studies.labels.human_line import sentence

    out.print(f"{line.protocol} test: {sentence(line)}\n", markup=False)
    out.print(f"  {'':<9} {'faces':>6}  voters give the label  one voter as the others")
    for emotion, one in line.per_emotion.items():
        label, voter = percent(one.label_agreement), percent(one.one_voter)
        out.print(f"  {emotion:<9} {one.faces:>6,}  {label:>21}  {voter:>23}", markup=False)
    if not line.models:
        return
    out.print(
        f"\n  as most voters  voters who agree  soft accuracy  KL (nats)  run   "
        f"(best possible: {percent(line.best_expected_agreement)} of voters agree)"
    )
    for run in sorted(line.models, key=lambda run: -run.expected_agreement):
        divergence = "–" if run.kl_divergence is None else f"{run.kl_divergence:.3f}"
        out.print(
            f"  {percent(run.majority_agreement):>14}  {percent(run.expected_agreement):>16}  "
            f"{percent(run.soft_accuracy):>13}  {divergence:>9}  {run.run}",
            markup=False,
        )
