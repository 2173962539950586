"""A track of sound in an annotated copy: packet by packet where that works, else encoded again."""

from __future__ import annotations

import io
from fractions import Fraction
from typing import Any

import av
import numpy as np
from av.error import FFmpegError

#: What AAC is given where a track cannot be copied as it is.
SOUND_RATES = (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)
#: Sound that is early or late by less is left where it falls, seconds.
SLACK_S = 0.05
#: Formats by the endings of their names.
FORMATS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov"}


class SoundTrack:
    """Takes the packets of one track of the source, in order.

    Args:
        source: its stream.
        output: the open container of the copy.
        suffix: of its name.
    """

    def __init__(self, source: Any, output: Any, suffix: str) -> None:
        self._output = output
        self._next: int | None = None  # the sample that comes next, counted from the video's start
        self._resampler: Any = None
        # Of sound that begins late in a recording the kind is not known yet.
        is_known = source.rate and source.channels
        if is_known and _can_copy(source, FORMATS.get(suffix.lower(), "mp4")):
            self._stream = output.add_stream_from_template(source)
            return
        rate = source.rate if source.rate in SOUND_RATES else SOUND_RATES[-1]
        self._stream = output.add_stream("aac", rate=rate)
        self._stream.layout = "mono" if source.channels == 1 else "stereo"
        self._resampler = self._new_resampler()
        self._kind: tuple[str, str, int] | None = None  # of the samples that came last

    def add(self, packet: Any) -> None:
        """Appends a packet, whose times are those of the copy.

        Raises:
            FFmpegError: the packet is damaged.
            OSError: the disk is full or not writable.
        """
        if self._resampler is not None:
            for part in packet.decode():
                self._encode(part)
        elif packet.dts is not None and packet.size:  # an empty packet marks the end
            packet.stream = self._stream
            self._output.mux(packet)

    def finish(self) -> None:
        """Writes what the encoder still holds."""
        if self._resampler is not None:
            self._write(self._resampler.resample(None))
            self._output.mux(self._stream.encode(None))

    def _new_resampler(self) -> Any:
        return av.AudioResampler("fltp", self._stream.layout, self._stream.rate)

    def _encode(self, part: Any) -> None:
        rate = self._stream.rate
        if part.pts is not None:
            start = round(part.pts * Fraction(part.time_base) * rate)
            if self._next is None:
                self._next = start
            elif start - self._next > SLACK_S * rate:
                self._write([_silence(start - self._next, self._stream)])
        self._next = self._next or 0
        part.pts = None
        kind = (part.format.name, part.layout.name, part.sample_rate)
        if kind != self._kind and self._kind is not None:  # another part of a joined recording
            self._write(self._resampler.resample(None))
            self._resampler = self._new_resampler()
        self._kind = kind
        self._write(self._resampler.resample(part))

    def _write(self, parts: list[Any]) -> None:
        for part in parts:
            self._next = self._next or 0
            part.pts, part.time_base = self._next, Fraction(1, self._stream.rate)
            self._next += part.samples
            self._output.mux(self._stream.encode(part))


def _silence(samples: int, stream: Any) -> Any:
    zeros = np.zeros((len(stream.layout.channels), samples), np.float32)
    silence = av.AudioFrame.from_ndarray(zeros, "fltp", stream.layout.name)
    silence.sample_rate = stream.rate
    return silence


def _can_copy(source: Any, kind: str) -> bool:
    """Whether such a file takes the track as it is, tried in memory."""
    with av.open(io.BytesIO(), "w", format=kind) as trial:
        if source.codec_context.name not in trial.supported_codecs:
            return False
        try:
            trial.add_stream_from_template(source)
            trial.start_encoding()
        except (FFmpegError, ValueError):
            return False
    return True
