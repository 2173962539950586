"""What each person of a video showed over its time."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from fer_bench.formatting import how_many
from fer_bench.inference.files.batch import FileResult


@dataclass(eq=False)
class _Person:
    """seconds: by emotion, until the next analysed frame."""

    first: float
    last: float
    emotion: str
    frames: int = 0
    changes: int = 0
    seconds: dict[str, float] = field(default_factory=dict)

    def spend(self, seconds: float) -> None:
        """Adds time with the emotion of now."""
        self.seconds[self.emotion] = self.seconds.get(self.emotion, 0.0) + seconds


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
                person.spend(self._step)
        self._now, self._shown = now, []
        for track, face in zip(result.tracks, result.faces, strict=True):
            person = self._persons.setdefault(track, _Person(now, now, face.emotion))
            person.changes += person.emotion != face.emotion
            person.emotion, person.last = face.emotion, now
            person.frames += 1
            self._shown.append(person)

    def document(self) -> list[dict[str, Any]]:
        """Each person as JSON, in order of their numbers.

        `track`, `first_s` and `last_s` (seen at), `frames`, `changes` of emotion from one frame to
        the next that shows them, and `emotions`: shares of their time, the largest first. A frame
        counts until the next one, the last as long as the one before.
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

    def _shares(self, person: _Person) -> dict[str, float]:
        seconds = dict(person.seconds)
        if person in self._shown:
            seconds[person.emotion] = seconds.get(person.emotion, 0.0) + self._step
        total = sum(seconds.values())
        largest_first = sorted(seconds, key=lambda emotion: -seconds[emotion])
        return {emotion: seconds[emotion] / total for emotion in largest_first}
