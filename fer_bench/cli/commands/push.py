"""`push`: a run on the Hugging Face hub."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fer_bench.cli.console import err, out, print_json, progress_bars, say_next, say_step
from fer_bench.cli.options import DEFAULT_RESULTS, Data, Json, Results, open_source
from fer_bench.errors import FerBenchError

if TYPE_CHECKING:
    from fer_bench.bundles.push import PushReport
    from fer_bench.bundles.space_files import Space
    from fer_bench.hubs.address import Repository


def push(
    run: Annotated[str, typer.Argument(help="A run's name, its folder, or `default`.")],
    to: Annotated[str, typer.Argument(metavar="hf:ORG/NAME", help="The repository to write.")],
    space: Annotated[
        str | None,
        typer.Option(help="Make it a Space instead: `static` (the web page) or `streamlit`."),
    ] = None,
    private: Annotated[
        bool, typer.Option("--private", help="Make a new repository private.")
    ] = False,
    folder: Annotated[
        Path | None, typer.Option("--out", help="Write the files to this folder; upload nothing.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be uploaded; upload nothing.")
    ] = False,
    data: Data = None,
    runtime: Annotated[
        Path | None, typer.Option(help="For --space static: as for `export --format web`.")
    ] = None,
    cdn: Annotated[
        bool, typer.Option("--cdn", help="For --space static: as for `export --format web`.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Add to a repository or folder with other things in it.")
    ] = False,
    store: Results = DEFAULT_RESULTS,
    as_json: Json = False,
) -> None:
    """Upload a run to the Hugging Face hub: weights, record, predictions, model card and ONNX.

    The network is exported and compared with PyTorch first, as by `export`. `hub:ORG/NAME` then
    names the run wherever a run is asked for. Log in with `hf auth login`, or set HF_TOKEN.

    Example: python -m fer_bench push default hf:my-name/my-model

    Example: python -m fer_bench push default hf:my-name/my-app --space static --out page
    """
    from fer_bench.benchmark.export import ExportJob
    from fer_bench.bundles.push import Destination, push_run
    from fer_bench.hubs.address import HUB, parse_repository
    from fer_bench.settings import Settings

    repository = parse_repository(to)
    if space is None and (runtime or cdn):
        raise FerBenchError("--runtime and --cdn are for --space static: leave them out")
    page = None if space is None else _space(space, runtime, cdn)
    destination = Destination(
        repository=repository, private=private, force=force, folder=folder, dry_run=dry_run
    )
    source = open_source(data, fallback=Settings().data or "synthetic")
    stored = store.find(run)
    with progress_bars() as progress:
        called = run if page else f"{HUB}{repository.id}"  # a Space holds no run
        job = ExportJob(run=stored, called=called, data=source, progress=progress)
        report = push_run(job, destination, space=page)
    if as_json:
        _print_json(report, folder)
    else:
        _print(report, repository, space, folder)


def _space(name: str, runtime: Path | None, cdn: bool) -> Space:
    """A Space's files; anything that they need from elsewhere is here afterwards."""
    from fer_bench.bundles.space_files import SPACES

    if name != "static" and (runtime or cdn):
        raise FerBenchError("--runtime and --cdn are for --space static: leave them out")
    if runtime and cdn:
        raise FerBenchError("give --runtime, or --cdn for none in the Space, not both")
    options = {"runtime": runtime, "cdn": cdn} if name == "static" else {}
    made: Space = SPACES.load(name)(**options)
    return made


def _print_json(report: PushReport, folder: Path | None) -> None:
    upload = report.upload
    print_json(
        {
            "run": report.run,
            "files": report.files,
            "url": upload.url if upload else None,
            "commit": upload.commit if upload else None,
            "folder": str(folder) if folder else None,
        }
    )


def _print(
    report: PushReport, repository: Repository, space: str | None, folder: Path | None
) -> None:
    for name, size in report.files.items():
        out.print(f"{size / 1e3:>10,.1f} kB  {name}", markup=False)
    total = f"{len(report.files)} files, {sum(report.files.values()) / 1e6:,.1f} MB"
    if report.upload is None:
        where = f"written to {folder}" if folder else "a dry run: nothing was written"
        err.print(f"{total}; nothing was uploaded, {where}", markup=False)
        say_step("the same command without --dry-run and --out uploads them")
        return
    out.print(f"{total}, now at {report.upload.url}", markup=False)
    if space is None:
        say_next(f"predict hub:{repository.id} YOUR_PHOTO")
    else:
        say_step(f"open {report.upload.url} in a browser")
