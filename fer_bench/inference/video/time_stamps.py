"""When each frame of a video is shown, also where its packets do not say."""

from __future__ import annotations

import heapq
from fractions import Fraction
from typing import Any

#: Formats that keep no time of presentation: their frames are shown in the order of decoding times.
ORDERED_BY_DTS = ("avi",)


class TimeStamps:
    """The times of a stream's frames, which begin at 0 and always grow.

    Attributes:
        length: when the last frame so far ends, seconds.
        begun: what was taken off all times, seconds: the first one, where the container knows no
            start.
    """

    def __init__(self, pictures: Any, rate: Fraction, format_name: str) -> None:
        """pictures: an `av` video stream. rate: frames per second."""
        self._pictures = pictures
        self._time_base = Fraction(pictures.time_base)
        self._usual_step = max(round(1 / rate / self._time_base), 1)
        self._is_ordered_by_dts = format_name in ORDERED_BY_DTS
        self._decoding_times: list[int] = []
        self._is_timed = False  # a packet had a time of presentation
        self._origin = 0
        self._last: int | None = None
        self.length = Fraction(0)

    @property
    def begun(self) -> Fraction:
        return self._origin * self._time_base

    def note(self, packet: Any) -> None:
        """Keeps `dts` where no packet has a `pts`: frames are shown in its order."""
        if not packet.size:
            return
        if self._is_ordered_by_dts:
            packet.pts = None
        if packet.pts is not None:
            self._is_timed = True
            self._decoding_times.clear()
        elif packet.dts is not None and not self._is_timed:
            heapq.heappush(self._decoding_times, packet.dts)

    def next(self, raw: Any) -> int:
        """The frame's own time, or the next by the rate; always later than the last."""
        pts = raw.pts
        if pts is None and self._decoding_times:
            pts = heapq.heappop(self._decoding_times)
        if self._last is None and pts is not None and self._pictures.start_time is None:
            self._origin = int(pts)
        pts = None if pts is None else pts - self._origin
        step = raw.duration or self._usual_step
        if self._last is None:
            now = max(int(pts or 0), 0)
        elif pts is None:
            now = self._last + step
        else:
            now = max(int(pts), self._last + 1)
            step = raw.duration or now - self._last
        self.length = (now + step) * self._time_base
        self._last = now
        return now
