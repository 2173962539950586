"""YuNet, OpenCV's small face network: finds turned faces too and gives five landmarks.

Wu, Peng & Yu, "YuNet: A Tiny Millisecond-level Face Detector", Machine Intelligence Research 20,
2023 (https://doi.org/10.1007/s11633-023-1423-y). Its file (MIT licence) comes from the OpenCV zoo
and is fetched only when asked for.
"""

from __future__ import annotations

import hashlib
import http.client
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_bench.errors import FerBenchError
from fer_bench.inference.detectors.base import DetectedFace
from fer_bench.inference.detectors.search import Effort, search_frame, search_still
from fer_bench.storage import cache_dir, write_atomically
from fer_bench.types import Progress, silent

FILE_NAME = "face_detection_yunet_2023mar.onnx"
URL = (
    "https://media.githubusercontent.com/media/opencv/opencv_zoo/"
    f"f12e12798e8314f7c074a6656816c048dcc95b7a/models/face_detection_yunet/{FILE_NAME}"
)
SHA256 = "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4"
SIZE = 232_589
FETCH = "python -m fer_bench fetch yunet"
#: Lowest confidence of a face. The demo asks for 0.9, which loses turned and covered faces.
MIN_SCORE = 0.7
#: Overlap, intersection over union, above which the network's boxes are one face.
NMS_THRESHOLD = 0.3
TIMEOUT_SECONDS = 30
CHUNK = 1 << 14


class YuNetDetector:
    """Faces, their scores and eyes by YuNet on a shrunk image."""

    name = "yunet"

    def __init__(self, model_file: Path | None = None) -> None:
        network = _pinned_network() if model_file is None else _given_network(model_file)
        try:
            # From memory: OpenCV cannot open paths with letters beyond ASCII on every system.
            self._network = cv2.FaceDetectorYN.create(
                "onnx", np.frombuffer(network, np.uint8), np.empty(0, np.uint8), (64, 64),
                MIN_SCORE, NMS_THRESHOLD,
            )  # fmt: skip
            self._network.detect(np.zeros((64, 64, 3), np.uint8))
        except cv2.error as error:
            raise FerBenchError(
                f"expected YuNet's network in {model_file or yunet_file()}, got a file that OpenCV "
                f"{cv2.__version__} cannot run: fetch {FILE_NAME} from {URL}"
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


def yunet_file() -> Path:
    """Where `fetch_yunet` keeps the network, which may not be there yet."""
    return cache_dir() / "models" / FILE_NAME


def fetch_yunet(progress: Progress = silent) -> Path:
    """Downloads the network (230 KB) unless it is here; checked before it gets its name.

    Raises:
        FerBenchError: no connection, another file than the pinned one, or a place that cannot be
            written.
    """
    target = yunet_file()
    if target.is_file() and _digest(target.read_bytes()) == SHA256:
        return target
    network = _download(progress)
    if _digest(network) != SHA256:
        raise FerBenchError(
            f"{URL} sent another file than expected ({len(network):,} bytes with SHA-256 "
            f"{_digest(network)[:12]}…, not {SIZE:,} with {SHA256[:12]}…): try again, or give the "
            "path of a copy that you trust"
        )
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        write_atomically({target: network})
    except OSError as error:
        raise FerBenchError(
            f"cannot keep YuNet's network at {target}: {error.strerror or error}; set "
            "FER_BENCH_CACHE to a folder that can be written"
        ) from error
    return target


def _download(progress: Progress) -> bytes:
    """What the URL sends, no more than a little above the expected size."""
    got = b""
    try:
        # A constant https address, and what comes is compared with its SHA-256.
        with urllib.request.urlopen(URL, timeout=TIMEOUT_SECONDS) as reply:  # nosec B310
            for chunk in _chunks(reply):
                got += chunk
                progress("fetching YuNet", min(len(got), SIZE), SIZE, {})
    except (OSError, http.client.HTTPException) as error:
        reason = " ".join(str(getattr(error, "reason", "") or error).split())
        raise FerBenchError(
            f"YuNet's network could not be fetched from {URL}: {reason or type(error).__name__}; "
            f"check the connection, or copy the file to {yunet_file()}"
        ) from error
    if len(got) < SIZE:
        raise FerBenchError(
            f"the connection to {URL} ended after {len(got):,} of {SIZE:,} bytes: try again"
        )
    return got


def _chunks(reply: http.client.HTTPResponse) -> Iterator[bytes]:
    left = SIZE + 1  # one more shows that the file is too long
    while left and (chunk := reply.read(min(CHUNK, left))):
        left -= len(chunk)
        yield chunk


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _pinned_network() -> bytes:
    """The fetched network."""
    file = yunet_file()
    if not file.is_file():
        raise FerBenchError(
            f"the detector 'yunet' needs its network, expected at {file}: fetch it (230 KB) with "
            f"`{FETCH}`, give the path of a copy, or use the detector 'haar'"
        )
    network = _given_network(file)
    if _digest(network) != SHA256:
        raise FerBenchError(
            f"{file} is not the network that was fetched (SHA-256 {_digest(network)[:12]}…, not "
            f"{SHA256[:12]}…): fetch it again with `{FETCH}`"
        )
    return network


def _given_network(file: Path) -> bytes:
    """A file's bytes, whatever they hold."""
    try:
        return file.read_bytes()
    except OSError as error:
        raise FerBenchError(
            f"YuNet's network {file} cannot be read: {error.strerror or error}; give the path of "
            f"{FILE_NAME}"
        ) from error
