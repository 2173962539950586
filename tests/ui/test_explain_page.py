"""The page Explain and `python -m fer_bench explain`, with a small untrained network."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from command_fixtures import Fer
from page_fixtures import APP, PATIENCE_S, open_page, plain, texts, tiles
from PIL import Image
from record_fixtures import make_metrics, make_predictions, make_record
from streamlit.testing.v1 import AppTest

from fer_bench.data.load import load_dataset
from fer_bench.emotions import FER2013
from fer_bench.evaluation import confusion
from fer_bench.evaluation.evaluate import evaluate
from fer_bench.models.build import build_model
from fer_bench.models.classifier import ModelRequest
from fer_bench.models.weights import model_files
from fer_bench.results.store import ResultsStore
from fer_bench.studies.explain import heat_map as explaining
from fer_bench.studies.explain import mean_heat

NAME = "synthetic/keras_cnn-full-finetune-5-s0"


def save_network(results: Path, dataset: str = "synthetic") -> pd.DataFrame:
    """A run with weights on drawn faces, and its predictions; an untrained network's."""
    data = load_dataset("synthetic")
    torch.manual_seed(0)
    model = build_model(ModelRequest(name="keras_cnn", emotions=data.emotions))
    predictions = evaluate(model, data, splits=("test",), tta="none").predictions
    record = make_record(
        model="keras_cnn", dataset=dataset, not_comparable_because=["synthetic data"]
    )
    info = record.dataset.model_copy(
        update={"fingerprint": data.fingerprint, "source": data.source}
    )
    metrics = make_metrics(pd.concat([make_predictions(n_test=0), predictions]), data.emotions)
    ResultsStore(results).save(
        record.model_copy(update={"dataset": info, "metrics": metrics}),
        predictions=predictions,
        network=model_files(model, "float32"),
    )
    return predictions


@pytest.fixture
def predictions(results: Path) -> pd.DataFrame:
    return save_network(results)


def choose(app: AppTest, view: str) -> AppTest:
    app.segmented_control[0].set_value(view).run()
    assert not app.exception
    return app


def wrong(predictions: pd.DataFrame) -> pd.Series:
    """How sure the network is of each wrong answer, by id."""
    columns = predictions.filter(like="p_")
    mistaken = columns.to_numpy().argmax(1) != predictions["label"]
    return columns.max(axis=1)[mistaken].set_axis(predictions["id"][mistaken]).sort_values()[::-1]


# --- what is missing ---------------------------------------------------------------------------


def test_without_a_trained_network_the_page_says_what_to_do(results: Path) -> None:
    ResultsStore(results).save(make_record())
    assert "**No trained model here**" in texts(open_page("explain"))


def test_without_data_the_page_asks_for_them(results: Path) -> None:
    save_network(results, dataset="fer2013")
    app = open_page("explain")
    assert "The images of fer2013 do not come with FER Bench." in texts(app)
    assert app.text_input[0].label == "Where your data set lies"
    assert not app.segmented_control


def test_without_predictions_the_gallery_says_so_and_the_map_is_there(
    results: Path, predictions: pd.DataFrame
) -> None:
    (results / NAME / "predictions.parquet").unlink()
    app = open_page("explain")
    assert "This run has no predictions next to its record" in texts(app)
    assert len(choose(app, "Feature map").get("plotly_chart")) == 1


# --- the gallery -------------------------------------------------------------------------------


def test_the_gallery_shows_wrong_answers_under_their_heat_maps(
    results: Path, predictions: pd.DataFrame
) -> None:
    app = open_page("explain")
    captions = [plain(image.proto.imgs[0].caption) for image in app.get("image")]
    sure = wrong(predictions)
    assert len(captions) == min(len(sure), 12)
    assert [caption.split()[-2] for caption in captions] == [f"{p:.1%}"[:-1] for p in sure[:12]]
    assert "Warm places speak most for the emotion that was predicted." in texts(app)
    app.toggle[0].set_value(False).run()
    assert len(app.get("image")) == len(captions)
    assert "Warm places" not in texts(app)


def test_the_faces_stand_there_before_the_network_and_when_its_maps_are_cancelled(
    results: Path, predictions: pd.DataFrame
) -> None:
    app = AppTest.from_file(APP, default_timeout=PATIENCE_S)
    app.session_state["explain-cancelled"] = "heat maps"  # as the button does
    app.switch_page("pages/explain.py").run()
    assert "Cancelled." in texts(app)
    assert len(app.get("image")) == min(len(wrong(predictions)), 12)


def test_the_gallery_filters_by_emotion(results: Path, predictions: pd.DataFrame) -> None:
    app = open_page("explain")
    app.selectbox(key="explain-emotion").set_value("sad").run()
    captions = [image.proto.imgs[0].caption for image in app.get("image")]
    assert captions
    assert all(caption.startswith("sad → ") for caption in captions)


def test_heat_maps_are_drawn_once(
    results: Path, predictions: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = open_page("explain")
    monkeypatch.setattr(explaining, "explain", None)
    app.run()
    assert not app.exception
    assert app.get("image")


# --- the other views ---------------------------------------------------------------------------


def test_each_emotion_has_a_mean_heat_map(
    results: Path, predictions: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = choose(open_page("explain"), "Mean heat maps")
    captions = [plain(image.proto.imgs[0].caption) for image in app.get("image")]
    assert len(captions) == 7
    assert captions[3].startswith("**happy**  \npeak ")
    assert all(caption.endswith(" %, 4 faces") for caption in captions)
    monkeypatch.setattr(mean_heat, "explain", None)
    assert len(choose(app, "Mean heat maps").get("image")) == 7


def test_long_work_can_be_cancelled_and_started_again(
    results: Path, predictions: pd.DataFrame
) -> None:
    app = open_page("explain")
    app.session_state["explain-cancelled"] = str(("mean heat", 210))  # as the button does
    choose(app, "Mean heat maps")
    assert "Cancelled." in texts(app)
    assert not app.get("image")
    (again,) = [button for button in app.button if button.label == "Start again"]
    again.click().run()
    assert len(app.get("image")) == 7


def test_the_way_of_looking_is_told(results: Path, predictions: pd.DataFrame) -> None:
    shown = texts(open_page("explain"))
    assert "the last convolutions, 8 x 8 places, sharpened by 44 x 44." in shown


def test_one_face_has_its_bars_and_its_neighbours(results: Path, predictions: pd.DataFrame) -> None:
    app = choose(open_page("explain"), "One face")
    images = [plain(image.proto.imgs[0].caption) for image in app.get("image")]
    assert images[0].startswith("labelled ")
    assert images[1].startswith("speaks for ")
    assert len(images) == 2 + 12
    distances = [float(caption.split()[-1]) for caption in images[2:]]
    assert distances == sorted(distances)
    assert len(app.get("plotly_chart")) == 1
    shares = tiles(app)
    assert len(shares) == 2
    assert all(name.startswith("Labelled ") for name in shares)
    app.segmented_control(key="explain-k").set_value(6).run()
    assert len(app.get("image")) == 2 + 6
    assert sum(float(share.removesuffix(" %")) for share in tiles(app).values()) <= 100.1


@pytest.mark.parametrize("is_right", [True, False], ids=["right", "wrong"])
def test_the_face_of_an_address_is_the_one_looked_at(
    results: Path, predictions: pd.DataFrame, is_right: bool
) -> None:
    mistaken = predictions["id"].isin(wrong(predictions).index)
    face = predictions.loc[mistaken != is_right, "id"].iloc[-1]
    app = open_page("explain", face=face)
    assert app.selectbox(key="explain-face").value == face
    assert app.segmented_control(key="explain-answers").value == ("Right" if is_right else "Wrong")
    roles = ["its label and the answer"] if is_right else ["the answer", "its label"]
    assert [tile.delta for tile in app.metric] == roles


def test_errors_asks_why_of_a_face(results: Path, predictions: pd.DataFrame) -> None:
    app = open_page("errors")
    first = wrong(predictions).index[0]
    app.button(key="why").click().run()
    assert [title.value for title in app.title] == ["Explain"]
    assert app.selectbox(key="explain-face").value == first


def test_errors_takes_a_face_to_other_models(results: Path, predictions: pd.DataFrame) -> None:
    app = open_page("errors")
    app.button(key="try").click().run()
    assert [title.value for title in app.title] == ["Try an image"]
    assert app.dataframe[0].value["image"].tolist() == [f"{wrong(predictions).index[0]}.png"]


def test_filters_that_no_face_fits_say_so_in_every_view(
    results: Path, predictions: pd.DataFrame
) -> None:
    answers = confusion.answers(predictions, FER2013)
    (never, *_) = sorted({*FER2013} - {*answers.loc[answers["correct"], "true"]})
    app = open_page("explain")
    for view in ("Gallery", "One face"):
        choose(app, view)
        app.segmented_control(key="explain-answers").set_value("Right")
        app.selectbox(key="explain-emotion").set_value(never).run()
        assert "No test image of the data at hand fits these filters." in texts(app)
        assert not app.get("image")


def test_the_map_is_coloured_as_asked(results: Path, predictions: pd.DataFrame) -> None:
    app = choose(open_page("explain"), "Feature map")
    assert "28 test images, placed by t-SNE" in texts(app)

    def names() -> list[str]:
        figure = json.loads(app.get("plotly_chart")[0].proto.spec)
        return [trace["name"] for trace in figure["data"]]

    assert len(names()) == 7
    app.segmented_control(key="explain-colour").set_value("correct").run()
    n_wrong = len(wrong(predictions))
    assert set(names()) <= {f"wrong, {n_wrong}", f"right, {28 - n_wrong}"}


# --- the command -------------------------------------------------------------------------------


def test_the_command_writes_pictures_and_points(
    results: Path, predictions: pd.DataFrame, tmp_path: Path, fer: Fer
) -> None:
    folder = tmp_path / "explained"
    words = [NAME, "--data", "synthetic", "--results", str(results), "--out", str(folder)]
    code, out, _ = fer("explain", *words, "--images", "14", "--json")
    found = json.loads(out)
    assert (code, found["split"]) == (0, "test")
    assert found["method"].startswith("Grad-CAM (HiResCAM) on the last convolutions")
    assert [one["images"] for one in found["heat_maps"]] == [2] * 7
    for one in found["heat_maps"]:
        assert one["file"] == str(folder / f"heat-{one['emotion']}.png")
        assert np.asarray(Image.open(one["file"])).shape == (384, 384, 3)
    table = pd.read_csv(StringIO((folder / "features.csv").read_text()))
    assert list(table) == ["id", "x", "y", "true", "predicted", "confidence", "correct"]
    assert table["id"].tolist() == predictions["id"].tolist()
    np.testing.assert_allclose(
        table["confidence"], predictions.filter(like="p_").max(axis=1), atol=1e-5
    )
    assert not list(folder.glob(".*"))


def test_a_folder_that_cannot_be_written_is_a_sentence(
    results: Path, predictions: pd.DataFrame, tmp_path: Path, fer: Fer
) -> None:
    (tmp_path / "file").write_text("")
    words = [NAME, "--data", "synthetic", "--results", str(results), "--images", "7"]
    code, _, err = fer("explain", *words, "--out", str(tmp_path / "file"))
    assert code == 2
    assert f"error: cannot write to {tmp_path / 'file'}: " in err
    assert "choose another --out folder" in err
