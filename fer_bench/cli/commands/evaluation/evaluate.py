"""`evaluate`: a stored model on any data."""

from __future__ import annotations

from typing import Annotated

import typer

from fer_bench.cli.console import out, print_json, progress_bars
from fer_bench.cli.imports import quick_imports
from fer_bench.cli.options import (
    DEFAULT_RESULTS,
    Classes,
    Data,
    Device,
    Json,
    LimitOfSplit,
    Results,
    RowsFile,
    TtaViews,
    VotesFile,
    as_split,
    choose_device,
    data_source,
    open_source,
)


def evaluate(
    run: Annotated[
        str, typer.Argument(help="A run's name, its folder, hub:ORG/NAME, or `default`.")
    ],
    data: Data = None,
    split: Annotated[str, typer.Option(help="train, val or test.")] = "test",
    tta: Annotated[bool, typer.Option("--tta", help="Average over the recipe's views.")] = False,
    tta_views: TtaViews = None,
    votes_file: VotesFile = None,
    rows_file: RowsFile = None,
    classes: Classes = None,
    limit: LimitOfSplit = None,
    store: Results = DEFAULT_RESULTS,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Measure a stored run's model on a split of some data.

    Images of classes that the model does not know are left out and counted.

    Example: python -m fer_bench evaluate default --data fer2013.zip --json
    """
    with quick_imports():
        from fer_bench.benchmark import evaluate_run
        from fer_bench.formatting import images_measured, three_decimals

    with progress_bars() as progress:
        report = evaluate_run(
            store,
            run,
            open_source(data_source(data), votes_file, rows_file, classes),
            split=as_split(split),
            tta=tta,
            tta_views=tta_views,
            limit=limit,
            device=choose_device(device),
            progress=progress,
        )
    found = report.metrics
    clean = report.clean.accuracy if report.clean else None
    if as_json:
        document: dict[str, object] = {
            "run": report.run,
            "split": report.split,
            "limit": limit,
        }
        document |= found.model_dump(mode="json")
        document |= {"accuracy_clean": clean, "emotions": report.emotions, "tta": report.tta}
        print_json(document)
        return
    low, high = found.accuracy_ci95
    out.print(
        f"{report.run} on {report.split}: {images_measured(found.n, report.limit)}, "
        f"{found.n_left_out:,} left out"
    )
    out.print(f"accuracy          {found.accuracy:.2%}  (95 %: {low:.2%} to {high:.2%})")
    if clean is not None:
        out.print(f"on clean images   {clean:.2%}")
    out.print(f"macro F1          {found.macro_f1:.3f}")
    out.print(f"balanced accuracy {found.balanced_accuracy:.2%}")
    out.print(f"calibration error {three_decimals(found.ece)}")
    for emotion, metrics in found.per_class.items():
        out.print(
            f"  {emotion:<9} precision {metrics.precision:.3f}  recall {metrics.recall:.3f}  "
            f"F1 {metrics.f1:.3f}  n {metrics.support:,}"
        )
