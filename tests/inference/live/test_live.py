"""The live session without a camera or browser: stub models that wait until they are told."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import ImageColor
from torch import Tensor, nn
from waiting_fixtures import PATIENCE_S, wait_until

from fer_bench.backends.base import Backend
from fer_bench.backends.select import open_backend
from fer_bench.data.preprocess import to_input
from fer_bench.emotions import COLOURS, FER2013
from fer_bench.errors import FerBenchError
from fer_bench.inference.classifier import FaceClassifier
from fer_bench.inference.detectors.base import Box, DetectedFace, DetectorPerThread, WholeImage
from fer_bench.inference.live.log import Rate, SessionLog
from fer_bench.inference.live.overlay import EXPIRES_S, Overlay, mirrored
from fer_bench.inference.live.session import LiveSession, LiveSettings, TrackedFace
from fer_bench.inference.predictor import Predictor, named
from fer_bench.models.build import build_model
from fer_bench.models.classifier import Classifier, ModelRequest
from fer_bench.types import InputSpec, Provenance

EMOTIONS = ("happy", "sad")
BOX = (100, 150, 120, 120)
RAW = LiveSettings(mirror=False, bars=False, figures=False, smoothing=0.0)


class Clock:
    """Stands still until it is set."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Detector:
    """Always the same boxes; counts how often it is asked, and in which threads."""

    name = "stub"

    def __init__(self, boxes: Sequence[Box] = (BOX,)) -> None:
        self.boxes = list(boxes)
        self.calls = 0
        self.threads: set[int] = set()

    def detect_frame(self, image: NDArray[np.uint8]) -> list[DetectedFace]:
        self.calls += 1
        self.threads.add(threading.get_ident())
        return [DetectedFace(box=box) for box in self.boxes]

    def detect(self, image: NDArray[np.uint8]) -> list[DetectedFace]:
        raise AssertionError("a frame is looked at quickly")


class Gate:
    """A network that says when it begins and waits to be let through."""

    def __init__(self) -> None:
        self.entered, self.passes = threading.Semaphore(0), threading.Semaphore(0)
        self.seen: list[int] = []

    def __call__(self, x: Tensor) -> Tensor:
        self.seen.append(round(float(x.mean()) * 255))
        self.entered.release()
        assert self.passes.acquire(timeout=PATIENCE_S)
        return torch.tensor([[2.0, 0.0]]).repeat(len(x), 1)

    def wait(self) -> None:
        assert self.entered.acquire(timeout=PATIENCE_S)


def classifier(
    forward: Callable[[Tensor], Tensor],
    *,
    name: str = "stub",
    emotions: Sequence[str] = EMOTIONS,
    margin: float = 0.0,
) -> FaceClassifier:
    spec = InputSpec(size=8, channels=1, mean=(0.0,), std=(1.0,), face_margin=margin)
    model = Classifier(
        backbone=nn.Flatten(),
        head=nn.Identity(),
        feature_size=64,
        input_spec=spec,
        request=ModelRequest(name=name, emotions=tuple(emotions)),
        provenance=Provenance(architecture="stub"),
    )
    return FaceClassifier(name=name, model=model, backend=Backend(name="stub", forward=forward))


def sure_of(emotion: int, *, of: int = len(EMOTIONS)) -> Callable[[Tensor], Tensor]:
    """A network that always says the same."""
    return lambda x: (torch.eye(of)[emotion] * 20).repeat(len(x), 1)


def frame(shade: int = 128) -> NDArray[np.uint8]:
    return np.full((480, 640, 3), shade, np.uint8)


def analyse(session: LiveSession, image: NDArray[np.uint8] | None = None) -> None:
    """Gives a frame and waits until the worker is done with it."""
    before = session.stats().analysed
    session.on_frame(frame() if image is None else image)
    wait_until(lambda: session.stats().analysed == before + 1, "the frames are analysed")


def has_colour(image: NDArray[np.uint8], emotion: str) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = (image == ImageColor.getrgb(COLOURS[emotion])).all(2)
    return found


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def session(clock: Clock) -> Iterator[LiveSession]:
    made = LiveSession(clock)
    made.settings = RAW
    yield made
    made.stop()


# ---- frames


def test_frames_come_back_at_once_while_the_model_is_busy_and_the_newest_is_next(
    session: LiveSession,
) -> None:
    gate = Gate()
    session.use([classifier(gate)], Detector())
    session.start()
    session.on_frame(frame(1))
    gate.wait()  # the model is in the first frame, and stays there
    shown = [session.on_frame(frame(shade)) for shade in range(2, 9)]
    assert [int(image[0, 0, 0]) for image in shown] == list(range(2, 9))
    assert gate.seen == [1] and session.stats().frames == 8
    gate.passes.release()
    gate.wait()
    assert gate.seen == [1, 8]  # the six between were never queued
    gate.passes.release()


def test_the_frame_given_is_not_written_to(session: LiveSession) -> None:
    session.use([classifier(sure_of(0))], Detector())
    session.settings = LiveSettings()
    session.start()
    image = frame()
    analyse(session, image)
    assert (session.on_frame(image) != frame()).any()
    assert (image == 128).all()


def test_an_overlay_is_drawn_until_it_expires(session: LiveSession, clock: Clock) -> None:
    gate = Gate()
    session.use([classifier(gate)], Detector())
    session.start()
    gate.passes.release()
    analyse(session)
    gate.wait()  # it is through that frame, and will hang in the next
    clock.now += EXPIRES_S - 0.01
    assert has_colour(session.on_frame(frame()), "happy").any()
    assert [face.track for face in session.stats().faces] == [1]
    clock.now += 0.02
    assert (session.on_frame(frame()) == 128).all()
    stats = session.stats()
    assert stats.faces == () and stats.drawn == 1 and stats.frames == 3
    gate.passes.release(2)


def test_an_overlay_is_not_drawn_on_a_frame_of_another_size(session: LiveSession) -> None:
    session.use([classifier(sure_of(0))], Detector())
    session.start()
    analyse(session)
    smaller = frame()[:240, :320]
    assert (session.on_frame(smaller) == smaller).all()


def test_without_models_or_before_the_start_frames_flow(session: LiveSession) -> None:
    assert (session.on_frame(frame()) == 128).all()
    session.start()
    assert (session.on_frame(frame()) == 128).all()
    stats = session.stats()
    assert stats.playing and stats.analysed == 0 and stats.error is None and stats.models == ()


def test_the_mirror_turns_the_picture_and_the_boxes_but_not_the_camera_s_faces(
    session: LiveSession,
) -> None:
    image = frame()
    image[:, :320] = 50
    session.use([classifier(sure_of(0))], Detector())
    session.start()
    analyse(session, image)
    left, top, _, height = BOX
    middle = slice(top + 20, top + height - 20)

    straight = has_colour(session.on_frame(image), "happy")[middle]
    assert straight[:, left].any() and not straight[:, 320:].any()

    session.settings = LiveSettings(mirror=True, bars=False, figures=False, smoothing=0)
    turned = session.on_frame(image)
    assert (turned[0, :320] == 128).all() and (turned[0, 320:] == 50).all()
    edges = has_colour(turned, "happy")[middle]
    assert edges[:, 640 - left].any() and not edges[:, :320].any()
    assert session.stats().faces[0].prediction.face.box == BOX


def test_mirroring_turns_boxes_and_swaps_eyes() -> None:
    face = DetectedFace(box=(100, 50, 60, 60), eyes=((110.0, 70.0), (150.0, 75.0)))
    prediction = named(face, np.array([0.9, 0.1]), EMOTIONS)
    turned = mirrored(TrackedFace(track=3, prediction=prediction), 640)
    assert turned.track == 3 and turned.others == ()
    assert turned.prediction.face.box == (480, 50, 60, 60)
    assert turned.prediction.face.eyes == ((489.0, 75.0), (529.0, 70.0))
    assert mirrored(turned, 640).prediction.face == face


def test_the_snapshot_is_the_last_frame_as_shown(session: LiveSession) -> None:
    assert session.snapshot() is None
    session.use([classifier(sure_of(0))], Detector())
    session.start()
    analyse(session)
    shown = session.on_frame(frame())
    session.stop()
    taken = session.snapshot()
    assert taken is not None and taken is not shown
    assert np.array_equal(taken, shown) and has_colour(taken, "happy").any()
    session.clear()
    assert session.snapshot() is None and session.log().empty


# ---- the worker's life


def workers() -> int:
    return [thread.name for thread in threading.enumerate()].count("live")


def test_stopping_waits_for_the_worker_and_both_ways_may_be_done_twice(
    session: LiveSession,
) -> None:
    session.use([classifier(sure_of(0))], Detector())
    session.start()
    session.start()
    assert workers() == 1 and session.stats().playing
    analyse(session)
    session.stop()
    session.stop()
    stats = session.stats()
    assert workers() == 0
    assert not stats.playing and stats.faces == () and stats.analysed == 1


def test_twenty_starts_and_stops_leave_no_thread(session: LiveSession) -> None:
    session.use([classifier(sure_of(0))], Detector())
    for _ in range(20):
        session.start()
        analyse(session)
        session.stop()
        assert workers() == 0
    assert len(session.log()) == 20


def test_the_worker_s_thread_has_a_detector_of_its_own(session: LiveSession) -> None:
    made: dict[int, Detector] = {}

    def make() -> Detector:
        return made.setdefault(threading.get_ident(), Detector())

    session.use([classifier(sure_of(0))], DetectorPerThread(make))
    session.start()
    analyse(session)
    analyse(session)
    assert made.pop(threading.get_ident()).calls == 0
    ((worker, detector),) = made.items()
    assert detector.calls == 2 and detector.threads == {worker}


# ---- models


def test_models_are_switched_while_it_runs(session: LiveSession) -> None:
    session.use([classifier(sure_of(0), name="one")], Detector())
    session.start()
    analyse(session)
    assert has_colour(session.on_frame(frame()), "happy").any()
    wait_until(lambda: session.stats().analysed == 2, "the frames are analysed")
    others = ("angry", "fear", "surprise")
    switched = classifier(sure_of(2, of=3), name="two", emotions=others)
    session.use([switched], Detector())
    assert session.stats().models == ("two",)
    analyse(session)
    shown = session.on_frame(frame())
    assert has_colour(shown, "surprise").any() and not has_colour(shown, "happy").any()
    face = session.stats().faces[0]
    assert face.track == 1 and face.prediction.emotion == "surprise"
    assert session.stats().error is None
    log = session.log()
    assert log["model"].unique().tolist() == ["one", "two"]
    assert log.iloc[0][["p_angry", "p_fear", "p_surprise"]].isna().all()


def test_a_frame_in_work_is_finished_with_the_models_it_began_with(session: LiveSession) -> None:
    gate = Gate()
    session.use([classifier(gate, name="slow")], Detector())
    session.start()
    session.on_frame(frame())
    gate.wait()
    session.use([classifier(sure_of(1), name="fast")], Detector())
    session.on_frame(frame())
    gate.passes.release()
    wait_until(lambda: session.stats().analysed == 2, "the frames are analysed")
    assert session.log()["model"].tolist() == ["slow", "fast"]


def test_two_models_see_the_same_face_each_with_its_own_margin(session: LiveSession) -> None:
    seen: dict[str, int] = {}

    def noting(name: str, emotion: int) -> Callable[[Tensor], Tensor]:
        def forward(x: Tensor) -> Tensor:
            seen[name] = round(float(x.mean()) * 255)
            return sure_of(emotion)(x)

        return forward

    detector = Detector()
    session.use(
        [
            classifier(noting("tight", 0), name="tight"),
            classifier(noting("wide", 1), name="wide", margin=0.5),
        ],
        detector,
    )
    session.start()
    image = frame(0)
    left, top, width, height = BOX
    image[top : top + height, left : left + width] = 225
    analyse(session, image)
    assert detector.calls == 1
    assert seen == {"tight": 225, "wide": 100}  # 225 / 1.5 ** 2
    (face,) = session.stats().faces
    assert [face.prediction.emotion, *(o.emotion for o in face.others)] == ["happy", "sad"]
    assert session.stats().models == ("tight", "wide")
    assert session.log()["model"].tolist() == ["tight", "wide"]


@pytest.mark.parametrize("many", [0, 5])
def test_one_to_four_models_are_asked_for(session: LiveSession, many: int) -> None:
    with pytest.raises(FerBenchError, match=f"expected 1 to 4 models, got {many}"):
        session.use([classifier(sure_of(0))] * many, Detector())


# ---- errors


def test_an_error_is_shown_logged_once_and_gone_when_it_works_again(
    session: LiveSession, caplog: pytest.LogCaptureFixture
) -> None:
    broken = threading.Event()
    asked = threading.Semaphore(0)

    def forward(x: Tensor) -> Tensor:
        asked.release()
        if broken.is_set():
            raise RuntimeError("no more\nmemory")
        return sure_of(0)(x)

    session.use([classifier(forward)], Detector())
    session.start()
    broken.set()
    for _ in range(3):
        assert (session.on_frame(frame(70)) == 70).all()
        assert asked.acquire(timeout=PATIENCE_S)
    wait_until(lambda: session.stats().error, "the error is told")
    assert "(RuntimeError: no more memory)" in session.stats().error
    assert session.stats().analysed == 0 and session.stats().playing
    broken.clear()
    analyse(session)
    wait_until(lambda: session.stats().error is None, "the error has gone")
    assert [record.exc_info is not None for record in caplog.records] == [True]


def test_a_detector_that_cannot_be_made_says_why_and_is_tried_again(session: LiveSession) -> None:
    there = threading.Event()
    there.set()

    def make() -> Detector:
        if not there.is_set():
            raise FerBenchError("the file of yunet is missing: fetch it first")
        return Detector()

    session.use([classifier(sure_of(0))], DetectorPerThread(make))
    there.clear()
    session.start()
    session.on_frame(frame())
    wait_until(lambda: session.stats().error, "the error is told")
    assert session.stats().error == "the file of yunet is missing: fetch it first"
    there.set()
    analyse(session)
    wait_until(lambda: session.stats().error is None, "the error has gone")


def test_a_frame_that_cannot_be_drawn_comes_back_as_it_was(session: LiveSession) -> None:
    odd = np.zeros((4, 4, 4), np.uint8)
    assert session.on_frame(odd) is odd
    assert "expected an image as uint8 array" in (session.stats().error or "")
    session.on_frame(frame())
    assert session.stats().error is None


def test_errors_of_the_last_time_do_not_stay_for_the_next(session: LiveSession) -> None:
    def forward(x: Tensor) -> Tensor:
        raise RuntimeError("once")

    session.use([classifier(forward)], Detector())
    session.start()
    session.on_frame(frame())
    wait_until(lambda: session.stats().error, "the error is told")
    session.stop()
    assert session.stats().error is not None
    session.start()
    assert session.stats().error is None


# ---- what is remembered


def test_probabilities_are_smoothed_per_face_and_model(session: LiveSession, clock: Clock) -> None:
    answers = iter([0, 1, 1])
    session.settings = LiveSettings(smoothing=0.75)
    session.use([classifier(lambda x: sure_of(next(answers))(x))], Detector())
    session.start()
    for expected in (1.0, 0.75, 0.5625):
        analyse(session)
        (face,) = session.stats().faces
        assert face.prediction.probabilities[0] == pytest.approx(expected, abs=1e-6)
        clock.now += 0.1
    assert face.prediction.emotion == "happy"


def test_a_face_missed_for_a_moment_is_held_but_not_logged(
    session: LiveSession, clock: Clock
) -> None:
    detector = Detector()
    session.use([classifier(sure_of(0))], detector)
    session.start()
    analyse(session)
    detector.boxes = []
    clock.now += 0.2
    analyse(session)
    assert [(face.track, face.held) for face in session.stats().faces] == [(1, True)]
    clock.now += 0.2
    analyse(session)
    assert session.stats().faces == ()
    detector.boxes = [BOX]
    clock.now += 0.5
    analyse(session)
    assert [(face.track, face.held) for face in session.stats().faces] == [(1, False)]
    assert session.log()["time_s"].tolist() == pytest.approx([0.0, 0.9])


def test_a_face_that_moves_on_or_is_seen_elsewhere_is_one_box(
    session: LiveSession, clock: Clock
) -> None:
    detector = Detector()
    session.use([classifier(sure_of(0))], detector)
    session.start()
    boxes = [(0, 0, 80, 80), (60, 0, 80, 80), (120, 0, 80, 80), (500, 300, 80, 80)]
    for track, box in zip([1, 1, 1, 2], boxes, strict=True):
        detector.boxes = [box]
        analyse(session)
        (face,) = session.stats().faces
        assert (face.track, face.held, face.prediction.face.box) == (track, False, box)
        clock.now += 0.1


def test_a_face_behind_another_is_not_held(session: LiveSession, clock: Clock) -> None:
    detector = Detector()
    session.use([classifier(sure_of(0))], detector)
    session.start()
    for lefts in ([100, 200], [140, 170], [150]):
        detector.boxes = [(left, 100, 80, 80) for left in lefts]
        analyse(session)
        assert [face.held for face in session.stats().faces] == [False] * len(lefts)
        clock.now += 0.1


def test_numbers_stay_while_nothing_is_looked_at_and_go_on_after_a_restart(
    session: LiveSession, clock: Clock
) -> None:
    session.use([classifier(sure_of(0))], Detector())
    for number in (1, 2):
        session.start()
        for _ in range(2):  # a model is opened meanwhile, or other programs are busy
            analyse(session)
            assert [face.track for face in session.stats().faces] == [number]
            clock.now += 5
        session.stop()


def test_statistics_are_of_the_session_s_clock(session: LiveSession, clock: Clock) -> None:
    gate = Gate()
    session.use([classifier(gate)], Detector())
    session.start()
    nothing = session.stats()
    assert nothing.overlay_age_ms is None and nothing.detect_ms is None and nothing.fps == 0
    gate.passes.release()
    analyse(session)
    gate.wait()
    for _ in range(10):
        clock.now += 0.05
        session.on_frame(frame())
    stats = session.stats()
    assert (stats.frames, stats.drawn, stats.analysed) == (11, 10, 1)
    assert stats.fps == pytest.approx(20)
    assert stats.overlay_age_ms == pytest.approx((275, 455))
    assert stats.detect_ms is not None and stats.classify_ms is not None
    assert min(stats.detect_ms, stats.classify_ms) >= 0
    clock.now += 3
    assert session.stats().fps == 0
    gate.passes.release(2)


def test_a_rate_is_of_the_last_two_seconds() -> None:
    rate = Rate()
    assert rate.per_second(0.0) == 0
    for i in range(41):
        rate.tick(i * 0.1)
    assert rate.per_second(4.0) == pytest.approx(10)
    assert rate.per_second(6.5) == 0


def test_the_log_has_a_row_for_each_face_and_model(session: LiveSession, clock: Clock) -> None:
    boxes = [(100, 100, 200, 200), (400, 100, 100, 100)]
    session.use(
        [classifier(sure_of(0), name="one"), classifier(sure_of(1), name="two")],
        Detector(boxes),
    )
    session.start()
    analyse(session)
    clock.now += 0.5
    analyse(session)
    log = session.log()
    assert log.columns.tolist() == [
        "time_s", "track", "model", "emotion", "score", "p_happy", "p_sad",
    ]  # fmt: skip
    assert log["time_s"].tolist() == [0.0] * 4 + [0.5] * 4
    assert log["track"].tolist() == [1, 1, 2, 2] * 2
    assert log["emotion"].tolist() == ["happy", "sad"] * 4
    assert log["p_happy"].tolist() == pytest.approx([1, 0] * 4, abs=1e-6)
    assert (log[["p_happy", "p_sad"]].max(axis=1) - log["score"]).abs().max() < 1e-6


def overlay(at: float, *probabilities: float) -> Overlay:
    """One with a face whose probabilities these are; without any, nobody."""
    faces = ()
    if probabilities:
        prediction = named(DetectedFace(box=BOX), np.array(probabilities), EMOTIONS)
        faces = (TrackedFace(track=1, prediction=prediction),)
    return Overlay(
        faces=faces, models=("one",), classes=(EMOTIONS,), size=(480, 640), arrived=at, made=at,
        detect_ms=1.0, classify_ms=1.0,
    )  # fmt: skip


def test_the_log_is_bounded_and_says_what_it_dropped() -> None:
    log = SessionLog(rows=5)
    assert log.table().empty and log.table().columns.tolist()[:2] == ["time_s", "track"]
    for second in range(8):
        log.add(overlay(10.0 + second, 0.8, 0.2))
    assert log.table()["time_s"].tolist() == [3.0, 4.0, 5.0, 6.0, 7.0]
    assert log.dropped == 3 and log.table().attrs["dropped"] == 3
    log.clear()
    assert log.table().empty and log.dropped == 0


def test_the_timeline_is_the_last_minute_of_each_face() -> None:
    log = SessionLog()
    assert log.timeline(0.0).empty
    for i in range(2000):  # 100 s, twenty a second
        log.add(overlay(i / 20, 0.75, 0.25))
    line = log.timeline(100.0)
    assert line.columns.tolist() == ["seconds", "face", "emotion", "score"]
    assert -60 <= line["seconds"].iloc[0] < -59 and -1 < line["seconds"].iloc[-1] <= 0
    assert line["seconds"].is_monotonic_increasing and len(line) <= 302
    assert set(zip(line["face"], line["emotion"], line["score"], strict=True)) == {
        (1, "happy", 0.75)
    }


def test_the_timeline_has_a_gap_where_nobody_was() -> None:
    log = SessionLog()
    log.add(overlay(0.0, 0.75, 0.25))
    log.add(overlay(1.0))
    log.add(overlay(2.0, 0.5, 0.5))
    assert log.timeline(2.0)["seconds"].tolist() == [-2.0, 0.0]


# ---- settings and parity


@pytest.mark.parametrize("smoothing", [-0.1, 0.96, float("nan")])
def test_a_smoothing_beyond_its_range_is_refused(smoothing: float) -> None:
    with pytest.raises(FerBenchError, match=r"expected a smoothing from 0 to 0\.95"):
        LiveSettings(smoothing=smoothing)


def test_bars_and_figures_can_be_left_out(session: LiveSession) -> None:
    session.use([classifier(sure_of(0))], Detector())
    session.start()
    analyse(session)
    plain = session.on_frame(frame())
    session.settings = LiveSettings(mirror=False, bars=False, figures=True)
    with_figures = session.on_frame(frame())
    assert (with_figures != plain)[400:, :100].any()
    assert not has_colour(with_figures, "sad").any()
    session.settings = LiveSettings(mirror=False, bars=True, figures=False)
    assert has_colour(session.on_frame(frame()), "sad").any()


@pytest.mark.parametrize("mirror", [False, True])
@pytest.mark.parametrize("size", [48, 96])
def test_the_same_pixels_give_the_same_logits_as_training_and_the_predictor(
    mirror: bool, size: int
) -> None:
    torch.manual_seed(0)
    model = build_model(ModelRequest(name="compact_resnet", emotions=FER2013)).eval()
    inner = open_backend("torch-fp32", model)
    given: list[Tensor] = []

    def noting(x: Tensor) -> Tensor:
        given.append(inner.forward(x))
        return given[-1]

    used = FaceClassifier(name="x", model=model, backend=Backend(name="x", forward=noting))
    pixels = np.random.default_rng(0).integers(0, 256, (size, size, 3), dtype=np.uint8)

    with torch.inference_mode():
        trained = model(to_input(pixels[None], model.input_spec))
    predicted = Predictor(used, WholeImage()).predict(pixels).faces[0]
    session = LiveSession()
    session.settings = LiveSettings(mirror=mirror)
    session.use([used], WholeImage())
    session.start()
    analyse(session, pixels)
    (live,) = session.stats().faces
    session.stop()

    by_predictor, by_session = given
    assert torch.allclose(by_predictor, trained, atol=1e-5, rtol=0)
    assert torch.allclose(by_session, trained, atol=1e-5, rtol=0)
    assert np.abs(live.prediction.probabilities - predicted.probabilities).max() < 1e-6


SERVER_THAT_ENDS = """
import threading, time
from test_live import Detector, classifier, frame, sure_of
from fer_bench.inference.live.session import LiveSession

began = threading.Event()

class Slow(Detector):
    def detect_frame(self, image):
        began.set()
        time.sleep(0.3)
        print("the frame is done", flush=True)
        return super().detect_frame(image)

session = LiveSession()
session.use([classifier(sure_of(0))], Slow())
session.start()
session.on_frame(frame())
assert began.wait(60)
"""


def test_a_server_that_ends_lets_the_worker_finish_its_frame() -> None:
    """Python's end within a detector's or a network's own code would abort the process."""
    here, root = Path(__file__).parent, Path(__file__).parents[3]
    paths = map(str, (root, here, root / "tests" / "fixtures"))
    done = subprocess.run(
        [sys.executable, "-c", SERVER_THAT_ENDS],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert done.stdout == "the frame is done\n"
