"""Frames and sound of a video file, with care for what is damaged."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import av
import numpy as np
from av.error import FFmpegError
from av.stream import Disposition
from numpy.typing import NDArray

from fer_bench.errors import FerBenchError, coded
from fer_bench.inference.images import is_text
from fer_bench.inference.video.clock import timeline_of
from fer_bench.inference.video.frame import Frame
from fer_bench.inference.video.size import is_cut_short, next_recording
from fer_bench.inference.video.time_stamps import TimeStamps

EXPECTED = "expected a video such as MP4, MOV, MKV, WebM or AVI"
#: A video that ends so many seconds before its header says, and whose file ends before its last
#: part does, is reported as cut short.
CUT_SHORT = 0.5
#: Where FFmpeg loses its way in a file of this format, it ends without a word: so much of the file
#: is then unread.
LOST_FORMAT, LOST_SHARE = "matroska", 0.1
#: Takes an `av.Packet` of sound.
OnSound = Callable[[Any], None]
#: The codec whose packets without bytes show the last frame again, and whose headers stand between
#: packets where recordings are joined: a first bit that is set, the comment's first byte.
REPEATING, HEADER_BIT, COMMENT = "theora", 0x80, 0x81


class VideoReader:
    """A video's frames in order of time, read once.

    Raises:
        FerBenchError: no video, or one without pictures.
    """

    @coded("bad_picture")
    def __init__(self, path: Path) -> None:
        self.path = path
        self.n_read = 0
        self._damages: list[str] = []
        self._shown: Any = None  # the last frame
        self._end = Fraction(0)  # of the last packet, once all were read
        self._reached = 0  # the byte where the last packet begins
        try:
            if path.exists() and not path.is_file():
                raise FerBenchError(
                    f"{path} cannot be opened as a video (a folder, device or pipe): name a file"
                )
            # An absolute path, and only files: no name or playlist leads to the network.
            self._container = av.open(
                str(path.absolute()),
                options={"protocol_whitelist": "file"},
                metadata_errors="ignore",
            )
        except (FFmpegError, OSError) as error:
            raise FerBenchError(f"{path} {_what_else(path, error)}") from None
        streams = self._container.streams
        pictures = [
            s
            for s in streams.video
            if s.codec_context is not None and not s.disposition & Disposition.attached_pic
        ]
        if not pictures:
            self._container.close()
            raise FerBenchError(
                f"{path} has no video stream that can be read: expected a file with moving pictures"
            )
        # As players choose: the one that is marked as default, or the first.
        self.pictures = max(pictures, key=lambda s: bool(s.disposition & Disposition.default))
        # Theora's repeated frames need the last one at once.
        self._repeats = self.pictures.codec_context.name == REPEATING
        self.pictures.thread_type = "SLICE" if self._repeats else "AUTO"
        self.sound = [stream for stream in streams.audio if stream.codec_context is not None]
        self._first_aspect = self.pictures.codec_context.sample_aspect_ratio
        self._promised_length = self._read_length()
        self._timeline = timeline_of(self._container, self.pictures, self.sound)
        self._time_stamps = TimeStamps(self.pictures, self.rate, self._container.format.name)

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
        """Frames, by the header or by its length and rate; 0 where it says neither."""
        return int(self.pictures.frames) or round((self._promised_length or 0) * self.rate)

    def frames(self, on_sound: OnSound | None = None) -> Iterator[Frame]:
        """Each frame; the packets of sound between them go to `on_sound`.

        Times begin at 0 and go on across the seams of joined recordings, see `Timeline`. Damaged
        parts are passed over; `problem` tells of them afterwards.
        """
        wanted = {self.pictures.index, *(s.index for s in self.sound if on_sound)}
        packets = self._container.demux()
        while True:
            try:
                packet = next(packets, None)
                if packet is None:
                    self._end = self._timeline.end - self._time_stamps.begun
                    return
                self._reached = packet.pos or self._reached
                if packet.stream.index not in wanted or self._is_header(packet):
                    continue
                self._timeline.place(packet)
                if on_sound and packet.stream.type == "audio":
                    on_sound(packet)
                    continue
                self._time_stamps.note(packet)
                decoded = self._decoded(packet)
            except FFmpegError as error:
                self.note_damage(error)
                continue
            for raw in decoded:
                yield Frame(
                    number=self.n_read,
                    pts=self._time_stamps.next(raw),
                    time_base=self.pictures.time_base,
                    raw=raw,
                    pixel_aspect=self._pixel_aspect(),
                )
                self.n_read += 1

    def _is_header(self, packet: Any) -> bool:
        """Whether a packet shows nothing, but says how those after it are coded."""
        if not (self._repeats and packet.size) or packet.stream.index != self.pictures.index:
            return False
        first = memoryview(packet)[0]
        if not first & HEADER_BIT:
            return False
        if first != COMMENT:
            packet.decode()
        return True

    def _decoded(self, packet: Any) -> list[Any]:
        """A packet's frames; one without bytes is Theora's way to show the last one again."""
        is_empty = not packet.size and packet.pts is not None
        if not is_empty:
            frames = packet.decode()
            self._shown = frames[-1] if frames else self._shown
            return list(frames)
        if self._shown is None or not self._repeats:
            return []
        self._shown.pts = packet.pts
        return [self._shown]

    def image_at(self, time_s: float) -> NDArray[np.uint8]:
        """As `read_frame`; the reader's `frames` go on from there."""
        wanted = round(time_s / self.pictures.time_base)
        shown = None
        try:
            self._container.seek(wanted, stream=self.pictures)
            for raw in self._container.decode(self.pictures):
                if shown is not None and (raw.pts or 0) > wanted:
                    break
                shown = raw
        except FFmpegError as error:
            self.note_damage(error)
        if shown is None:
            raise FerBenchError(f"{self.path} has no frame at {time_s:.2f} s that can be read")
        return Frame(
            number=0,
            pts=shown.pts or 0,
            time_base=self.pictures.time_base,
            raw=shown,
            pixel_aspect=self._pixel_aspect(),
        ).image()

    def note_damage(self, error: FFmpegError) -> None:
        """Remembers a part that could not be read, for `problem`."""
        self._damages.append(str(error.strerror))

    def _pixel_aspect(self) -> Fraction:
        """As the container says, or the pictures; where they change their mind, as they say."""
        now = self.pictures.codec_context.sample_aspect_ratio
        if now == self._first_aspect:
            now = self.pictures.sample_aspect_ratio
        return Fraction(now) if now and now > 0 else Fraction(1)

    @property
    def problem(self) -> str | None:
        """One sentence on what could not be read; None where everything was."""
        length = self._time_stamps.length
        first = f" ({self._damages[0]})" if self._damages else ""
        if self.n_read == 0:
            return f"{self.path} has no frame that can be read{first}: check that it plays"
        if self._damages:
            return (
                f"{self.path} is damaged: {len(self._damages)} parts of it could not be read"
                f"{first}; {self.n_read} frames could"
            )
        if self._end - length > CUT_SHORT:
            return (
                f"{self.path} is damaged: its pictures from {float(length):.1f} to "
                f"{float(self._end):.1f} s could not be read; {self.n_read} frames could"
            )
        promised = self._promised_length
        if (promised is None or promised - length > CUT_SHORT) and self._ends_early():
            of = "" if promised is None else f" of {float(promised):.1f} s"
            return (
                f"{self.path} is cut short: it ends at {float(length):.1f} s{of}; "
                f"{self.n_read} frames could be read"
            )
        if promised is not None and promised - length > CUT_SHORT and self._is_lost():
            return (
                f"{self.path} is damaged: nothing behind {float(length):.1f} s of "
                f"{float(promised):.1f} s could be read; {self.n_read} frames could"
            )
        following = self._next_recording()
        if following is not None:
            return (
                f"{self.path} holds another recording from byte {following} on, which was not "
                f"read: the first ends at {float(length):.1f} s; cut the file there, or join "
                "the recordings with a program that writes one video"
            )
        return None

    def _next_recording(self) -> int | None:
        if not self._end:  # not read to the end
            return None
        try:
            return next_recording(self.path, self._reached)
        except OSError:  # gone meanwhile
            return None

    def _is_lost(self) -> bool:
        if LOST_FORMAT not in self._container.format.name or not self._end:
            return False
        try:
            size = self.path.stat().st_size
        except OSError:  # gone meanwhile
            return False
        return size - self._reached > LOST_SHARE * size

    def _read_length(self) -> Fraction | None:
        """How long the header says that the pictures are, seconds."""
        counted = Fraction(self.pictures.frames or 0) / self.rate
        if self.pictures.duration:
            length: Fraction = self.pictures.duration * self.pictures.time_base
            return max(counted, length)
        if self._container.duration:
            return max(counted, Fraction(self._container.duration, av.time_base))
        return counted or None

    def _ends_early(self) -> bool:
        """Whether the file itself is shorter than it says: headers' durations are often wrong."""
        try:
            return is_cut_short(self.path)
        except OSError:  # gone meanwhile
            return False


def _what_else(path: Path, error: FFmpegError | OSError) -> str:
    """What a file is that does not open as a video, and what to do."""
    try:
        with path.open("rb") as file:
            start = file.read(512)
    except OSError:  # missing, or not to be read: the first error says so
        return f"cannot be opened as a video ({error.strerror}): check the path"
    if not start:
        return f"is empty: {EXPECTED}; save or send it again"
    if is_text(start):
        return f"is text by its content: {EXPECTED}"
    return (
        f"cannot be opened as a video ({error.strerror}), so it is damaged, cut off or none: check "
        "that it plays, copy it again or convert it to MP4"
    )


def read_frame(path: Path, time_s: float) -> NDArray[np.uint8]:
    """What a video shows at a time: uint8 `(H, W, 3)` RGB; before its start the first frame.

    Jumps there, so that a frame far into the video is as quick as an early one. For the MP4s that
    FER Bench writes: others may not begin at 0, or cannot be jumped in; read their `frames`.

    Raises:
        FerBenchError: no video, or no frame that can be read there.
    """
    with VideoReader(path) as reader:
        return reader.image_at(time_s)
