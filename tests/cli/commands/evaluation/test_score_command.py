"""`score`: another system's answers as a record, what it says of them and what it refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from command_fixtures import Fer
from data_fixtures import kaggle_files, zipped
from table_fixtures import table

from fer_bench.emotions import FER2013
from fer_bench.results.store import ResultsStore
from fer_bench.results.stored_run import WEIGHTS


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Kaggle's layout: 14 test faces, two of each emotion, whose folder names the label."""
    return zipped(tmp_path_factory.mktemp("data") / "fer2013.zip", kaggle_files())


@pytest.fixture
def answers(fer: Fer, data: Path, tmp_path: Path) -> pd.DataFrame:
    """The template, filled in: sure of the label, but happy faces are called sad."""
    file = tmp_path / "template.csv"
    assert fer("score", "--template", data, "--out", file)[0] == 0
    table = pd.read_csv(file)
    truth = table["id"].str.split("/").str[1].replace({"happy": "sad"})
    for emotion in FER2013:
        table[emotion] = np.where(truth == emotion, 0.7, 0.05)
    return table


@pytest.fixture
def results(tmp_path: Path) -> Path:
    return tmp_path / "results"


@pytest.fixture
def score(fer: Fer, data: Path, tmp_path: Path, results: Path) -> Fer:
    def call(table: pd.DataFrame, *words: str, suffix: str = ".csv") -> tuple[int, str, str]:
        file = tmp_path / f"theirs{suffix}"
        if suffix == ".csv":
            table.to_csv(file, index=False)
        else:
            table.to_parquet(file, index=False)
        return fer("score", file, "--data", data, "--results", results, *words)

    return call


def test_the_template_names_every_test_image_and_no_label(fer: Fer, data: Path) -> None:
    code, out, _ = fer("score", "--template", data)
    header, *rows = out.splitlines()
    assert code == 0
    assert header == "id,split,angry,disgust,fear,happy,sad,surprise,neutral"
    assert len(rows) == 14 and all(row.endswith(",test,,,,,,,") for row in rows)


def test_answers_become_an_external_record(
    score: Fer, answers: pd.DataFrame, tmp_path: Path
) -> None:
    words = ("--name", "Their model", "--trained-on", "held-out", "--version", "2", "--json")
    code, out, _ = score(answers, *words)
    document = json.loads(out)
    run = ResultsStore(tmp_path / "results").find("external-their-model")
    record = run.require_record()
    assert code == 0
    assert document["metrics"]["test"]["accuracy"] == 12 / 14
    assert record.metrics["test"].per_class["happy"].recall == 0
    assert record.metrics["test"].ece == pytest.approx(12 / 14 - 0.7)
    assert record.spec.labels == ("Their model", "external", "trained: held-out", 0)
    assert (record.comparable, record.model, record.temperature) == (True, None, None)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_emotions_go_by_alias_in_any_order(score: Fer, answers: pd.DataFrame, suffix: str) -> None:
    renamed = answers.rename(columns={"angry": "Anger", "happy": "p_happiness", "sad": "SADNESS"})
    _, out, _ = score(renamed.iloc[::-1, ::-1], "--json", suffix=suffix)
    assert json.loads(out)["metrics"]["test"]["accuracy"] == 12 / 14


def test_labels_alone_have_no_calibration(score: Fer, answers: pd.DataFrame) -> None:
    label = answers["id"].str.split("/").str[1].replace({"happy": "joy"})
    _, out, _ = score(answers[["id"]].assign(label=label), "--json")
    test = json.loads(out)["metrics"]["test"]
    assert test["accuracy"] == 1
    assert test["ece"] is test["log_loss"] is test["roc_auc"] is None


def test_val_answers_give_a_temperature(
    fer: Fer, score: Fer, answers: pd.DataFrame, data: Path
) -> None:
    _, out, _ = fer("score", "--template", data, "--with-val")
    rows = [row.split(",")[:2] for row in out.splitlines()[1:]]
    val = pd.DataFrame(rows, columns=["id", "split"]).query("split == 'val'")
    truth = val["id"].str.split("/").str[1]
    val = val.assign(**{e: np.where(truth == e, 0.7, 0.05) for e in FER2013})
    _, out, _ = score(pd.concat([answers, val]), "--json")
    document = json.loads(out)
    assert set(document["metrics"]) == {"test", "test_clean", "val"}
    assert document["temperature"] < 1


def test_answers_of_a_system_trained_on_the_test_stand_in_no_ranking(
    score: Fer, answers: pd.DataFrame
) -> None:
    _, _, err = score(answers, "--trained-on", "in-sample")
    assert "no ranking: trained on these test images" in err


def test_an_earlier_record_is_replaced_only_with_force(
    score: Fer, answers: pd.DataFrame, results: Path
) -> None:
    assert score(answers)[0] == 0
    folder = ResultsStore(results).find("external-theirs").folder
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    others = answers.assign(happy=answers["sad"], sad=answers["happy"])
    code, _, err = score(others)
    assert code == 2 and "run external-theirs is already there" in err and "--force" in err
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert score(others, "--force")[0] == 0
    assert (folder / "record.json").read_bytes() != before["record.json"]


def test_answers_in_the_place_of_a_network_leave_none_that_would_answer_for_them(
    score: Fer, answers: pd.DataFrame, results: Path
) -> None:
    assert score(answers)[0] == 0
    run = ResultsStore(results).find("external-theirs")
    (run.folder / WEIGHTS).write_bytes(b"another network")
    assert score(answers, "--force")[0] == 0
    assert not run.has_weights


def test_every_other_run_of_the_same_data_is_tested_against(
    score: Fer, answers: pd.DataFrame
) -> None:
    score(answers, "--name", "first")
    flat = answers.assign(**dict.fromkeys(FER2013, 1 / 7))
    _, out, _ = score(flat, "--name", "second", "--json")
    (other,) = json.loads(out)["compared_with"]
    assert other["other"] == "external-first"
    assert other["difference"] == pytest.approx(2 / 14 - 12 / 14)
    assert other["p"] == 2 * 0.5**10  # 10 that only the first names rightly


def test_a_system_is_scored_beside_a_run_whose_predictions_are_damaged(
    score: Fer, answers: pd.DataFrame, results: Path
) -> None:
    score(answers, "--name", "first")
    (predictions,) = results.rglob("predictions.parquet")
    predictions.write_bytes(b"damaged")
    code, out, err = score(answers, "--name", "second", "--json")
    assert (code, json.loads(out)["compared_with"]) == (0, [])
    assert "not compared with the other runs: " in err
    assert "external-first" in err


FAULTS = [
    (lambda t: t.iloc[1:], "1 of the 14 test images are not answered"),
    (lambda t: pd.concat([t, t.iloc[:1]]), "twice"),
    (lambda t: and_one(t, "train/angry/Training_1.jpg"), "of the train split"),
    (lambda t: and_one(t, "nowhere.jpg"), "no image nowhere.jpg"),
    (lambda t: t.assign(angry=t["angry"] + 0.2), "sum to 1.2"),
    (lambda t: t.assign(angry=-0.05), "-0.05"),
    (lambda t: t.assign(angry=70.0), "of 70: expected numbers from 0 to 1"),
    (lambda t: t.assign(angry="high"), "'high' for angry"),
    (lambda t: t.assign(angry=np.nan), "for angry: expected a number"),
    (lambda t: t.drop(columns="fear"), "no column for fear"),
    (lambda t: t.drop(columns="id"), "no column `id`"),
    (lambda t: t.rename(columns={"fear": "bored"}), "'bored' is no emotion"),
    (lambda t: t.rename(columns={"fear": "contempt"}), "'contempt' is an emotion"),
    (lambda t: t.assign(joy=0.0), "both mean happy"),
    (lambda t: t[["id"]].assign(label="meh"), "'meh' is no emotion"),
    (lambda t: t[["id"]].assign(label=""), "no label"),
    (lambda t: t.assign(id=""), "row 1 has no id"),
    (lambda t: t.iloc[:0], "no predictions"),
    (lambda t: t.assign(label="sad"), "column `label` and others"),
    (lambda t: t[["id"]].assign(label=3), "'3' is no emotion"),
    (lambda t: t.assign(angry=np.inf), "'inf' for angry"),
    (lambda t: t.assign(angry="70%"), "'70%' for angry"),
    (lambda t: t.assign(**dict.fromkeys(FER2013, 0.0)), "sum to 0"),
    (lambda t: t.assign(filename="x"), "'filename' is no emotion"),
    (lambda t: t.rename(columns={"fear": "Anger"}), "both mean angry"),
    (lambda t: t.assign(**{" angry": t["angry"]}), "two columns of one name"),
]
#: What spreadsheets and other programs write.
WRITTEN = [
    (lambda text: text.replace(",", ";").encode(), "semicolons"),
    (lambda text: text.replace(",", ";").replace("0.", "0,").encode(), "expected commas"),
    (lambda text: text.replace(",", "\t").encode(), "tabs"),
    (lambda text: text.encode("utf-16"), "no UTF-8 text"),
    (lambda text: (text + "a,b,c,d,e,f,g,h,i,j,k\n").encode(), "cannot read"),
    (lambda text: b"", "No columns"),
]


def and_one(table: pd.DataFrame, name: str) -> pd.DataFrame:
    return pd.concat([table, table.iloc[:1].assign(id=name)])


@table("fault, word", FAULTS)
def test_a_fault_is_one_sentence_and_leaves_no_record(
    fault: Callable[[pd.DataFrame], pd.DataFrame],
    word: str,
    refused: Callable[..., str],
    score: Fer,
    answers: pd.DataFrame,
    results: Path,
) -> None:
    assert word in refused(fault(answers), run=score)
    assert not list(results.glob("*/*"))


@table("write, word", WRITTEN)
def test_a_file_of_another_kind_is_one_sentence(
    write: Callable[[str], bytes],
    word: str,
    refused: Callable[..., str],
    data: Path,
    answers: pd.DataFrame,
    tmp_path: Path,
) -> None:
    file = tmp_path / "theirs.csv"
    file.write_bytes(write(answers.to_csv(index=False)))
    assert word in refused("score", file, "--data", data, "--results", tmp_path / "results")
    assert not (tmp_path / "results").exists()


def test_a_mark_of_utf_8_and_the_rounding_of_float32_do_no_harm(
    fer: Fer, data: Path, answers: pd.DataFrame, tmp_path: Path
) -> None:
    columns = answers[list(FER2013)]
    sure = columns.eq(columns.max(axis=1), axis=0) * 1.0000002
    text = answers.assign(**sure).to_csv(index=False)
    (tmp_path / "theirs.csv").write_bytes(b"\xef\xbb\xbf" + text.encode())
    words = ("--data", data, "--results", tmp_path / "results", "--json")
    code, out, _ = fer("score", tmp_path / "theirs.csv", *words)
    assert code == 0 and json.loads(out)["metrics"]["test"]["accuracy"] == 12 / 14


def test_an_empty_label_and_a_name_that_is_none_are_sentences(
    refused: Callable[..., str],
    score: Fer,
    answers: pd.DataFrame,
) -> None:
    labels = answers[["id"]].assign(label=[None, *["sad"] * (len(answers) - 1)])
    assert "no label" in refused(labels, run=partial(score, suffix=".parquet"))
    assert "a name of up to 80 plain letters" in refused(answers, "--name", "<b>", run=score)


def test_options_of_the_template_alone_are_not_passed_over(
    refused: Callable[..., str], score: Fer, answers: pd.DataFrame
) -> None:
    assert "say --template DATA" in refused(answers, "--with-val", run=score)
    assert "say --template DATA" in refused(answers, "--out", "x.csv", run=score)
    assert "writes the ids to fill in" in refused("score", "mine.csv", "--template", "f.zip")


@pytest.mark.parametrize("name", ["a.xlsx", "a.parquet", "none.csv", None])
def test_other_files_are_refused(
    name: str | None, refused: Callable[..., str], data: Path, tmp_path: Path
) -> None:
    (tmp_path / "a.xlsx").write_bytes(b"")
    (tmp_path / "a.parquet").write_bytes(b"PAR1 no")
    refused("score", *([tmp_path / name] if name else []), "--data", data)
