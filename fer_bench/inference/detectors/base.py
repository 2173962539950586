"""What a face detector is, and the detectors by name."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_bench.errors import FerBenchError
from fer_bench.registry import Entry, Registry

#: left, top, width, height in pixels of the image.
Box = tuple[int, int, int, int]
#: What tables call a box's parts.
BOX_COLUMNS = ("x", "y", "width", "height")
Point = tuple[float, float]

DETECTORS = Registry(
    "face detector",
    {
        "haar": Entry(
            "fer_bench.inference.detectors.haar:HaarDetector",
            "OpenCV's Haar cascade alt2; comes with OpenCV, frontal faces",
        ),
        "yunet": Entry(
            "fer_bench.inference.detectors.yunet:YuNetDetector",
            "OpenCV's YuNet network; better on turned faces, aligns by the eyes; "
            "`python -m fer_bench fetch yunet` gets its file",
        ),
        "mediapipe": Entry(
            "fer_bench.inference.detectors.mediapipe:MediaPipeDetector",
            "MediaPipe's BlazeFace, aligns by the eyes; `pip install 'fer-bench[mediapipe]'` gets "
            "the package, `python -m fer_bench fetch mediapipe` its file",
        ),
        "whole": Entry(
            "fer_bench.inference.detectors.base:WholeImage",
            "no detection: the image is a face already, such as FER2013's",
        ),
    },
)
DEFAULT_DETECTOR = "haar"
#: Longer side, pixels, that detectors shrink an image to: half its own, within these bounds.
SHORTEST_SHRUNK, LONGEST_SHRUNK = 320, 640
#: Share of the smaller of two boxes that may lie within the other.
MAX_OVERLAP = 0.3


@dataclass(frozen=True, kw_only=True)
class DetectedFace:
    """One face in an image.

    Attributes:
        box: a square about the face from forehead to chin, as Haar cascades and FER2013 frame it;
            it may reach beyond the image.
        score: the detector's confidence in [0, 1]; None where it gives none.
        eyes: centres of the person's right eye (on the image's left unless upside down) and left
            eye, pixels; None where the detector has no landmarks.
        turn: degrees, clockwise, that the head is turned by; crops are turned back. Of the eyes
            where they are known.
        certainty: in a still's search; below 1 a turned head may be likelier than this one.
        is_whole: the image itself is the crop: neither margin nor alignment apply.
    """

    box: Box
    score: float | None = None
    eyes: tuple[Point, Point] | None = None
    turn: float = 0.0
    certainty: float = field(default=1.0, compare=False, repr=False)
    is_whole: bool = False

    def scaled(self, factor: float) -> DetectedFace:
        """The same face in an image `factor` times as large."""
        left, top, width, height = (round(v * factor) for v in self.box)
        eyes = None
        if self.eyes is not None:
            (x1, y1), (x2, y2) = self.eyes
            eyes = (x1 * factor, y1 * factor), (x2 * factor, y2 * factor)
        return replace(self, box=(left, top, width, height), eyes=eyes)

    def moved(self, matrix: NDArray[np.float64], turn: float) -> DetectedFace:
        """The same face in an image turned by a `(2, 3)` matrix, which turns heads by `turn`."""

        def point(x: float, y: float) -> Point:
            moved = matrix @ (x, y, 1)
            return float(moved[0]), float(moved[1])

        left, top, width, height = self.box
        x, y = point(left + width / 2, top + height / 2)
        eyes = None if self.eyes is None else (point(*self.eyes[0]), point(*self.eyes[1]))
        box = round(x - width / 2), round(y - height / 2), width, height
        return replace(self, box=box, eyes=eyes, turn=turn)


class FaceDetector(Protocol):
    """Finds faces in images, uint8 `(H, W)` gray or `(H, W, 3)` RGB.

    For one thread, as OpenCV's are, unless it comes from `make_detector`.
    """

    name: str

    def detect(self, image: NDArray[np.uint8]) -> list[DetectedFace]:
        """The faces of a still, largest first: small ones too and, where none is surely upright,
        turned ones.
        """
        ...

    def detect_frame(self, image: NDArray[np.uint8]) -> list[DetectedFace]:
        """The faces of a video's frame, by one quick look; largest first."""
        ...


class WholeImage:
    """Takes every image as one face."""

    name = "whole"

    def __init__(self, model_file: Path | None = None) -> None:
        refuse_file(self.name, model_file)

    def detect(self, image: NDArray[np.uint8]) -> list[DetectedFace]:
        """The one face that is the whole image."""
        height, width = image.shape[:2]
        return [DetectedFace(box=(0, 0, width, height), is_whole=True)]

    detect_frame = detect


class DetectorPerThread(threading.local):
    """Gives every thread that asks a detector of its own: OpenCV's are not thread-safe."""

    def __init__(self, make: Callable[[], FaceDetector]) -> None:
        """Python calls it in each thread at its first use."""
        self._own = make()
        self.name = self._own.name

    def detect(self, image: NDArray[np.uint8]) -> list[DetectedFace]:
        """See `FaceDetector`."""
        return self._own.detect(image)

    def detect_frame(self, image: NDArray[np.uint8]) -> list[DetectedFace]:
        """See `FaceDetector`."""
        return self._own.detect_frame(image)


def make_detector(name: str = DEFAULT_DETECTOR, model_file: Path | None = None) -> FaceDetector:
    """A new detector by name, for any number of threads.

    Args:
        model_file: where a detector's network lies (`yunet`, `mediapipe`); None looks where it is
            kept.

    Raises:
        FerBenchError: unknown name (near ones suggested), or a file that is missing or wrong.
    """
    return DetectorPerThread(partial(DETECTORS.load(name), model_file=model_file))


def refuse_file(name: str, model_file: Path | None) -> None:
    """For detectors that take no file.

    Raises:
        FerBenchError: one was given.
    """
    if model_file is not None:
        raise FerBenchError(f"the detector {name!r} takes no model file: leave {model_file} out")


def largest_first(faces: Sequence[DetectedFace]) -> list[DetectedFace]:
    """By area; of equal ones the leftmost first."""
    return sorted(faces, key=lambda face: (-face.box[2] * face.box[3], face.box[:2]))


def shrunk(image: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], float]:
    """The image at the size at which frames are analysed, and that size's share of its own.

    Half resolution costs a quarter of the time and still shows any face worth classifying; small
    images stay as they are, and 8K frames take no longer than 1280x960.
    """
    longer = max(image.shape[:2])
    return shrunk_to(image, min(max(longer / 2, SHORTEST_SHRUNK), LONGEST_SHRUNK))


def shrunk_to(image: NDArray[np.uint8], side: float) -> tuple[NDArray[np.uint8], float]:
    """The image with a longer side of at most `side` pixels, and that size's share of its own."""
    height, width = image.shape[:2]
    factor = side / max(height, width)
    if factor >= 1:
        return image, 1.0
    size = max(round(width * factor), 1), max(round(height * factor), 1)
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8), factor


def without_overlaps(faces: Sequence[DetectedFace]) -> list[DetectedFace]:
    """The faces, best first, without those that overlap a better one by more than `MAX_OVERLAP`."""
    apart: list[DetectedFace] = []
    for face in faces:
        if all(_overlap(face.box, other.box) <= MAX_OVERLAP for other in apart):
            apart.append(face)
    return apart


def _overlap(one: Box, other: Box) -> float:
    """The area that two boxes share, as a share of the smaller one's."""
    width = min(one[0] + one[2], other[0] + other[2]) - max(one[0], other[0])
    height = min(one[1] + one[3], other[1] + other[3]) - max(one[1], other[1])
    smaller = min(one[2] * one[3], other[2] * other[3])
    return max(width, 0) * max(height, 0) / max(smaller, 1)
