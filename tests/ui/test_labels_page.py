"""The Labels page and `data labels`: suspects with votes beside them, agreement, the leak."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from command_fixtures import Fer
from data_fixtures import VOTES_HEADER, csv_rows, write_csv
from page_fixtures import BEST, open_page, plain, texts, tiles
from record_fixtures import make_metrics, make_predictions, make_record
from streamlit.testing.v1 import AppTest

from fer_bench.data.load import load_dataset
from fer_bench.emotions import FER2013, FERPLUS
from fer_bench.results.store import ResultsStore
from fer_bench.studies.labels.leakage import leakage

AGREEMENT, LEAK = "Annotators' agreement", "What the leak is worth"
#: Of the 28 test images: labelled wrongly by the voters' word, and by the model's alone.
VOTERS_DOUBT, MODEL_DOUBTS = 2, 9


def view(app: AppTest, name: str) -> AppTest:
    app.query_params["view"] = name
    app.run()
    assert not app.exception
    return app


@pytest.fixture
def voted(results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pd.DataFrame:
    """fer2013.csv with votes, and a run sure of all labels but two; gives its test predictions.

    Nine of ten voters choose the label, but on one of the two images all choose the model's answer.
    """
    monkeypatch.setenv("FER_BENCH_CACHE", str(tmp_path / "cache"))
    rows = csv_rows(held=4)
    source = write_csv(tmp_path / "fer2013.csv", rows)
    monkeypatch.setenv("FER_BENCH_DATA", str(source))
    dataset = load_dataset(source)
    test = dataset.indices("test")
    labels = dataset.labels[test]
    answers = labels.copy()
    doubted = [VOTERS_DOUBT, MODEL_DOUBTS]
    answers[doubted] = (labels[doubted] + 1) % 7
    confidence = np.where(answers == labels, 0.9, 0.98)
    confidence[MODEL_DOUBTS] = 0.95
    probabilities = np.repeat((1 - confidence[:, None]) / 6, 7, axis=1)
    probabilities[np.arange(len(test)), answers] = confidence
    predictions = pd.DataFrame(
        {
            "id": dataset.ids[test].astype(object),
            "split": "test",
            "label": labels,
            "clean": np.arange(len(test)) >= 8,
        }
    ).assign(**{f"p_{e}": probabilities[:, c] for c, e in enumerate(FER2013)})
    votes = [
        [usage, f"fer{i:07}.png", *vote_counts(int(label))]
        for i, (label, _, usage) in enumerate(rows)
    ]
    turned = int(str(predictions["id"][VOTERS_DOUBT]).removeprefix("row "))
    votes[turned][2:] = vote_counts(int(answers[VOTERS_DOUBT]), for_it=10)
    write_csv(tmp_path / "fer2013new.csv", votes, VOTES_HEADER)
    record = make_record(name="mine")
    info = record.dataset.model_copy(update={"fingerprint": dataset.fingerprint})
    metrics = make_metrics(pd.concat([make_predictions(n_test=0), predictions]), FER2013)
    ResultsStore(results).save(
        record.model_copy(update={"dataset": info, "metrics": metrics}), predictions=predictions
    )
    return predictions


def vote_counts(label: int, for_it: int = 9) -> list[str]:
    """Ten votes: the rest goes to contempt."""
    counts = dict.fromkeys(FERPLUS, 0) | {FER2013[label]: for_it}
    counts["contempt"] += 10 - for_it
    return [str(n) for n in (*counts.values(), 0, 0)]


# --- likely label errors -----------------------------------------------------------------------


def test_suspects_are_listed_with_the_votes_beside_them(voted: pd.DataFrame) -> None:
    app = open_page("labels")
    assert "2 of 28 test labels are suspect." in texts(app).replace("*", "")
    table = app.dataframe[0].value
    assert table["id"].tolist() == voted["id"][[VOTERS_DOUBT, MODEL_DOUBTS]].tolist()
    assert table["confidence"].tolist() == pytest.approx([98, 95])
    assert table["votes_for_label"].tolist() == [0, 9]
    assert table["votes_for_answer"].tolist() == [10, 0]
    assert table["sides_with"].tolist() == ["model", "label"]
    assert tiles(app) == {
        "Voters side with the label": "50.0 %",
        "Voters side with the model": "50.0 %",
        "Voters side with neither": "0.0 %",
    }


def test_suspects_are_shown_as_pictures(voted: pd.DataFrame) -> None:
    images = open_page("labels").get("image")
    captions = [image.proto.imgs[0].caption.replace("\N{NO-BREAK SPACE}", " ") for image in images]
    label = FER2013[voted["label"][VOTERS_DOUBT]]
    answer = FER2013[(voted["label"][VOTERS_DOUBT] + 1) % 7]
    assert len(captions) == 2
    assert captions[0] == f"{label} → {answer}  \n98.0 %  \nlabel 0, model 10 of 10 votes"


def test_suspects_are_filtered_by_the_voters_side(voted: pd.DataFrame) -> None:
    app = open_page("labels")
    app.selectbox(key="suspect-sides_with").set_value("model").run()
    assert app.dataframe[0].value["id"].tolist() == [voted["id"][VOTERS_DOUBT]]
    app.selectbox(key="suspect-sides_with").set_value("neither").run()
    assert "No suspect fits these filters." in texts(app)


def test_without_data_the_suspects_are_a_table(mixed: Path) -> None:
    app = open_page("labels", BEST)
    assert "The images of fer2013 do not come with FER Bench." in texts(app)
    table = app.dataframe[0].value
    assert len(table) > 0
    assert (table["label"] != table["answer"]).all()
    assert "favourite" not in table
    assert not app.metric


def test_damaged_votes_are_one_sentence_and_the_page_goes_on(
    voted: pd.DataFrame, tmp_path: Path
) -> None:
    votes = (tmp_path / "fer2013new.csv").rename(tmp_path / "votes.csv")
    assert "votes_for_label" not in open_page("labels").dataframe[0].value
    votes.rename(tmp_path / "fer2013new.csv")  # as the page asks for; the next visit finds them
    assert "votes_for_label" in open_page("labels").dataframe[0].value
    (tmp_path / "fer2013new.csv").write_text("nothing\n")
    app = open_page("labels")
    assert "fer2013new.csv holds no FER+ votes" in texts(app)
    assert len(app.dataframe[0].value) == 2


def test_a_run_without_doubts_has_no_suspects(results: Path) -> None:
    sure = make_predictions(accuracy=1.0)
    ResultsStore(results).save(make_record(accuracy=1.0), predictions=sure)
    app = open_page("labels")
    assert "**0 of 140 test labels** are suspect." in texts(app)
    assert not app.dataframe


@pytest.mark.parametrize(
    ("query", "which"),
    [({}, "these images"), ({"view": AGREEMENT}, "this run's test images")],
    ids=["suspects", "agreement"],
)
def test_votes_on_other_images_are_said_to_be(
    voted: pd.DataFrame, results: Path, query: dict[str, str], which: str
) -> None:
    others = voted.assign(id="other " + voted["id"])
    others.to_parquet(results / "fer2013" / "mine" / "predictions.parquet")
    app = open_page("labels", **query)
    assert f"FER+'s votes next to your data know none of {which}." in texts(app)
    assert not app.metric


# --- annotators' agreement ---------------------------------------------------------------------


def test_accuracy_is_shown_by_agreement(voted: pd.DataFrame) -> None:
    app = view(open_page("labels"), AGREEMENT)
    table = app.dataframe[0].value
    assert table[["low", "high", "images"]].values.tolist() == [[80, 90, 27], [90, 100, 1]]
    assert table["accuracy"].tolist() == pytest.approx([100 * 26 / 27, 0])
    assert table["label_favoured"].tolist() == [100, 0]
    assert table["answer_favoured"].tolist() == pytest.approx([100 * 26 / 27, 100])
    facts = json.loads(app.get("plotly_chart")[0].proto.spec)["layout"]["meta"]
    assert facts["n"] == "28 test faces"
    assert "Command" not in facts


# --- what the leak is worth --------------------------------------------------------------------


def test_the_leak_has_its_worth_for_each_comparable_run(mixed: Path) -> None:
    app = view(open_page("labels", BEST), LEAK)
    table = app.dataframe[0].value
    assert set(table["title"]) == {
        "ResNet18, fine-tuned, 5 epochs",
        "ResNet18, fine-tuned, 5 epochs, seed 1",
        "VGG16, frozen",
    }
    found = leakage(make_predictions(), FER2013)
    mine = table.set_index("title").loc["ResNet18, fine-tuned, 5 epochs"]
    assert mine["whole_accuracy"] == pytest.approx(100 * found.whole.value)
    assert mine["leaked_accuracy"] == pytest.approx(100 * found.leaked.value)
    assert mine["worth"] == pytest.approx(100 * found.worth)
    assert f"{found.leaked.n} of the 140 test images of ResNet18, fine-tuned, 5 epochs" in texts(
        app
    )


def test_runs_that_are_not_comparable_show_on_demand(mixed: Path) -> None:
    app = view(open_page("labels", BEST), LEAK)
    app.toggle[0].set_value(True).run()
    assert "keras-cnn, fine-tuned, 5 epochs, 20 images" in set(app.dataframe[0].value["title"])


def test_runs_without_predictions_have_no_leak(mixed: Path) -> None:
    (mixed / BEST / "predictions.parquet").unlink()
    app = open_page("labels", BEST, view=LEAK)
    assert "ResNet18, fine-tuned, 5 epochs" not in set(app.dataframe[0].value["title"])
    for file in mixed.glob("fer2013/*/predictions.parquet"):
        file.unlink()
    app.run()
    assert "No such run has predictions on test next to its record: run one again." in texts(app)


# --- the human line ----------------------------------------------------------------------------


def test_a_damaged_human_line_is_a_sentence_and_the_way_to_one_is_there(mixed: Path) -> None:
    (mixed / "fer2013" / "human_line.json").write_text("{")
    app = open_page("labels", BEST, view="The human line")
    assert "human_line.json is damaged" in plain(app.error[0].value)
    assert "No human line is stored for these test images" in texts(app)


# --- the command -------------------------------------------------------------------------------


def test_the_command_lists_suspects_and_votes(voted: pd.DataFrame, results: Path, fer: Fer) -> None:
    words = ("data", "labels", "mine", "--results", str(results))
    code, out, _ = fer(*words, "--json")
    found = json.loads(out)
    assert code == 0
    assert (found["run"], found["split"], found["n"], found["n_suspect"]) == ("mine", "test", 28, 2)
    assert found["voters_side_with"] == {"label": 1, "model": 1, "neither": 0}
    first = found["images"][0]
    assert first["id"] == voted["id"][VOTERS_DOUBT]
    assert first["votes"] == {
        "favourite": first["answer"],
        "agreement": 1.0,
        "voters": 10,
        "votes_for_label": 0,
        "votes_for_answer": 10,
        "sides_with": "model",
    }
    code, out, _ = fer(*words)
    assert out.startswith("mine: 2 of 28 test labels are suspect\n")
    assert out.endswith("the voters side with: label 1, model 1, neither 0\n")


def test_the_command_needs_no_data(
    voted: pd.DataFrame, results: Path, monkeypatch: pytest.MonkeyPatch, fer: Fer
) -> None:
    monkeypatch.delenv("FER_BENCH_DATA")
    words = ("data", "labels", "mine", "--results", str(results), "--json")
    found = json.loads(fer(*words)[1])
    assert found["voters_side_with"] is None
    assert [image["votes"] for image in found["images"]] == [None, None]
    code, _, err = fer(*words, "--data", "synthetic")
    assert (code, err.strip()) == (0, "no FER+ votes lie next to synthetic")
    code, _, err = fer("data", "labels", "mina", "--results", str(results))
    assert (code, err) == (2, "error: unknown run 'mina': did you mean 'mine'?\n")
