"""One video's analysis, in a thread of its own: a page may be left and opened again meanwhile."""

from __future__ import annotations

import shutil
import tempfile
import threading
import time
import weakref
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import pandas as pd

from fer_bench.errors import FerBenchError
from fer_bench.formatting import time_left
from fer_bench.inference.files.batch import FileResult
from fer_bench.inference.files.people import People, Span
from fer_bench.inference.files.writers import Csv, FileReport
from fer_bench.inference.predictor import Predictor
from fer_bench.inference.video.faces import predict_video
from fer_bench.ui.videos.source import Video

FAULT = "The analysis ended by a fault of FER Bench; the server's log has more about it."
#: How long the end of a visit waits for the thread, seconds.
ENDS_WITHIN = 5.0


@dataclass(kw_only=True)
class VideoReport:
    """What is known of a video so far; filled by the job's thread.

    Attributes:
        run: the `dataset/run` that names the emotions.
        frames: analysed ones in order of time, without their images.
        problems: why something could not be read or written, in sentences.
        table, copy: the CSV and the annotated video; there once the job has ended, if at all.
    """

    name: str
    run: str
    table: Path
    copy: Path
    emotions: tuple[str, ...]
    frames: list[FileResult] = field(default_factory=list)
    people: People = field(default_factory=People)
    problems: list[str] = field(default_factory=list)

    @property
    def n_no_face(self) -> int:
        """Analysed frames in which no face was found."""
        return sum(not frame.faces for frame in self.frames)

    def spans(self) -> pd.DataFrame:
        """Who showed what, and when: a row per `people.Span`."""
        return pd.DataFrame(self.people.spans(), columns=Span._fields)

    def times(self) -> list[float]:
        """Of the frames, seconds."""
        return [frame.time_s or 0.0 for frame in self.frames]

    def frame_at(self, time_s: float) -> FileResult:
        """The analysed frame that counts at a time: the last one until then, else the first."""
        return self.frames[max(bisect_right(self.times(), time_s + 1e-6) - 1, 0)]


class VideoJob:
    """The analysis of one video; forgotten when nobody holds it any more.

    Attributes:
        report: may be read at any time; whole once the job is `finished`.
    """

    def __init__(self, video: Video, predictor: Predictor, run: str, *, every: int = 1) -> None:
        """Starts it.

        Args:
            run: the predictor's, `dataset/run`.
            every: which frames are analysed: each, each second one, ...
        """
        folder = Path(tempfile.mkdtemp(prefix="fer-bench-video-"))
        report = VideoReport(
            name=video.name,
            run=run,
            table=folder / "faces.csv",
            copy=folder / "annotated.mp4",
            emotions=predictor.classifier.emotions,
        )
        self.report = report
        self._state = _State()
        self._thread = threading.Thread(
            target=_analyse,
            args=(video, predictor, every, report, self._state),
            name="video",
            daemon=True,
        )
        self._forget = weakref.finalize(self, _end, self._thread, self._state, folder)
        self._thread.start()

    @property
    def finished(self) -> bool:
        """Whether it has ended, well or not."""
        return not self._thread.is_alive()

    @property
    def is_cancelled(self) -> bool:
        """Whether it was asked to end early."""
        return self._state.cancelled.is_set()

    def cancel(self) -> None:
        """Ends it after the frames at hand; what was analysed until then is the report."""
        self._state.cancelled.set()

    def forget(self) -> None:
        """Ends it and deletes what it made."""
        self._forget()

    def wait(self) -> None:
        """Waits for its end."""
        self._thread.join()

    @property
    def progress(self) -> float:
        """How much is done, in [0, 1]."""
        return min(self._state.done / max(self._state.total, 1), 1.0)

    def progress_line(self) -> str:
        """How far it is, and the time left, in words."""
        done, total = self._state.done, self._state.total
        if not done:
            return "Opening the video …"
        spent = time.monotonic() - self._state.started
        left = spent * (total - done) / done
        return f"{done:,} of {total:,} frames, {time_left(left)} left"


@dataclass
class _State:
    cancelled: threading.Event = field(default_factory=threading.Event)
    done: int = 0
    total: int = 0
    started: float = field(default_factory=time.monotonic)

    def note(self, stage: str, done: int, total: int, figures: Mapping[str, float]) -> None:
        """The `Progress` of the analysis."""
        self.done, self.total = done, total


def _analyse(
    video: Video,
    predictor: Predictor,
    every: int,
    report: VideoReport,
    state: _State,
) -> None:
    problem: str | None = FAULT  # stays where something unforeseen ends the thread
    try:
        with FileReport(report.table, Csv, report.emotions) as table:
            for result in predict_video(
                predictor,
                video.path,
                every=every,
                copy_to=report.copy,
                progress=state.note,
                is_cancelled=state.cancelled.is_set,
            ):
                _take(_renamed(result, video), report, table)
        problem = None
    except FerBenchError as error:
        problem = str(error)
    finally:
        if problem is not None:
            report.problems.append(problem)


def _take(result: FileResult, report: VideoReport, table: FileReport) -> None:
    table.write(result)
    if result.error is not None:
        report.problems.append(result.error)
    else:
        report.people.add(result)
        report.frames.append(result)


def _renamed(result: FileResult, video: Video) -> FileResult:
    """A result without its image, under the name that the visitor gave the video."""
    error = result.error and result.error.replace(str(video.path), video.name)
    return replace(result, image=None, path=Path(video.name), error=error)


def _end(thread: threading.Thread, state: _State, folder: Path) -> None:
    state.cancelled.set()
    if thread is not threading.current_thread():
        thread.join(ENDS_WITHIN)
    shutil.rmtree(folder, ignore_errors=True)
