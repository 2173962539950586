"""Encoded pictures to faces ready for the network, and heat maps back, in a few threads."""

from __future__ import annotations

import asyncio
import base64
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from io import BytesIO
from typing import TypeVar, TypeVarTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from fer_bench.api.schemas import MOST_EXPLAINED
from fer_bench.api.settings import ServeSettings
from fer_bench.api.uploads import Picture
from fer_bench.errors import FerBenchError
from fer_bench.inference.classifier import FaceClassifier
from fer_bench.inference.detectors.base import DetectedFace, make_detector, shrunk_to
from fer_bench.inference.images import decode_image
from fer_bench.inference.predictor import Predictor
from fer_bench.studies.explain.heat_map import explain, overlay_heat

#: The detector for pictures that are faces already.
WHOLE = "whole"
MOST_THREADS = 8
#: Longest side of a heat map, pixels.
HEAT_SIDE = 192

Done = TypeVar("Done")
Given = TypeVarTuple("Given")


@dataclass(frozen=True, kw_only=True)
class Detections:
    """A picture's faces, largest first, before they have names; or why it could not be read.

    Attributes:
        prepared: as `FaceClassifier.prepare` gives it; None where there is no face.
        image: uint8 `(H, W, 3)` RGB, only where it was asked for.
        crops: uint8 `(H, W, 3)` RGB of the first faces, only where they are to be explained.
    """

    error: FerBenchError | None = None
    image: NDArray[np.uint8] | None = None
    faces: Sequence[DetectedFace] = ()
    crops: Sequence[NDArray[np.uint8]] = ()
    prepared: Tensor | None = None


class DetectorPool:
    """Detectors, and a few threads that they work in.

    Attributes:
        detectors: by name; the configured one, and the one for pictures that are faces already.
        n_detecting: pictures in detection or waiting for it.

    Raises:
        FerBenchError: the detector is unknown or cannot be used here.
    """

    def __init__(self, settings: ServeSettings) -> None:
        own = make_detector(settings.detector, settings.detector_file)
        self.detectors = {WHOLE: make_detector(WHOLE), settings.detector: own}
        self._pool = ThreadPoolExecutor(min(os.cpu_count() or 1, MOST_THREADS), "detection")
        self.n_detecting = 0

    async def detect(
        self, picture: Picture, predictor: Predictor, explain: bool, keep_image: bool
    ) -> Detections:
        """The faces in a picture; with `keep_image`, it will be drawn on."""
        self.n_detecting += 1
        try:
            return await self.run_in_thread(_detect, picture, predictor, explain, keep_image)
        finally:
            self.n_detecting -= 1

    async def run_in_thread(self, work: Callable[[*Given], Done], *given: *Given) -> Done:
        """The result of other work that would hold up the event loop."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, work, *given)

    def close(self) -> None:
        """Takes no more work; what waits is dropped."""
        self._pool.shutdown(wait=False, cancel_futures=True)


def _detect(picture: Picture, predictor: Predictor, explain: bool, keep_image: bool) -> Detections:
    try:
        image = decode_image(picture.data, picture.name or "the file")
    except FerBenchError as error:
        return Detections(error=error)
    faces = predictor.detect(image)
    crops = predictor.classifier.crops(image, faces)
    return Detections(
        image=image if keep_image else None,
        faces=faces,
        # Copied and prepared here: crops are views of the image, which would wait in memory.
        crops=[shrunk_to(crop, HEAT_SIDE)[0].copy() for crop in crops[:MOST_EXPLAINED] if explain],
        prepared=predictor.classifier.prepare(crops) if crops else None,
    )


def heat_map(classifier: FaceClassifier, crop: NDArray[np.uint8], emotion: str) -> str:
    """A face under what speaks for an emotion in it: PNG, base64.

    Raises:
        FerBenchError: a network that cannot be explained.
    """
    buffer = BytesIO()
    Image.fromarray(overlay_heat(crop, explain(classifier, crop, emotion))).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()
