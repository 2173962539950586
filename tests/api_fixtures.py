"""Apps of `serve` over tiny networks: in this process, and as a real server in a thread."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import uvicorn
from face_fixtures import SAMPLE
from fastapi import FastAPI
from fastapi.testclient import TestClient
from model_fixtures import DEFAULT_RUN, SECOND_RUN, SMALL_RUN, save_models
from PIL import Image
from torch import Tensor

from fer_bench.api import networks
from fer_bench.api.app import create_app
from fer_bench.api.server import address_of, listen
from fer_bench.api.settings import ServeSettings

BACKEND = "torch-fp32"
SENT = SAMPLE.read_bytes()
READY_WITHIN = 60.0


@pytest.fixture(scope="session")
def api_results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A results folder with three tiny networks; the first is the default."""
    root = tmp_path_factory.mktemp("served")
    save_models(root, DEFAULT_RUN, SECOND_RUN, SMALL_RUN)
    return root


def settings_for(results: Path, **changes: Any) -> ServeSettings:
    return replace(ServeSettings(results=results, backend=BACKEND), **changes)


@contextmanager
def opened(results: Path, **changes: Any) -> Iterator[TestClient]:
    """A client of an app whose default model is open."""
    app = create_app(settings_for(results, **changes))
    with TestClient(app, raise_server_exceptions=False) as client:
        wait_until(lambda: client.get("/healthz").status_code == 200)
        yield client


def wait_until(holds: Any) -> None:
    """Returns when `holds()` is true; fails when it takes too long."""
    deadline = time.monotonic() + READY_WITHIN
    while not holds():
        assert time.monotonic() < deadline, "it took too long"
        time.sleep(0.01)


@contextmanager
def served(app: FastAPI) -> Iterator[str]:
    """The app's address, served by uvicorn until the block ends."""
    with listen("127.0.0.1", 0) as listener:
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="on"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        address = address_of(listener)
        thread.start()
        try:
            wait_until(lambda: app.state.service.status == "ready")
            yield address
        finally:
            server.should_exit = True
            thread.join(READY_WITHIN)
            assert not thread.is_alive(), "the server did not end"


def png(colour: int = 127, size: tuple[int, int] = (64, 64)) -> bytes:
    """An even picture without a face."""
    buffer = BytesIO()
    Image.fromarray(np.full((size[1], size[0], 3), colour, np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


@dataclass(frozen=True)
class Gate:
    """Networks that work only while it is open. `entered` is set when one waits before it."""

    open: threading.Event
    entered: threading.Event

    def close(self) -> None:
        self.open.clear()
        self.entered.clear()

    def wait_for_entry(self) -> None:
        assert self.entered.wait(READY_WITHIN), "no network was called"


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    """An open gate before every network that is opened from now on."""
    made = Gate(threading.Event(), threading.Event())
    made.open.set()
    plain = networks.open_classifier

    def open_gated(*given: Any) -> Any:
        classifier = plain(*given)
        backend = classifier.backend

        def forward(faces: Tensor) -> Tensor:
            made.entered.set()
            assert made.open.wait(READY_WITHIN), "the gate stayed closed"
            return backend.forward(faces)

        return replace(classifier, backend=replace(backend, forward=forward))

    monkeypatch.setattr(networks, "open_classifier", open_gated)
    yield made
    made.open.set()
