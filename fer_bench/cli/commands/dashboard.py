"""`app`: the dashboard by one command; `live`: a window with the webcam."""

from __future__ import annotations

import os
import runpy
import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated

import typer

from fer_bench.cli.commands.serve import TOKEN
from fer_bench.cli.console import err, out, print_json, say_next
from fer_bench.cli.options import DEFAULT_RESULTS, Json, Results

if TYPE_CHECKING:
    from fer_bench.api.sharing import Certificate
    from fer_bench.results.store import ResultsStore

#: Where the pages look for the address to show (`fer_bench/ui/access.py`).
ADDRESS = "FER_BENCH_ADDRESS"


def app(
    port: Annotated[int, typer.Option(min=1, max=65535)] = 8501,
    https: Annotated[
        bool, typer.Option("--https", help="Encrypted, by a certificate made on the spot.")
    ] = False,
    lan: Annotated[
        bool,
        typer.Option("--lan", help="Open to devices in this network that know the token."),
    ] = False,
    token: Annotated[
        str | None,
        typer.Option(help=f"What visitors must know. Default: {TOKEN}; with --lan a random one."),
    ] = None,
    browser: Annotated[bool, typer.Option(help="Open the pages in a browser.")] = True,
    store: Results = DEFAULT_RESULTS,
    as_json: Json = False,
) -> None:
    """Start the dashboard, over the shipped model where there is no results folder.

    Browsers give the camera over https or on the machine itself: a phone needs --lan --https.

    Example: python -m fer_bench app --lan --https
    """
    if find_spec("streamlit") is None:
        raise ModuleNotFoundError("streamlit is not installed", name="streamlit")
    from fer_bench.api.server import listen
    from fer_bench.api.sharing import lan_address, make_certificate, new_token
    from fer_bench.environment import dashboard_folder
    from fer_bench.settings import Settings

    token = token or Settings().token or (new_token() if lan else None)
    here, host = "localhost", lan_address() if lan else "localhost"
    listen("0.0.0.0" if lan else "127.0.0.1", port).close()  # nosec B104  # a taken port shows now
    certificate = None
    if https:
        certificate = make_certificate(tuple(dict.fromkeys([here, "127.0.0.1", "::1", host])))
    scheme = "https" if https else "http"
    query = f"/?token={token}" if token else ""
    local, shared = (f"{scheme}://{name}:{port}{query}" for name in (here, host))
    _set_variables(store, token, shared if lan else None)
    if as_json:
        fingerprint = certificate.fingerprint if certificate else None
        address = {"address": local, "shared": shared if lan else None}
        print_json(address | {"fingerprint": fingerprint, "pid": os.getpid()})
        sys.stdout.flush()
    else:
        _print(local, shared if lan else None, certificate)
    options: dict[str, object] = {
        "server.address": "0.0.0.0" if lan else "localhost",  # nosec B104  # asked for
        "server.port": port,
        "browser.serverAddress": host,  # an origin that may connect
        # Streamlit would open an address without the token.
        "server.headless": str(not browser or token is not None).lower(),
    }
    if certificate:
        options |= {"server.sslCertFile": certificate.certificate}
        options |= {"server.sslKeyFile": certificate.key}
    flags = [f"--{name}={value}" for name, value in options.items()]
    sys.argv = ["streamlit", "run", str(dashboard_folder() / "app.py"), *flags]
    runpy.run_module("streamlit", run_name="__main__")


def _set_variables(store: ResultsStore, token: str | None, shared: str | None) -> None:
    """What the pages read from the environment."""
    os.environ["FER_BENCH_RESULTS"] = store.or_shipped().address
    for name, value in {TOKEN: token, ADDRESS: shared}.items():
        os.environ.pop(name, None)
        if value:
            os.environ[name] = value


def _print(local: str, shared: str | None, certificate: Certificate | None) -> None:
    out.print(f"dashboard      {local}", markup=False)
    if certificate:
        out.print(
            "certificate    made here, so browsers warn once; its SHA-256 is\n"
            f"               {certificate.fingerprint}",
            markup=False,
        )
    if shared is None:
        return
    import segno

    out.print(f"other devices  {shared}", markup=False)
    if certificate is None:
        out.print("               without --https, they cannot use their cameras", markup=False)
    segno.make(shared).terminal(sys.stdout, compact=True)
    sys.stdout.flush()


def live(
    run: Annotated[
        str, typer.Argument(help="A run's name, its folder, hub:ORG/NAME, or `default`.")
    ] = "default",
    camera: Annotated[int, typer.Option(min=0, help="The camera's number.")] = 0,
    detector: Annotated[str, typer.Option(help="haar, yunet or mediapipe.")] = "haar",
    mirror: Annotated[bool, typer.Option(help="As in a mirror.")] = True,
    store: Results = DEFAULT_RESULTS,
) -> None:
    """Open a window with the webcam, every face boxed, followed and named; Q or Esc ends it.

    Example: python -m fer_bench live --camera 0
    """
    from fer_bench.inference.live.window import open_window, watch
    from fer_bench.inference.load import load

    store = store.or_shipped()
    with open_window(camera) as window:
        err.print("loading the model", markup=False)
        watch(window, load(store.find(run), detector=detector), mirror=mirror)
    say_next("app", store)
