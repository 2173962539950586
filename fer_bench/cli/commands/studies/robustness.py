"""`robustness` and `transfer`: a stored model on corrupted faces, and on other data sets."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Annotated

import typer

from fer_bench.cli.console import err, out, print_json, progress_bars, say_next
from fer_bench.cli.options import (
    DEFAULT_RESULTS,
    Classes,
    Data,
    Device,
    Json,
    LimitOfSplit,
    Results,
    RowsFile,
    VotesFile,
    choose,
    choose_device,
    comma_list,
    open_source,
)
from fer_bench.formatting import images_measured, interval, percent

if TYPE_CHECKING:
    from fer_bench.results.reports.robustness import RobustnessReport
    from fer_bench.results.reports.transfer import TransferResult

Run = Annotated[str, typer.Argument(help="A run's name, its folder, hub:ORG/NAME, or `default`.")]
SplitName = Annotated[str, typer.Option(help="train, val or test.")]


def robustness(
    run: Run,
    data: Data = None,
    corruptions: Annotated[
        str | None, typer.Option(help="Names with commas; see `list corruptions`. Default: all.")
    ] = None,
    split: SplitName = "test",
    seed: Annotated[int, typer.Option(min=0, help="Of the corruptions.")] = 0,
    votes_file: VotesFile = None,
    rows_file: RowsFile = None,
    classes: Classes = None,
    limit: LimitOfSplit = None,
    store: Results = DEFAULT_RESULTS,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Measure a stored run's model on faces spoilt as webcams do, in five severities.

    Written to `robustness.json` next to the run's record, one report for each set of images,
    corruptions and seed. For reporting, on the test split; nothing should be selected by it.

    Example: python -m fer_bench robustness default --data fer2013.zip

    Example: python -m fer_bench robustness default --data fer2013.zip --corruptions jpeg,noise
    --limit 500
    """
    from fer_bench.benchmark.generalization import robustness_of_run
    from fer_bench.results.reports.robustness import ROBUSTNESS

    stored = store.find(run)
    names = comma_list("corruptions", corruptions)
    with progress_bars() as progress:
        report = robustness_of_run(
            stored,
            open_source(data, votes_file, rows_file, classes),
            corruptions=names or None,
            split=choose("split", split),
            seed=seed,
            limit=limit,
            device=choose_device(device),
            progress=progress,
        )
    path = stored.folder / ROBUSTNESS
    if as_json:
        document = {"run": stored.name, "file": str(path), "relative_drop": report.relative_drop}
        print_json(document | report.model_dump(mode="json"))
        return
    _print_report(stored.name, report)
    err.print(f"in {path}", markup=False)
    say_next(f"transfer {shlex.quote(run)} --data YOUR_DATA", store)


def _print_report(name: str, report: RobustnessReport) -> None:
    from fer_bench.studies.robustness.tables import severity_table

    on, mean = report.tested_on, percent(report.mean_corruption_accuracy)
    out.print(
        f"{name} on {on.split} of {on.name}: {images_measured(on.n, on.limit)}, "
        f"{on.n_left_out:,} left out",
        markup=False,
    )
    out.print(f"clean accuracy            {percent(report.clean.accuracy)}")
    out.print(
        f"mean corruption accuracy  {mean}  "
        f"(95 %: {interval(*report.mean_corruption_accuracy_ci95)})"
    )
    out.print(f"relative drop             {percent(report.relative_drop)}\n")
    table = severity_table(report)
    width = max(map(len, table.index))
    out.print(f"{'severity':<{width}}" + "".join(f"{column:>9}" for column in table.columns))
    for corruption, *rates in table.itertuples():
        cells = "".join(f"{percent(rate):>9}" for rate in rates)
        out.print(f"{corruption:<{width}}{cells}", markup=False)


def transfer(
    run: Run,
    data: Annotated[
        list[str] | None,
        typer.Option(help="A data set to try the run on, as for `evaluate`; may be repeated."),
    ] = None,
    split: SplitName = "test",
    votes_file: VotesFile = None,
    rows_file: RowsFile = None,
    classes: Classes = None,
    limit: LimitOfSplit = None,
    store: Results = DEFAULT_RESULTS,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Measure a stored run's model on other data sets and keep the numbers.

    Written to `transfer.json` next to the run's record. Labels are matched by the emotions' names;
    images of classes that the model does not know are left out and counted.

    Example: python -m fer_bench transfer default --data CK+48 --data RAF-DB
    """
    from fer_bench.benchmark.generalization import transfer_of_run
    from fer_bench.results.reports.transfer import TRANSFER

    stored = store.find(run)
    sources = [open_source(one, votes_file, rows_file, classes) for one in data or [""]]
    with progress_bars() as progress:
        measured = transfer_of_run(
            stored,
            sources,
            split=choose("split", split),
            limit=limit,
            device=choose_device(device),
            progress=progress,
        )
    path = stored.folder / TRANSFER
    if as_json:
        document = {"run": stored.name, "file": str(path)}
        print_json(document | {"results": [one.model_dump(mode="json") for one in measured]})
        return
    for one in measured:
        _print_result(stored.name, one)
    err.print(f"in {path}", markup=False)
    say_next("app", store)


def _print_result(name: str, result: TransferResult) -> None:

    on, likely = result.tested_on, interval(*result.accuracy_ci95)
    own = ", the data it was trained on" if result.own_data else ""
    out.print(
        f"{name} on {on.split} of {on.source} ({on.name}{own}): {images_measured(on.n, on.limit)}, "
        f"{on.n_left_out:,} left out",
        markup=False,
    )
    out.print(f"accuracy           {percent(result.accuracy)}  (95 %: {likely})")
    out.print(f"macro F1           {percent(result.macro_f1)}")
    out.print(f"classes in common  {', '.join(result.classes)}", markup=False)
    for title, classes in (
        ("left out", result.classes_left_out),
        ("not in these data", result.classes_missing),
    ):
        if classes:
            out.print(f"{title:<18} {', '.join(classes)}", markup=False)
