"""The page "Try an image" with small untrained networks: every state that a visitor can meet."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
from external_fixtures import LABEL_TEXT, write_onnx
from face_fixtures import crowd
from model_fixtures import DEFAULT_RUN, SECOND_RUN, SMALL_RUN, save_models
from page_fixtures import open_page, plain, texts
from PIL import Image
from record_fixtures import make_record
from streamlit.testing.v1 import AppTest

from fer_bench import plots
from fer_bench.benchmark import Source
from fer_bench.benchmark.external_systems.networks import evaluate_external
from fer_bench.emotions import COLOURS, EXPRESSIO, FER2013
from fer_bench.inference.adjust import Adjustment
from fer_bench.inference.history import MARKER, History
from fer_bench.inference.predictor import Analysis
from fer_bench.results.store import ResultsStore
from fer_bench.results.stored_run import StoredRun
from fer_bench.ui.images.analysis import GivenPicture, Result, Treatment
from fer_bench.ui.images.faces import annotated_files, zipped
from fer_bench.ui.models import run_labels

ROOT = Path(__file__).parents[2]
SAMPLE = (ROOT / "assets" / "samples" / "astronaut.jpg").read_bytes()
NO_FACE = "No face found in gray.png."
#: A picture and its rows, as the history takes them.
NO_FACES = np.zeros((8, 8, 3), np.uint8), ()


@pytest.fixture
def trained(results: Path) -> Path:
    save_models(results)
    return results


def upload(app: AppTest, *files: tuple[str, bytes]) -> None:
    app.segmented_control(key="image-source").set_value("Upload").run()
    app.file_uploader(key="image-files").set_value([(*file, "image/jpeg") for file in files]).run()
    assert not app.exception


def png(image: np.ndarray) -> bytes:
    buffer = BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    return buffer.getvalue()


def gray() -> tuple[str, bytes]:
    return "gray.png", png(np.full((120, 160, 3), 128, np.uint8))


def two_faces() -> tuple[str, bytes]:
    face = np.asarray(Image.open(BytesIO(SAMPLE)))
    small = np.asarray(Image.fromarray(face).resize((400, 400)))
    canvas = np.full((512, 912, 3), 128, np.uint8)
    canvas[:, :512], canvas[:400, 512:] = face, small
    return "two.png", png(canvas)


# --- what opens --------------------------------------------------------------------------------


def test_it_opens_on_the_sample_with_the_default_model(trained: Path) -> None:
    app = open_page("image")
    assert app.multiselect(key="image-models").value == [DEFAULT_RUN]
    assert "512 × 512 px · 1 face · found in" in texts(app)
    table = app.dataframe[0].value
    assert table[["image", "face", "model", "problem"]].values.tolist() == [
        ["astronaut.jpg", 1, DEFAULT_RUN, ""]
    ]
    shares = table[[f"p_{emotion}" for emotion in FER2013]].iloc[0]
    assert shares.sum() == pytest.approx(100)
    assert table["emotion"][0] == shares.astype(float).idxmax().removeprefix("p_")
    x, y, width, height = table[["x", "y", "width", "height"]].iloc[0]
    assert x < 225 < x + width and y < 115 < y + height  # her nose
    assert len(app.get("plotly_chart")) == 2
    assert "Grad-CAM" in texts(app)


def test_without_weights_it_says_where_they_should_be_and_how_to_train(results: Path) -> None:
    ResultsStore(results).save(make_record())
    app = open_page("image")
    assert "No trained model here" in texts(app)
    assert str(results) in texts(app)
    assert app.code[0].value == (
        "python -m fer_bench train --model keras_cnn --mode full --recipe demo "
        f"--pretraining none --data synthetic --results {results}"
    )
    assert not app.dataframe


def test_damaged_weights_are_one_sentence(trained: Path) -> None:
    (trained / DEFAULT_RUN / "model.safetensors").write_bytes(b"nothing")
    app = open_page("image")
    assert "the file is damaged" in texts(app)
    app.multiselect(key="image-models").set_value([SECOND_RUN]).run()
    assert app.dataframe[0].value["model"].tolist() == [SECOND_RUN]


def test_no_model_chosen_asks_for_one(trained: Path) -> None:
    app = open_page("image")
    app.multiselect(key="image-models").set_value([]).run()
    assert "Choose a model" in texts(app)


# --- models ------------------------------------------------------------------------------------


def test_models_stand_side_by_side_each_with_its_own_emotions(results: Path) -> None:
    save_models(results, DEFAULT_RUN, SECOND_RUN, SMALL_RUN)
    app = open_page("image")
    app.multiselect(key="image-models").set_value([DEFAULT_RUN, SECOND_RUN, SMALL_RUN]).run()
    table = app.dataframe[0].value.set_index("model")
    assert table.index.tolist() == [DEFAULT_RUN, SECOND_RUN, SMALL_RUN]
    assert table.loc[SMALL_RUN, "p_neutral"] != table.loc[SMALL_RUN, "p_neutral"]  # not known
    known = table.loc[SMALL_RUN, [f"p_{emotion}" for emotion in EXPRESSIO]]
    assert known.sum() == pytest.approx(100)
    assert len(app.get("plotly_chart")) == 6


def test_runs_of_one_name_are_told_apart_by_their_data_set(results: Path) -> None:
    one = make_record()
    runs = [
        StoredRun(dataset=dataset, name=one.name, folder=results, record=one, problem=None)
        for dataset in ("fer2013", "other")
    ]
    labels = run_labels(runs)
    assert [label.partition(" · ")[0] for label in labels.values()] == list(labels)
    assert list(labels) == [f"fer2013/{one.name}", f"other/{one.name}"]


def test_what_is_known_of_a_model_is_its_card_or_why_there_is_none(trained: Path) -> None:
    app = open_page("image")
    app.button(key="about-models").click().run()
    assert "## Intended use" in texts(app)
    (trained / DEFAULT_RUN / "predictions.parquet").write_bytes(b"PAR1")
    app.button(key="about-models").click().run()
    assert "predictions.parquet is damaged" in plain(app.error[0].value)


def test_a_network_that_cannot_be_looked_into_says_so_and_answers(
    results: Path, tmp_path: Path
) -> None:
    file = write_onnx(tmp_path / "theirs.onnx", channels=1, always="Surprise")
    evaluate_external(
        ResultsStore(results),
        f"onnx:{file}",
        Source(data="synthetic"),
        options={"labels": LABEL_TEXT, "value_range": "0,1"},
        about={"external": "theirs", "limit": 14},
    )
    app = open_page("image")
    assert app.dataframe[0].value["emotion"].tolist() == ["surprise"]
    assert plain(app.error[0].value) == (
        "cannot show where external-theirs-limit14 looked: its network is an ONNX file, which "
        "gives no gradients; choose another model"
    )


# --- pictures ----------------------------------------------------------------------------------


def test_an_unreadable_file_is_a_row_and_the_rest_goes_on(trained: Path) -> None:
    app = open_page("image")
    upload(
        app, ("letter.jpg", b"Dear reader"), ("astronaut.jpg", SAMPLE), gray(), ("empty.png", b"")
    )
    table = app.dataframe[0].value.set_index("image")
    assert table.index.tolist() == ["letter.jpg", "astronaut.jpg", "gray.png", "empty.png"]
    assert "letter.jpg" in table.loc["letter.jpg", "problem"]
    assert "empty.png" in table.loc["empty.png", "problem"]
    assert table.loc["gray.png", "problem"] == "no face found"
    assert table.loc["astronaut.jpg", "problem"] == ""
    assert "4 pictures · 1 face · 1 picture without a face · 2 unreadable" in texts(app)


def test_a_strip_of_one_row_stands_in_the_gallery(trained: Path) -> None:
    app = open_page("image")
    upload(app, ("strip.png", png(np.zeros((1, 5000, 3), np.uint8))), gray())
    assert not app.exception
    assert "2 pictures · 0 faces · 2 pictures without a face" in texts(app)


def test_one_unreadable_file_is_a_sentence(trained: Path) -> None:
    app = open_page("image")
    upload(app, ("<b>letter</b>.jpg", b"Dear reader"))
    assert "<b>letter</b>.jpg" in texts(app)
    assert "<b>" not in app.error[0].value
    assert not app.get("plotly_chart")


def test_without_a_face_the_whole_image_can_be_taken(trained: Path) -> None:
    app = open_page("image")
    upload(app, gray())
    assert NO_FACE in texts(app)
    next(button for button in app.button if button.label.startswith("Take the whole")).click().run()
    assert NO_FACE not in texts(app)
    assert app.selectbox(key="image-detector").value == "whole"
    table = app.dataframe[0].value
    assert table[["x", "y", "width", "height"]].values.tolist() == [[0, 0, 160, 120]]


def test_of_several_faces_the_largest_comes_first_and_any_can_be_chosen(trained: Path) -> None:
    app = open_page("image")
    upload(app, two_faces())
    table = app.dataframe[0].value
    assert table["face"].tolist() == [1, 2]
    assert table["width"].is_monotonic_decreasing
    choice = next(c for c in app.segmented_control if c.label == "Face")
    assert choice.value == 0
    choice.set_value(1).run()
    assert not app.exception


def test_of_many_faces_one_is_chosen_from_a_list(trained: Path) -> None:
    picture, boxes = crowd(5, 2, 160)
    app = open_page("image")
    upload(app, ("crowd.png", png(picture)))
    assert f"The {len(boxes)} faces" in [heading.value for heading in app.header]
    choice = app.selectbox[-1]
    assert choice.label == "Face"
    assert [option.split(" · ")[0] for option in choice.options] == [*map(str, range(1, 11))]


def test_more_pictures_than_the_page_takes_are_said_to_be(
    trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fer_bench.ui.images.upload.MOST_PICTURES", 1)
    app = open_page("image")
    upload(app, ("astronaut.jpg", SAMPLE), gray())
    assert "The first 1 of 2 pictures; for more there is `python -m fer_bench predict`." in texts(
        app
    )
    assert app.dataframe[0].value["image"].tolist() == ["astronaut.jpg"]


def test_files_of_one_name_keep_apart_in_the_zip() -> None:
    files = [("a.jpg", b"first"), ("a.jpg", b"second"), ("b.jpg", b"third")]
    with ZipFile(BytesIO(zipped(files))) as archive:
        held = {name: archive.read(name) for name in archive.namelist()}
    assert held == {"a.jpg": b"first", "a-2.jpg": b"second", "b.jpg": b"third"}


def test_a_picture_of_any_shape_is_shown(trained: Path) -> None:
    app = open_page("image")
    upload(app, ("thin.png", png(np.zeros((2000, 1, 3), np.uint8))))
    assert "1 × 2,000 px" in texts(app)


def test_a_picture_longer_than_jpeg_holds_is_shrunk_for_download() -> None:
    long = GivenPicture(name="long.png", key="long", data=png(np.zeros((2, 70_000, 3), np.uint8)))
    treatment = Treatment(adjustment=Adjustment(), detector="haar")
    analysis = Analysis(faces=(), detect_ms=0.0, classify_ms=0.0)
    result = Result(picture=long, size=(70_000, 2), analyses={DEFAULT_RUN: analysis})
    ((name, content),) = annotated_files([result], treatment, {DEFAULT_RUN: FER2013})
    assert name == "long-faces.jpg"
    assert Image.open(BytesIO(content)).size == (65_500, 2)


def test_before_a_picture_is_given_the_page_says_so(trained: Path) -> None:
    app = open_page("image")
    app.segmented_control(key="image-source").set_value("Upload").run()
    assert "Give a picture" in texts(app)
    app.segmented_control(key="image-source").set_value("Camera").run()
    assert "only to pages on HTTPS or on localhost" in texts(app)


def test_a_snapshot_is_analysed(trained: Path) -> None:
    app = open_page("image")
    app.segmented_control(key="image-source").set_value("Camera").run()
    app.camera_input(key="image-camera").set_value(("photo.jpg", SAMPLE, "image/jpeg")).run()
    assert app.dataframe[0].value["image"].tolist() == ["snapshot.jpg"]


# --- adjusting ---------------------------------------------------------------------------------


def test_adjustments_act_before_prediction_and_are_reset(trained: Path) -> None:
    app = open_page("image")
    before = app.dataframe[0].value
    app.slider(key="kept-width").set_value((0, 75))
    app.slider(key="brightness").set_value(30).run()
    assert "384 × 512 px" in texts(app)
    assert not app.dataframe[0].value.equals(before)
    next(button for button in app.button if button.label == "Reset").click().run()
    assert app.slider(key="kept-width").value == (0, 100)
    assert app.dataframe[0].value.equals(before)


def test_a_crop_that_leaves_nothing_is_a_sentence(trained: Path) -> None:
    app = open_page("image")
    app.slider(key="kept-height").set_value((40, 40)).run()
    assert not app.exception
    assert "leaves nothing" in texts(app)
    assert "512 × 512 px" in texts(app)


# --- history -----------------------------------------------------------------------------------


def test_nothing_is_kept_unless_asked_for(trained: Path, tmp_path: Path) -> None:
    before = set(tmp_path.rglob("*"))
    app = open_page("image")
    app.text_input(key="history-place").set_value(str(tmp_path / "history")).run()
    assert "Off: no picture and no result is stored." in texts(app)
    assert set(tmp_path.rglob("*")) == before


def test_the_history_keeps_each_picture_once_and_deletes_all(trained: Path, tmp_path: Path) -> None:
    place = tmp_path / "history"
    app = open_page("image")
    app.toggle(key="history-on").set_value(True).run()
    assert "until then nothing is stored" in texts(app)
    app.text_input(key="history-place").set_value(str(place)).run()
    assert f"is stored, with its boxes and its faces, in **{place}**" in texts(app)
    assert "1 picture" in texts(app)
    kept = {path for path in place.rglob("*") if path.is_file()}
    assert kept
    app.run()
    assert {path for path in place.rglob("*") if path.is_file()} == kept
    app.button(key="history-delete").click().run()
    assert not app.exception
    assert not [path for path in place.rglob("*") if path.is_file()]
    assert not app.toggle(key="history-on").value


def test_the_environment_names_the_historys_place(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FER_BENCH_HISTORY", str(tmp_path / "kept"))
    app = open_page("image")
    assert f"FER_BENCH_HISTORY says that the history lies in {tmp_path / 'kept'}." in texts(app)
    assert not app.text_input


def test_a_place_that_cannot_be_written_is_a_sentence(trained: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    app = open_page("image")
    app.toggle(key="history-on").set_value(True)
    app.text_input(key="history-place").set_value(str(tmp_path / "file" / "history")).run()
    assert not app.exception
    assert len(app.error) == 1


@pytest.mark.parametrize(
    ("file", "content"),
    [("image.jpg", b"no picture"), ("image.jpg", None), ("faces.json", b"none")],
)
def test_what_is_damaged_in_the_history_is_counted_and_can_be_deleted(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str, content: bytes | None
) -> None:
    monkeypatch.setenv("FER_BENCH_HISTORY", str(tmp_path / "kept"))
    damaged = tmp_path / "kept" / History(str(tmp_path / "kept")).add("a", *NO_FACES) / file
    if content is None:
        damaged.unlink()
    else:
        damaged.write_bytes(content)
    app = open_page("image")
    app.toggle(key="history-shown").set_value(True).run()
    assert "1 picture there cannot be read." in texts(app)
    app.button(key="history-delete").click().run()
    assert "1 picture deleted" in texts(app)


def test_what_the_history_did_not_mark_as_its_own_stays_and_the_page_says_so(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "kept"
    monkeypatch.setenv("FER_BENCH_HISTORY", str(place))
    entry = History(str(place)).add("a", *NO_FACES)
    (place / MARKER).unlink()
    app = open_page("image")
    app.toggle(key="history-shown").set_value(True).run()
    app.button(key="history-delete").click().run()
    assert f"nothing was deleted in {place}: expected the history's file {MARKER}" in texts(app)
    assert (place / entry / "image.jpg").exists()


@pytest.mark.parametrize(
    ("row", "caption"),
    [
        ({"emotion": "sad", "score": 0.5}, "sad 50.0 %"),
        ({"emotion": "sad"}, "sad"),
        ({"emotion": "sad", "score": "high"}, "sad"),
        ({}, "no face"),
    ],
)
def test_a_row_of_another_version_is_shown_as_far_as_it_goes(
    trained: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    row: dict[str, object],
    caption: str,
) -> None:
    monkeypatch.setenv("FER_BENCH_HISTORY", str(tmp_path / "kept"))
    History(str(tmp_path / "kept")).add("a", NO_FACES[0], [row])
    app = open_page("image")
    app.toggle(key="history-shown").set_value(True).run()
    assert not app.exception
    said = app.get("image")[-1].proto.imgs[0].caption
    assert said.splitlines()[1].replace("\\", "").strip() == caption


# --- figures -----------------------------------------------------------------------------------


def test_the_figures_keep_the_emotions_order_and_colours() -> None:
    shares = {"sad": 0.2, "happy": 0.7, "<b>": 0.1}
    bars, ring = plots.probability_bars(shares), plots.probability_pie(shares)
    assert bars.data[0].y == ring.data[0].labels == ("sad", "happy", "&lt;b&gt;")
    assert bars.data[0].x == ring.data[0].values == (0.2, 0.7, 0.1)
    assert bars.layout.yaxis.autorange == "reversed"
    assert not ring.data[0].sort
    colours = (COLOURS["sad"], COLOURS["happy"], plots.emotion_colour("<b>"))
    assert bars.data[0].marker.color == ring.data[0].marker.colors == colours
    assert ring.layout.annotations[0].text == "<b>happy</b><br>70.0\N{NO-BREAK SPACE}%"


def test_each_emotion_has_a_drawn_sample_and_adjustments_go_with_the_picture(trained: Path) -> None:
    app = open_page("image")
    app.slider(key="brightness").set_value(40).run()
    app.pills(key="image-sample").set_value("sad").run()
    assert not app.exception
    assert app.slider(key="brightness").value == 0
    assert app.selectbox(key="image-detector").value == "whole"
    assert "Drawn by FER Bench" in texts(app)
    app.pills(key="image-sample").set_value("photograph").run()
    assert app.selectbox(key="image-detector").value == "haar"
