"""Runs on other data sets: classes matched by name, results kept, the matrix of what was tried."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from command_fixtures import Fer
from data_fixtures import class_files, put
from model_fixtures import DEFAULT_RUN, SMALL_RUN, save_models
from record_fixtures import make_dataset_info, make_predictions
from robustness_fixtures import make_tested_on, make_transfer
from table_fixtures import table

from fer_bench.benchmark import Source, evaluate_run
from fer_bench.benchmark.generalization import transfer_of_run
from fer_bench.data.dataset import FaceDataset
from fer_bench.data.load import load_dataset
from fer_bench.emotions import FER2013
from fer_bench.errors import FerBenchError
from fer_bench.results.reports.transfer import TRANSFER, add_transfer, read_transfer
from fer_bench.results.store import ResultsStore
from fer_bench.studies.robustness.tables import collect, transfer_table
from fer_bench.studies.robustness.transfer import is_own

SYNTHETIC = Source(data="synthetic")


@pytest.fixture
def store(tmp_path: Path) -> ResultsStore:
    root = tmp_path / "results"
    save_models(root, DEFAULT_RUN, SMALL_RUN)
    return ResultsStore(root)


@pytest.fixture
def studio(tmp_path: Path) -> str:
    """Twelve faces each to validate and test on: two emotions of FER2013, one that it has not."""
    emotions = ("happy", "sad", "contempt")
    folders = [f"{part}/{emotion}" for part in ("val", "test") for emotion in emotions]
    return str(put(tmp_path / "studio", class_files(folders, 4)))


@pytest.fixture(scope="module")
def drawn() -> FaceDataset:
    return load_dataset("synthetic")


# --- measuring ---------------------------------------------------------------------------------


def test_labels_are_matched_by_name_and_the_others_counted(
    store: ResultsStore, studio: str
) -> None:
    run = store.find("default")
    (result,) = transfer_of_run(run, [Source(data=studio)])
    assert result.classes == ("happy", "sad")
    assert result.classes_left_out == ("contempt",)
    assert result.classes_missing == ("angry", "disgust", "fear", "surprise", "neutral")
    on = result.tested_on
    assert (on.name, on.split, on.n, on.n_left_out) == ("studio", "test", 8, 4)
    assert result.own_data is False
    metrics = evaluate_run(store, "default", Source(data=studio)).metrics
    assert (result.accuracy, result.accuracy_ci95) == (metrics.accuracy, metrics.accuracy_ci95)
    assert result.macro_f1 == metrics.macro_f1
    assert read_transfer(run.folder) == [result]


def test_results_are_one_for_each_set_of_images(store: ResultsStore, studio: str) -> None:
    run = store.find("default")
    source = Source(data=studio)
    transfer_of_run(run, [source, SYNTHETIC])
    for changes in ({"split": "val"}, {"limit": 5}, {}):
        transfer_of_run(run, [source], **changes)
    found = [one.tested_on for one in read_transfer(run.folder)]
    assert [(on.name, on.split, on.limit, on.n + on.n_left_out) for on in found] == [
        ("synthetic", "test", None, 28),
        ("studio", "val", None, 12),
        ("studio", "test", 5, 9),  # five of the classes in common, four of another
        ("studio", "test", None, 12),
    ]


def test_what_was_measured_before_a_bad_source_is_kept(store: ResultsStore, studio: str) -> None:
    run = store.find("default")
    with pytest.raises(FerBenchError, match="'nowhere' does not exist"):
        transfer_of_run(run, [Source(data=studio), Source(data="nowhere")])
    assert [one.tested_on.name for one in read_transfer(run.folder)] == ["studio"]


def test_data_without_a_class_of_the_model_are_refused(store: ResultsStore, tmp_path: Path) -> None:
    sneers = put(tmp_path / "sneers", class_files(["test/contempt", "test/disgust"], 4))
    with pytest.raises(FerBenchError, match="evaluate on data that share a class with the model"):
        transfer_of_run(store.find(SMALL_RUN), [Source(data=str(sneers))])
    assert not (store.find(SMALL_RUN).folder / TRANSFER).exists()


@table(
    ("trained", "source", "tested", "own"),
    [
        ("synthetic", "synthetic:0", "synthetic", True),
        ("synthetic", "synthetic:1", "synthetic", False),
        ("fer2013", "synthetic:0", "synthetic", False),
        ("ferplus", "fer2013.zip", "fer2013", True),
        ("fer2013", "fer2013.csv", "ferplus", True),
        ("fer2013", "archive.zip", "fer2013", True),
        ("ckplus", "CK+48", "fer2013", False),
    ],
)
def test_own_data_are_told_by_their_name(
    drawn: FaceDataset, trained: str, source: str, tested: str, own: bool
) -> None:
    info = make_dataset_info(
        name=trained, protocol="official", emotions=FER2013, predictions=make_predictions()
    ).model_copy(update={"source": source})
    assert is_own(info, replace(drawn, name=tested)) == own


def test_data_of_the_same_fingerprint_are_own_whatever_their_name(drawn: FaceDataset) -> None:
    info = make_dataset_info(
        name="mine", protocol="official", emotions=FER2013, predictions=make_predictions()
    ).model_copy(update={"fingerprint": drawn.fingerprint})
    assert is_own(info, drawn)


# --- keeping and tables ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("[]", "transfer.json is damaged .the document"),
        ('{"schema_version": 2}', "was written by a newer FER Bench .schema 2, this one reads 1"),
    ],
)
def test_a_file_that_cannot_be_read_stays_as_it_is(
    store: ResultsStore, content: str, sentence: str
) -> None:
    run = store.find("default")
    (run.folder / TRANSFER).write_text(content)
    with pytest.raises(FerBenchError, match=sentence):
        transfer_of_run(run, [SYNTHETIC])
    assert (run.folder / TRANSFER).read_text() == content
    (problem,) = collect(store.runs()).problems
    assert "transfer.json" in problem


def test_the_matrix_has_the_records_own_test_and_what_was_tried(store: ResultsStore) -> None:
    first, small = store.find(DEFAULT_RUN), store.find(SMALL_RUN)
    add_transfer(first.folder, make_transfer(first.require_record(), accuracy=0.5))
    add_transfer(small.folder, make_transfer(small.require_record(), accuracy=0.4))
    again = make_tested_on("fer2013", fingerprint="ef" * 32)  # another file of the same data
    anew = make_transfer(small.require_record(), accuracy=0.7, own_data=True, tested_on=again)
    add_transfer(small.folder, anew)
    table = transfer_table(store.runs(), collect(store.runs()).transfers).set_index(
        ["run", "tested_on"]
    )
    own = first.require_record().metrics["test"].accuracy
    assert table["accuracy"].to_dict() == {
        (DEFAULT_RUN, "fer2013 · test"): own,
        (DEFAULT_RUN, "ckplus · test"): 0.5,
        (SMALL_RUN, "fer2013 · test"): 0.7,
        (SMALL_RUN, "ckplus · test"): 0.4,
    }
    assert table["own_data"].tolist() == [True, False, False, True]
    assert table.loc[(SMALL_RUN, "ckplus · test"), "classes_left_out"] == "contempt"


def test_folders_of_one_name_are_data_sets_of_their_own(store: ResultsStore) -> None:
    run = store.find(DEFAULT_RUN)
    for fingerprint, accuracy in (("ab" * 32, 0.5), ("ef" * 32, 0.4)):
        faces = make_tested_on("faces", fingerprint=fingerprint)
        result = make_transfer(run.require_record(), accuracy=accuracy, tested_on=faces)
        add_transfer(run.folder, result)
    table = transfer_table(store.runs(), collect(store.runs()).transfers)
    assert table.set_index("tested_on")["accuracy"].iloc[1:].to_dict() == {
        "faces · test · data abababab": 0.5,
        "faces · test · data efefefef": 0.4,
    }


def test_a_run_that_was_not_tried_elsewhere_is_in_no_matrix(store: ResultsStore) -> None:
    assert transfer_table(store.runs(), collect(store.runs()).transfers).empty


# --- the command -------------------------------------------------------------------------------


def test_the_command_takes_several_data_sets(store: ResultsStore, studio: str, fer: Fer) -> None:
    words = ["transfer", "default", "--data", studio, "--data", "synthetic"]
    words += ["--results", str(store.root), "--device", "cpu"]
    code, out, _ = fer(*words, "--json")
    results = json.loads(out)["results"]
    assert code == 0
    assert [one["tested_on"]["name"] for one in results] == ["studio", "synthetic"]
    assert [one["n_left_out"] for one in (r["tested_on"] for r in results)] == [4, 0]

    code, out, err = fer(*words)
    assert code == 0
    assert "on test of studio (studio): 8 images, 4 left out" in out
    assert "classes in common  happy, sad\nleft out           contempt\n" in out
    assert f"in {store.find('default').folder / TRANSFER}" in err


def test_the_command_without_data_says_what_to_give(
    store: ResultsStore, monkeypatch: pytest.MonkeyPatch, fer: Fer
) -> None:
    monkeypatch.delenv("FER_BENCH_DATA", raising=False)
    code, out, err = fer("transfer", "default", "--results", str(store.root))
    assert (code, out) == (2, "")
    assert err.startswith("error: no data given: say --data PATH")
