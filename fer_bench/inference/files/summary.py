"""What came of a batch: counts, shares and problems, as an object, JSON and text."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fer_bench.errors import printable
from fer_bench.formatting import how_many
from fer_bench.inference.files.batch import FileResult
from fer_bench.inference.files.people import People
from fer_bench.storage import finished_file, saving

#: In the folder of the annotated copies.
NAMES = ("summary.json", "summary.txt")


@dataclass(kw_only=True)
class BatchSummary:
    """What came of a batch.

    Attributes:
        images, videos, frames: analysed ones, those without a face (`no_face`) too.
        errors: results that say why something could not be read or written.
        unwritten: those of them about an annotated copy.
        emotions: faces by their likeliest emotion.
        problems: every error's sentence, in order.
        people: who was seen in each video, by its path.
        backends: what the networks ran on.
        complete: whether the batch came to its end.
    """

    images: int = 0
    videos: int = 0
    frames: int = 0
    faces: int = 0
    no_face: int = 0
    errors: int = 0
    unwritten: list[str] = field(default_factory=list)
    emotions: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    people: dict[Path, People] = field(default_factory=dict)
    backends: set[str] = field(default_factory=set)
    complete: bool = False
    started: float = field(default_factory=time.perf_counter, repr=False)

    @property
    def analysed(self) -> int:
        """Images and frames together."""
        return self.images + self.frames

    @property
    def images_per_second(self) -> float:
        """Images and frames since the summary was made."""
        return self.analysed / max(time.perf_counter() - self.started, 1e-9)

    def add(self, result: FileResult) -> None:
        """Counts one result."""
        if result.error is not None:
            self.errors += 1
            self.problems.append(result.error)
            if result.unwritten:
                self.unwritten.append(result.error)
        if result.image is None:
            return
        if result.frame is not None:
            self.people.setdefault(result.path, People()).add(result)
        if result.backend is not None:
            self.backends.add(result.backend)
        self.images += result.frame is None
        self.videos += result.frame == 0
        self.frames += result.frame is not None
        self.faces += len(result.faces)
        self.no_face += not result.faces
        self.emotions.update(face.emotion for face in result.faces)

    def document(self) -> dict[str, Any]:
        """The summary as JSON."""
        counts = ("images", "videos", "frames", "faces", "no_face", "errors")
        return {
            "complete": self.complete,
            **{name: getattr(self, name) for name in counts},
            "emotions": dict(self.emotions.most_common()),
            "backend": ", ".join(sorted(self.backends)) or None,
            "people": {str(path): people.document() for path, people in self.people.items()},
            "problems": self.problems,
        }

    def lines(self) -> list[str]:
        """The summary as text; the first line says it all in short."""
        end = [] if self.complete else ["stopped before the end"]
        people = [
            printable(f"{path}: {line}")
            for path, people in self.people.items()
            for line in people.lines()
        ]
        return [self._counts(), *end, *people, *self.problems]

    def _counts(self) -> str:
        analysed = [how_many(self.images, "image")] if self.images else []
        analysed += [how_many(self.frames, "frame")] if self.frames else []
        emotions = ", ".join(f"{emotion} {n:,}" for emotion, n in self.emotions.most_common())
        parts = [
            how_many(self.faces, "face") + (f" ({emotions})" if emotions else ""),
            f"no face in {self.no_face:,}",
            how_many(self.errors, "error"),
            f"{self.images_per_second:,.1f} images/s"
            + (f" by {', '.join(sorted(self.backends))}" if self.backends else ""),
        ]
        return f"{' and '.join(analysed) or 'no image'}: {'; '.join(parts)}"


@contextmanager
def summarised_in(folder: Path, summary: BatchSummary) -> Iterator[None]:
    """Writes `summary.json` and `summary.txt` when the block ends, whether well or not.

    Raises:
        RunFailed: the disk is full or not writable.
    """
    with saving(folder):
        folder.mkdir(parents=True, exist_ok=True)
    try:
        yield
    finally:
        document = json.dumps(summary.document(), indent=2)
        for name, text in zip(NAMES, (document, "\n".join(summary.lines())), strict=True):
            path = folder / name
            with saving(path), finished_file(path) as temporary:
                temporary.write_text(text + "\n", encoding="utf-8", errors="backslashreplace")
