"""`score`: the record of a system that FER Bench did not run, from its answers."""

from __future__ import annotations

import shlex
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fer_bench.cli.console import err, out, print_json, print_reasons, print_scores, say_next
from fer_bench.cli.options import (
    DEFAULT_RESULTS,
    Classes,
    Data,
    Json,
    ProtocolName,
    Results,
    RowsFile,
    SystemLicence,
    SystemName,
    SystemTrainedOn,
    VoteRule,
    VotesFile,
    choose,
    open_source,
)
from fer_bench.errors import FerBenchError
from fer_bench.formatting import how_many

if TYPE_CHECKING:
    from fer_bench.benchmark import PairedResult
    from fer_bench.data.dataset import FaceDataset
    from fer_bench.results.record import RunRecord


def score(
    predictions: Annotated[
        Path | None,
        typer.Argument(help="CSV or Parquet: `id`, and a probability per emotion or a `label`."),
    ] = None,
    data: Data = None,
    template: Annotated[
        str | None,
        typer.Option(metavar="DATA", help="Write the test images' ids to fill in; no scoring."),
    ] = None,
    with_val: Annotated[
        bool, typer.Option("--with-val", help="In the template the validation images, too.")
    ] = False,
    out_file: Annotated[
        Path | None, typer.Option("--out", help="Where the template goes, instead of stdout.")
    ] = None,
    name: SystemName = "",
    trained_on: SystemTrainedOn = "unknown",
    version: Annotated[str, typer.Option(help="The system's version.")] = "",
    origin: Annotated[str, typer.Option(help="Where it comes from, such as a URL.")] = "",
    licence: SystemLicence = "",
    preprocessing: Annotated[str, typer.Option(help="What was done to the faces.")] = "",
    training: Annotated[
        str, typer.Option(help="What is known of its training and its checkpoint's choice.")
    ] = "",
    protocol: ProtocolName = "official",
    votes: VoteRule = None,
    votes_file: VotesFile = None,
    rows_file: RowsFile = None,
    classes: Classes = None,
    force: Annotated[bool, typer.Option(help="Replace the record of this name.")] = False,
    store: Results = DEFAULT_RESULTS,
    as_json: Json = False,
) -> None:
    """Put any system on the same scale: its answers become a record of kind `external`.

    Columns are emotions by name or alias. Every test image must be answered once; those of val may
    be too, and its temperature is fitted on them. Its own face detector is not part of the score.

    Example: python -m fer_bench score --template fer2013.zip --out answers.csv

    Example: python -m fer_bench score answers.csv --data fer2013.zip --name "their model"
    """
    from fer_bench.benchmark import compare_with_others
    from fer_bench.benchmark import score as score_predictions
    from fer_bench.config import validate
    from fer_bench.specs.run import DataSpec, ExternalSpec

    if template is None and (with_val or out_file):
        raise FerBenchError("--with-val and --out are of the template: say --template DATA, too")
    if template is not None and predictions is not None:
        raise FerBenchError(
            f"--template {template} writes the ids to fill in, and {predictions} is filled in: say "
            f"`score {predictions} --data DATA` to score it"
        )
    asked = DataSpec(protocol=choose("protocol", protocol), votes=choose("votes", votes))
    if template is not None:
        source = open_source(template, votes_file, rows_file, classes)
        dataset = source.load(asked, complete=False)
        _write_template(dataset, template, with_val=with_val, file=out_file)
        return
    if predictions is None:
        raise FerBenchError(
            "no predictions given: say `score PREDICTIONS --data DATA`, or `score --template DATA` "
            "to get the ids to fill in"
        )
    values = asked.model_dump() | {
        "external": name or predictions.stem,
        "trained_on": choose("trained-on", trained_on),
        "version": version,
        "source": origin,
        "licence": licence,
        "preprocessing": preprocessing,
        "training": training,
    }
    spec = validate(ExternalSpec, values, f"the external system {name or predictions.stem!r}")
    source = open_source(data, votes_file, rows_file, classes)
    dataset = source.load(asked, complete=False)
    record = score_predictions(store, predictions, spec, dataset, force=force)
    others: list[PairedResult] = []
    try:
        others = compare_with_others(store, store.find(record.id))
    except FerBenchError as error:  # of another run: this one is stored
        err.print(f"not compared with the other runs: {error}", markup=False)
    if as_json:
        document = record.model_dump(mode="json", include={"name", "spec", "metrics"})
        document |= {"comparable": record.comparable, "temperature": record.temperature}
        print_json(document | {"compared_with": [asdict(one) for one in others]})
        return
    _print(record, others)
    pair = f"compare {shlex.quote(others[0].other)} {record.id}" if others else None
    say_next(pair or "results --sort accuracy", store)


def _write_template(dataset: FaceDataset, data: str, *, with_val: bool, file: Path | None) -> None:
    from fer_bench.evaluation.external_predictions import template
    from fer_bench.storage import write_atomically

    table = template(dataset, ("val", "test") if with_val else ("test",))
    text = table.to_csv(index=False)
    if file is None:
        sys.stdout.write(text)
        return
    try:
        write_atomically({file: text.encode()})
    except OSError as error:
        raise FerBenchError(
            f"could not save {file}: {error.strerror}; choose another file for --out"
        ) from None
    err.print(f"{how_many(len(table), 'image')} to answer: {file}", markup=False)
    say_next(f"score {shlex.quote(str(file))} --data {shlex.quote(data)} --name YOUR_SYSTEM")


def _print(record: RunRecord, others: list[PairedResult]) -> None:
    test, clean = record.metrics["test"], record.metrics.get("test_clean")
    title = f"{record.id}: {test.n:,} test images"
    print_scores(title, test, clean.accuracy if clean else None)
    for one in others:
        out.print(
            f"  {one.difference * 100:>+6.2f} points vs {one.other}  (Holm p {one.p_holm:.2g})",
            markup=False,
        )
    print_reasons(record)
