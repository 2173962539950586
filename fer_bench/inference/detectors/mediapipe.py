"""MediaPipe's face detector, BlazeFace for short ranges, as many webcam projects use it.

Bazarevsky et al., "BlazeFace: Sub-millisecond Neural Face Detection on Mobile GPUs", CVPR workshop
on AR and VR, 2019 (https://arxiv.org/abs/1907.05047). The package `mediapipe` is an extra, and its
network (Apache 2.0) is fetched only when asked for.
"""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_bench.errors import FerBenchError
from fer_bench.inference.detectors.base import DetectedFace
from fer_bench.inference.detectors.network_file import MEDIAPIPE
from fer_bench.inference.detectors.search import Effort, search_frame, search_still

INSTALL = "pip install 'fer-bench[mediapipe]'"
#: The square of Haar's frame in widths of BlazeFace's box, which ends at the brows, and how far its
#: centre lies above: medians of 59 faces of FER2013 that both find.
SIDE, RISE = 1.13, 0.1
#: The network looks at 128 pixels, whatever the image's: of a large still it gets overlapping tiles
#: of this side, `TILE_STEP` pixels apart.
TILE, TILE_STEP = 224, 140


class MediaPipeDetector:
    """Faces, their scores and eyes by MediaPipe's detector on a shrunk image."""

    name = "mediapipe"

    def __init__(self, model_file: Path | None = None) -> None:
        self._package = _package()
        network = MEDIAPIPE.read(model_file)
        tasks = self._package.tasks
        options = tasks.vision.FaceDetectorOptions(
            base_options=tasks.BaseOptions(model_asset_buffer=network)
        )
        try:
            self._network = tasks.vision.FaceDetector.create_from_options(options)
        except (RuntimeError, ValueError) as error:
            raise FerBenchError(
                f"expected MediaPipe's network in {model_file or MEDIAPIPE.path}, got a file that "
                f"MediaPipe {self._package.__version__} cannot run: fetch {MEDIAPIPE.file_name} "
                f"from {MEDIAPIPE.url}"
            ) from error
        # Its own `__del__` fails with a traceback when Python ends: only `_close` forgets it.
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._network))
        weakref.finalize(self, _close, self._network).atexit = False

    def detect(self, image: NDArray[np.uint8]) -> list[DetectedFace]:
        """See `FaceDetector`."""
        return search_still(self, image)

    def detect_frame(self, image: NDArray[np.uint8]) -> list[DetectedFace]:
        """See `FaceDetector`."""
        return search_frame(self, image)

    def look(self, image: NDArray[np.uint8], effort: Effort) -> list[DetectedFace]:
        """See `Looks`; a fine look goes over tiles."""
        if image.ndim == 2:
            image = np.asarray(cv2.cvtColor(image, cv2.COLOR_GRAY2RGB), np.uint8)
        faces = []
        for left, top in _corners(image) if effort is Effort.FINE else [(0, 0)]:
            side = TILE if effort is Effort.FINE else max(image.shape)
            tile = np.ascontiguousarray(image[top : top + side, left : left + side])
            shown = self._package.Image(image_format=self._package.ImageFormat.SRGB, data=tile)
            size = (tile.shape[1], tile.shape[0])
            for detection in self._network.detect(shown).detections:
                faces.append(_face(detection, (left, top), size))
        return sorted(faces, key=lambda face: -(face.score or 0))


def _close(network: Any) -> None:
    network.close()
    ctypes.pythonapi.Py_DecRef(ctypes.py_object(network))


def _package() -> Any:
    """MediaPipe.

    Raises:
        FerBenchError: it is not installed, or lacks a system library.
    """
    try:
        import mediapipe
        import mediapipe.tasks.python.vision
    except ModuleNotFoundError as error:
        if error.name != "mediapipe":
            raise FerBenchError(_broken(error)) from error
        raise FerBenchError(
            f"the detector 'mediapipe' needs the package mediapipe: `{INSTALL}`, or use the "
            "detector 'haar' or 'yunet'"
        ) from error
    except (ImportError, OSError) as error:
        raise FerBenchError(_broken(error)) from error
    return mediapipe


def _broken(error: Exception) -> str:
    return (
        f"the package mediapipe cannot be loaded: {error}; install it again with `{INSTALL}`, or "
        "use the detector 'haar' or 'yunet'"
    )


def _corners(image: NDArray[np.uint8]) -> Iterator[tuple[int, int]]:
    """Left upper corners of tiles that cover the image, those at its edges within it."""
    height, width = image.shape[:2]

    def starts(length: int) -> list[int]:
        last = max(length - TILE, 0)
        return [*range(0, last, TILE_STEP), last]

    return product(starts(width), starts(height))


def _face(detection: Any, corner: tuple[int, int], size: tuple[int, int]) -> DetectedFace:
    """From MediaPipe's detection: a box in pixels, key points as shares of the tile's size."""
    box = detection.bounding_box
    x, y = corner[0] + box.origin_x + box.width / 2, corner[1] + box.origin_y + box.height / 2
    side = max(box.width, 1) * SIDE
    y -= box.width * RISE
    right_eye, left_eye = (
        (corner[0] + point.x * size[0], corner[1] + point.y * size[1])
        for point in detection.keypoints[:2]
    )
    return DetectedFace(
        box=(round(x - side / 2), round(y - side / 2), round(side), round(side)),
        score=min(max(float(detection.categories[0].score), 0.0), 1.0),
        eyes=(right_eye, left_eye),
    )
