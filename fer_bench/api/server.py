"""An app at an address until it is stopped."""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
from types import FrameType

import cv2
import uvicorn
from fastapi import FastAPI

from fer_bench.api.service import Service
from fer_bench.errors import FerBenchError, RunFailed

#: Where only this machine gets in.
LOOPBACK = ("127.0.0.1", "::1", "localhost")
BACKLOG = 1024


def listen(host: str, port: int) -> socket.socket:
    """A socket at the address, listening; port 0 takes a free one.

    Raises:
        FerBenchError: the address is taken, or not this machine's.
    """
    try:
        # Named as TCP: only then does asyncio turn Nagle's algorithm off, whose wait for the
        # client's acknowledgement holds each answer up by 40 ms.
        addresses = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP
        )
        family, kind, protocol, _, address = addresses[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
        return listener
    except OSError as error:
        is_unknown = isinstance(error, socket.gaierror)
        reason = error.strerror if is_unknown else os.strerror(error.errno or 0)
        raise FerBenchError(
            f"cannot listen at {host}, port {port}: {reason}; choose another with --port or --host"
        ) from None


def address_of(listener: socket.socket) -> str:
    """`http://127.0.0.1:8010`."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class _Server(uvicorn.Server):
    """Refuses new work from the moment a signal comes, while what is at work finishes."""

    def __init__(self, config: uvicorn.Config, service: Service) -> None:
        super().__init__(config)
        self._service = service

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._service.stopping = True
        super().handle_exit(sig, frame)


def serve_until_stopped(app: FastAPI, listener: socket.socket) -> None:
    """Runs an app of `create_app` until SIGINT or SIGTERM.

    Raises:
        FerBenchError: the default model cannot be opened.
        RunFailed: the server could not start.
    """
    service: Service = app.state.service
    _log_to_stderr()
    # Requests share the cores; a detector that takes all of them for one holds the others up.
    cv2.setNumThreads(1)
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,  # the app writes its own lines, without clients' addresses
        server_header=False,
        timeout_graceful_shutdown=round(service.settings.stop_within),
        lifespan="on",
    )
    server = _Server(config, service)
    failures: list[FerBenchError] = []

    def give_up(error: FerBenchError) -> None:
        failures.append(error)
        server.should_exit = True

    service.on_failure = give_up
    # uvicorn raises the signal again when it has stopped: then it must not end the process.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    server.run(sockets=[listener])
    if failures:
        raise failures[0]
    if not server.started:
        raise RunFailed("the server could not start: the lines above say why")


def _log_to_stderr() -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%Y-%m-%d %H:%M:%S"))
    for name, level in (("fer_bench.api", logging.INFO), ("uvicorn", logging.WARNING)):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(level)
