"""One time line from 0 for all streams of a video, whatever clocks its parts have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from av.format import Flags

#: A clock that goes back by more begins anew (as in FFmpeg's `dts_delta_threshold` handling).
BACK_S = Fraction(1, 10)
#: A clock that goes ahead by more begins anew, in formats whose clocks may.
AHEAD_S = Fraction(10)
#: Pictures that a decoder holds back to put them in order, at most (H.264, ITU-T annex A).
MOST_REORDERED = 16
#: Streams of one part begin and end within this of each other.
PART_S = Fraction(1)
#: Sound that begins so little before the pictures is the encoder's priming.
PRIMING_S = Fraction(1, 10)


@dataclass(kw_only=True)
class _StreamClock:
    """shift: what is added to a stream's own time. reached: where its last packet ended, shifted;
    by `dts` where there is one. end: where its latest picture ends.

    Attributes:
        last: the last shifted `dts`, in units of the stream.
        seams: met so far; of sound, how many the pictures had met at its last one.
        ahead: it met a seam before the pictures did.
    """

    shift: Fraction
    reached: Fraction | None = None
    end: Fraction = Fraction(0)
    by_dts: bool = False
    last: int | None = None
    seams: int = 0
    ahead: bool = False
    has_begun: bool = False


@dataclass(kw_only=True)
class Timeline:
    """Moves packets' time stamps so that the video begins at 0 and goes on across its seams.

    The start of the container is taken off pictures and sound alike, so that they keep step.
    Where a clock begins anew, as in recordings joined end to end, the next part follows without a
    gap; the sound of a part is moved by as much as its pictures.

    Attributes:
        pictures, sound: streams of an open container.
        may_jump: whether a clock that goes far ahead is a seam, not a pause.
    """

    pictures: Any
    sound: Sequence[Any]
    may_jump: bool = False
    _clocks: dict[int, _StreamClock] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        starts = {s.index: _start(s) for s in (self.pictures, *self.sound)}
        first = starts[self.pictures.index]
        known = [start for start in starts.values() if start is not None]
        origin = min(known, default=Fraction(0))
        if first is not None and (
            first - origin <= PRIMING_S or (self.may_jump and first - origin > AHEAD_S)
        ):
            origin = first
        for index, start in starts.items():
            far = self.may_jump and start is not None and abs(start - origin) > AHEAD_S
            self._clocks[index] = _StreamClock(shift=-(start if far and start else origin))

    @property
    def end(self) -> Fraction:
        """Where the last packet of pictures ends, seconds."""
        return self._clocks[self.pictures.index].end

    def place(self, packet: Any) -> None:
        """Moves a packet's `pts` and `dts`; one of sound that has none gets the next."""
        if not packet.size:  # the mark of the end
            return
        clock = self._clocks[packet.stream.index]
        unit = Fraction(packet.time_base)
        if packet.dts is not None and not clock.by_dts:  # they begin late in Matroska
            clock.by_dts, clock.reached = True, None
        is_astray = _is_astray(packet)
        raw = packet.dts if clock.by_dts and not is_astray else packet.pts
        duration = (packet.duration or 0) * unit
        if raw is not None:
            if not clock.has_begun:
                self._begin(clock, raw * unit)
            self._follow(packet, clock, raw * unit)
            clock.reached = None if is_astray else raw * unit + clock.shift + duration
        elif clock.reached is not None:
            clock.reached += duration
        if is_astray:
            packet.dts = None
        shift = round(clock.shift / unit)
        if packet.dts is not None:
            packet.dts += shift
        if packet.pts is not None:
            packet.pts += shift
            clock.end = max(clock.end, packet.pts * unit + duration)
        elif clock.reached is not None:
            clock.end = max(clock.end, clock.reached)
        if packet.stream.index != self.pictures.index:
            _in_order(packet, clock, duration)

    def _begin(self, clock: _StreamClock, time: Fraction) -> None:
        """Sound that begins in a later part has that part's clock."""
        clock.has_begun = True
        pictures = self._clocks[self.pictures.index]
        if clock is pictures or not self.may_jump or pictures.reached is None:
            return
        own = pictures.reached - time
        if abs(own - clock.shift) > PART_S:
            clock.ahead = abs(own - pictures.shift) > PART_S
            clock.shift = own if clock.ahead else pictures.shift
        clock.seams = pictures.seams

    def _follow(self, packet: Any, clock: _StreamClock, time: Fraction) -> None:
        """Sets a stream's shift anew where its clock does not go on."""
        if clock.reached is None:
            return
        gap = time + clock.shift - clock.reached
        # Without decoding times those of presentation go back and forth.
        back = BACK_S if clock.by_dts else PART_S
        pictures = self._clocks[self.pictures.index]
        # Decoding times are guesses there, and go back where pictures are far apart.
        is_guess = not self.may_jump and clock is pictures and not packet.is_keyframe
        if is_guess or (-back <= gap and not (self.may_jump and gap > AHEAD_S)):
            if clock.ahead:
                self._catch_up(clock)
        elif clock is pictures:
            first = packet.pts if packet.pts is not None else packet.dts
            clock.shift = clock.end - first * Fraction(packet.time_base)
            clock.seams += 1
        else:
            own, theirs = clock.reached - time, pictures.shift
            same_part = pictures.seams > clock.seams and theirs >= own - PART_S
            clock.ahead = not same_part and abs(theirs - own) > PART_S
            clock.shift = own if clock.ahead else theirs
            clock.seams = pictures.seams

    def _catch_up(self, clock: _StreamClock) -> None:
        """Sound that met a seam before the pictures did is moved by as much as they are."""
        theirs = self._clocks[self.pictures.index].shift
        if abs(theirs - clock.shift) <= PART_S:
            if clock.reached is not None:
                clock.reached += theirs - clock.shift
            clock.shift, clock.ahead = theirs, False


def timeline_of(container: Any, pictures: Any, sound: Sequence[Any]) -> Timeline:
    """The time line of an open container."""
    may_jump = bool(container.format.flags & Flags.ts_discont.value)
    return Timeline(pictures=pictures, sound=sound, may_jump=may_jump)


def _start(stream: Any) -> Fraction | None:
    return None if stream.start_time is None else stream.start_time * Fraction(stream.time_base)


def _is_astray(packet: Any) -> bool:
    """Whether a decoding time was only guessed from the packet before, across a seam."""
    if packet.dts is None or packet.pts is None:
        return False
    unit = Fraction(packet.time_base)
    ahead = (packet.pts - packet.dts) * unit
    reordering = MOST_REORDERED * (packet.duration or 0) * unit  # long in slide shows
    return bool(ahead > max(AHEAD_S, reordering) or ahead < -BACK_S)


def _in_order(packet: Any, clock: _StreamClock, duration: Fraction) -> None:
    """No packet of sound stands before the last one, where parts overlap or have no times."""
    unit = Fraction(packet.time_base)
    if packet.dts is None and packet.pts is None:
        if clock.reached is None:
            return
        packet.dts = packet.pts = round((clock.reached - duration) / unit)
    elif packet.dts is None:
        packet.dts = packet.pts
    if clock.last is not None:
        packet.dts = max(packet.dts, clock.last + max(1, round(Fraction(1, 1000) / unit)))
        packet.pts = packet.dts if packet.pts is None else max(packet.pts, packet.dts)
    clock.last = packet.dts
