"""All commands together, and the one place where errors become a sentence and an exit code."""

from __future__ import annotations

import os
import sys

import typer

from fer_bench.cli import (
    comparing,
    data,
    evaluating,
    explaining,
    exporting,
    latency,
    listing,
    predicting,
    reporting,
    robustness,
    serving,
    sweeping,
    training,
)
from fer_bench.errors import FerBenchError

app = typer.Typer(
    name="fer_bench",
    help="Train, measure and compare facial emotion recognition models, honestly.",
    epilog="Dashboard: streamlit run app.py",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode="markdown",
)
app.add_typer(listing.list_app, name="list")
app.add_typer(data.app, name="data")
app.command()(sweeping.run)
app.command()(training.train)
app.command()(training.ensemble)
app.command()(evaluating.evaluate)
app.command()(exporting.export)
app.command()(latency.latency)
app.command()(robustness.robustness)
app.command()(robustness.transfer)
app.command()(explaining.explain)
app.command()(predicting.predict)
app.command()(predicting.fetch)
app.command()(comparing.compare)
app.command()(listing.results)
app.command()(reporting.report)
app.command()(serving.serve)


def main() -> None:
    """Runs the command line; bad input ends in one sentence on stderr and exit code 2."""
    try:
        app()
    except FerBenchError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(error.exit_code)
    except BrokenPipeError:
        # The reader (`| head`) has gone: keep Python from complaining when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
