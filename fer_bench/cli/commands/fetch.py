"""`fetch`: what FER Bench can use but does not come with."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from fer_bench.cli.console import err, print_json, progress_bars, say_next
from fer_bench.cli.options import Json
from fer_bench.errors import FerBenchError, unknown_name


def fetch(
    what: Annotated[
        str,
        typer.Argument(
            help="The network (230 KB) of a face detector, yunet or mediapipe; or the data set "
            "fer2013."
        ),
    ],
    source: Annotated[
        str | None,
        typer.Option("--from", help="For fer2013: another data set of Kaggle, as OWNER/NAME."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Download what FER Bench can use but does not come with.

    Networks are checked by their SHA-256. FER2013 comes through Kaggle's client (`pip install
    kagglehub`) into its own cache; the data set's terms apply.

    Example: python -m fer_bench fetch fer2013
    """
    from fer_bench.inference.detectors.network_file import NETWORK_FILES

    if source is not None and what != "fer2013":
        raise FerBenchError("--from is for fer2013: leave it out")
    if what == "fer2013":
        path = _fetch_fer2013(source)
    elif what in NETWORK_FILES:
        with progress_bars() as progress:
            path = NETWORK_FILES[what].fetch(progress)
    else:
        raise unknown_name("thing to fetch", what, [*NETWORK_FILES, "fer2013"])
    if as_json:
        print_json({"name": what, "file": str(path)})
    else:
        sys.stdout.write(f"{path}\n")
        if what == "fer2013":
            say_next(f"data check {shlex.quote(str(path))}")
        else:
            say_next(f"predict default YOUR_PHOTO --detector {what}")


def _fetch_fer2013(handle: str | None) -> Path:
    """The folder of what came; says how to use it."""
    from fer_bench.data.readers.recognise import recognise
    from fer_bench.hubs.kaggle import FER2013, fetch_dataset

    path = fetch_dataset(handle or FER2013)
    kind = recognise(path)  # raises where it is no data set at all
    err.print(f"read as {kind}; use it with --data {shlex.quote(str(path))}", markup=False)
    return path
