"""Results as CSV and JSON: written as they come, named when complete."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from itertools import zip_longest
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, TextIO

from fer_bench.errors import RunFailed, printable
from fer_bench.formatting import defused
from fer_bench.inference.detectors.base import BOX_COLUMNS
from fer_bench.inference.files.batch import FileResult
from fer_bench.inference.files.people import People
from fer_bench.inference.predictor import FacePrediction
from fer_bench.storage import finished_file, saving


class Report(Protocol):
    """Takes results one by one."""

    def write(self, result: FileResult) -> None: ...


def as_entry(result: FileResult, emotions: Sequence[str]) -> dict[str, Any]:
    """A result as JSON: `path, faces, backend, error`, and `frame, time_s` for videos.

    Faces of videos have their `track`, from 1: the same face's from frame to frame.
    """
    entry: dict[str, Any] = {"path": str(result.path)}
    if result.frame is not None:
        entry |= {"frame": result.frame, "time_s": result.time_s}
    faces = [
        {
            **({"track": track} if track is not None else {}),
            "box": list(face.face.box),
            "detector_score": face.face.score,
            "emotion": face.emotion,
            "score": face.score,
            "probabilities": dict(zip(emotions, face.probabilities.tolist(), strict=True)),
            **({"set": list(face.emotion_set)} if face.emotion_set else {}),
        }
        for face, track in zip_longest(result.faces, result.tracks)
    ]
    return entry | {"faces": faces, "backend": result.backend, "error": result.error}


class Lines:
    """One line per image or frame, for reading."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def write(self, result: FileResult) -> None:
        if result.error is not None:  # named on stderr
            return
        path = printable(str(result.path).encode("utf-8", "backslashreplace").decode())
        if result.time_s is not None:
            path += f" at {result.time_s:.2f} s"
        faces = ", ".join(
            f"{face.emotion} {face.score:.0%}"
            + (f" of {{{' '.join(face.emotion_set)}}}" if face.emotion_set else "")
            for face in result.faces
        )
        # On a terminal through what the bars put in place of stdout, so that they stay below.
        file = sys.stdout if self._file.isatty() else self._file
        file.write(f"{path}: {faces or 'no face'}\n")


class JsonLines:
    """One JSON object per image or frame and line."""

    def __init__(self, file: TextIO, emotions: Sequence[str]) -> None:
        self._file = file
        self._emotions = emotions

    def write(self, result: FileResult) -> None:
        self._file.write(json.dumps(as_entry(result, self._emotions)) + "\n")


class JsonArray:
    """One JSON document, a list, written while it grows; closed when the block ends.

    The last entry of a video's frames has its `people`, see `People.document`.
    """

    def __init__(self, file: TextIO, emotions: Sequence[str]) -> None:
        self._file = file
        self._emotions = emotions
        self._before = "[\n"
        self._last: dict[str, Any] | None = None  # of a video's frames, held until the next comes
        self._people = People()

    def __enter__(self) -> JsonArray:
        return self

    def write(self, result: FileResult) -> None:
        entry = as_entry(result, self._emotions)
        same = self._last is not None and self._last["path"] == entry["path"]
        self._give_last(is_end=not same or result.frame is None)
        if result.frame is None:
            self._give(entry)
        else:
            self._people.add(result)
            self._last = entry

    def _give_last(self, *, is_end: bool) -> None:
        last, self._last = self._last, None
        if last is not None:
            self._give(last | {"people": self._people.document()} if is_end else last)
        if is_end:
            self._people = People()

    def _give(self, entry: dict[str, Any]) -> None:
        self._file.write(self._before + json.dumps(entry))
        self._before = ",\n"

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None or not issubclass(kind, OSError):  # else it would fail again
            self._give_last(is_end=True)
            self._file.write("[]\n" if self._before == "[\n" else "\n]\n")


def face_row(number: int, face: FacePrediction, emotions: Sequence[str]) -> dict[str, object]:
    """A face as cells of a table, `number` from 1; the box in pixels, may reach beyond the image.

    Columns: face, x, y, width, height, detector_score, emotion, score, p_<emotion>...
    """
    return {
        "face": number,
        **dict(zip(BOX_COLUMNS, face.face.box, strict=True)),
        "detector_score": face.face.score,
        "emotion": face.emotion,
        "score": face.score,
        **{
            f"p_{emotion}": float(p)
            for emotion, p in zip(emotions, face.probabilities, strict=True)
        },
        **({"set": " ".join(face.emotion_set)} if face.emotion_set else {}),
    }


class Csv:
    """One row per face; one without a face for an image that has none or cannot be read.

    Columns: path, frame, time_s (empty for images), face (from 1, largest first), track (of videos:
    a person's number from frame to frame), x, y, width, height (pixels; may reach beyond the
    image), detector_score, emotion, score, p_<emotion>..., set (with_sets: the emotions with blanks
    between them, likeliest first), backend, error. Text that a spreadsheet would run as a formula
    gets a `'` before.
    """

    def __init__(self, file: TextIO, emotions: Sequence[str], *, with_sets: bool = False) -> None:
        columns = ["path", "frame", "time_s", "face", "track", *BOX_COLUMNS]
        columns += ["detector_score", "emotion", "score", *(f"p_{e}" for e in emotions)]
        columns += ["set", "backend", "error"] if with_sets else ["backend", "error"]
        self._writer = csv.DictWriter(
            file, columns, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n"
        )
        self._writer.writeheader()
        self._emotions = emotions

    def write(self, result: FileResult) -> None:
        common = {"path": str(result.path), "frame": result.frame, "time_s": result.time_s}
        common |= {"backend": result.backend, "error": result.error}
        faces = [
            {"track": track} | face_row(number, face, self._emotions)
            for number, (face, track) in enumerate(zip_longest(result.faces, result.tracks), 1)
        ]
        for face in faces or [{}]:
            row = common | face
            self._writer.writerow({column: defused(cell) for column, cell in row.items()})


class FileReport:
    """A report of rows as a file, which gets its name when the block ends.

    Where something else ends the block early, the rows so far are stored, if there are any. Where
    the report itself cannot be written, what was there before stays as it was.

    Raises:
        RunFailed: the disk is full or not writable.
    """

    def __init__(
        self, path: Path, make: Callable[[TextIO, Sequence[str]], Report], emotions: Sequence[str]
    ) -> None:
        self.path = path
        self.rows = 0
        self._fails = False
        with saving(path), ExitStack() as stack:
            temporary = stack.enter_context(finished_file(path))
            self._file = temporary.open(
                "w", newline="", encoding="utf-8", errors="backslashreplace"
            )
            stack.callback(self._file.close)
            self._row = io.StringIO(newline="")
            self._report = make(self._row, emotions)
            self._take_row()
            self._finish = stack.pop_all()

    def __enter__(self) -> FileReport:
        return self

    @property
    def n_written(self) -> int:
        """How many results stand in the file, or will."""
        return 0 if self._fails else self.rows

    def write(self, result: FileResult) -> None:
        self._report.write(result)
        try:
            with saving(self.path):
                self._take_row()
        except RunFailed:
            self._fails = True
            raise
        self.rows += 1

    def _take_row(self) -> None:
        """Writes a whole row at once: an interrupted one would be half a row."""
        self._file.write(self._row.getvalue())
        self._row.seek(0)
        self._row.truncate()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            with saving(self.path):
                if self.n_written:
                    self._finish.close()
                else:
                    self._finish.__exit__(kind, error, trace)
        except RunFailed:
            self._fails = True
            raise
