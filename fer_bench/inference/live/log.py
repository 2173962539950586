"""What a live session records: its log, the last minute, its pace and its current failures."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fer_bench.errors import FerBenchError
from fer_bench.inference.live.overlay import Overlay, TrackedFace

if TYPE_CHECKING:  # the window of `live` shows no table
    import pandas as pd

#: Rows of a session's log; with 7 emotions about 30 MB, an hour of one face at 28 analyses/s.
LOG_ROWS = 100_000
#: The timeline's length, and how far apart its points are.
TIMELINE_S, TIMELINE_STEP_S = 60.0, 0.2
TIMELINE_POINTS = int(TIMELINE_S / TIMELINE_STEP_S) + 2
#: How far back a rate looks, and the events it keeps for that.
RATE_S, RATE_EVENTS = 2.0, 256
#: The log's first columns.
FIXED = ("time_s", "track", "model", "emotion", "score")

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Row:
    time_s: float
    track: int
    model: str
    emotion: str
    score: float
    emotions: tuple[str, ...]
    probabilities: NDArray[np.float32]


class SessionLog:
    """Bounded: the oldest rows go when it is full, and are counted. Thread-safe."""

    def __init__(self, rows: int = LOG_ROWS) -> None:
        self._lock = threading.Lock()
        self._rows: deque[_Row] = deque(maxlen=rows)
        #: When, and what the first model made of each face then.
        self._points: deque[tuple[float, list[_Row]]] = deque(maxlen=TIMELINE_POINTS)
        self._begin: float | None = None
        self._dropped = 0

    @property
    def dropped(self) -> int:
        """Rows that had to go."""
        return self._dropped

    def add(self, overlay: Overlay) -> None:
        """One analysed frame: a row per face and model; its faces to the timeline."""
        with self._lock:
            if self._begin is None:
                self._begin = overlay.arrived
            rows = [_rows(face, overlay, self._begin) for face in overlay.faces if not face.held]
            for row in chain.from_iterable(rows):
                self._dropped += len(self._rows) == self._rows.maxlen
                self._rows.append(row)
            if not self._points or overlay.arrived - self._points[-1][0] >= TIMELINE_STEP_S:
                self._points.append((overlay.arrived, [of_face[0] for of_face in rows]))

    def table(self) -> pd.DataFrame:
        """As `LiveSession.log`."""
        import pandas as pd

        with self._lock:
            rows, dropped = list(self._rows), self._dropped
        table = pd.DataFrame({name: [getattr(row, name) for row in rows] for name in FIXED})
        columns = _by_emotion([(row.emotions, row.probabilities) for row in rows])
        table = table.join(columns.add_prefix("p_"))
        table.attrs["dropped"] = dropped
        return table

    def timeline(self, now: float) -> pd.DataFrame:
        """As `LiveSession.timeline`."""
        import pandas as pd

        with self._lock:
            points = [(time, rows) for time, rows in self._points if now - time <= TIMELINE_S]
        rows = [(t - now, row.track, row.emotion, row.score) for t, rows in points for row in rows]
        return pd.DataFrame(rows, columns=["seconds", "face", "emotion", "score"])

    def clear(self) -> None:
        """Forgets everything; the next frame is at 0 s."""
        with self._lock:
            self._rows.clear()
            self._points.clear()
            self._begin = None
            self._dropped = 0


def _rows(face: TrackedFace, overlay: Overlay, begin: float) -> list[_Row]:
    """What each model makes of a face."""
    predictions = (face.prediction, *face.others)
    return [
        _Row(
            time_s=overlay.arrived - begin,
            track=face.track,
            model=model,
            emotion=prediction.emotion,
            score=prediction.score,
            emotions=emotions,
            probabilities=prediction.probabilities.astype(np.float32),
        )
        for model, emotions, prediction in zip(
            overlay.models, overlay.classes, predictions, strict=True
        )
    ]


def _by_emotion(rows: Sequence[tuple[tuple[str, ...], NDArray[np.floating]]]) -> pd.DataFrame:
    """One column per emotion, NaN in rows of models that do not know it."""
    import pandas as pd

    columns: dict[str, NDArray[np.float64]] = {}
    for emotions in dict.fromkeys(emotions for emotions, _ in rows):
        rows_of = [i for i, (known, _) in enumerate(rows) if known == emotions]
        values = np.stack([rows[i][1] for i in rows_of])
        for column, emotion in enumerate(emotions):
            columns.setdefault(emotion, np.full(len(rows), np.nan))[rows_of] = values[:, column]
    return pd.DataFrame(columns, index=pd.RangeIndex(len(rows)))


class Rate:
    """Events per second over the last two seconds."""

    def __init__(self) -> None:
        self._times: deque[float] = deque(maxlen=RATE_EVENTS)

    def tick(self, now: float) -> None:
        """One event."""
        self._times.append(now)

    def per_second(self, now: float) -> float:
        """0 with fewer than two events in the window."""
        times = [time for time in self._times if now - time <= RATE_S]
        if len(times) < 2 or times[-1] == times[0]:
            return 0.0
        return (len(times) - 1) / (times[-1] - times[0])


class ErrorLog:
    """What fails just now, one sentence per activity, until that activity works again."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sentences: dict[str, str] = {}

    @contextmanager
    def catch(self, activity: str) -> Iterator[None]:
        """Keeps what goes wrong inside, with its traceback in the log, and goes on.

        The one place that catches everything: behind it is a thread of its own or the video's,
        which would end, or freeze the picture, without a word anywhere.
        """
        try:
            yield
        except Exception as error:  # noqa: BLE001 - a thread's boundary; the page shows it
            self._keep(activity, error)
        else:
            with self._lock:
                self._sentences.pop(activity, None)

    def _keep(self, activity: str, error: Exception) -> None:
        sentence = str(error)
        if not isinstance(error, FerBenchError):
            text = " ".join(f"{type(error).__name__}: {error}".split()).rstrip(": ")
            sentence = f"{activity} failed, the video goes on without it ({text})"
        with self._lock:
            is_new = self._sentences.get(activity) != sentence
            self._sentences[activity] = sentence
        if is_new:  # not again for each of thirty frames a second
            logger.exception("%s failed", activity)

    def sentence(self) -> str | None:
        """The first that stands."""
        with self._lock:
            return next(iter(self._sentences.values()), None)

    def clear(self) -> None:
        """Nothing failed."""
        with self._lock:
            self._sentences.clear()
