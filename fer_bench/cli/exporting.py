"""`export`: a run's network as a file that works without FER Bench."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fer_bench.cli.console import err, out, print_json, progress_bars
from fer_bench.cli.options import (
    DEFAULT_RESULTS,
    Data,
    Json,
    Results,
    RowsFile,
    VotesFile,
    open_source,
)
from fer_bench.errors import FerBenchError

if TYPE_CHECKING:
    from fer_bench.benchmark.exporting import ExportReport


def export(
    run: Annotated[str, typer.Argument(help="A run's name, its folder, or `default`.")],
    to: Annotated[
        Path, typer.Option("--out", help="The file to write: FILE.onnx, FILE.xml or FILE.tflite.")
    ],
    format: Annotated[str, typer.Option(help="onnx, openvino or tflite.")] = "onnx",
    int8: Annotated[
        bool, typer.Option("--int8", help="Quantise with NNCF (onnx and openvino).")
    ] = False,
    calibration: Annotated[
        str | None,
        typer.Option(help="For --int8: data as for --data; their training split calibrates."),
    ] = None,
    data: Data = None,
    faces: Annotated[
        int, typer.Option(min=1, help="Faces of the validation split to compare on.")
    ] = 1000,
    force: Annotated[
        bool, typer.Option("--force", help="Replace a file that is no export.")
    ] = False,
    votes_file: VotesFile = None,
    rows_file: RowsFile = None,
    results: Results = DEFAULT_RESULTS,
    as_json: Json = False,
) -> None:
    """Write a run's network as ONNX, OpenVINO or TFLite, with its preprocessing and emotions.

    The file is read again and compared with PyTorch on faces of --data (of --calibration, or else
    drawn ones); one that differs too much is not kept. The numbers go into the run's folder.

    Example: python -m fer_bench export default --format onnx --data fer2013.zip --out model.onnx

    Example: python -m fer_bench export default --format openvino --int8 --calibration fer2013.zip
    --out model.xml
    """
    if int8 and calibration is None:
        raise FerBenchError(
            "--int8 measures the network on training faces first: add --calibration PATH, such as "
            "fer2013.zip"
        )
    if calibration is not None and not int8:
        raise FerBenchError(
            "--calibration is for --int8: add it, or say --data to compare on those faces"
        )
    from fer_bench.benchmark.exporting import export_run
    from fer_bench.results.store import ResultsStore

    compared = data or calibration or os.environ.get("FER_BENCH_DATA") or "synthetic"
    with progress_bars() as progress:
        report = export_run(
            ResultsStore(results),
            run,
            to,
            format=format,
            data=open_source(compared, votes_file, rows_file),
            calibration=open_source(calibration, votes_file, rows_file) if calibration else None,
            limit=faces,
            force=force,
            progress=progress,
        )
    if report.problem:
        err.print(f"the export is whole, but not recorded: {report.problem}", markup=False)
    if as_json:
        recorded = str(report.recorded) if report.recorded else None
        place = {"run": report.run, "path": str(report.path), "recorded": recorded}
        print_json(place | report.export.model_dump(mode="json"))
    else:
        _print(report)


def _print(report: ExportReport) -> None:
    export = report.export
    found = export.agreement
    names = " and ".join(file.name for file in export.files)
    size = f"{export.bytes / 1e6:,.1f} MB"
    lines = [f"{report.run} → {names}, {export.format} {export.precision}, {size}"]
    if export.calibration:
        lines.append(f"calibrated on  {export.calibration.n:,} faces, {export.calibration.faces}")
    lines += [
        f"compared on    {found.n:,} faces, {found.faces}",
        f"same emotion   {found.top1_agreement:.2%}",
        f"logits         differ by at most {found.max_logit_difference:.2g}",
        f"probabilities  differ by at most {found.max_probability_difference:.2g}",
    ]
    if export.accuracies:
        right = export.accuracies
        change = f"{100 * right.change:+.2f} points"
        lines.append(f"accuracy       {right.exported:.2%}, PyTorch {right.pytorch:.2%} ({change})")
    if report.recorded:
        lines.append(f"recorded in    {report.recorded}")
    out.print("\n".join(lines), markup=False)
