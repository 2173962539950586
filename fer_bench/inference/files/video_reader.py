"""Frames and sound of a video file, with care for what is damaged."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import av
import numpy as np
from av.error import FFmpegError
from av.stream import Disposition
from numpy.typing import NDArray

from fer_bench.errors import FerBenchError

#: A video that ends so many seconds before its header says is reported as cut short.
CUT_SHORT = 0.5

#: Takes an `av.Packet` of sound.
OnSound = Callable[[Any], None]


@dataclass(frozen=True, kw_only=True)
class Frame:
    """A decoded frame: number from 0, time stamp in units of `time_base`, and its av.VideoFrame."""

    number: int
    pts: int
    time_base: Fraction
    raw: Any

    @property
    def time_s(self) -> float:
        """Seconds, by the video's own clock."""
        return float(self.pts * self.time_base)

    def image(self) -> NDArray[np.uint8]:
        """uint8 `(H, W, 3)` RGB, upright."""
        turned = np.rot90(self.raw.to_ndarray(format="rgb24"), round(self.raw.rotation / 90))
        return np.ascontiguousarray(turned, np.uint8)


class VideoReader:
    """A video's frames in order of time, read once.

    Raises:
        FerBenchError: no video, or one without pictures.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.n_read = 0
        self._damages: list[str] = []
        self._end = Fraction(0)
        try:  # an absolute path, and only files: no name or playlist leads to the network
            self._container = av.open(
                str(path.absolute()),
                options={"protocol_whitelist": "file"},
                metadata_errors="ignore",
            )
        except (FFmpegError, OSError) as error:
            raise FerBenchError(
                f"{path} cannot be opened as a video ({error.strerror}): check that it plays, or "
                "convert it to MP4"
            ) from None
        streams = self._container.streams
        pictures = [s for s in streams.video if not s.disposition & Disposition.attached_pic]
        if not pictures or pictures[0].codec_context is None:
            self._container.close()
            raise FerBenchError(
                f"{path} has no video stream that can be read: expected a file with moving pictures"
            )
        self.pictures = pictures[0]
        self.pictures.thread_type = "AUTO"
        self.sound = [stream for stream in streams.audio if stream.codec_context is not None]
        self._promised_end = self._read_promise()

    def __enter__(self) -> VideoReader:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._container.close()

    @property
    def rate(self) -> Fraction:
        """Frames per second, by the header; 30 where it does not say."""
        return Fraction(self.pictures.average_rate or 30)

    @property
    def n_expected(self) -> int:
        """Frames, by the header; 0 where it does not say."""
        return int(self.pictures.frames)

    def frames(self, on_sound: OnSound | None = None) -> Iterator[Frame]:
        """Each frame; the packets of sound between them go to `on_sound`.

        Damaged parts are passed over; `problem` tells of them afterwards.
        """
        packets = self._container.demux([self.pictures, *(self.sound if on_sound else ())])
        last = None
        while True:
            try:
                packet = next(packets, None)
                if packet is None:
                    return
                if on_sound and packet.stream.type == "audio":
                    on_sound(packet)
                    continue
                self._note_end(packet)
                decoded = packet.decode()
            except FFmpegError as error:
                self.note_damage(error)
                continue
            for raw in decoded:
                last = self._time_stamp(raw, last)
                yield Frame(
                    number=self.n_read, pts=last, time_base=self.pictures.time_base, raw=raw
                )
                self.n_read += 1

    def note_damage(self, error: FFmpegError) -> None:
        """Remembers a part that could not be read, for `problem`."""
        self._damages.append(str(error.strerror))

    def _time_stamp(self, raw: Any, last: int | None) -> int:
        """The frame's own, or the next by the rate; always later than the last."""
        if last is None:
            return int(raw.pts or 0)
        if raw.pts is None:
            step = round(1 / self.rate / Fraction(self.pictures.time_base))
            return last + max(step, 1)
        return max(int(raw.pts), last + 1)

    def _note_end(self, packet: Any) -> None:
        if packet.pts is not None:
            end = (packet.pts + (packet.duration or 0)) * packet.time_base
            self._end = max(self._end, end)

    @property
    def problem(self) -> str | None:
        """One sentence on what could not be read; None where everything was."""
        first = f" ({self._damages[0]})" if self._damages else ""
        if self.n_read == 0:
            return f"{self.path} has no frame that can be read{first}: check that it plays"
        if self._damages:
            return (
                f"{self.path} is damaged: {len(self._damages)} parts of it could not be read"
                f"{first}; {self.n_read} frames could"
            )
        promised = self._promised_end
        if promised is not None and promised - self._end > CUT_SHORT:
            return (
                f"{self.path} is cut short: it ends at {float(self._end):.1f} s of "
                f"{float(promised):.1f} s; {self.n_read} frames could be read"
            )
        return None

    def _read_promise(self) -> Fraction | None:
        """Where the header says that the pictures end, seconds."""
        if self.pictures.duration:
            span = (self.pictures.start_time or 0) + self.pictures.duration
            return Fraction(span * self.pictures.time_base)
        if self._container.duration and not self.sound:
            return Fraction(self._container.duration, av.time_base)
        return None
