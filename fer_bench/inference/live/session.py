"""One visitor's webcam: every frame goes back at once, a worker analyses only the newest one."""

from __future__ import annotations

import atexit
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fer_bench.errors import FerBenchError
from fer_bench.inference.detectors.base import FaceDetector
from fer_bench.inference.face_tracker import FaceTracker
from fer_bench.inference.images import check_image
from fer_bench.inference.live.analysis import FrameAnalyser
from fer_bench.inference.live.log import ErrorLog, Rate, SessionLog
from fer_bench.inference.live.overlay import Overlay, TrackedFace, draw_overlay
from fer_bench.inference.predictor import Predictor

if TYPE_CHECKING:  # tables load only when they are asked for, torch when a network is opened
    import pandas as pd

    from fer_bench.inference.classifier import FaceClassifier

__all__ = ["LivePercentiles", "LiveSession", "LiveSettings", "LiveStats", "TrackedFace"]

#: Frames whose overlay's age, and analyses whose milliseconds, the statistics speak of.
AGES_KEPT, ANALYSES_KEPT = 300, 30
MAX_SMOOTHING = 0.95
#: Models that are compared on the same faces.
MOST_MODELS = 4


@dataclass(frozen=True, kw_only=True)
class LiveSettings:
    """What may change while the camera runs.

    Attributes:
        mirror: as in a mirror; the boxes along, the text never.
        bars: probabilities next to each face.
        figures: frames per second and milliseconds in the corner.
        smoothing: weight of what was known before, in [0, 0.95]; 0 shows each frame for itself.

    Raises:
        FerBenchError: a smoothing beyond its range.
    """

    mirror: bool = True
    bars: bool = True
    figures: bool = True
    smoothing: float = 0.5

    def __post_init__(self) -> None:
        if not 0 <= self.smoothing <= MAX_SMOOTHING:
            raise FerBenchError(
                f"expected a smoothing from 0 to {MAX_SMOOTHING}, got {self.smoothing}"
            )


class LivePercentiles(NamedTuple):
    """Median and 90th percentile."""

    p50: float
    p90: float


@dataclass(frozen=True, kw_only=True)
class LiveStats:
    """How the session does; counts and figures since the last start.

    Attributes:
        playing: between `start` and `stop`.
        frames, fps: frames given back, and how many a second of late.
        drawn: those of them that an overlay, not yet expired, was drawn on.
        analysed, analyses_per_second: frames that the worker finished.
        detect_ms, classify_ms: medians of the last analyses, all models together; None before any.
        overlay_age_ms: between the arrival of a drawn frame and the arrival of the frame that its
            overlay was computed from; over the last frames; None before any.
        faces: of the newest analysis, largest first, then those just missed; boxes in the camera's
            own unmirrored frame; none once it has expired.
        models: names of the classifiers in use.
        log_dropped: the log's oldest rows that had to go.
        error: one sentence while something fails, None otherwise.
    """

    playing: bool
    frames: int
    fps: float
    drawn: int
    analysed: int
    analyses_per_second: float
    detect_ms: float | None
    classify_ms: float | None
    overlay_age_ms: LivePercentiles | None
    faces: tuple[TrackedFace, ...]
    models: tuple[str, ...]
    log_dropped: int
    error: str | None


class LiveSession:
    """Thread-safe: the page, the video's callback and the worker meet here.

    Make it, `use` models, `start`; give each frame to `on_frame`; `stop` at the end. It may be
    started again: the log, the faces' numbers and the last picture stay, the figures start anew.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock`: seconds, never going back."""
        self._clock = clock
        #: Assign another at any time; swapped whole, so it needs no lock.
        self.settings = LiveSettings()
        self._lifecycle = threading.Lock()  # one start or stop at a time
        self._worker: threading.Thread | None = None
        # Guards all below it, for moments only: no model runs and nothing is drawn under it.
        self._changed = threading.Condition()
        self._playing = False
        self._slot: tuple[NDArray[np.uint8], float] | None = None
        self._predictors: tuple[Predictor, ...] = ()
        self._overlay: Overlay | None = None
        self._shown: NDArray[np.uint8] | None = None
        self._reset_figures()
        self._log = SessionLog()
        self._errors = ErrorLog()
        # Nobody has left only because a busy machine did not look for a second.
        self._tracker = FaceTracker(keep_frames=2)

    def _reset_figures(self) -> None:
        self._frames = self._drawn = self._analysed = 0
        self._frame_rate, self._analysis_rate = Rate(), Rate()
        self._ages: deque[float] = deque(maxlen=AGES_KEPT)
        self._spent: deque[tuple[float, float]] = deque(maxlen=ANALYSES_KEPT)

    def use(self, classifiers: Sequence[FaceClassifier], detector: FaceDetector) -> None:
        """Switches models from the next analysed frame on; the video goes on meanwhile.

        Args:
            classifiers: one, or up to `MOST_MODELS` to compare on the same faces.
            detector: used in the worker's thread, as `make_detector` allows.

        Raises:
            FerBenchError: none or more classifiers than that.
        """
        if not 1 <= len(classifiers) <= MOST_MODELS:
            raise FerBenchError(f"expected 1 to {MOST_MODELS} models, got {len(classifiers)}")
        with self._changed:
            self._predictors = tuple(Predictor(one, detector) for one in classifiers)
            self._changed.notify()

    def start(self) -> None:
        """Starts the worker; does nothing while it runs."""
        with self._lifecycle:
            if self._worker is not None:
                return
            self._errors.clear()
            self._tracker.forget()
            with self._changed:
                self._reset_figures()
                self._playing = True
            # A daemon that native code holds when Python ends takes the process down with it.
            atexit.register(self.stop)
            self._worker = threading.Thread(target=self._work, name="live", daemon=True)
            self._worker.start()

    def stop(self) -> None:
        """Ends the worker and waits for it, at most for the frame it is on."""
        with self._lifecycle:
            if self._worker is None:
                return
            with self._changed:
                self._playing = False
                self._changed.notify()
            self._worker.join()
            self._worker = None
            atexit.unregister(self.stop)
            with self._changed:
                self._slot = self._overlay = None

    def on_frame(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """A frame, RGB uint8 `(H, W, 3)`, to the one to show; at once, whatever the model does.

        The frame itself is kept and not written to. What goes wrong is kept for `stats`, and the
        frame comes back as it was.
        """
        shown = image
        with self._errors.catch("drawing a frame"):
            check_image(image)
            settings = self.settings
            now = self._clock()
            with self._changed:
                if self._playing:
                    self._slot = image, now
                    self._changed.notify()
                overlay = self._overlay
                self._frames += 1
                self._frame_rate.tick(now)
                fps = self._frame_rate.per_second(now) if settings.figures else None
            if overlay is not None and not overlay.suits(image, now):
                overlay = None
            shown = draw_overlay(
                image, overlay, mirror=settings.mirror, bars=settings.bars, fps=fps
            )
            if overlay is not None:
                with self._changed:
                    self._drawn += 1
                    self._ages.append((now - overlay.arrived) * 1000)
        self._shown = shown
        return shown

    def stats(self) -> LiveStats:
        """How it goes just now."""
        now = self._clock()
        with self._changed:
            overlay, predictors, playing = self._overlay, self._predictors, self._playing
            counts = self._frames, self._drawn, self._analysed
            ages, spent = list(self._ages), list(self._spent)
            fps = self._frame_rate.per_second(now)
            analyses_per_second = self._analysis_rate.per_second(now)
        if overlay is not None and overlay.is_expired(now):
            overlay = None
        detect_ms, classify_ms = np.median(spent, axis=0).tolist() if spent else (None, None)
        age = LivePercentiles(*np.percentile(ages, (50, 90)).tolist()) if ages else None
        return LiveStats(
            playing=playing,
            frames=counts[0],
            drawn=counts[1],
            analysed=counts[2],
            fps=fps,
            analyses_per_second=analyses_per_second,
            detect_ms=detect_ms,
            classify_ms=classify_ms,
            overlay_age_ms=age,
            faces=() if overlay is None else overlay.faces,
            models=tuple(predictor.classifier.name for predictor in predictors),
            log_dropped=self._log.dropped,
            error=self._errors.sentence(),
        )

    def timeline(self) -> pd.DataFrame:
        """What each face showed by the first model over the last 60 s.

        Columns `seconds` (from -60 to 0 = now), `face` (its number), `emotion` and `score`, its
        probability in [0, 1].
        """
        return self._log.timeline(self._clock())

    def log(self) -> pd.DataFrame:
        """Every face of every analysis as it was shown (smoothed), oldest first, for a CSV.

        Columns `time_s` since the first frame, `track` (the face's number), `model`, `emotion`,
        `score` and `p_<emotion>` for each; the last 100,000 rows (`attrs["dropped"]` went).
        """
        return self._log.table()

    def snapshot(self) -> NDArray[np.uint8] | None:
        """The last frame as shown, RGB uint8 `(H, W, 3)`; None before the first."""
        shown = self._shown
        return None if shown is None else shown.copy()

    def clear(self) -> None:
        """Forgets the log, the timeline and the last picture."""
        self._log.clear()
        self._shown = None

    def _work(self) -> None:
        analyser = FrameAnalyser(self._tracker, self._clock)
        while True:
            with self._changed:
                self._changed.wait_for(lambda: not self._playing or self._has_work())
                if not self._playing:
                    return
                assert self._slot is not None  # nosec B101  # waited for
                (image, arrived), self._slot = self._slot, None
                predictors = self._predictors
            with self._errors.catch("analysing a frame"):
                overlay = analyser.analyse(
                    image, predictors, smoothing=self.settings.smoothing, arrived=arrived
                )
                self._publish(overlay)

    def _has_work(self) -> bool:
        return self._slot is not None and bool(self._predictors)

    def _publish(self, overlay: Overlay) -> None:
        self._log.add(overlay)
        with self._changed:
            self._overlay = overlay
            self._analysed += 1
            self._analysis_rate.tick(overlay.made)
            self._spent.append((overlay.detect_ms, overlay.classify_ms))
