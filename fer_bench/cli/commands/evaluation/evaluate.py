"""`evaluate`: a stored model, or one from elsewhere, on any data."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from fer_bench.cli.console import (
    err,
    out,
    print_json,
    print_reasons,
    print_scores,
    progress_bars,
    say_next,
)
from fer_bench.cli.options import (
    DEFAULT_RESULTS,
    Classes,
    ClassSubset,
    Data,
    Device,
    Json,
    LimitOfSplit,
    ProtocolName,
    Results,
    RowsFile,
    SystemLicence,
    SystemName,
    SystemTrainedOn,
    TtaViews,
    VoteRule,
    VotesFile,
    choose,
    choose_device,
    open_source,
    parse_options,
)
from fer_bench.errors import FerBenchError
from fer_bench.formatting import how_many, percent

if TYPE_CHECKING:
    from fer_bench.benchmark import Source
    from fer_bench.models.classifier import Option
    from fer_bench.results.record import Metrics
    from fer_bench.results.store import ResultsStore


def evaluate(
    run: Annotated[
        str | None,
        typer.Argument(help="A run's name, its folder, hub:ORG/NAME, `default`; or say --model."),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            help="A network from elsewhere, as it is: onnx:FILE, hf:ID, hf:FOLDER, "
            "torchscript:FILE or pt2:FILE. Its record is stored like a run's; the options from "
            "--labels to --force are for it."
        ),
    ] = None,
    data: Data = None,
    split: Annotated[str, typer.Option(help="train, val or test.")] = "test",
    tta: Annotated[bool, typer.Option("--tta", help="Average over the recipe's views.")] = False,
    tta_views: TtaViews = None,
    votes_file: VotesFile = None,
    rows_file: RowsFile = None,
    classes: Classes = None,
    limit: LimitOfSplit = None,
    labels: Annotated[
        str | None,
        typer.Option(help="With --model: its outputs' emotions in order, a,b,…; - is none."),
    ] = None,
    input_size: Annotated[int | None, typer.Option(help="Side of its input, pixels.")] = None,
    mean: Annotated[
        str | None, typer.Option(help="Subtracted from its values: m or m,m,m.")
    ] = None,
    std: Annotated[str | None, typer.Option(help="Divided by afterwards: s or s,s,s.")] = None,
    colour: Annotated[str | None, typer.Option(help="Of its input: rgb, bgr or gray.")] = None,
    layout: Annotated[str | None, typer.Option(help="Of its input: nchw or nhwc.")] = None,
    value_range: Annotated[
        str | None, typer.Option(help="Its values before mean and std: 0,1 or 0,255 or -1,1.")
    ] = None,
    option: Annotated[
        list[str] | None,
        typer.Option(help="More of it: output=NAME, outputs=logits, interpolation=bicubic."),
    ] = None,
    name: SystemName = "",
    trained_on: SystemTrainedOn = "unknown",
    licence: SystemLicence = "",
    protocol: ProtocolName = "official",
    votes: VoteRule = None,
    emotions: ClassSubset = None,
    force: Annotated[bool, typer.Option(help="Replace the record of this name.")] = False,
    store: Results = DEFAULT_RESULTS,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Measure a stored run's model, or a network from elsewhere, on a split of some data.

    Images of classes that the model does not know are left out and counted.

    Example: python -m fer_bench evaluate default --data fer2013.zip --json

    Example: python -m fer_bench evaluate --model onnx:model.onnx --data fer2013.zip
    """
    if (run is None) == (model is None):
        raise FerBenchError("expected a run, or --model such as onnx:FILE, and not both")
    if model is not None:
        if split != "test" or tta or tta_views:
            raise FerBenchError(
                "a network from elsewhere is measured on val and test as it is: leave --split and "
                "--tta out; its run takes them afterwards"
            )
        given = {
            "labels": labels, "input_size": input_size, "mean": mean, "std": std,
            "colour": colour, "layout": layout, "value_range": value_range,
        }  # fmt: skip
        options = parse_options(option or []) | {k: v for k, v in given.items() if v is not None}
        about = {
            "external": name, "trained_on": choose("trained-on", trained_on),
            "licence": licence, "limit": limit, "protocol": choose("protocol", protocol),
            "votes": choose("votes", votes), "emotions": emotions,
        }  # fmt: skip
        source = open_source(data, votes_file, rows_file, classes)
        _evaluate_external(
            model, source, options, about, store, choose_device(device), force, as_json
        )
        return
    assert run is not None  # nosec B101  # one of the two is given
    from fer_bench.benchmark import evaluate_run
    from fer_bench.formatting import images_measured

    with progress_bars() as progress:
        report = evaluate_run(
            store,
            run,
            open_source(data, votes_file, rows_file, classes),
            split=choose("split", split),
            tta=tta,
            tta_views=tta_views,
            limit=limit,
            device=choose_device(device),
            progress=progress,
        )
    metrics = report.metrics
    clean = report.clean.accuracy if report.clean else None
    if as_json:
        about_run = {"run": report.run, "split": report.split, "limit": limit}
        document = about_run | metrics.model_dump(mode="json")
        document |= {"accuracy_clean": clean, "emotions": report.emotions, "tta": report.tta}
        document["n_seen"] = report.n_seen
        print_json(document)
        return
    counted = images_measured(metrics.n, report.limit)
    _print(f"{report.run} on {report.split}: {counted}", metrics, clean)
    if report.n_seen:
        err.print(
            f"warning: {report.n_seen:,} of these test images were trained on, or chosen by, in "
            "this run: this is no test of it",
            markup=False,
        )
    on = f" --data {shlex.quote(data)}" if data else ""
    say_next(f"robustness {shlex.quote(run)}{on}", store)


def _evaluate_external(
    model: str,
    source: Source,
    options: dict[str, Option],
    about: Mapping[str, object],
    store: ResultsStore,
    device: str,
    force: bool,
    as_json: bool,
) -> None:
    from fer_bench.benchmark import evaluate_external

    with progress_bars() as progress:
        report = evaluate_external(
            store,
            model,
            source,
            options=options,
            about=about,
            device=device,
            force=force,
            progress=progress,
        )
    record = report.record
    test, clean = record.metrics["test"], record.metrics.get("test_clean")
    clean_accuracy = clean.accuracy if clean else None
    for note in report.notes:
        err.print(f"{model}: {note}", markup=False)
    print_reasons(record)
    if as_json:
        document: dict[str, object] = {"run": record.id, "split": "test", "notes": report.notes}
        document |= test.model_dump(mode="json")
        document |= {"accuracy_clean": clean_accuracy, "emotions": record.dataset.emotions}
        print_json(document | {"record": record.model_dump(mode="json")})
        return
    _print(f"{record.id} on test: {how_many(test.n, 'image')}", test, clean_accuracy)
    say_next("results --sort accuracy", store)


def _print(title: str, measured: Metrics, clean: float | None) -> None:
    from fer_bench.results.leaderboard.headline import per_class

    print_scores(f"{title}, {measured.n_left_out:,} left out", measured, clean)
    for one in per_class(measured).to_dict("records"):
        out.print(
            f"  {one['emotion']:<9} precision {percent(one['precision']):>7}  recall "
            f"{percent(one['recall']):>7}  F1 {percent(one['f1']):>7}  n {one['support']:,}"
        )
