"""OpenCV's Haar cascade for frontal faces: needs no file of its own and is quick on a CPU.

Viola & Jones, "Rapid Object Detection using a Boosted Cascade of Simple Features", CVPR 2001; the
cascade `alt2` is Lienhart, Kuranov & Pisarevsky's (DAGM 2003). FER2013 was cropped by its kin: its
box on a FER2013 image is 0.95 to 1.0 of the image's side.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import cv2.data
import numpy as np
from numpy.typing import NDArray

from fer_bench.errors import FerBenchError
from fer_bench.inference.detectors.base import (
    Box,
    DetectedFace,
    largest_first,
    refuse_file,
    shrunk,
    without_overlaps,
)

CASCADE = "haarcascade_frontalface_alt2.xml"
#: Smallest face that is looked for, pixels of the shrunk image; the small ones take the time.
MIN_FACE = 28
#: From one size of face to the next, and boxes that must agree on a face. On 160 faces of FER2013
#: pasted into 640x480 frames, one thread: 11.6 ms a frame, 99 found, 5 false; with a step of 1.2
#: 18.3 ms, 112 and 16. Of 40 faces in a photograph the coarse step misses 2, the fine one none.
STEP, NEIGHBOURS = 1.25, 2
FINE_STEP, FINE_NEIGHBOURS = 1.15, 3
#: An image with a longer side than this is no camera's frame: it may take five times as long.
FRAME_SIDE = 1280
#: An image with no side longer than this is taken for a crop of a face. The cascade wants to see
#: something around one: with the edges repeated by `BORDER` of the side and the fine step it finds
#: 132 of 200 images of FER2013, without either 25.
CROP_SIDE = 128
BORDER = 0.25


class HaarDetector:
    """Frontal faces by the cascade `alt2` on a shrunk, equalised gray image; gives no scores.

    Quick on frames of a camera; thorough on photographs and on crops of faces.
    """

    name = "haar"

    def __init__(self, model_file: Path | None = None) -> None:
        refuse_file(self.name, model_file)
        if not hasattr(cv2, "CascadeClassifier"):
            raise FerBenchError(
                f"OpenCV {cv2.__version__} has no cascade classifier: install "
                "'opencv-python-headless>=4.12,<5', or use the detector 'yunet'"
            )
        file = Path(cv2.data.haarcascades) / CASCADE
        self._cascade = cv2.CascadeClassifier()
        # OpenCV itself would complain on stderr about a missing file.
        if not file.is_file() or not self._cascade.load(str(file)):
            raise FerBenchError(
                f"expected OpenCV's cascade at {file}, found none that can be read: reinstall "
                "'opencv-python-headless>=4.12,<5', or use the detector 'yunet'"
            )

    def detect(self, image: NDArray[np.uint8]) -> list[DetectedFace]:
        """The faces of an image, uint8 `(H, W)` gray or `(H, W, 3)` RGB, largest first.

        Their boxes do not overlap by much.
        """
        small, factor = shrunk(image)
        gray = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY) if small.ndim == 3 else small
        is_crop = max(gray.shape) <= CROP_SIDE
        is_photo = max(image.shape[:2]) > FRAME_SIDE
        border = round(max(gray.shape) * BORDER) if is_crop else 0
        if border:
            edges = (border,) * 4
            gray = cv2.copyMakeBorder(gray, *edges, borderType=cv2.BORDER_REPLICATE)
        found, agreeing = self._cascade.detectMultiScale2(
            cv2.equalizeHist(gray),
            scaleFactor=FINE_STEP if is_crop or is_photo else STEP,
            minNeighbors=FINE_NEIGHBOURS if is_photo else NEIGHBOURS,
            minSize=(MIN_FACE, MIN_FACE),
        )
        best_first = sorted(zip(found, agreeing, strict=True), key=lambda pair: -pair[1])
        boxes: list[Box] = [
            (int(x) - border, int(y) - border, int(w), int(h)) for (x, y, w, h), _ in best_first
        ]
        faces = [DetectedFace(box=box).scaled(1 / factor) for box in boxes]
        return largest_first(without_overlaps(faces))
