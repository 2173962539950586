"""YuNet, OpenCV's small face network: finds turned faces too and gives five landmarks.

Wu, Peng & Yu, "YuNet: A Tiny Millisecond-level Face Detector", Machine Intelligence Research 20,
2023 (https://doi.org/10.1007/s11633-023-1423-y). Its file (MIT licence) comes from the OpenCV zoo
and is fetched only when asked for.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_bench.errors import FerBenchError
from fer_bench.inference.detectors.base import DetectedFace
from fer_bench.inference.detectors.network_file import YUNET
from fer_bench.inference.detectors.search import Effort, search_frame, search_still

#: Lowest confidence of a face. The demo asks for 0.9, which loses turned and covered faces.
MIN_SCORE = 0.7
#: Overlap, intersection over union, above which the network's boxes are one face.
NMS_THRESHOLD = 0.3


class YuNetDetector:
    """Faces, their scores and eyes by YuNet on a shrunk image."""

    name = "yunet"

    def __init__(self, model_file: Path | None = None) -> None:
        network = YUNET.read(model_file)
        try:
            # From memory: OpenCV cannot open paths with letters beyond ASCII on every system.
            self._network = cv2.FaceDetectorYN.create(
                "onnx", np.frombuffer(network, np.uint8), np.empty(0, np.uint8), (64, 64),
                MIN_SCORE, NMS_THRESHOLD,
            )  # fmt: skip
            self._network.detect(np.zeros((64, 64, 3), np.uint8))
        except cv2.error as error:
            raise FerBenchError(
                f"expected YuNet's network in {model_file or YUNET.path}, got a file that OpenCV "
                f"{cv2.__version__} cannot run: fetch {YUNET.file_name} from {YUNET.url}"
            ) from error

    def detect(self, image: NDArray[np.uint8]) -> list[DetectedFace]:
        """See `FaceDetector`."""
        return search_still(self, image)

    def detect_frame(self, image: NDArray[np.uint8]) -> list[DetectedFace]:
        """See `FaceDetector`."""
        return search_frame(self, image)

    def look(self, image: NDArray[np.uint8], effort: Effort) -> list[DetectedFace]:
        """See `Looks`; the network takes any effort alike."""
        to_bgr = cv2.COLOR_RGB2BGR if image.ndim == 3 else cv2.COLOR_GRAY2BGR
        self._network.setInputSize((image.shape[1], image.shape[0]))
        _, rows = self._network.detect(cv2.cvtColor(image, to_bgr))
        faces = [] if rows is None else [_face(row) for row in rows]
        return sorted(faces, key=lambda face: -(face.score or 0))


def _face(row: NDArray[np.float32]) -> DetectedFace:
    """From YuNet's row: box (x, y, width, height), five points from the right eye on, score.

    Its box is tight, 4:3 tall, as WIDER FACE is labelled. The square of the same area about the
    same centre is Haar's: both put the eyes 0.4 of the side apart and 0.1 above the centre.
    """
    x, y, width, height = (float(v) for v in row[:4])
    side = (max(width, 1) * max(height, 1)) ** 0.5
    left, top = x + (width - side) / 2, y + (height - side) / 2
    right_eye, left_eye = (float(row[4]), float(row[5])), (float(row[6]), float(row[7]))
    return DetectedFace(
        box=(round(left), round(top), round(side), round(side)),
        score=min(max(float(row[14]), 0.0), 1.0),
        eyes=(right_eye, left_eye),
    )
