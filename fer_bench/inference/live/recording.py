"""A camera's frames as a video file, written by a thread of its own while they come."""

from __future__ import annotations

import queue
import threading
from contextlib import ExitStack, suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.error import FFmpegError
from numpy.typing import NDArray

from fer_bench.errors import RunFailed
from fer_bench.inference.video.writer import add_pictures, as_frame, fitted
from fer_bench.storage import finished_file, saving

#: A longer recording ends by itself, seconds; 640x480 takes some 15 MB a minute.
LONGEST_S = 600.0
#: Frames that wait for the encoder; when there are more, new ones are left out.
WAITING = 15
RATE, CLOCK = Fraction(30), Fraction(1, 60_000)
#: How often the thread sees whether it is to end, seconds.
POLL_S = 0.1


class Recording:
    """An MP4 file without sound that grows frame by frame and has its name once it is finished.

    Frames of another size than the first are fitted into it. Thread-safe.

    Args:
        path: where the file is once it is finished; without a frame there is none.

    Attributes:
        seconds: how long it is by now.
        problem: why it cannot be written, in a sentence; None where nothing is wrong.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.seconds = 0.0
        self.problem: str | None = None
        self._start_s: float | None = None
        self._waiting: queue.Queue[tuple[NDArray[np.uint8], float]] = queue.Queue(WAITING)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._work, name="recording", daemon=True)
        self._thread.start()

    @property
    def is_on(self) -> bool:
        """Whether it takes frames."""
        return not self._ended.is_set()

    def add(self, image: NDArray[np.uint8], time_s: float) -> None:
        """Takes a frame, RGB uint8 `(H, W, 3)`, at once; it must not be written to afterwards.

        Args:
            time_s: seconds of any clock that never goes back.
        """
        if self._ended.is_set():
            return
        if self._start_s is None:
            self._start_s = time_s
        if time_s - self._start_s > LONGEST_S:
            self._ended.set()
            return
        with suppress(queue.Full):
            self._waiting.put_nowait((image, time_s - self._start_s))

    def finish(self) -> None:
        """Takes no more frames, and waits until those that came are written."""
        self._ended.set()
        self._thread.join()

    def _work(self) -> None:
        try:
            with saving(self.path), ExitStack() as file:
                self._write(file)
        except RunFailed as error:
            self.problem = str(error)
        except FFmpegError as error:
            self.problem = f"the recording cannot be written: {error.strerror}: start it again"
        finally:
            self._ended.set()

    def _write(self, file: ExitStack) -> None:
        first = self._next()
        if first is None:
            return
        temporary = file.enter_context(finished_file(self.path))
        output = file.enter_context(av.open(str(temporary.absolute()), "w", format="mp4"))
        height, width = first[0].shape[:2]
        pictures = add_pictures(output, width, height, RATE, CLOCK)
        frame: tuple[NDArray[np.uint8], float] | None = first
        last = -1
        while frame is not None:
            image, seconds = frame
            last = max(round(seconds / CLOCK), last + 1)
            raw: Any = as_frame(
                image if image.shape[:2] == (height, width) else fitted(image, width, height)
            )
            raw.pts, raw.time_base = last, CLOCK
            output.mux(pictures.encode(raw))
            self.seconds = seconds
            frame = self._next()
        output.mux(pictures.encode(None))

    def _next(self) -> tuple[NDArray[np.uint8], float] | None:
        """The next frame, as soon as there is one; None at the end."""
        while True:
            is_last = self._ended.is_set()
            with suppress(queue.Empty):
                return self._waiting.get(timeout=POLL_S)
            if is_last:
                return None
