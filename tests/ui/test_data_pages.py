"""The pages of mistakes and of data: what they show with and without images at hand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from data_fixtures import (
    class_files,
    csv_row,
    csv_rows,
    face,
    kaggle_files,
    put,
    write_csv,
    zipped,
)
from page_fixtures import BEST, Click, open_page, plain, texts, tiles
from record_fixtures import make_metrics, make_predictions, make_record
from streamlit.testing.v1 import AppTest

from fer_bench import ui
from fer_bench.data.dataset import FaceDataset
from fer_bench.data.load import load_dataset
from fer_bench.emotions import EXPRESSIO, FER2013
from fer_bench.results.store import ResultsStore


def save_drawn_run(results: Path) -> FaceDataset:
    """A run on synthetic faces whose predictions carry their ids, two of them wrong."""
    dataset = load_dataset("synthetic")
    test = dataset.indices("test")
    answer = dataset.labels[test].copy()
    answer[:2] = (answer[:2] + 1) % 7
    confidence = np.linspace(0.95, 0.6, len(test))
    probabilities = np.repeat((1 - confidence[:, None]) / 6, 7, axis=1)
    probabilities[np.arange(len(test)), answer] = confidence
    predictions = pd.DataFrame(
        {"id": dataset.ids[test], "split": "test", "label": dataset.labels[test], "clean": True}
    ).assign(**{f"p_{e}": probabilities[:, i] for i, e in enumerate(dataset.emotions)})
    record = make_record(dataset="synthetic", not_comparable_because=["synthetic data"])
    info = record.dataset.model_copy(
        update={"fingerprint": dataset.fingerprint, "source": dataset.source}
    )
    filler = make_predictions(n_test=0)
    metrics = make_metrics(pd.concat([filler, predictions]), dataset.emotions)
    ResultsStore(results).save(
        record.model_copy(update={"dataset": info, "metrics": metrics}), predictions=predictions
    )
    return dataset


# --- errors ------------------------------------------------------------------------------------


def test_the_errors_page_lists_pairs_report_and_answers(mixed: Path) -> None:
    app = open_page("errors")
    confusion = np.array(make_record().metrics["test"].confusion)
    pairs, report, answers = (frame.value for frame in app.dataframe)
    assert pairs["images"][0] == (confusion - np.diag(confusion.diagonal())).max()
    assert report["emotion"].tolist()[-1] == "macro average"
    assert report["support"].tolist()[-1] == 140
    assert len(answers) == 140 - confusion.trace()
    assert answers["confidence"].is_monotonic_decreasing
    assert not answers["correct"].any()


def test_the_gallery_asks_for_data_that_do_not_come_along(mixed: Path) -> None:
    app = open_page("errors")
    assert "The images of fer2013 do not come with FER Bench." in texts(app)
    assert "The first 24 of" not in texts(app)
    assert app.text_input[0].label == "Where your data set lies"
    app.text_input[0].set_value("/no/such/file.zip")
    app.button[0].click().run()
    assert "nothing lies at /no/such/file.zip" in texts(app)


def test_a_place_is_remembered_and_other_data_are_noticed(mixed: Path, tmp_path: Path) -> None:
    app = open_page("errors")
    app.text_input[0].set_value("synthetic")
    app.button[0].click().run()
    settings = json.loads((tmp_path / "settings.json").read_text())
    assert settings == {"data_source": "synthetic"}
    assert "is not the data this run was measured on" in texts(app)
    assert "None of these images is in the data you gave." in texts(app)


def test_synthetic_runs_draw_their_images_again(results: Path) -> None:
    dataset = save_drawn_run(results)
    app = open_page("errors")
    images = app.get("image")
    assert len(images) == 2
    first = dataset.labels[dataset.indices("test")[0]]
    names = [dataset.emotions[first], dataset.emotions[(first + 1) % 7]]
    caption = images[0].proto.imgs[0].caption.replace("\N{NO-BREAK SPACE}", " ")
    assert caption == f"{names[0]} → {names[1]}  \n95.0 %"
    assert not app.text_input
    assert "not comparable: synthetic data" in texts(app)


def test_faces_under_ferplus_votes_are_not_chosen_by_fer2013s_labels(
    results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FER_BENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("FER_BENCH_DATA", str(zipped(tmp_path / "fer2013.zip", kaggle_files())))
    spec = make_record(emotions=EXPRESSIO, limit=2).spec.model_copy(update={"votes": "majority"})
    dataset = ui.dataset_of(make_record().model_copy(update={"spec": spec}))
    assert (dataset.emotions, len(dataset.ids)) == (FER2013, 7 * (12 + 2 + 2))


def test_the_gallery_filters_by_class(mixed: Path) -> None:
    app = open_page("errors")
    app.selectbox(key="gallery-true").set_value("sad").run()
    assert set(app.dataframe[-1].value["true"]) == {"sad"}
    app.selectbox(key="gallery-predicted").set_value("surprise").run()
    assert set(app.dataframe[-1].value["predicted"]) == {"surprise"}
    app.selectbox(key="gallery-predicted").set_value("sad").run()
    assert "No image fits these filters." in texts(app)


@pytest.mark.parametrize(("cell", "answers"), [("sad>surprise", "Wrong"), ("sad>sad", "Right")])
def test_a_click_on_a_cell_shows_its_images(
    mixed: Path, click: Click, cell: str, answers: str
) -> None:
    click("confusion", cell)
    app = open_page("errors")
    true, predicted = cell.split(">")
    assert app.segmented_control(key="gallery-answers").value == answers
    shown = app.dataframe[-1].value
    assert set(shown["true"]) == {true} and set(shown["predicted"]) == {predicted}
    app.selectbox(key="gallery-true").set_value("fear").run()  # until another cell is clicked
    assert app.selectbox(key="gallery-true").value == "fear"


def test_a_run_without_mistakes_has_no_confused_pairs(results: Path) -> None:
    ResultsStore(results).save(make_record(accuracy=1.0))
    assert "No mistakes on these images." in texts(open_page("errors"))


def test_the_errors_page_says_what_its_numbers_leave_out(mixed: Path) -> None:
    record = make_record()
    test = record.metrics["test"].model_copy(update={"n_left_out": 1234})
    changes = {"temperature": 1.25, "metrics": {**record.metrics, "test": test}}
    ResultsStore(mixed).save(record.model_copy(update=changes), predictions=make_predictions())
    said = texts(open_page("errors", BEST))
    assert "1,234 images of classes the model does not know left out." in said
    assert "In use its answers are divided by a temperature first" in said


def test_data_that_cannot_be_read_are_a_sentence_and_asked_for(
    mixed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FER_BENCH_DATA", "nowhere.zip")
    app = open_page("errors")
    assert "'nowhere.zip' does not exist" in plain(app.error[0].value)
    assert "The images of fer2013 do not come with FER Bench." in texts(app)


# --- dataset -----------------------------------------------------------------------------------


def test_the_dataset_page_shows_what_the_records_say(mixed: Path) -> None:
    app = open_page("dataset")
    record = make_record()
    assert tiles(app)["Test"] == "140"
    assert tiles(app)["Clean test"] == str(record.dataset.clean_test_size)
    counts = app.dataframe[0].value.set_index("emotion")
    assert counts["test"].to_dict() == record.dataset.class_counts["test"]


def test_the_most_used_whole_data_set_comes_first(mixed: Path) -> None:
    record = make_record(model="a", emotions=EXPRESSIO)
    info = record.dataset.model_copy(update={"fingerprint": "cd" * 32})
    ResultsStore(mixed).save(record.model_copy(update={"dataset": info}))
    soft = make_record(model="b")  # tested on the same images and labels as those of the majority
    votes = {"fingerprint": "ef" * 32, "whole_fingerprint": soft.dataset.fingerprint}
    info = soft.dataset.model_copy(update=votes)
    ResultsStore(mixed).save(soft.model_copy(update={"dataset": info}))
    app = open_page("dataset")
    assert len(app.selectbox[0].options) == 2
    assert app.dataframe[0].value["emotion"].tolist() == list(FER2013)


def test_an_audit_counts_copies(results: Path) -> None:
    app = open_page("dataset")
    app.button[-1].click().run()
    assert not app.exception
    assert "280 images, 280 of them distinct." in texts(app)
    assert tiles(app)["Exact groups"] == "0"


def test_groups_with_conflicting_labels_are_shown_alone(
    results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FER_BENCH_CACHE", str(tmp_path / "cache"))
    copies = [csv_row(face(1), 3, "Training"), csv_row(face(2), 0, "Training")]
    source = write_csv(tmp_path / "fer2013.csv", csv_rows() + copies)
    monkeypatch.setenv("FER_BENCH_DATA", str(source))
    app = open_page("dataset")
    app.segmented_control(key="source").set_value("My data").run()
    app.button[-1].click().run()
    exact = [(tile.label, tile.value) for tile in app.metric][-8:-6]
    assert exact == [("Exact groups", "2"), ("Label conflicts", "1")]
    shown = len(app.get("image"))
    app.segmented_control(key="groups-Exact").set_value("Label conflicts").run()
    assert not app.exception
    assert len(app.get("image")) == shown - 2
    table = next(frame.value for frame in app.dataframe if "Group" in frame.value)
    assert table["Emotion"].tolist() == ["angry", "happy"]


def test_changed_data_are_read_again_and_what_was_decided_is_said(
    results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FER_BENCH_CACHE", str(tmp_path / "cache"))
    folders = [f"{part}/{emotion}" for part in ("train", "test") for emotion in FER2013]
    source = put(tmp_path / "faces", class_files(folders, 2) | {"train/sad/9.png": b"GIF"})
    monkeypatch.setenv("FER_BENCH_DATA", str(source))

    def visit() -> AppTest:
        app = open_page("dataset")
        return app.segmented_control(key="source").set_value("My data").run()

    damaged = visit()
    assert "Left out (1 row)" in {one.label for one in damaged.expander}
    said = texts(damaged)
    assert "1 of 29 images of faces left out: 1 cannot be decoded (train/sad/9.png)." in said
    assert "faces has no val part, 10 % of its train part, held out at random," in said
    assert "PrivateTest" not in said
    (source / "train/sad/9.png").unlink()
    mended = visit()
    assert tiles(mended)["Left out"] == "0"


def test_my_data_asks_for_its_place(mixed: Path) -> None:
    app = open_page("dataset")
    app.segmented_control(key="source").set_value("My data").run()
    assert "Say where your data set lies; it is read in place" in texts(app)


def test_the_environment_names_the_data(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FER_BENCH_DATA", "/no/such/faces.zip")
    app = open_page("dataset")
    app.segmented_control(key="source").set_value("My data").run()
    assert "FER_BENCH_DATA says that the data lie at /no/such/faces.zip." in texts(app)
    assert "the data source '/no/such/faces.zip' does not exist" in texts(app)
    assert not app.text_input


def test_what_is_no_data_set_is_refused_and_a_connected_one_can_be_forgotten(
    mixed: Path, tmp_path: Path
) -> None:
    app = open_page("dataset")
    app.segmented_control(key="source").set_value("My data").run()
    readme = tmp_path / "README.md"
    readme.write_text("# nothing")
    app.text_input[0].input(str(readme))
    app.button[0].click().run()
    assert plain(app.error[0].value).startswith("README.md is no data set: expected a folder")
    assert "What FER Bench reads" in {one.label for one in app.expander}
    assert not (tmp_path / "settings.json").exists()
    app.text_input[0].input("synthetic")
    app.button[0].click().run()
    assert (tmp_path / "settings.json").exists()
    app.button(key="dataset-data-forget").click().run()
    assert not (tmp_path / "settings.json").exists()
    assert not app.exception


def test_an_image_of_errors_leads_to_other_models(results: Path) -> None:
    save_drawn_run(results)
    app = open_page("errors")
    assert app.selectbox(key="closer").options
    app.button(key="try").click().run()
    assert not app.exception
    assert app.session_state["image-given"].name.endswith(".png")
