"""`score`: another system's answers as a record, what it says of them and what it refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from data_fixtures import kaggle_files, zipped
from table_fixtures import table

from fer_bench.emotions import FER2013
from fer_bench.results.store import ResultsStore

Fer = Callable[..., tuple[int, str, str]]


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
def score(fer: Fer, data: Path, tmp_path: Path) -> Callable[..., tuple[int, str, str]]:
    def call(table: pd.DataFrame, *words: str, suffix: str = ".csv") -> tuple[int, str, str]:
        file = tmp_path / f"theirs{suffix}"
        if suffix == ".csv":
            table.to_csv(file, index=False)
        else:
            table.to_parquet(file, index=False)
        return fer(
            "score", file, "--data", data, "--results", tmp_path / "results", *words
        )  # fmt: skip

    return call


def test_the_template_names_every_test_image_and_no_label(fer: Fer, data: Path) -> None:
    code, out, _ = fer("score", "--template", data)
    header, *rows = out.splitlines()
    assert code == 0
    assert header == "id,split,angry,disgust,fear,happy,sad,surprise,neutral"
    assert len(rows) == 14 and all(row.endswith(",test,,,,,,,") for row in rows)


def test_answers_become_an_external_record(
    score: Callable[..., tuple[int, str, str]], answers: pd.DataFrame, tmp_path: Path
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
def test_emotions_go_by_alias_in_any_order(
    score: Callable[..., tuple[int, str, str]], answers: pd.DataFrame, suffix: str
) -> None:
    renamed = answers.rename(columns={"angry": "Anger", "happy": "p_happiness", "sad": "SADNESS"})
    _, out, _ = score(renamed.iloc[::-1, ::-1], "--json", suffix=suffix)
    assert json.loads(out)["metrics"]["test"]["accuracy"] == 12 / 14


def test_labels_alone_have_no_calibration(
    score: Callable[..., tuple[int, str, str]], answers: pd.DataFrame
) -> None:
    label = answers["id"].str.split("/").str[1].replace({"happy": "joy"})
    _, out, _ = score(answers[["id"]].assign(label=label), "--json")
    test = json.loads(out)["metrics"]["test"]
    assert (test["accuracy"], test["ece"], test["log_loss"], test["roc_auc"]) == (
        1,
        None,
        None,
        None,
    )


def test_val_answers_give_a_temperature(
    fer: Fer, score: Callable[..., tuple[int, str, str]], answers: pd.DataFrame, data: Path
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
    score: Callable[..., tuple[int, str, str]], answers: pd.DataFrame
) -> None:
    _, _, err = score(answers, "--trained-on", "in-sample")
    assert "no ranking: trained on these test images" in err


def test_every_other_run_of_the_same_data_is_tested_against(
    score: Callable[..., tuple[int, str, str]], answers: pd.DataFrame
) -> None:
    score(answers, "--name", "first")
    flat = answers.assign(**dict.fromkeys(FER2013, 1 / 7))
    _, out, _ = score(flat, "--name", "second", "--json")
    (beside,) = json.loads(out)["beside"]
    assert beside["other"] == "external-first"
    assert beside["difference"] == pytest.approx(2 / 14 - 12 / 14)
    assert beside["p"] == 2 * 0.5**10  # 10 that only the first names rightly


def drop_first(table: pd.DataFrame) -> pd.DataFrame:
    return table.iloc[1:]


def double_first(table: pd.DataFrame) -> pd.DataFrame:
    return pd.concat([table, table.iloc[:1]])


def of_train(table: pd.DataFrame) -> pd.DataFrame:
    extra = table.iloc[:1].assign(id="train/angry/Training_1.jpg")
    return pd.concat([table, extra])


def of_nowhere(table: pd.DataFrame) -> pd.DataFrame:
    return pd.concat([table, table.iloc[:1].assign(id="nowhere.jpg")])


FAULTS = [
    (drop_first, "1 of the 14 test images are not answered (first: test/angry/"),
    (double_first, "stands in it twice: expected each id once"),
    (of_train, "image train/angry/Training_1.jpg is of the train split"),
    (of_nowhere, "has no image nowhere.jpg in its test"),
    (lambda t: t.assign(angry=t["angry"] + 0.2), "sum to 1.2: expected 1"),
    (lambda t: t.assign(angry=-0.05), "has a probability of -0.05"),
    (lambda t: t.assign(angry=70.0), "has a probability of 70: expected numbers from 0 to 1"),
    (lambda t: t.assign(angry="high"), "has 'high' for angry: expected a number from 0 to 1"),
    (lambda t: t.assign(angry=np.nan), "for angry: expected a number from 0 to 1"),
    (lambda t: t.drop(columns="fear"), "has no column for fear"),
    (lambda t: t.drop(columns="id"), "has no column `id`"),
    (lambda t: t.rename(columns={"fear": "bored"}), "column 'bored' is no emotion"),
    (lambda t: t.rename(columns={"fear": "contempt"}), "'contempt' is an emotion that the data do"),
    (lambda t: t.assign(joy=0.0), "columns 'happy' and 'joy' both mean happy"),
    (lambda t: t[["id"]].assign(label="meh"), "label 'meh' is no emotion"),
    (lambda t: t[["id"]].assign(label=""), "has no label: fill it in"),
    (lambda t: t.assign(id=""), "row 1 has no id"),
    (lambda t: t.iloc[:0], "holds no predictions"),
    (lambda t: t.assign(label="sad"), "has a column `label` and others (angry, disgust"),
    (lambda t: t[["id"]].assign(label=3), "label '3' is no emotion"),
    (lambda t: t.assign(angry=np.inf), "has 'inf' for angry"),
    (lambda t: t.assign(angry="70%"), "has '70%' for angry"),
    (lambda t: t.assign(**dict.fromkeys(FER2013, 0.0)), "sum to 0: expected 1"),
    (lambda t: t.assign(filename="x"), "column 'filename' is no emotion"),
    (lambda t: t.rename(columns={"fear": "Anger"}), "columns 'angry' and 'Anger' both mean angry"),
]
#: What spreadsheets and other programs write.
WRITTEN = [
    (lambda text: text.replace(",", ";").encode(), "separates its columns by semicolons"),
    (lambda text: text.replace(",", ";").replace("0.", "0,").encode(), "expected commas"),
    (lambda text: text.replace(",", "\t").encode(), "separates its columns by tabs"),
    (lambda text: text.encode("utf-16"), "it is no UTF-8 text"),
    (lambda text: (text + "a,b,c,d,e,f,g,h,i,j,k\n").encode(), "cannot read"),
    (lambda text: b"", "No columns"),
]


@pytest.mark.parametrize(("fault", "sentence"), FAULTS)
def test_a_fault_is_one_sentence_and_leaves_no_record(
    fault: Callable[[pd.DataFrame], pd.DataFrame],
    sentence: str,
    score: Callable[..., tuple[int, str, str]],
    answers: pd.DataFrame,
    tmp_path: Path,
) -> None:
    code, out, err = score(fault(answers))
    assert (code, out) == (2, "")
    assert sentence in err and err.count("\n") == 1
    assert not list((tmp_path / "results").glob("*/*"))


@table("write, sentence", WRITTEN)
def test_a_file_of_another_kind_is_one_sentence(
    write: Callable[[str], bytes],
    sentence: str,
    fer: Fer,
    data: Path,
    answers: pd.DataFrame,
    tmp_path: Path,
) -> None:
    file = tmp_path / "theirs.csv"
    file.write_bytes(write(answers.to_csv(index=False)))
    code, _, err = fer("score", file, "--data", data, "--results", tmp_path / "results")
    assert code == 2 and sentence in err and err.count("\n") == 1
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


def test_an_empty_label_of_a_parquet_file_is_a_sentence(
    score: Callable[..., tuple[int, str, str]], answers: pd.DataFrame
) -> None:
    labels = answers[["id"]].assign(label=[None, *["sad"] * (len(answers) - 1)])
    code, _, err = score(labels, suffix=".parquet")
    assert code == 2 and "has no label: fill it in" in err


def test_a_name_that_is_none_is_a_sentence(
    score: Callable[..., tuple[int, str, str]], answers: pd.DataFrame
) -> None:
    code, _, err = score(answers, "--name", "<b>")
    assert code == 2 and "expected a name of up to 80 plain letters" in err


def test_other_files_are_refused(fer: Fer, data: Path, tmp_path: Path) -> None:
    (tmp_path / "a.xlsx").write_bytes(b"")
    (tmp_path / "a.parquet").write_bytes(b"PAR1 no")
    for name in ("a.xlsx", "a.parquet", "none.csv"):
        code, _, err = fer("score", tmp_path / name, "--data", data)
        assert code == 2 and err.count("\n") == 1
    assert fer("score", "--data", data)[0] == 2
