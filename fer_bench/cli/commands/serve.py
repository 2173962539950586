"""`serve`: a run's model behind an address."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from fer_bench.backends.registry import BACKENDS
from fer_bench.cli.console import err, print_json
from fer_bench.cli.options import DEFAULT_RESULTS, Json, Results

#: Where the token is looked for when it is not given: a command line is seen by every user.
TOKEN = "FER_BENCH_TOKEN"  # nosec B105  # a variable's name


def serve(
    run: Annotated[
        str, typer.Option(help="The default model: a run's name, its folder, or `default`.")
    ] = "default",
    host: Annotated[
        str, typer.Option(help="Address to listen at; 0.0.0.0 lets other machines in.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8010,
    token: Annotated[
        str | None, typer.Option(help=f"Bearer token to ask for. Default: the variable {TOKEN}.")
    ] = None,
    cors: Annotated[
        list[str] | None,
        typer.Option(help="Origin whose pages may call the server; may be given several times."),
    ] = None,
    max_queue: Annotated[
        int, typer.Option(min=1, help="Requests at work or waiting; one more is refused.")
    ] = 64,
    max_mb: Annotated[float, typer.Option(min=0.001, help="Size of a request, megabytes.")] = 16,
    time_limit: Annotated[float, typer.Option(min=0.1, help="Seconds for a request.")] = 30,
    detector: Annotated[str, typer.Option(help="haar, yunet, mediapipe or whole.")] = "haar",
    detector_file: Annotated[
        Path | None, typer.Option(help="The network of yunet or mediapipe.")
    ] = None,
    backend: Annotated[
        str, typer.Option(help=f"{', '.join(BACKENDS)}; `auto` measures which is the fastest.")
    ] = "auto",
    store: Results = DEFAULT_RESULTS,
    as_json: Json = False,
) -> None:
    """Serve a model over HTTP: an upload form, a REST API, metrics.

    Pictures are neither stored nor logged. Ctrl-C or SIGTERM ends it when the requests at work are
    answered.

    Example: python -m fer_bench serve --port 8010, then
    curl -F files=@photo.jpg http://127.0.0.1:8010/v1/predict
    """
    from fer_bench.environment import share_cores

    share_cores()
    from fer_bench.api.app import create_app
    from fer_bench.api.server import LOOPBACK, address_of, listen, serve_until_stopped
    from fer_bench.api.settings import ServeSettings
    from fer_bench.settings import Settings

    settings = ServeSettings(
        store=store,
        run=run,
        detector=detector,
        detector_file=detector_file,
        backend=backend,
        token=token if token is not None else Settings().token,
        cors=tuple(cors or ()),
        max_queue=max_queue,
        max_bytes=round(max_mb * 1e6),
        time_limit=time_limit,
    )
    with listen(host, port) as listener:
        app = create_app(settings)
        address = address_of(listener)
        if host not in LOOPBACK and settings.token is None:
            err.print(
                f"warning: whoever reaches {address} may use the server: give --token or {TOKEN}",
                markup=False,
            )
        if as_json:
            print_json({"address": address, "run": run, "pid": os.getpid()})
            sys.stdout.flush()
        err.print(f"serving at {address}; Ctrl-C ends it", markup=False)
        serve_until_stopped(app, listener)
