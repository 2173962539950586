"""`export`: a run's network as a file that works without FER Bench."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fer_bench.cli.console import err, out, print_json, progress_bars, say_next, say_step
from fer_bench.cli.options import (
    DEFAULT_RESULTS,
    Classes,
    Data,
    Json,
    Results,
    RowsFile,
    VotesFile,
    open_source,
)
from fer_bench.errors import FerBenchError, unknown_name
from fer_bench.formatting import how_many, percent

if TYPE_CHECKING:
    from fer_bench.benchmark.export import ExportReport
    from fer_bench.bundles.export import Bundle, BundleReport


def export(
    run: Annotated[
        str, typer.Argument(help="A run's name, its folder, hub:ORG/NAME, or `default`.")
    ],
    to: Annotated[
        Path,
        typer.Option(
            "--out",
            help="The file to write: FILE.onnx, FILE.xml or FILE.tflite; for web and python a "
            "folder.",
        ),
    ],
    format: Annotated[str, typer.Option(help="onnx, openvino, tflite, web or python.")] = "onnx",
    int8: Annotated[bool, typer.Option("--int8", help="Quantise with NNCF (not tflite).")] = False,
    calibration: Annotated[
        str | None,
        typer.Option(help="For --int8: data as for --data; their training split calibrates."),
    ] = None,
    data: Data = None,
    faces: Annotated[
        int, typer.Option(min=1, help="Faces of the validation split to compare on.")
    ] = 1000,
    runtime: Annotated[
        Path | None,
        typer.Option(
            help="For web: the npm package of ONNX Runtime Web, as archive or folder. Default: "
            "`npm pack` brings it."
        ),
    ] = None,
    cdn: Annotated[
        bool, typer.Option("--cdn", help="For web: the page fetches the runtime from jsDelivr.")
    ] = False,
    force: Annotated[
        bool,
        typer.Option("--force", help="Replace a file, or write to a folder, that is no export."),
    ] = False,
    votes_file: VotesFile = None,
    rows_file: RowsFile = None,
    classes: Classes = None,
    store: Results = DEFAULT_RESULTS,
    as_json: Json = False,
) -> None:
    """Write a run's network as ONNX, OpenVINO or TFLite, a web page or a Python folder.

    The file is read again and compared with PyTorch on faces of --data (of --calibration, or else
    drawn ones); one that differs too much is not kept. The numbers go into the run's folder.

    Example: python -m fer_bench export default --format onnx --data fer2013.zip --out model.onnx

    Example: python -m fer_bench export default --format openvino --int8 --calibration fer2013.zip
    --out model.xml

    Example: python -m fer_bench export default --format web --out page, then
    python -m http.server -d page
    """
    from fer_bench.settings import Settings

    if int8 and calibration is None:
        raise FerBenchError(
            "--int8 measures the network on training faces first: add --calibration PATH, such as "
            "fer2013.zip"
        )
    if calibration is not None and not int8:
        raise FerBenchError(
            "--calibration is for --int8: add it, or say --data to compare on those faces"
        )
    from fer_bench.backends.export.export import FORMATS
    from fer_bench.benchmark.export import ExportJob
    from fer_bench.bundles.export import BUNDLES, export_bundle

    if format not in FORMATS and format not in BUNDLES:
        raise unknown_name("export format", format, [*FORMATS, *BUNDLES])
    if format != "web" and (runtime or cdn):
        raise FerBenchError("--runtime and --cdn are for --format web: leave them out")
    if runtime and cdn:
        raise FerBenchError("give --runtime, or --cdn for none in the folder, not both")
    bundle = _bundle(format, to, runtime, cdn, force) if format in BUNDLES else None
    compared = data or calibration or Settings().data or "synthetic"
    source = open_source(compared, votes_file, rows_file, classes)
    calibrating = None
    if calibration:
        calibrating = open_source(calibration, votes_file, rows_file, classes)
    stored = store.find(run)
    with progress_bars() as progress:
        job = ExportJob(
            run=stored, called=run, data=source, calibration=calibrating, limit=faces,
            progress=progress,
        )  # fmt: skip
        whole = export_bundle(job, to, bundle, force=force) if bundle else None
        report = whole.model if whole else job.write(to, format, force=force)
    if report.problem:
        err.print(f"the export is whole, but not recorded: {report.problem}", markup=False)
    if as_json:
        _print_json(report, whole)
    else:
        _print(report)
        if whole:
            _print_bundle(whole, format)
        elif format == "onnx":
            say_next(f"evaluate --model {shlex.quote(f'onnx:{to}')} --data YOUR_DATA")
        else:
            say_next(f"latency {shlex.quote(run)}", store)


def _bundle(format: str, to: Path, runtime: Path | None, cdn: bool, force: bool) -> Bundle:
    """What a folder will be made of; anything that it needs from elsewhere is here afterwards."""
    from fer_bench.bundles.export import BUNDLES, check_folder

    check_folder(to, force=force)
    options = {"runtime": runtime, "cdn": cdn} if format == "web" else {}
    bundle: Bundle = BUNDLES.load(format)(**options)
    return bundle


def _print_json(report: ExportReport, whole: BundleReport | None) -> None:
    document: dict[str, object] = {
        "run": report.run,
        "path": str(whole.folder if whole else report.path),
        "recorded": str(report.recorded) if report.recorded else None,
    }
    if whole:
        document |= {"folder_files": list(whole.files), "folder_bytes": whole.bytes}
    print_json(document | report.export.model_dump(mode="json"))


def _print_bundle(whole: BundleReport, format: str) -> None:
    folder = shlex.quote(str(whole.folder))
    use = {
        "web": f"python -m http.server -d {folder}   and open http://localhost:8000",
        "python": f"cd {folder} && pip install -r requirements.txt && python run.py PHOTO",
    }
    size = f"{len(whole.files)} files, {whole.bytes / 1e6:,.1f} MB"
    out.print(f"written to     {whole.folder}, {size}", markup=False)
    say_step(use[format])


def _print(report: ExportReport) -> None:
    export = report.export
    fidelity = export.agreement
    names = " and ".join(file.name for file in export.files)
    size = f"{export.bytes / 1e6:,.1f} MB"
    lines = [f"{report.run} → {names}, {export.format} {export.precision}, {size}"]
    if export.calibration:
        calibration = export.calibration
        lines.append(f"calibrated on  {how_many(calibration.n, 'face')}, {calibration.faces}")
    lines += [
        f"compared on    {how_many(fidelity.n, 'face')}, {fidelity.faces}",
        f"same emotion   {percent(fidelity.top1_agreement)}",
        f"logits         differ by at most {fidelity.max_logit_difference:.2g}",
        f"probabilities  differ by at most {fidelity.max_probability_difference:.2g}",
    ]
    if export.accuracies:
        right = export.accuracies
        change = f"{100 * right.change:+.2f} points"
        both = f"{percent(right.exported)}, PyTorch {percent(right.pytorch)}"
        lines.append(f"accuracy       {both} ({change})")
    if report.recorded:
        lines.append(f"recorded in    {report.recorded}")
    out.print("\n".join(lines), markup=False)
