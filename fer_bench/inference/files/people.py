"""What each person of a video showed over its time."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from fer_bench.formatting import how_many
from fer_bench.inference.files.batch import FileResult


class Span(NamedTuple):
    """A time over which a person was seen with one likeliest emotion, seconds of the video."""

    track: int
    emotion: str
    start_s: float
    end_s: float

    @property
    def seconds(self) -> float:
        """Its length."""
        return self.end_s - self.start_s


@dataclass(eq=False)
class _Person:
    first: float
    last: float
    emotion: str
    frames: int = 0
    changes: int = 0
    spans: list[Span] = field(default_factory=list)

    def extend(self, end_s: float) -> None:
        """The person was seen with the emotion of the last span until then."""
        self.spans[-1] = self.spans[-1]._replace(end_s=end_s)


class People:
    """Takes the results of one video in order of time."""

    def __init__(self) -> None:
        self._persons: dict[int, _Person] = {}
        self._shown: list[_Person] = []  # in the last frame
        self._now: float | None = None
        self._step = 1.0  # seconds between the last two frames

    def add(self, result: FileResult) -> None:
        """Takes one analysed frame."""
        now = result.time_s or 0.0
        if self._now is not None:
            self._step = now - self._now
            for person in self._shown:
                person.extend(now)
        before, self._now, self._shown = self._shown, now, []
        for track, face in zip(result.tracks, result.faces, strict=True):
            person = self._persons.setdefault(track, _Person(now, now, face.emotion))
            has_changed = person.emotion != face.emotion
            if has_changed or person not in before:
                person.spans.append(Span(track, face.emotion, now, now))
            person.changes += has_changed
            person.emotion, person.last = face.emotion, now
            person.frames += 1
            self._shown.append(person)

    def spans(self) -> list[Span]:
        """When each person showed what, in order of their numbers and of time.

        A frame counts until the next one, the last as long as the one before.
        """
        return [span for _, person in sorted(self._persons.items()) for span in self._spans(person)]

    def document(self) -> list[dict[str, Any]]:
        """Each person as JSON, in order of their numbers.

        `track`, `first_s` and `last_s` (seen at), `frames`, `changes` of emotion from one frame to
        the next that shows them, and `emotions`: shares of their time, the largest first, as
        `spans` counts it.
        """
        return [
            {
                "track": track,
                "first_s": person.first,
                "last_s": person.last,
                "frames": person.frames,
                "changes": person.changes,
                "emotions": self._shares(person),
            }
            for track, person in sorted(self._persons.items())
        ]

    def lines(self) -> list[str]:
        """Each person in one line."""
        lines = []
        for person in self.document():
            shares = ", ".join(f"{name} {share:.0%}" for name, share in person["emotions"].items())
            changes = how_many(person["changes"], "change")
            seen = f"{person['first_s']:.2f} to {person['last_s']:.2f} s"
            lines.append(f"person {person['track']}, {seen}: {shares}; {changes}")
        return lines

    def _spans(self, person: _Person) -> list[Span]:
        """Those until now, the end of the last frame if it shows the person."""
        if person not in self._shown or self._now is None:
            return person.spans
        return [*person.spans[:-1], person.spans[-1]._replace(end_s=self._now + self._step)]

    def _shares(self, person: _Person) -> dict[str, float]:
        seconds: defaultdict[str, float] = defaultdict(float)
        for span in self._spans(person):
            seconds[span.emotion] += span.seconds
        total = sum(seconds.values())
        largest_first = sorted(seconds, key=lambda emotion: -seconds[emotion])
        return {emotion: seconds[emotion] / total for emotion in largest_first}
