"""All commands together, and the one place where errors become a sentence and an exit code."""

from __future__ import annotations

import os
import sys

import typer

from fer_bench import processes
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
    scoring,
    serving,
    sweeping,
    training,
)
from fer_bench.errors import FerBenchError

#: Commands whose work several processes share; the others are for one.
SHARED = ("train", "ensemble", "evaluate")

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
app.command()(scoring.score)
app.command()(listing.results)
app.command()(reporting.report)
app.command()(serving.serve)


@app.callback()
def _one_process_or_shared(context: typer.Context) -> None:
    command = context.invoked_subcommand
    if processes.launched() > 1 and command not in SHARED:
        refusal = FerBenchError(
            f"`{command}` is for one process, got {processes.launched()}: start it without "
            f"accelerate launch and torchrun, which are for {', '.join(SHARED)}"
        )
        refusal.shared = True
        raise refusal


def main() -> None:
    """Runs the command line; bad input ends in one sentence on stderr and exit code 2.

    Of several processes (`fer_bench.processes`), the main one speaks.
    """
    try:
        with processes.quiet_unless_main():
            app()
    except FerBenchError as error:
        sys.stderr.write(processes.sentence(error))
        sys.exit(error.exit_code)
    except BrokenPipeError:
        # The reader (`| head`) has gone: keep Python from complaining when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
