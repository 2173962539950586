"""A video written again with its faces drawn on it, its times and its sound kept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from av.error import FFmpegError
from numpy.typing import NDArray

from fer_bench.errors import RunFailed
from fer_bench.inference.drawing.faces import annotate, numbers
from fer_bench.inference.predictor import FacePrediction
from fer_bench.inference.video.frame import Frame
from fer_bench.inference.video.reader import VideoReader
from fer_bench.inference.video.sound import SoundTrack
from fer_bench.storage import finished_file, saving

#: Encoders of pictures, the first that is there; with the finest clock that each can count.
ENCODERS = {"libx264": Fraction(1, 2**31 - 1), "mpeg4": Fraction(1, 60_000)}


class AnnotatedCopy:
    """A video with its faces drawn on, upright, H.264; frames keep their times.

    Sound is copied packet by packet where the format allows it, else encoded as AAC. Without a
    frame no file is made. Where it cannot be written it vanishes and takes nothing more. Open one
    with `annotated_copy`.

    Attributes:
        problem: why it cannot be written, in a sentence; None where nothing is wrong.
    """

    def __init__(
        self, target: Path, source: VideoReader, emotions: Sequence[str], file: ExitStack
    ) -> None:
        self.problem: str | None = None
        self._target = target
        self._source = source
        self._emotions = emotions
        self._early: list[Any] = []  # packets of sound before the first frame
        self._tracks: dict[int, SoundTrack] = {}  # by the source's stream
        self._file = file
        self._output: Any = None
        self._pictures: Any = None
        self._size = (0, 0)

    def add(
        self,
        frame: Frame,
        image: NDArray[np.uint8],
        faces: Sequence[FacePrediction],
        tracks: Sequence[int] = (),
    ) -> None:
        """Appends a frame, given as its upright RGB image, with the faces' numbers over time."""
        with self._attempt() as is_open:
            if is_open:
                names = numbers(faces, tracks)
                self._encode(frame, annotate(image, faces, self._emotions, names=names))

    def _encode(self, frame: Frame, drawn: NDArray[np.uint8]) -> None:
        with _encoding(self._target):
            if self._output is None:
                self._open(drawn)
            height, width = self._size
            if drawn.shape[:2] != self._size:
                drawn = fitted(drawn, width, height)
            raw = as_frame(drawn)
            raw.pts, raw.time_base = frame.pts, frame.time_base
            self._output.mux(self._pictures.encode(raw))

    def add_sound(self, packet: Any) -> None:
        """Appends a packet of sound from the source.

        Raises:
            FFmpegError: the packet is damaged.
        """
        if self._output is None:
            if self.problem is None:
                self._early.append(packet)
            return
        track = self._tracks.get(packet.stream.index)
        with self._attempt() as is_open:
            if is_open and track is not None:
                with saving(self._target):
                    track.add(packet)

    def _open(self, first: NDArray[np.uint8]) -> None:
        temporary = self._file.enter_context(finished_file(self._target))
        self._output = av.open(str(temporary.absolute()), "w")
        self._file.callback(self._give_up)
        self._size = height, width = first.shape[:2]
        self._pictures = add_pictures(
            self._output, width, height, self._source.rate, self._source.pictures.time_base
        )
        for source in self._source.sound:
            self._tracks[source.index] = SoundTrack(source, self._output, self._target.suffix)
        early, self._early = self._early, []
        for packet in early:
            try:
                self.add_sound(packet)
            except FFmpegError as error:
                self._source.note_damage(error)

    def _give_up(self) -> None:
        """Closes the file, which is nothing new where `finish` has."""
        with suppress(FFmpegError):  # a full disk again: the first error says it
            self._output.close()

    def finish(self) -> None:
        """Writes what the encoders still hold, and gives the file its name."""
        with self._attempt() as is_open:
            if is_open and self._output is not None:
                with _encoding(self._target):
                    self._output.mux(self._pictures.encode(None))
                    for track in self._tracks.values():
                        track.finish()
                    self._output.close()
                    self._file.close()

    @contextmanager
    def _attempt(self) -> Iterator[bool]:
        """Whether it can still be written; what cannot be in the block becomes its `problem`."""
        try:
            yield self.problem is None
        except RunFailed as error:
            self.problem = str(error)
            self._early.clear()
            with suppress(OSError):
                self._file.__exit__(type(error), error, error.__traceback__)


@contextmanager
def annotated_copy(
    target: Path, source: VideoReader, emotions: Sequence[str]
) -> Iterator[AnnotatedCopy]:
    """A copy that gets its name when the block ends well, and else leaves nothing behind."""
    with ExitStack() as file:
        copy = AnnotatedCopy(target, source, emotions, file)
        yield copy
        copy.finish()


@contextmanager
def _encoding(target: Path) -> Iterator[None]:
    try:
        with saving(target):
            yield
    except FFmpegError as error:
        raise RunFailed(
            f"cannot encode {target}: {error.strerror}: choose another name or leave the annotated "
            "copy out"
        ) from None


def add_pictures(output: Any, width: int, height: int, rate: Fraction, clock: Fraction) -> Any:
    """A new stream of a container for frames made by `as_frame`; sides in pixels.

    Args:
        clock: seconds that times are counted in.
    """
    name, finest = next(item for item in ENCODERS.items() if _can_encode(item[0]))
    pictures = output.add_stream(name, rate=rate)
    pictures.width, pictures.height = width + width % 2, height + height % 2
    pictures.pix_fmt = "yuv420p"
    context = pictures.codec_context
    context.time_base = max(clock, finest)
    if name == "libx264":
        context.options = {"preset": "veryfast", "crf": "20"}
    else:
        context.bit_rate = 4 * width * height  # generous: this encoder needs it
    # BT.709, and said so: players guess the colours of what is not marked.
    context.colorspace = context.color_primaries = context.color_trc = context.color_range = 1
    return pictures


def as_frame(image: NDArray[np.uint8]) -> Any:
    """An RGB image as encoders take it: even sides, BT.709."""
    height, width = image.shape[:2]
    even = np.pad(image, [(0, height % 2), (0, width % 2), (0, 0)], mode="edge")
    raw = av.VideoFrame.from_ndarray(even, "rgb24")
    return raw.reformat(format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG")


def fitted(image: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    """A picture of another size between black bars, its proportions kept."""
    share = min(width / image.shape[1], height / image.shape[0])
    inner = max(1, round(image.shape[1] * share)), max(1, round(image.shape[0] * share))
    whole = np.zeros((height, width, 3), np.uint8)
    left, top = (width - inner[0]) // 2, (height - inner[1]) // 2
    whole[top : top + inner[1], left : left + inner[0]] = cv2.resize(image, inner)
    return whole


def _can_encode(name: str) -> bool:
    try:
        av.Codec(name, "w")
    except FFmpegError:
        return False
    return True
