"""Next to the live page's picture: its figures, its recordings, and the ways without a camera."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace

import av
import numpy as np
import pytest
from face_fixtures import SAMPLE
from live_fixtures import FACE, Video, feed, opened, play
from model_fixtures import DEFAULT_RUN, SECOND_RUN
from page_fixtures import notices, plain, texts
from streamlit.testing.v1 import AppTest
from table_fixtures import table
from waiting_fixtures import wait_until

from fer_bench.emotions import FER2013
from fer_bench.errors import FerBenchError
from fer_bench.inference.images import decode_image, encode_png
from fer_bench.inference.live.session import LiveSession, LiveStats
from fer_bench.inference.video.reader import VideoReader
from fer_bench.ui.live import camera as live
from fer_bench.ui.live.controls import png

TITLES = ("Compact ResNet, fine-tuned, 5 epochs", "Keras CNN, fine-tuned, 5 epochs")

# --- figures -----------------------------------------------------------------------------------


def test_playing_shows_pace_faces_and_the_last_minute(page: AppTest, video: Video) -> None:
    camera = play(page, video)
    feed(camera, lambda: len(camera.session.timeline()) > 1)
    page.run()
    names = ["Video", "Analyses", "Age", "Detect", "Classify"]
    assert [metric.label for metric in page.metric] == names
    assert all(any(digit in metric.value for digit in "0123456789") for metric in page.metric)
    assert "**1 face now**" in texts(page)
    assert "analysed, by Compact ResNet" in texts(page).replace("\\", "")
    assert page.get("vega_lite_chart")


def test_after_stop_the_figures_go(page: AppTest, video: Video) -> None:
    camera = play(page, video)
    page.run()
    assert page.metric
    video.playing = False
    page.run()
    assert not camera.session.stats().playing
    assert not page.metric and not page.get("vega_lite_chart")
    assert not camera.session.log().empty  # the CSV stays


def test_a_camera_that_falls_silent_is_explained(
    page: AppTest, video: Video, monkeypatch: pytest.MonkeyPatch
) -> None:
    camera = play(page, video)
    silent = replace(camera.session.stats(), fps=0.0)
    monkeypatch.setattr(camera.session, "stats", lambda: silent)
    page.run()
    assert "The camera sends nothing any more" in page.warning[0].value


def keep_faces(camera: live.Camera, monkeypatch: pytest.MonkeyPatch, n_faces: int = 1) -> None:
    """Holds on to the answers of all models for a face, which soon expire; or as many times."""
    seen: list[LiveStats] = []

    def is_there() -> bool:
        seen.append(camera.session.stats())
        others = [len(face.others) for face in seen[-1].faces]
        return others == [len(seen[-1].models) - 1]

    feed(camera, is_there)
    kept = replace(seen[-1], faces=seen[-1].faces * n_faces)
    monkeypatch.setattr(camera.session, "stats", lambda: kept)


def test_several_models_answer_below_one_another(
    page: AppTest, video: Video, monkeypatch: pytest.MonkeyPatch
) -> None:
    page.multiselect[0].set_value([DEFAULT_RUN, SECOND_RUN]).run()
    opened(page)
    keep_faces(play(page, video), monkeypatch)
    page.run()
    (said,) = (one.value for one in page.markdown if one.value.startswith("Face 1"))
    head, *lines = plain(said).split("  \n")
    assert head == "Face 1"
    assert [line.partition("] ")[2] for line in lines] == list(TITLES)
    assert all("-badge[" in line for line in lines)


def test_of_many_faces_the_first_are_listed_and_the_others_counted(
    page: AppTest, video: Video, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep_faces(play(page, video), monkeypatch, n_faces=8)
    page.run()
    assert "**8 faces now**" in texts(page)
    assert "and 2 more" in texts(page)


def test_a_snapshot_is_the_picture_as_shown(page: AppTest, video: Video) -> None:
    with pytest.raises(FerBenchError, match=r"^there is no picture yet: start the camera first$"):
        png(LiveSession())
    session = play(page, video).session
    np.testing.assert_array_equal(decode_image(png(session), "it"), session.snapshot())


# --- recordings --------------------------------------------------------------------------------


def test_a_recording_is_asked_for_kept_and_opened_in_videos(page: AppTest, video: Video) -> None:
    labels = [toggle.label for toggle in page.toggle]
    assert "Record" not in labels  # without a camera
    camera = play(page, video)
    page.run()
    assert camera.recording is None
    page.toggle(key="live-record").set_value(True).run()
    assert camera.recording is not None
    camera.on_frame(av.VideoFrame.from_ndarray(FACE, format="rgb24"))
    page.toggle(key="live-record").set_value(False).run()
    assert not page.exception
    (recording,) = page.session_state["video-folder"].recordings()
    with VideoReader(recording) as reader:
        (frame,) = reader.frames()
    assert frame.image().shape == FACE.shape
    next(one for one in page.button if one.label == "Open in Videos").click().run()
    assert [title.value for title in page.title] == ["Videos"]
    assert page.selectbox(key="video-recording").value == recording


def test_stopping_the_camera_ends_its_recording(page: AppTest, video: Video) -> None:
    camera = play(page, video)
    page.run()
    page.toggle(key="live-record").set_value(True).run()
    camera.on_frame(av.VideoFrame.from_ndarray(FACE, format="rgb24"))
    video.playing = False
    page.run()
    assert camera.recording is None
    assert "1 recording" in texts(page)
    next(one for one in page.button if one.label == "Delete").click().run()
    assert page.session_state["video-folder"].recordings() == []
    assert "1 recording" not in texts(page)


def test_the_end_of_the_video_ends_its_recording(page: AppTest, video: Video) -> None:
    camera = play(page, video)
    page.run()
    page.toggle(key="live-record").set_value(True).run()
    camera.on_frame(av.VideoFrame.from_ndarray(FACE, format="rgb24"))
    video.given["on_video_ended"]()
    wait_until(lambda: not camera.session.stats().playing, "the worker has ended")
    assert len(page.session_state["video-folder"].recordings()) == 1


def test_a_recording_that_cannot_be_written_says_why(page: AppTest, video: Video) -> None:
    camera = play(page, video)
    folder = page.session_state["video-folder"].path
    shutil.rmtree(folder)
    folder.write_text("in the way")
    page.run()
    page.toggle(key="live-record").set_value(True).run()
    camera.on_frame(av.VideoFrame.from_ndarray(FACE, format="rgb24"))
    page.toggle(key="live-record").set_value(False).run()
    folder.unlink()
    (said,) = notices(page)
    assert re.fullmatch(
        rf"cannot write {folder}/recording-.*\.mp4: Not a directory: "
        "free some space or choose another place",
        said,
    )


# --- without a camera --------------------------------------------------------------------------


def test_without_a_camera_the_page_leads_to_pictures(page: AppTest) -> None:
    assert page.get("page_link")[-1].proto.label == "Try an image"
    assert "NotAllowedError" not in texts(page)  # said when it happens
    next(one for one in page.button if one.label == "Try a sample clip").click().run()
    assert page.title[0].value == "Videos"
    assert page.segmented_control(key="video-source").value == "Sample"


@table(
    ("url", "hidden"),
    [
        ("http://192.168.0.7:8501/live", True),
        ("http://bench.example.org/live", True),
        ("https://bench.example.org/live", False),
        ("http://localhost:8501/live", False),
        ("http://127.0.0.1:8501", False),
        ("http://[::1]:8501", False),
        (None, False),
    ],
)
def test_where_browsers_hide_the_camera(url: str | None, hidden: bool) -> None:
    assert live.hides_camera(url) is hidden


def test_an_address_without_https_is_explained(
    page: AppTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "hides_camera", lambda url: True)
    page.run()
    assert "only over HTTPS" in page.warning[0].value
    assert page.code[0].value == "python -m fer_bench app --lan --https"


@pytest.fixture
def way_out(page: AppTest) -> AppTest:
    """The page with its box for a picture open."""
    page.session_state["way-out"] = True
    page.run()
    assert "For networks that let no live video through" in texts(page)
    return page


def take(at: AppTest, content: bytes) -> None:
    at.camera_input[0].set_value(("photo.jpg", content, "image/jpeg")).run()
    assert not at.exception


def test_one_picture_goes_through_the_same_models(way_out: AppTest) -> None:
    way_out.multiselect[0].set_value([DEFAULT_RUN, SECOND_RUN])
    take(way_out, SAMPLE.read_bytes())
    shown = [image.proto.imgs[0] for image in way_out.get("image")]
    assert [plain(one.caption) for one in shown] == list(TITLES)
    for one, title in zip(shown, TITLES, strict=True):
        seen = one.alt.removeprefix(f"Your picture as {title} sees it: ")
        assert seen in FER2013


def test_a_picture_of_nobody_asks_for_a_face(way_out: AppTest) -> None:
    take(way_out, encode_png(np.full((120, 160, 3), 128, np.uint8)))
    (shown,) = way_out.get("image")
    assert shown.proto.imgs[0].alt == f"Your picture as {TITLES[0]} sees it: no face"
    assert "No face found: look straight at the camera, in good light." in texts(way_out)


def test_a_picture_that_cannot_be_read_is_a_sentence(way_out: AppTest) -> None:
    take(way_out, b"no picture")
    assert plain(way_out.error[0].value).startswith("the picture ")
    assert not way_out.get("image")
