"""`data check`, `data audit` and `data labels`."""

from __future__ import annotations

import shlex
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fer_bench.cli.console import (
    err,
    out,
    print_json,
    print_table,
    progress_bars,
    say_next,
)
from fer_bench.cli.options import (
    DEFAULT_RESULTS,
    Classes,
    Data,
    Json,
    ProtocolName,
    Results,
    RowsFile,
    VoteRule,
    VotesFile,
    choose,
)

if TYPE_CHECKING:
    import pandas as pd

    from fer_bench.data.audit import Audit
    from fer_bench.data.check import DataCheck

app = typer.Typer(help="Look at a data set before trusting it.", no_args_is_help=True)
SourceArgument = Annotated[
    str, typer.Argument(help="Folder, zip, CSV, tar or Parquet; or `synthetic`.")
]
#: So many unreadable images or suspect labels are named on the screen; `--json` names all.
SHOWN = 20


@app.command()
def check(
    source: SourceArgument,
    protocol: ProtocolName = "official",
    votes: VoteRule = None,
    votes_file: VotesFile = None,
    rows_file: RowsFile = None,
    classes: Classes = None,
    as_json: Json = False,
) -> None:
    """Format, counts per split and class, unreadable images, warnings.

    Example: python -m fer_bench data check fer2013.zip
    """
    from fer_bench.data.check import check as check_source

    with progress_bars() as progress:
        report = check_source(
            source,
            protocol=choose("protocol", protocol),
            votes=choose("votes", votes),
            votes_file=votes_file,
            rows_file=rows_file,
            classes=classes,
            progress=progress,
        )
    if as_json:
        print_json(asdict(report))
    else:
        _print_check(report)
        say_next(f"data audit {shlex.quote(source)}")


def _print_check(report: DataCheck) -> None:
    from rich.table import Table

    width, height = report.image_size
    kind = "colour" if report.colour else "gray"
    out.print(
        f"{report.source}: {report.n_images:,} {kind} images of {width} x {height}, "
        f"format {report.format}, protocol {report.protocol}",
        markup=False,
    )
    for note in report.notes:
        out.print(note, markup=False)
    table = Table("emotion")
    for split in report.counts:
        table.add_column(split, justify="right")
    for emotion in report.emotions:
        table.add_row(emotion, *(f"{counts[emotion]:,}" for counts in report.counts.values()))
    table.add_section()
    table.add_row("all", *(f"{n:,}" for n in report.split_sizes.values()))
    print_table(out, table)
    for warning in report.warnings:
        err.print(f"warning: {warning}", markup=False)
    for sample in report.left_out[:SHOWN]:
        err.print(f"left out: {sample.id}: {sample.reason}", markup=False)
    if len(report.left_out) > SHOWN:
        err.print(f"… and {len(report.left_out) - SHOWN:,} more: see --json")


@app.command()
def audit(source: SourceArgument, classes: Classes = None, as_json: Json = False) -> None:
    """Exact and near duplicates, conflicting labels, test images that stand in train.

    Example: python -m fer_bench data audit fer2013.zip --json
    """
    from fer_bench.data.audit import audit as audit_source
    from fer_bench.data.load import read_source

    with progress_bars() as progress:
        report = audit_source(read_source(source, classes=classes, progress=progress), progress)
    if as_json:
        print_json(report.model_dump(mode="json"))
    else:
        _print_audit(report)
        say_next(f"train --model compact_resnet --data {shlex.quote(source)}")


def _print_audit(report: Audit) -> None:
    lines = [
        ("images", report.n),
        ("distinct images", report.n_distinct),
        ("groups of exact duplicates", report.exact.n_groups),
        ("  with conflicting labels", report.exact.n_conflicting),
        ("held-out images that stand in train", report.exact.n_held_out_in_train),
        ("test images that stand in val", report.exact.n_test_in_val),
        ("groups of near duplicates", report.near.n_groups),
        ("  with conflicting labels", report.near.n_conflicting),
        ("further held-out images nearly in train", report.near.n_held_out_in_train),
        ("further test images nearly in val", report.near.n_test_in_val),
    ]
    for name, count in lines:
        out.print(f"{name:<40} {count:>8,}")


@app.command()
def labels(
    run: Annotated[
        str, typer.Argument(help="A run's name, its folder, hub:ORG/NAME, or `default`.")
    ],
    data: Data = None,
    votes_file: VotesFile = None,
    rows_file: RowsFile = None,
    store: Results = DEFAULT_RESULTS,
    as_json: Json = False,
) -> None:
    """Test labels that a stored run's predictions make suspect, the most suspicious first.

    With FER2013 given as --data, FER+'s votes on these images stand next to them.

    Example: python -m fer_bench data labels default --data fer2013.zip --json
    """
    from fer_bench.studies.labels.annotators import VOTE_COLUMNS, sides, with_votes
    from fer_bench.studies.labels.label_errors import likely_errors

    stored = store.find(run)
    table = likely_errors(store.predictions(stored), stored.require_record().dataset.emotions)
    suspects = table[table["suspect"]].drop(columns="suspect")
    votes = _votes(data, votes_file, rows_file)
    voted = None if votes is None else with_votes(suspects, votes)
    tally = {} if voted is None else {side: rate.hits for side, rate in sides(voted).items()}
    if as_json:
        votes_of = {} if voted is None else voted.set_index("id")[VOTE_COLUMNS].to_dict("index")
        print_json(
            {
                "run": stored.name,
                "split": "test",
                "n": len(table),
                "n_suspect": len(suspects),
                "voters_side_with": tally or None,
                "images": [
                    row | {"votes": votes_of.get(row["id"])} for row in suspects.to_dict("records")
                ],
            }
        )
        return
    out.print(f"{stored.name}: {len(suspects):,} of {len(table):,} test labels are suspect")
    for row in (suspects if voted is None else voted).head(SHOWN).itertuples():
        line = f"{row.id}  {row.label}, answer {row.answer} {row.confidence:.0%}"
        if voted is not None:
            line += f", voters: label {row.votes_for_label}, "
            line += f"answer {row.votes_for_answer} of {row.voters}"
        out.print(line, markup=False)
    if tally:
        words = ", ".join(f"{side} {n:,}" for side, n in tally.items())
        out.print(f"the voters side with: {words}")
    say_next("app", store)


def _votes(
    data: str | None, votes_file: Path | None, rows_file: Path | None
) -> pd.DataFrame | None:
    """FER+'s votes on the data of the command line or of the variable, where there are any."""

    from fer_bench.data.vote_counts import find_vote_counts
    from fer_bench.settings import Settings
    from fer_bench.studies.labels.annotators import votes_table

    source = data or Settings().data
    if not source:
        return None
    with progress_bars() as progress:
        votes = find_vote_counts(
            source, votes_file=votes_file, rows_file=rows_file, progress=progress
        )
    if votes is None:
        err.print(f"no FER+ votes lie next to {source}", markup=False)
        return None
    return votes_table(votes)
