"""Results as CSV, JSON and annotated images: written as they come, named when complete."""

from __future__ import annotations

import csv
import errno
import io
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, TextIO
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fer_bench.errors import FerBenchError, RunFailed
from fer_bench.formatting import defused
from fer_bench.inference.drawing.faces import annotate, numbers
from fer_bench.inference.files.batch import FileResult
from fer_bench.inference.files.inputs import Input
from fer_bench.inference.files.people import People
from fer_bench.inference.predictor import FacePrediction

#: Names that an annotated image keeps; others get `.png` behind theirs.
WRITTEN_IMAGES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")
#: Pixels; where none is given, they have room.
LARGEST_SIDES = {".jpg": 65_500, ".jpeg": 65_500, ".webp": 16_383}
#: Names that an annotated video keeps; others get `.mp4`. (Matroska counts whole milliseconds.)
WRITTEN_VIDEOS = (".mp4", ".m4v", ".mov")
QUALITY = 92
BOX_COLUMNS = ("x", "y", "width", "height")


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

    Where something else ends the block early, the rows so far are kept, if there are any. Where the
    report itself cannot be written, what was there before stays as it was.

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
    def kept(self) -> int:
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
                if self.kept:
                    self._finish.close()
                else:
                    self._finish.__exit__(kind, error, trace)
        except RunFailed:
            self._fails = True
            raise


class AnnotatedImages:
    """A copy of each image with its faces drawn on it; frames of videos are not for it."""

    def __init__(self, targets: Mapping[Path, Path], emotions: Sequence[str]) -> None:
        self._targets = targets
        self._emotions = emotions

    def write(self, result: FileResult) -> None:
        """Writes the copy of one image.

        Raises:
            RunFailed: it has too many pixels for such a file, or the disk is full or not writable.
        """
        target = self._targets.get(result.path)
        if target is None or result.image is None or result.frame is not None:
            return
        drawn = draw_faces(result.image, result.faces, self._emotions)
        largest = LARGEST_SIDES.get(target.suffix.lower(), max(drawn.shape))
        if max(drawn.shape) > largest:
            raise RunFailed(
                f"cannot write {target}: expected at most {largest:,} pixels a side in such a "
                f"picture, got {drawn.shape[1]}x{drawn.shape[0]}: make {result.path} smaller or "
                "rename it to .png"
            )
        with saving(target), finished_file(target) as temporary:
            Image.fromarray(drawn).save(temporary, quality=QUALITY)

    def attempt(self, result: FileResult) -> FileResult:
        """As `write`; where that fails, the result with its error."""
        try:
            self.write(result)
        except RunFailed as error:
            return replace(result, error=str(error), unwritten=True)
        return result


def draw_faces(
    image: NDArray[np.uint8],
    faces: Sequence[FacePrediction],
    emotions: Sequence[str],
    tracks: Sequence[int] = (),
) -> NDArray[np.uint8]:
    """The annotated image; several faces get their numbers in the CSV: of videos their tracks."""
    return annotate(image, faces, emotions, names=numbers(faces, tracks))


def plan_outputs(
    inputs: Sequence[Input],
    *,
    out: Path | None = None,
    video: Path | None = None,
    reports: Sequence[Path] = (),
) -> dict[Path, Path]:
    """Where the annotated copy of each input goes, by its path.

    Args:
        out: folder for copies of everything.
        video: name for the copy of the one video among the inputs.
        reports: other files that will be written.

    Raises:
        FerBenchError: one output would overwrite an input or another output, or one of those that
            were named cannot be made. (Of a copy in `out` that is said when it is written.)
    """
    copies = {} if out is None else _names_in(out, inputs)
    if video is not None:
        videos = [one.path for one in inputs if one.is_video]
        if len(videos) != 1:
            raise FerBenchError(
                f"--video takes the copy of one video, the inputs have {len(videos)}: name one "
                "video, or say --out FOLDER"
            )
        if video.suffix.lower() not in WRITTEN_VIDEOS:
            raise FerBenchError(
                f"cannot write a video as {video}: expected a name that ends in "
                f"{', '.join(WRITTEN_VIDEOS)}"
            )
        copies[videos[0]] = video
    named = [path for path in (video, *reports) if path is not None]
    _check_places(inputs, out, [*copies.values(), *reports], named)
    return copies


def _names_in(out: Path, inputs: Sequence[Input]) -> dict[Path, Path]:
    """A name in `out` for each input: the folders kept, no name twice."""
    taken: set[str] = set()
    names = {}
    for one in inputs:
        suffixes, other = (WRITTEN_VIDEOS, ".mp4") if one.is_video else (WRITTEN_IMAGES, ".png")
        suffix = one.name.suffix
        tail = suffix if suffix.lower() in suffixes else suffix + other
        name, number = one.name.with_suffix(tail), 1
        while str(name).casefold() in taken:  # a.gif beside a.gif.png, A.jpg beside a.jpg
            number += 1
            name = one.name.with_name(f"{one.name.stem}-{number}{tail}")
        taken.add(str(name).casefold())
        names[one.path] = out / name
    return names


def _check_places(
    inputs: Sequence[Input], out: Path | None, outputs: Sequence[Path], named: Sequence[Path]
) -> None:
    if out is not None and os.path.exists(out) and not out.is_dir():  # noqa: PTH110  # long names
        raise FerBenchError(f"--out {out} is a file: expected a folder")
    taken = {one.path.resolve(): f"the input {one.path}" for one in inputs}
    for path in outputs:
        place = path.resolve()
        if place in taken:
            raise FerBenchError(
                f"{path} would overwrite {taken[place]}: choose another name or folder"
            )
        if path in named and (what := _in_the_way(path)):
            raise FerBenchError(f"cannot write {path}: it is {what}; choose another name")
        taken[place] = f"the output {path}"


def _in_the_way(path: Path) -> str | None:
    """What lies at a path that no file can replace."""
    if not os.path.lexists(path) or os.path.isfile(path):  # noqa: PTH113  # False for long names
        return None
    return "a folder" if os.path.isdir(path) else "a device or pipe"  # noqa: PTH112


@contextmanager
def saving(path: Path) -> Iterator[None]:
    """Turns what goes wrong on the disk into a sentence.

    Raises:
        RunFailed: it is full or not writable.
    """
    try:
        yield
    except OSError as error:
        raise RunFailed(
            f"cannot write {path}: {error.strerror or error}: free some space or choose another "
            "place"
        ) from None


@contextmanager
def finished_file(path: Path) -> Iterator[Path]:
    """A temporary name beside `path` that becomes `path` when the block ends well, or vanishes.

    Raises:
        OSError: no folder or file can be made there.
    """
    temporary = path.with_name(f".{uuid4().hex}.tmp{path.suffix}")
    if what := _in_the_way(path):
        raise FileExistsError(errno.EEXIST, f"{what} is in the way")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
