"""The live page run as a visitor runs it, with a video that the test plays frame by frame."""

from __future__ import annotations

import asyncio
import hashlib
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pandas as pd
import pytest
from aiortc import VideoStreamTrack
from aiortc.contrib.media import MediaRelay
from external_fixtures import LABEL_TEXT, write_onnx
from face_fixtures import stand_in_yunet
from live_fixtures import Video, feed, opened, play
from model_fixtures import DEFAULT_RUN, SECOND_RUN, save_models
from page_fixtures import open_page, texts
from streamlit.testing.v1 import AppTest
from waiting_fixtures import PATIENCE_S, wait_until

from fer_bench.benchmark import Source
from fer_bench.benchmark.external_systems.networks import evaluate_external
from fer_bench.emotions import FER2013
from fer_bench.errors import FerBenchError
from fer_bench.inference.detectors import yunet
from fer_bench.inference.detectors.base import (
    DetectedFace,
    FaceDetector,
    WholeImage,
    make_detector,
)
from fer_bench.inference.detectors.network_file import YUNET
from fer_bench.inference.live.session import LiveSettings
from fer_bench.plots import emotion_timeline
from fer_bench.results.store import ResultsStore
from fer_bench.ui.images import upload
from fer_bench.ui.live import camera as live
from fer_bench.ui.live import opening

ROOT = Path(__file__).parents[3]
STUN = [{"urls": "stun:stun.example.org:3478"}]


def test_without_models_the_page_says_what_to_do(results: Path) -> None:
    at = open_page("live")
    assert "No trained model here" in texts(at)
    assert not at.selectbox


def names(*runs: str) -> tuple[str, ...]:
    return tuple(run.split("/")[1] for run in runs)


def test_start_is_offered_before_the_model_is_open(
    results: Path, models_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_open = threading.Event()

    def waiting(name: str) -> FaceDetector:
        assert may_open.wait(PATIENCE_S)
        return make_detector(name)

    monkeypatch.setattr(opening, "make_detector", waiting)
    monkeypatch.setenv("FER_BENCH_RESULTS", str(models_root))
    at = open_page("live")
    assert "Press **Start**" in texts(at)
    assert "Opening the model … you can press Start already." in texts(at)
    assert at.session_state[live.SESSION].session.stats().models == ()
    may_open.set()
    assert opened(at).session.stats().models == names(DEFAULT_RUN)
    at.run()
    assert "Opening" not in texts(at)


def test_the_video_is_asked_for_without_sound_or_foreign_servers(
    page: AppTest, video: Video
) -> None:
    assert video.given["rtc_configuration"] == {"iceServers": []}
    assert video.given["media_stream_constraints"]["audio"] is False
    assert video.given["async_processing"] is True
    assert video.given["sendback_audio"] is False


class Numbered(VideoStreamTrack):
    """Five frames at once, with their number as time stamp, and then no more."""

    sent = 0

    async def recv(self) -> av.VideoFrame:
        if self.sent == 5:
            await asyncio.Event().wait()
        await asyncio.sleep(0)
        self.sent += 1
        frame = av.VideoFrame(2, 2)
        frame.pts = self.sent
        return frame


def test_frames_that_nobody_had_time_for_are_left_out(page: AppTest, relay: MediaRelay) -> None:
    page.run()
    source = Numbered()

    async def first_two() -> list[int]:
        track = relay.subscribe(source)
        first = (await track.recv()).pts
        while source.sent < 5:
            await asyncio.sleep(0)
        return [first, (await track.recv()).pts]

    assert asyncio.run(first_two()) == [1, 5]


def test_another_model_back_end_and_a_second_model_go_live_at_once(
    page: AppTest, video: Video
) -> None:
    camera = play(page, video)
    frames = camera.session.stats().frames
    page.multiselect[0].set_value([SECOND_RUN, DEFAULT_RUN]).run()
    page.selectbox[0].select("torch-fp32").run()
    stats = opened(page).session.stats()
    assert stats.models == names(SECOND_RUN, DEFAULT_RUN)
    assert stats.playing
    assert stats.frames == frames  # it was not started anew
    page.multiselect[0].set_value([]).run()
    assert "Choose a model: until then the last choice's answers go on." in texts(page)
    assert camera.session.stats().models == stats.models


def test_a_network_from_elsewhere_goes_live_like_any_run(
    video: Video, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An ONNX file, which PyTorch does not compute: it waits for the back end that does."""
    file = write_onnx(tmp_path / "theirs.onnx", channels=1, always="Surprise")
    evaluate_external(
        ResultsStore(tmp_path / "theirs"),
        f"onnx:{file}",
        Source(data="synthetic"),
        options={"labels": LABEL_TEXT, "value_range": "0,1"},
        about={"external": "theirs", "limit": 14},
    )
    monkeypatch.setenv("FER_BENCH_RESULTS", str(tmp_path / "theirs"))
    at = open_page("live")
    camera = play(at, video)
    assert opened(at).models.problem is None
    assert camera.session.stats().error is None
    assert camera.session.stats().models == ("external-theirs-limit14",)
    assert set(camera.session.log()["emotion"]) == {"surprise"}
    camera.session.stop()


def test_models_and_switches_are_kept_from_page_to_page(page: AppTest, video: Video) -> None:
    page.multiselect[0].set_value([SECOND_RUN, DEFAULT_RUN]).run()
    page.toggle(key="live-bars").set_value(False).run()
    page.switch_page("pages/home.py").run()
    page.switch_page("pages/live.py").run()
    assert page.multiselect[0].value == [SECOND_RUN, DEFAULT_RUN]
    assert not page.toggle(key="live-bars").value


def test_a_link_to_another_model_opens_that_one(page: AppTest, video: Video) -> None:
    assert page.multiselect[0].value == [DEFAULT_RUN]
    page.switch_page("pages/home.py").run()
    page.switch_page("pages/live.py")
    page.query_params["run"] = SECOND_RUN
    page.run()
    assert page.multiselect[0].value == [SECOND_RUN]
    page.switch_page("pages/home.py").run()
    page.switch_page("pages/live.py")
    page.query_params["run"] = "fer2013/none"
    page.run()
    assert page.multiselect[0].value == [SECOND_RUN]
    assert "The address names fer2013/none, whose weights are not here." in texts(page)


def test_a_detector_is_offered_once_its_file_is_here(
    page: AppTest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def offered() -> list[str]:
        upload.usable_detectors.clear()
        page.run()
        return page.selectbox[1].options

    monkeypatch.setenv("FER_BENCH_CACHE", str(tmp_path))
    assert offered() == ["haar", "whole"]
    assert "fetch yunet" in page.selectbox[1].help
    network = stand_in_yunet()
    file = replace(YUNET, sha256=hashlib.sha256(network).hexdigest())
    monkeypatch.setattr(yunet, "YUNET", file)
    file.path.parent.mkdir()
    file.path.write_bytes(network)
    assert offered() == ["haar", "yunet", "whole"]
    page.selectbox[1].select("yunet").run()
    assert not page.error
    upload.usable_detectors.clear()


def test_switches_reach_the_next_frame(page: AppTest, video: Video) -> None:
    for toggle in page.toggle:
        toggle.set_value(False)
    page.slider[0].set_value(0.0)
    page.run()
    wanted = LiveSettings(mirror=False, bars=False, figures=False, smoothing=0.0)
    assert page.session_state[live.SESSION].session.settings == wanted


def test_the_end_of_the_video_ends_the_worker(page: AppTest, video: Video) -> None:
    camera = play(page, video)
    video.given["on_video_ended"]()
    wait_until(lambda: not camera.session.stats().playing, "the worker has ended")


def test_an_error_of_the_worker_is_a_sentence(
    page: AppTest, video: Video, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken(WholeImage):
        def detect_frame(self, image: np.ndarray) -> list[DetectedFace]:
            raise FerBenchError("the detector's file is damaged: fetch it again")

    monkeypatch.setattr(opening, "make_detector", lambda name: Broken())
    video.playing = True
    page.selectbox[1].select("whole").run()
    camera = page.session_state[live.SESSION]
    feed(camera, lambda: camera.session.stats().error is not None)
    page.run()
    assert "file is damaged" in page.error[0].value


def test_a_choice_that_cannot_be_opened_leaves_the_one_before(
    page: AppTest, video: Video, results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    camera = play(page, video)
    save_models(results)
    (results / SECOND_RUN / "model.safetensors").write_bytes(b"broken")
    monkeypatch.setenv("FER_BENCH_RESULTS", str(results))
    page.multiselect[0].set_value([SECOND_RUN]).run()
    opened(page)
    page.run()
    assert "damaged" in page.error[0].value
    assert camera.session.stats().models == names(DEFAULT_RUN)
    assert camera.session.stats().playing


def test_a_frame_that_cannot_be_read_comes_back_and_is_reported(page: AppTest) -> None:
    def unreadable(format: str) -> None:
        raise ValueError("conversion to rgb24 is not supported")

    camera = page.session_state[live.SESSION]
    frame = SimpleNamespace(to_ndarray=unreadable)
    assert camera.on_frame(frame) is frame
    assert camera.problem.endswith("conversion to rgb24 is not supported")


def test_the_minute_is_one_line_a_person_that_stays_open_where_they_were_away() -> None:
    rows = [(-9.0, 1, "happy", 0.9), (-8.8, 1, "sad", 0.8), (-8.8, 2, "fear", 0.5)]
    seen = pd.DataFrame(
        [*rows, (-2.0, 1, "happy", 0.7)], columns=["seconds", "face", "emotion", "score"]
    )
    data, chart = emotion_timeline(seen, "#0f1216")
    assert chart["config"]["axis"] == {"labelColor": "#0f1216"}
    assert data[["person", "part"]].values.tolist() == [
        ["Face 1", 0], ["Face 1", 0], ["Face 1", 1], ["Face 2", 0],
    ]  # fmt: skip
    assert chart["encoding"]["color"]["scale"]["domain"] == ["Face 1", "Face 2"]
    assert set(chart["encoding"]["y"]["scale"]["domain"]) == set(FER2013)


def test_configured_servers_are_passed_on(
    page: AppTest, video: Video, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(live.ICE_VARIABLE, '[{"urls": "stun:stun.example.org:3478"}]')
    page.run()
    assert video.given["rtc_configuration"] == {"iceServers": STUN}


def test_servers_of_the_secrets_are_passed_on(page: AppTest, video: Video) -> None:
    page.secrets[live.ICE_SECRET] = STUN
    page.run()
    assert video.given["rtc_configuration"] == {"iceServers": STUN}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("stun:stun.example.org", "FER_BENCH_ICE_SERVERS is no JSON"),
        ('[{"url": "stun:stun.example.org"}]', "unknown key 'ice_servers.0.url'"),
        ('{"urls": "stun:stun.example.org"}', "FER_BENCH_ICE_SERVERS: ice_servers"),
        ('[{"urls": "https://example.org"}]', "starts with stun: or turn:"),
    ],
)
def test_servers_that_make_no_sense_are_a_sentence(
    page: AppTest, video: Video, monkeypatch: pytest.MonkeyPatch, text: str, sentence: str
) -> None:
    monkeypatch.setenv(live.ICE_VARIABLE, text)
    video.given = {}
    page.run()
    assert sentence in page.error[0].value.replace("\\", "")
    assert not video.given


SERVER_THAT_ENDS = """
import threading, time
from functools import partial
from fer_bench.errors import FerBenchError
from fer_bench.inference.live.session import LiveSession
from fer_bench.ui.live import opening

began = threading.Event()

def open_slowly(run):
    began.set()
    time.sleep(0.3)
    print("opened", flush=True)
    raise FerBenchError("no such run")

opening.opener = lambda run, backend: partial(open_slowly, run)
page = threading.Thread(
    target=lambda: opening.ModelOpener(LiveSession()).choose(["a/run"], "auto", "haar"), daemon=True
)
page.start()
assert began.wait(60)
"""


@pytest.mark.slow
def test_a_server_that_ends_lets_a_model_be_opened_and_opens_no_other() -> None:
    """Python's end within a network's own code would abort the process."""
    done = subprocess.run(
        [sys.executable, "-c", SERVER_THAT_ENDS],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert done.stdout == "opened\n"
