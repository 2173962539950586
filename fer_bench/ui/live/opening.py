"""Models opened behind the live page, so that nobody waits for them to press Start."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from fer_bench.backends.registry import AUTO
from fer_bench.errors import FerBenchError
from fer_bench.inference.detectors.base import make_detector
from fer_bench.inference.live.log import ErrorLog
from fer_bench.inference.live.session import LiveSession
from fer_bench.ui.models import opener

if TYPE_CHECKING:  # torch loads only when a network is opened
    from fer_bench.inference.classifier import FaceClassifier

    Openers = list[partial[FaceClassifier]]

#: Open at once: it answers while the fastest back end is still being chosen.
FIRST_BACKEND = "torch-fp32"
#: Seconds that the browser has for the Start button, before torch's import keeps a core to itself.
HEAD_START = 1.5


class ModelOpener:
    """Opens what was chosen last in a thread, and hands it to the session when it is warm.

    Until then, and after a choice that cannot be opened, the session goes on with the one before.
    """

    def __init__(self, session: LiveSession) -> None:
        self._session = session
        self._lock = threading.Lock()
        self._wanted: tuple[object, ...] = ()
        self._detector = ""
        self._stages: list[Openers] = []
        self._thread: threading.Thread | None = None
        self._errors = ErrorLog()

    @property
    def is_busy(self) -> bool:
        """Whether models are being opened."""
        with self._lock:
            return self._thread is not None

    @property
    def problem(self) -> str | None:
        """Why the last choice could not be opened; None where it could."""
        return self._errors.sentence()

    def choose(self, runs: Sequence[str], backend: str, detector: str) -> None:
        """Opens these `dataset/run`, unless they are what was asked for last. Called by a page."""
        openers = [opener(run, backend) for run in runs]
        wanted = (detector, *(one.args for one in openers))  # changed weights are other arguments
        with self._lock:
            if wanted == self._wanted:
                return
            self._wanted, self._detector = wanted, detector
            self._stages = [openers]
            if backend == AUTO and not self._session.stats().models:
                self._stages.insert(0, [opener(run, FIRST_BACKEND) for run in runs])
            if self._thread is None:
                # No daemon: one that native code holds when Python ends takes the process down.
                self._thread = threading.Thread(target=self._work, name="live-open", daemon=False)
                self._thread.start()

    def _work(self) -> None:
        if "torch" not in sys.modules:
            time.sleep(HEAD_START)
        while True:
            with self._lock:
                if not (self._stages and threading.main_thread().is_alive()):
                    self._thread = None
                    return
                wanted, stage, detector = self._wanted, self._stages.pop(0), self._detector
                is_last = not self._stages
            with self._errors.catch("opening the models"):
                finder = make_detector(detector)
                try:
                    classifiers = [open_model() for open_model in stage]
                except FerBenchError:
                    if is_last:
                        raise
                    continue  # an ONNX file, for one, waits for a back end that computes it
                with self._lock:
                    if wanted == self._wanted:  # not chosen anew meanwhile
                        self._session.use(classifiers, finder)
