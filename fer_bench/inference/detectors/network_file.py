"""Detectors' networks that others publish: fetched when asked for, pinned by their SHA-256."""

from __future__ import annotations

import hashlib
import http.client
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fer_bench.errors import FerBenchError
from fer_bench.settings import cache_dir
from fer_bench.storage import write_atomically
from fer_bench.types import Progress, silent

TIMEOUT_SECONDS = 30
CHUNK = 1 << 14


@dataclass(frozen=True, kw_only=True)
class NetworkFile:
    """One published file.

    Attributes:
        detector: the detector's name; `python -m fer_bench fetch NAME` gets its file.
        title: what sentences call it.
        size: bytes.
    """

    detector: str
    title: str
    file_name: str
    url: str
    sha256: str
    size: int

    @property
    def path(self) -> Path:
        """Where `fetch` stores it, which may not be there yet."""
        return cache_dir() / "models" / self.file_name

    @property
    def command(self) -> str:
        """What fetches it."""
        return f"python -m fer_bench fetch {self.detector}"

    def fetch(self, progress: Progress = silent) -> Path:
        """Downloads the file unless it is here; checked before it gets its name.

        Raises:
            FerBenchError: no connection, another file than the pinned one, or a path that cannot
                be written.
        """
        target = self.path
        if target.is_file() and _digest(target.read_bytes()) == self.sha256:
            return target
        network = self._download(progress)
        if _digest(network) != self.sha256:
            raise FerBenchError(
                f"{self.url} sent another file than expected ({len(network):,} bytes with SHA-256 "
                f"{_digest(network)[:12]}…, not {self.size:,} with {self.sha256[:12]}…): try "
                "again, or give the path of a copy that you trust"
            )
        try:
            write_atomically({target: network}, parents=True)
        except OSError as error:
            raise FerBenchError(
                f"cannot keep {self.title}'s network at {target}: {error.strerror or error}; set "
                "FER_BENCH_CACHE to a folder that can be written"
            ) from error
        return target

    def read(self, given: Path | None = None) -> bytes:
        """The fetched network; or, whatever they hold, the bytes of a `given` file.

        Raises:
            FerBenchError: it is not here, was changed, or cannot be read.
        """
        if given is not None:
            return self._read(given)
        if not self.path.is_file():
            raise FerBenchError(
                f"the detector {self.detector!r} needs its network, expected at {self.path}: fetch "
                f"it (230 KB) with `{self.command}`, give the path of a copy, or use the detector "
                "'haar'"
            )
        network = self._read(self.path)
        if _digest(network) != self.sha256:
            raise FerBenchError(
                f"{self.path} is not the network that was fetched (SHA-256 "
                f"{_digest(network)[:12]}…, not {self.sha256[:12]}…): fetch it again with "
                f"`{self.command}`"
            )
        return network

    def _read(self, file: Path) -> bytes:
        try:
            return file.read_bytes()
        except OSError as error:
            raise FerBenchError(
                f"{self.title}'s network {file} cannot be read: {error.strerror or error}; give "
                f"the path of {self.file_name}",
                code="missing_file",
            ) from error

    def _download(self, progress: Progress) -> bytes:
        """What the URL sends, no more than a little above the expected size."""
        got = b""
        try:
            # A constant https address, and what comes is compared with its SHA-256.
            with urllib.request.urlopen(self.url, timeout=TIMEOUT_SECONDS) as reply:  # nosec B310
                for chunk in self._chunks(reply):
                    got += chunk
                    progress(f"fetching {self.title}", min(len(got), self.size), self.size, {})
        except (OSError, http.client.HTTPException) as error:
            reason = " ".join(str(getattr(error, "reason", "") or error).split())
            raise FerBenchError(
                f"{self.title}'s network could not be fetched from {self.url}: "
                f"{reason or type(error).__name__}; check the connection, or copy the file to "
                f"{self.path}"
            ) from error
        if len(got) < self.size:
            raise FerBenchError(
                f"the connection to {self.url} ended after {len(got):,} of {self.size:,} bytes: "
                "try again"
            )
        return got

    def _chunks(self, reply: http.client.HTTPResponse) -> Iterator[bytes]:
        left = self.size + 1  # one more shows that the file is too long
        while left and (chunk := reply.read(min(CHUNK, left))):
            left -= len(chunk)
            yield chunk


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


YUNET = NetworkFile(
    detector="yunet",
    title="YuNet",
    file_name="face_detection_yunet_2023mar.onnx",
    url=(
        "https://media.githubusercontent.com/media/opencv/opencv_zoo/"
        "f12e12798e8314f7c074a6656816c048dcc95b7a/models/face_detection_yunet/"
        "face_detection_yunet_2023mar.onnx"
    ),
    sha256="8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4",
    size=232_589,
)
MEDIAPIPE = NetworkFile(
    detector="mediapipe",
    title="MediaPipe",
    file_name="blaze_face_short_range.tflite",
    url=(
        "https://storage.googleapis.com/mediapipe-models/face_detector/blaze_face_short_range/"
        "float16/1/blaze_face_short_range.tflite"
    ),
    sha256="b4578f35940bf5a1a655214a1cce5cab13eba73c1297cd78e1a04c2380b0152f",
    size=229_746,
)
#: By their detectors' names.
NETWORK_FILES = {file.detector: file for file in (YUNET, MEDIAPIPE)}
