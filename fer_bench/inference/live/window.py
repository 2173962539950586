"""The webcam in a window of this machine, where OpenCV has windows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_bench.errors import FerBenchError, RunFailed
from fer_bench.inference.live.session import LiveSession, LiveSettings
from fer_bench.inference.predictor import Predictor

TITLE = "FER Bench"
QUIT = (ord("q"), ord("Q"), 27)


class Window(Protocol):
    """A camera, and a place to show its pictures."""

    def read(self) -> NDArray[np.uint8] | None:
        """The next frame, RGB uint8 `(H, W, 3)`; None when the camera has ended."""
        ...

    def show(self, image: NDArray[np.uint8]) -> bool:
        """Shows a frame; whether the user wants more."""
        ...


def watch(window: Window, predictor: Predictor, *, mirror: bool) -> None:
    """Shows every frame with its faces named until the user or the camera ends it.

    Raises:
        RunFailed: the camera ended.
    """
    session = LiveSession()
    session.settings = LiveSettings(mirror=mirror)
    session.use([predictor.classifier], predictor.detector)
    session.start()
    try:
        while True:
            image = window.read()
            if image is None:
                raise RunFailed("the camera sends no more pictures: plug it in and start again")
            if not window.show(session.on_frame(image)):
                return
    finally:
        session.stop()


class _OpenCvWindow:
    def __init__(self, camera: cv2.VideoCapture) -> None:
        self._camera = camera

    def read(self) -> NDArray[np.uint8] | None:
        is_there, frame = self._camera.read()
        return np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB), np.uint8) if is_there else None

    def show(self, image: NDArray[np.uint8]) -> bool:
        cv2.imshow(TITLE, cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
        key = cv2.waitKey(1) & 0xFF
        return key not in QUIT and cv2.getWindowProperty(TITLE, cv2.WND_PROP_VISIBLE) >= 1


@contextmanager
def open_window(number: int) -> Iterator[Window]:
    """A camera by its number and a window for it.

    Raises:
        FerBenchError: this OpenCV has no windows, or there is no such camera.
    """
    try:
        cv2.namedWindow(TITLE, cv2.WINDOW_NORMAL)
    except cv2.error:
        raise FerBenchError(
            f"OpenCV {cv2.__version__} opens no window here (opencv-python-headless has none, and "
            "a server no display): use `python -m fer_bench app` and its page Live, or install "
            "opencv-python in its place"
        ) from None
    camera = cv2.VideoCapture(number)
    try:
        if not camera.isOpened():
            raise FerBenchError(
                f"there is no camera {number}, or another program uses it: choose another with "
                "--camera"
            )
        yield _OpenCvWindow(camera)
    finally:
        camera.release()
        cv2.destroyAllWindows()
