"""The page Videos as a visitor uses it, with small untrained networks and a clip of one face."""

from __future__ import annotations

import csv
import re
import shutil
import threading
from io import StringIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from model_fixtures import DEFAULT_RUN, SECOND_RUN
from page_fixtures import Click, notices, open_page, plain, texts
from PIL import Image
from streamlit.testing.v1 import AppTest
from waiting_fixtures import PATIENCE_S

from fer_bench import plots
from fer_bench.emotions import COLOURS
from fer_bench.errors import FerBenchError
from fer_bench.formatting import NBSP
from fer_bench.inference.detectors.base import DetectedFace, WholeImage
from fer_bench.inference.live.recording import Recording
from fer_bench.inference.predictor import Predictor
from fer_bench.inference.video.reader import VideoReader
from fer_bench.ui.videos.job import FAULT, VideoJob
from fer_bench.ui.videos.results import headline
from fer_bench.ui.videos.source import RECORDING, Video, VisitorFolder

ROOT = Path(__file__).parents[2]
FACE = Image.open(ROOT / "assets/samples/astronaut.jpg").convert("RGB").crop((100, 0, 400, 300))
#: Seconds between the frames of the clip.
STEP_S, FRAMES = 0.1, 6


def write_clip(path: Path, picture: Image.Image = FACE) -> Path:
    """The same picture all along."""
    made = Recording(path)
    for number in range(FRAMES):
        made.add(np.asarray(picture), number * STEP_S)
    made.finish()
    return path


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("clip") / "clip.mp4")


@pytest.fixture
def results(tmp_path: Path, models_root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FER_BENCH_RESULTS", str(models_root))
    monkeypatch.setenv("FER_BENCH_CONFIG", str(tmp_path / "settings.json"))
    monkeypatch.setenv("FER_BENCH_ALLOW_PATHS", "1")
    return models_root


@pytest.fixture
def page(results: Path) -> AppTest:
    return open_page("video")


def button(at: AppTest, label: str) -> None:
    next(one for one in at.button if one.label == label).click()


def analyse(at: AppTest, path: Path) -> VideoJob:
    """Gives the video by its path, and opens the page again once it is analysed."""
    at.segmented_control(key="video-source").set_value("File").run()
    at.text_input(key="video-path").set_value(str(path)).run()
    button(at, "Analyse")
    at.run()
    job: VideoJob = at.session_state["video-job"]
    job.wait()
    at.run()
    assert not at.exception
    return job


# The page


def test_without_models_the_page_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FER_BENCH_RESULTS", str(tmp_path))
    assert "No trained model here" in texts(open_page("video"))


def test_a_video_becomes_a_time_line_shares_and_files(page: AppTest, clip: Path) -> None:
    assert "Press **Analyse**, and the people of the video appear here." in texts(page)
    job = analyse(page, clip)
    values = {metric.label: metric.value for metric in page.metric}
    assert values == {
        "Analysed until": "0.5 s",
        "Persons": "1",
        "Frames analysed": "6",
        "Without a face": f"0.0{NBSP}%",
    }
    assert len(page.get("plotly_chart")) == 2
    at_the_time, people = page.dataframe
    assert list(at_the_time.value.columns) == ["emotion", "Person 1"]
    assert at_the_time.value["Person 1"].sum() == pytest.approx(100)
    shown = people.value.iloc[0]
    assert (shown["from"], shown["to"]) == pytest.approx((0.0, 0.5))
    shares = shown[[emotion.capitalize() for emotion in job.report.emotions]]
    assert shares.sum() == pytest.approx(100)
    labels = [one.label for one in page.get("download_button")]
    assert labels == ["Download CSV", "Download annotated video"]
    rows = list(csv.DictReader(StringIO(job.report.table.read_text())))
    assert [row["path"] for row in rows] == ["clip.mp4"] * 6
    with VideoReader(job.report.copy) as copy:
        assert len(list(copy.frames())) == 6


def test_the_sample_is_one_person_who_moves(page: AppTest) -> None:
    button(page, "Analyse")
    page.run()
    page.session_state["video-job"].wait()
    page.run()
    values = {metric.label: metric.value for metric in page.metric}
    assert (values["Persons"], values["Frames analysed"]) == ("1", "40")
    assert values["Without a face"] == f"0.0{NBSP}%"


def test_the_scrubber_shows_another_frame(page: AppTest, clip: Path) -> None:
    job = analyse(page, clip)
    page.slider(key="video-time").set_value(0.3).run()
    assert not page.exception
    assert job.report.frame_at(page.slider(key="video-time").value).frame == 3
    assert len(page.get("image")) == 1


def test_a_click_on_a_span_brings_its_start(page: AppTest, clip: Path, click: Click) -> None:
    analyse(page, clip)
    click("video-timeline", "0.4")
    page.run()
    assert page.slider(key="video-time").value == 0.4
    page.slider(key="video-time").set_value(0.2).run()  # the click is over
    assert page.slider(key="video-time").value == 0.2


def test_a_single_frame_has_its_picture_and_no_scrubber(page: AppTest, clip: Path) -> None:
    page.selectbox(key="video-every").select(10)
    analyse(page, clip)
    assert not page.slider
    assert page.get("image")[0].proto.imgs[0].alt == "The frame at 0.00 s, its faces boxed"


def test_without_its_annotated_copy_the_time_line_is_there(page: AppTest, clip: Path) -> None:
    copy = analyse(page, clip).report.copy
    copy.write_bytes(b"no video")
    page.run()
    assert "annotated.mp4 is text by its content" in plain(page.error[0].value)
    copy.unlink()
    page.run()
    assert "There is no annotated copy, so no frame can be shown." in texts(page)
    assert len(page.get("plotly_chart")) == 2 and not page.get("image")


def test_another_model_and_fewer_frames(page: AppTest, clip: Path) -> None:
    page.selectbox(key="video-model").select(SECOND_RUN)
    page.selectbox(key="video-every").select(5)
    job = analyse(page, clip)
    assert [frame.frame for frame in job.report.frames] == [0, 5]


def test_the_run_of_the_address_is_the_model(results: Path) -> None:
    at = open_page("video", run=SECOND_RUN)
    assert at.selectbox(key="video-model").value == SECOND_RUN


def test_forgetting_deletes_what_was_made(page: AppTest, clip: Path) -> None:
    folder = analyse(page, clip).report.copy.parent
    button(page, "Forget")
    page.run()
    assert "Press **Analyse**" in texts(page)
    assert not folder.exists()


def test_a_video_of_nobody_says_so(page: AppTest, tmp_path: Path) -> None:
    analyse(page, write_clip(tmp_path / "wall.mp4", Image.new("RGB", (300, 300), "gray")))
    assert "No face found in 6 frames of wall.mp4." in texts(page)
    assert not page.get("plotly_chart")


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("gone.mp4", None, "gone.mp4: no such file"),
        ("photo.png", b"\x89PNG\r\n\x1a\n", "expected one video, {path} is no video"),
    ],
    ids=["missing", "a picture"],
)
def test_a_path_to_no_video_is_one_sentence(
    name: str, content: bytes | None, sentence: str, page: AppTest, tmp_path: Path
) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    page.segmented_control(key="video-source").set_value("File").run()
    page.text_input(key="video-path").set_value(str(path)).run()
    assert not page.exception
    (error,) = page.error
    said = texts(page)
    assert sentence.format(path=path) in said or "no such" in said.lower(), error.value
    assert next(one for one in page.button if one.label == "Analyse").disabled


def test_a_damaged_video_is_one_sentence_under_its_own_name(page: AppTest, tmp_path: Path) -> None:
    (tmp_path / "clip.mp4").write_bytes(b"\0\0\0\x18ftypmp42" + bytes(300))
    analyse(page, tmp_path / "clip.mp4")
    (error,) = page.error
    assert re.sub(r"\\", "", error.value).startswith("clip.mp4 cannot be opened as a video")


def test_visitors_from_elsewhere_name_no_files(
    results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FER_BENCH_ALLOW_PATHS", "0")
    assert open_page("video").segmented_control(key="video-source").options == ["Sample", "Upload"]


def give(at: AppTest, path: Path) -> None:
    """Uploads the video."""
    at.segmented_control(key="video-source").set_value("Upload").run()
    at.file_uploader(key="video-file").set_value((path.name, path.read_bytes(), "video/mp4"))
    at.run()
    assert not at.exception


def test_an_upload_is_analysed_under_its_name_and_the_next_takes_its_place(
    page: AppTest, clip: Path
) -> None:
    page.segmented_control(key="video-source").set_value("Upload").run()
    assert "Give a video and press **Analyse**" in texts(page)
    assert next(one for one in page.button if one.label == "Analyse").disabled
    give(page, clip)
    button(page, "Analyse")
    page.run()
    page.session_state["video-job"].wait()
    page.run()
    assert plain(page.header[0].value) == "clip.mp4"
    folder = page.session_state["video-folder"].path
    (first,) = folder.glob("upload-*.mp4")
    give(page, clip)
    (second,) = folder.glob("upload-*.mp4")
    assert second != first


def test_an_upload_that_finds_no_room_is_one_sentence(page: AppTest, clip: Path) -> None:
    folder = page.session_state["video-folder"].path
    shutil.rmtree(folder)
    give(page, clip)
    assert notices(page)[0] == (
        f"cannot write {folder}: No such file or directory; free some space there"
    )
    assert next(one for one in page.button if one.label == "Analyse").disabled


def test_recordings_of_live_are_offered_and_deleted(page: AppTest) -> None:
    folder: VisitorFolder = page.session_state["video-folder"]
    write_clip(folder.new_recording())
    page.run()
    page.segmented_control(key="video-source").set_value(RECORDING).run()
    assert page.selectbox(key="video-recording").options[0].startswith("recording-")
    button(page, "Delete the recordings")
    page.run()
    assert not page.exception
    assert folder.recordings() == []
    assert RECORDING not in page.segmented_control(key="video-source").options


# The analysis in its thread


@pytest.fixture
def predictor(results: Path) -> Predictor:
    from fer_bench.inference.load import load

    return load(DEFAULT_RUN, results=results)


def test_cancelled_it_keeps_what_was_analysed(clip: Path, predictor: Predictor) -> None:
    began, may_go_on = threading.Event(), threading.Event()

    class Held(WholeImage):
        def detect_frame(self, image: np.ndarray) -> list[DetectedFace]:
            began.set()
            may_go_on.wait(PATIENCE_S)
            return []

    predictor.detector = Held()
    job = VideoJob(Video(path=clip, name="clip.mp4"), predictor, DEFAULT_RUN)
    assert began.wait(PATIENCE_S), "the analysis did not begin"
    assert not job.finished
    assert job.progress_line() == "Opening the video …"
    job.cancel()
    may_go_on.set()
    job.wait()
    assert job.is_cancelled
    assert job.report.problems == []
    assert headline(job) == "clip\\.mp4, cancelled: what was analysed until then"


def test_progress_ends_at_the_last_frame(clip: Path, predictor: Predictor) -> None:
    job = VideoJob(Video(path=clip, name="clip.mp4"), predictor, DEFAULT_RUN)
    job.wait()
    assert job.progress == 1.0
    assert job.progress_line() == "6 of 6 frames, 0 s left"


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize(
    ("error", "problem"),
    [
        (FerBenchError("the detector's file is missing"), "the detector's file is missing"),
        (ZeroDivisionError(), FAULT),
    ],
    ids=["an error", "a fault"],
)
def test_what_ends_it_early_is_one_sentence(
    error: Exception, problem: str, clip: Path, predictor: Predictor
) -> None:
    class Failing(WholeImage):
        def detect_frame(self, image: np.ndarray) -> list[DetectedFace]:
            raise error

    predictor.detector = Failing()
    job = VideoJob(Video(path=clip, name="clip.mp4"), predictor, DEFAULT_RUN)
    job.wait()
    assert job.finished
    assert job.report.problems == [problem]


# Its figures

SPANS = pd.DataFrame(
    [(1, "happy", 0.0, 3.0), (1, "sad", 3.0, 4.0), (2, "happy", 1.0, 2.0)],
    columns=["track", "emotion", "start_s", "end_s"],
)


def test_the_time_line_has_a_bar_per_span_in_the_emotions_colour() -> None:
    happy, sad = plots.person_timeline(SPANS, at=1.5).data
    assert (list(happy.base), list(happy.x)) == ([0.0, 1.0], [3.0, 1.0])
    assert (list(sad.base), list(sad.x), list(sad.y)) == ([3.0], [1.0], ["Person 1"])
    assert happy.marker.color == COLOURS["happy"]
    assert [list(data) for data in happy.customdata] == [[3.0, 0.0], [2.0, 1.0]]


def test_shares_add_up_to_each_persons_time() -> None:
    happy, sad = plots.person_shares(SPANS).data
    assert dict(zip(happy.y, happy.x, strict=True)) == {"Person 1": 0.75, "Person 2": 1.0}
    assert dict(zip(sad.y, sad.x, strict=True)) == {"Person 1": 0.25}
