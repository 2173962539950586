"""A visitor with a camera: a clip of a face in Chromium, and models that always give one answer."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from browser_fixtures import Visit, require_chromium
from numpy.typing import NDArray
from playwright.sync_api import Browser
from record_fixtures import make_record
from torch import nn

from benchmarks.camera import camera_arguments, write_clip
from benchmarks.dashboard import Server, chromium, running
from benchmarks.live_visitor import PATIENCE_MS, LiveVisitor
from benchmarks.loopback import THREADS, isolated
from fer_bench.emotions import COLOURS, FER2013
from fer_bench.models.base import ModelRequest
from fer_bench.models.catalogue import build_model
from fer_bench.models.weights import model_files
from fer_bench.results.store import ResultsStore

#: What each of the two saved runs says of every face.
HAPPY, SAD = "keras_cnn-full-finetune-5-s0", "keras_cnn-full-finetune-5-s1"
ANSWERS = {HAPPY: "happy", SAD: "sad"}
#: Lets a test reach the camera's stream, as `window.camera`.
KEEP_CAMERA = """if (navigator.mediaDevices) {
    const ask = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
    navigator.mediaDevices.getUserMedia = async (wanted) => (window.camera = await ask(wanted));
}"""
#: The name of a live session's worker among the server's threads.
WORKER = "live"
#: A pixel is of an emotion's colour where every channel is this near; compression blurs them.
NEAR = 24


def save_sure_models(root: Path) -> None:
    """Two finished runs whose networks are certain of `ANSWERS`."""
    store = ResultsStore(root)
    for seed, (run, emotion) in enumerate(ANSWERS.items()):
        record = make_record(model="keras_cnn", seed=seed, accuracy=0.7 - 0.1 * seed)
        assert record.name == run
        model = build_model(ModelRequest(name="keras_cnn", emotions=FER2013))
        assert isinstance(model.head, nn.Linear)
        with torch.no_grad():
            model.head.weight.zero_()
            model.head.bias.zero_()
            model.head.bias[FER2013.index(emotion)] = 6.0  # 98.5 %
        store.save(record, network=model_files(model))


def of_colour(picture: NDArray[np.uint8], emotion: str) -> int:
    """Pixels of a picture, RGB `(H, W, 3)`, that have the emotion's colour, above the suit."""
    wanted = np.array([int(COLOURS[emotion][i : i + 2], 16) for i in (1, 3, 5)])
    upper = picture[: len(picture) // 2].astype(int)
    return int((np.abs(upper - wanted).max(axis=2) <= NEAR).sum())


@dataclass(frozen=True, kw_only=True)
class Watched(LiveVisitor):
    """A visitor who can look into the server."""

    visit: Visit
    server: Server

    def wait_for_colour(self, emotion: str, pixels: int) -> None:
        """Waits for a frame with so many pixels of an emotion's colour."""
        end = time.monotonic() + PATIENCE_MS / 1000
        while (n := of_colour(self.picture(), emotion)) < pixels:
            self.server.require_alive()
            assert time.monotonic() < end, f"only {n} pixels of {emotion}"
            self.page.wait_for_timeout(200)

    def wait_for_analyses(self, n: int) -> None:
        """Waits until the page says that `n` frames or more were analysed."""
        end = time.monotonic() + PATIENCE_MS / 1000
        while (found := self.counted()[1]) < n:
            self.server.require_alive()
            assert time.monotonic() < end, f"{found} analyses instead of {n}"
            self.page.wait_for_timeout(200)

    def workers(self) -> int:
        """Workers of live sessions that the server runs, by the names of its threads.

        Raises:
            RuntimeError: the server has ended; says how.
        """
        before = len(self.answers())
        self.server.require_alive()
        os.kill(self.server.pid, signal.SIGUSR1)
        end = time.monotonic() + PATIENCE_MS / 1000
        while len(answers := self.answers()) == before:
            self.server.require_alive()
            assert time.monotonic() < end, "the server does not say which threads it has"
            time.sleep(0.05)
        return answers[-1].split(", ").count(WORKER)

    def answers(self) -> list[str]:
        """What the server said so far of its threads; each a line that is complete."""
        lines = self.server.output().split("\n")[:-1]
        return [line.removeprefix(THREADS) for line in lines if line.startswith(THREADS)]

    def wait_for_workers(self, n: int) -> None:
        end = time.monotonic() + PATIENCE_MS / 1000
        while (found := self.workers()) != n:
            assert time.monotonic() < end, f"{found} workers instead of {n}"
            time.sleep(0.3)


@pytest.fixture(scope="module")
def confined() -> Iterator[None]:
    """The module's server and browser have no network but this machine, where we may say so."""
    with isolated():
        yield


@pytest.fixture(scope="module")
def server(
    confined: None, camera_browser: Browser, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """A dashboard whose two models are sure of what they see."""
    folder = tmp_path_factory.mktemp("live")
    save_sure_models(folder / "results")
    environment = {
        "FER_BENCH_RESULTS": str(folder / "results"),
        "FER_BENCH_CONFIG": str(folder / "settings.json"),
        "FER_BENCH_DATA": "",
        "FER_BENCH_ICE_SERVERS": "",
    }
    with running(environment, "benchmarks.loopback") as started:
        yield started


@pytest.fixture(scope="module")
def camera_browser(confined: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Chromium with the clip as its camera; who may use it, the context says."""
    require_chromium()
    clip = tmp_path_factory.mktemp("camera") / "face.mjpeg"
    write_clip(clip)
    with chromium(camera_arguments(clip)) as started:
        yield started
