"""All commands together, and the one place where errors become a sentence and an exit code."""

from __future__ import annotations

import atexit
import errno
import gc
import json
import os
import sys
import warnings
from typing import NoReturn

import typer

from fer_bench import distributed
from fer_bench.cli.commands import (
    dashboard,
    data,
    export,
    fetch,
    listings,
    predict,
    push,
    report,
    run,
    serve,
    summary,
    train,
)
from fer_bench.cli.commands.evaluation import evaluate, score, verify
from fer_bench.cli.commands.studies import compare, explain, human_line, latency, robustness
from fer_bench.errors import FerBenchError, RunFailed, missing_extra

#: Commands whose work several processes share; the others are for one.
SHARED = ("train", "ensemble", "evaluate")
#: How a full disk, a used-up quota and a limit on file sizes show.
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
#: Names that cannot be, and files or folders that this user may not enter.
REFUSED = (errno.EACCES, errno.EPERM, errno.ENAMETOOLONG, errno.ELOOP)

#: Objects made before Python looks for garbage; its own default is 700.
COLLECT_AFTER = 10_000

app = typer.Typer(
    name="fer_bench",
    help="Train, measure and compare facial emotion recognition models, honestly.",
    epilog="Dashboard: python -m fer_bench app",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode="markdown",
)
app.add_typer(listings.list_app, name="list")
app.add_typer(data.app, name="data")
app.command()(run.run)
app.command()(train.train)
app.command()(train.ensemble)
app.command()(evaluate.evaluate)
app.command()(export.export)
app.command()(push.push)
app.command()(latency.latency)
app.command()(robustness.robustness)
app.command()(robustness.transfer)
app.command()(explain.explain)
app.command()(predict.predict)
app.command()(fetch.fetch)
app.command()(compare.compare)
app.command()(score.score)
app.command()(human_line.human_line)
app.command()(verify.verify)
app.command()(verify.submit)
app.command()(summary.summary)
app.command()(listings.results)
app.command()(report.report)
app.command()(serve.serve)
app.command()(dashboard.app)
app.command()(dashboard.live)


@app.callback()
def _one_process_or_shared(context: typer.Context) -> None:
    command = context.invoked_subcommand
    if distributed.world_size() > 1 and command not in SHARED:
        refusal = FerBenchError(
            f"`{command}` is for one process, got {distributed.world_size()}: start it without "
            f"accelerate launch and torchrun, which are for {', '.join(SHARED)}"
        )
        refusal.shared = True
        raise refusal


def _one_line(
    message: Warning | str, category: type, filename: str, lineno: int, line: str | None = None
) -> str:
    """A warning without the line of code that it comes from."""
    return f"warning: {message}\n"


def main() -> None:
    """Runs the command line; bad input ends in one sentence on stderr and exit code 2.

    Of several processes (`fer_bench.distributed`), the main one speaks.
    """
    # Imports make millions of objects and hardly any garbage.
    gc.set_threshold(COLLECT_AFTER)
    warnings.formatwarning = _one_line
    atexit.register(gc.freeze)  # Python would look through all modules before it gives the prompt
    try:
        with distributed.quiet_unless_main():
            app()
    except FerBenchError as error:
        _end(error)
    except ModuleNotFoundError as missing:
        if (refusal := missing_extra(missing)) is None:
            raise
        _end(refusal)
    except BrokenPipeError:
        # The reader (`| head`) has gone: keep Python from complaining when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        # Any file may be the one that the disk has no room for, a library's scratch file, too.
        if error.errno in REFUSED and error.filename:
            sentence = f"cannot use {error.filename}: {error.strerror}: check its name and rights"
            _end(FerBenchError(sentence, code="missing_file"))
        if error.errno not in FULL:
            raise
        where = f" for {error.filename}" if error.filename else ""
        _end(RunFailed(f"{error.strerror}{where}: free some space and run the command again"))


def _end(error: FerBenchError) -> NoReturn:
    """Ends with the error's sentence on stderr; before it, for scripts, a line with its code."""
    if line := distributed.error_line(error):
        if "--json" in sys.argv:
            sys.stderr.write(json.dumps({"code": error.code, "detail": str(error)}) + "\n")
        sys.stderr.write(line)
    sys.exit(error.exit_code)
