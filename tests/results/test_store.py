"""The results folder: what is saved comes back, what is damaged says so, nothing is lost."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from record_fixtures import make_history, make_predictions, make_record
from table_fixtures import table

from fer_bench.errors import FerBenchError
from fer_bench.results import documents
from fer_bench.results.record import RunRecord
from fer_bench.results.store import ResultsStore, open_results
from fer_bench.results.stored_run import SEEN, WEIGHTS, StoredRun


@pytest.fixture
def store(tmp_path: Path) -> ResultsStore:
    return ResultsStore(tmp_path / "results")


def damage_record(store: ResultsStore, content: bytes, name: str = "damaged") -> Path:
    path = store.folder("fer2013", name) / "record.json"
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    return path


def save_one(store: ResultsStore) -> StoredRun:
    """A run with all its files; those of its network hold what the store does not look into."""
    record = make_record(name="one")
    network = {"model.safetensors": b"weights", "model.json": b"{}"}
    store.save(record, history=make_history(), predictions=make_predictions(), network=network)
    return store.find("one")


def test_what_is_saved_comes_back(store: ResultsStore) -> None:
    record = make_record()
    folder = store.save(record, history=make_history(), predictions=make_predictions())
    assert folder == store.root / "fer2013" / record.name
    (run,) = store.runs()
    assert (run.dataset, run.name, run.folder) == ("fer2013", record.name, folder)
    assert run.require_record() == record
    pd.testing.assert_frame_equal(store.history(run), make_history())
    pd.testing.assert_frame_equal(store.predictions(run), make_predictions())
    assert sorted(p.name for p in folder.iterdir()) == [
        "history.csv", "predictions.parquet", "record.json",
    ]  # fmt: skip


def test_no_results_folder_means_no_runs(store: ResultsStore) -> None:
    assert store.runs() == []
    with pytest.raises(FerBenchError, match="holds no runs yet; train one with"):
        store.find("resnet18")


def test_runs_are_ordered_by_data_set_and_name(store: ResultsStore) -> None:
    for dataset, name in (("rafdb", "a"), ("fer2013", "b"), ("fer2013", "a")):
        store.save(make_record(dataset=dataset, name=name))
    names = [(r.dataset, r.name) for r in store.runs()]
    assert names == [("fer2013", "a"), ("fer2013", "b"), ("rafdb", "a")]


def test_work_hidden_and_unfinished_folders_are_no_runs(store: ResultsStore) -> None:
    save_one(store)
    working = store.work_folder("fer2013", "two")
    assert working == store.root / ".work" / "fer2013" / "two"
    for folder in (working, store.root / "fer2013" / ".hidden"):
        folder.mkdir(parents=True)
        (folder / "record.json").write_text("{}")
    cut_off = store.folder("fer2013", "cut-off")
    cut_off.mkdir()
    (cut_off / "history.csv").write_text("epoch\n")
    (store.root / "notes.md").write_text("no folder")
    assert [r.name for r in store.runs()] == ["one"]


def test_a_saved_record_replaces_the_one_before(store: ResultsStore) -> None:
    save_one(store)
    assert store.exists_done("fer2013", "one")
    store.save(make_record(name="one", status="failed", error="out of memory"))
    assert store.find("one").require_record().error == "out of memory"
    assert not store.exists_done("fer2013", "one")
    assert not store.exists_done("fer2013", "two")
    assert len(store.history(store.find("one"))) == 5  # tables that are not given stay


def test_another_network_takes_what_was_made_of_the_earlier_one_with_it(
    store: ResultsStore,
) -> None:
    folder = store.save(make_record(), network={WEIGHTS: b"earlier", SEEN: b"earlier"})
    for name in ("latency.json", "exports.json"):
        (folder / name).write_text("{}")
    store.save(make_record())  # the same network
    assert (folder / "latency.json").exists()
    store.save(make_record(), network={WEIGHTS: b"later"})
    assert {path.name for path in folder.iterdir()} == {"record.json", WEIGHTS}


def test_records_are_parsed_once(store: ResultsStore, monkeypatch: pytest.MonkeyPatch) -> None:
    save_one(store)
    first = store.runs()[0].record
    monkeypatch.setattr(documents, "parse_document", lambda kind, text: "parsed again")
    assert store.runs()[0].record is first
    store.save(make_record(name="one", seed=1))
    assert store.runs()[0].problem == "parsed again"  # a changed file is


def test_find_by_name_full_name_and_folder(store: ResultsStore) -> None:
    folder = save_one(store).folder
    for name in ("one", "fer2013/one", str(folder)):
        assert store.find(name).require_record().name == "one"
    elsewhere = ResultsStore(store.root / "nowhere").find(str(folder))
    assert (elsewhere.dataset, elsewhere.name) == ("fer2013", "one")


def test_find_suggests_near_names(store: ResultsStore) -> None:
    store.save(make_record(name="resnet18-full"))
    with pytest.raises(FerBenchError, match=r"unknown run 'resnet18-ful'.*mean 'resnet18-full'"):
        store.find("resnet18-ful")


def test_find_asks_which_of_several(store: ResultsStore) -> None:
    for dataset in ("fer2013", "rafdb"):
        store.save(make_record(dataset=dataset, name="one"))
    with pytest.raises(FerBenchError, match="say fer2013/one or rafdb/one"):
        store.find("one")
    assert store.find("rafdb/one").dataset == "rafdb"


@table("name", ["../fer2013/one", "../../etc", "/etc", "", "a\0b", "x" * 300])
def test_find_goes_nowhere_odd(store: ResultsStore, name: str) -> None:
    save_one(store)
    with pytest.raises(FerBenchError, match="unknown run"):
        store.find(name)


def test_the_default_run_is_the_marked_one(store: ResultsStore) -> None:
    run = save_one(store)
    with pytest.raises(FerBenchError, match="no run is marked as default"):
        store.find("default")
    store.mark_default(run)
    assert store.find("default") == run
    (store.root / "default.txt").write_text("fer2013/gone\n")
    with pytest.raises(FerBenchError, match="names 'fer2013/gone', which is no run"):
        store.find("default")


def test_anywhere_the_default_run_is_the_shipped_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shipped = open_results(Path(__file__).parents[2] / "results").find("default")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FER_BENCH_RESULTS", raising=False)
    assert open_results().find("default") == shipped
    assert open_results().runs() == []


@table("name", ["../x", "a/b", "..", ".hidden", "", "A", "a b", "a\n", "ä"])
def test_names_that_are_none_are_refused(store: ResultsStore, name: str) -> None:
    with pytest.raises(FerBenchError, match="expected a run name of lower-case letters"):
        store.save(make_record(status="failed").model_copy(update={"name": name}))
    with pytest.raises(FerBenchError, match="expected a data set name of lower-case letters"):
        store.folder(name, "one")
    with pytest.raises(FerBenchError, match="expected a run name"):
        store.work_folder("fer2013", name)
    assert not store.root.exists()


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "record.json is not valid JSON: EOF while parsing a value"),
        (b"{not json", "record.json is not valid JSON: key must be a string"),
        (b"[1, 2]", "record.json: the document: "),
        (make_record().model_dump_json().encode()[:500], "record.json is not valid JSON: EOF"),
        (b'{"schema_version": 2, "new": 1}', "written by a newer FER Bench (schema 2, this one"),
    ],
    ids=["empty", "broken", "list", "truncated", "newer"],
)
def test_a_damaged_record_is_listed_and_the_rest_works(
    store: ResultsStore, content: bytes, problem: str
) -> None:
    save_one(store)
    damage_record(store, content)
    damaged, one = store.runs()
    assert one.require_record().name == "one"
    assert damaged.record is None
    assert damaged.problem is not None
    assert damaged.problem.startswith(problem)
    with pytest.raises(FerBenchError, match="run fer2013/damaged is unreadable: "):
        store.find("damaged").require_record()


def test_a_record_that_is_a_folder_is_listed(store: ResultsStore) -> None:
    (store.folder("fer2013", "odd") / "record.json").mkdir(parents=True)
    (run,) = store.runs()
    assert run.problem == "record.json cannot be read: Is a directory"


def test_a_mended_record_is_read_again(store: ResultsStore) -> None:
    path = damage_record(store, b"{")
    assert store.runs()[0].problem
    path.write_text(make_record(name="damaged").model_dump_json())
    assert store.runs()[0].problem is None


def selected_on_test() -> RunRecord:
    record = make_record(name="one")
    spec = record.spec.model_copy(update={"selection_split": "test"})  # past the validator
    return record.model_copy(update={"spec": spec})


def test_a_record_selected_on_test_is_refused_on_save_and_load(store: ResultsStore) -> None:
    with pytest.raises(FerBenchError, match="selection split and the test split are both 'test'"):
        store.save(selected_on_test())
    assert store.runs() == []
    damage_record(store, selected_on_test().model_dump_json().encode())
    assert "choose the checkpoint on `val`" in str(store.runs()[0].problem)


def test_a_record_that_could_not_be_read_again_is_not_saved(store: ResultsStore) -> None:
    run = save_one(store)
    broken = make_record(name="one")
    broken.metrics["test"].accuracy = float("nan")  # JSON has no NaN
    with pytest.raises(FerBenchError, match=r"run one cannot be saved: .*metrics\.test\.accuracy"):
        store.save(broken)
    assert store.find("one").record is run.record


@pytest.mark.parametrize("file", ["history.csv", "predictions.parquet"])
def test_a_missing_table_is_one_sentence(store: ResultsStore, file: str) -> None:
    store.save(make_record(name="bare"))
    read = store.history if file == "history.csv" else store.predictions
    with pytest.raises(FerBenchError, match=f"run bare has no {file}"):
        read(store.find("bare"))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "No columns to parse from file"),
        (b"\xff\xfe\x00", "codec can't decode"),
        (b"epoch,lr\n1,2\n", "it has no column train_loss"),
        (b"epoch\n1\n2,3,4\n", "Error tokenizing data"),
        (make_history().to_csv(index=False).replace("0.0001", "low").encode(), "lr is not a numb"),
    ],
)
def test_a_damaged_history_is_one_sentence(
    store: ResultsStore, content: bytes, reason: str
) -> None:
    run = save_one(store)
    (run.folder / "history.csv").write_bytes(content)
    with pytest.raises(FerBenchError, match=rf"history\.csv is damaged \(.*{reason}") as caught:
        store.history(run)
    assert "\n" not in str(caught.value)


def test_predictions_that_name_no_emotion_are_one_sentence(store: ResultsStore) -> None:
    record, answers = make_record(), make_predictions()
    shares = [column for column in answers if column.startswith("p_")]
    store.save(record, predictions=answers.assign(**dict.fromkeys(shares, np.float32(0))))
    with pytest.raises(FerBenchError, match="the probabilities of an image do not sum to 1"):
        store.predictions(store.find(record.name))


def test_damaged_predictions_are_one_sentence(store: ResultsStore) -> None:
    run = save_one(store)
    path = run.folder / "predictions.parquet"
    whole = path.read_bytes()
    for content in (b"", b"no parquet at all", whole[:-100], whole[:4] + whole[400:]):
        path.write_bytes(content)
        with pytest.raises(FerBenchError, match=r"predictions\.parquet is damaged") as caught:
            store.predictions(run)
        assert "\n" not in str(caught.value)
    pd.DataFrame({"id": ["a"]}).to_parquet(path)
    with pytest.raises(FerBenchError, match="it has no column split, label, clean"):
        store.predictions(run)


def full_disk(*arguments: object, **options: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize(("where", "call"), [(os, "fsync"), (Path, "replace"), (Path, "mkdir")])
def test_a_full_disk_loses_nothing(
    store: ResultsStore, monkeypatch: pytest.MonkeyPatch, where: object, call: str
) -> None:
    run = save_one(store)
    before = {p.name: p.read_bytes() for p in run.folder.iterdir()}
    with monkeypatch.context() as patch:
        patch.setattr(where, call, full_disk)
        with pytest.raises(
            FerBenchError, match=r"could not save one in .*: No space left"
        ) as caught:
            record, network = make_record(name="one", seed=1), {"model.safetensors": b"others"}
            store.save(record, history=make_history(seed=1), network=network)
        assert caught.value.exit_code == 2
    assert {p.name: p.read_bytes() for p in run.folder.iterdir()} == before


def test_only_a_finished_run_of_this_folder_can_be_the_default(
    store: ResultsStore, tmp_path: Path
) -> None:
    store.save(make_record(name="one", status="failed"))
    with pytest.raises(FerBenchError, match="run one is failed: only a finished run can be"):
        store.mark_default(store.find("one"))
    other = ResultsStore(tmp_path / "other")
    other.save(make_record(name="one"))
    with pytest.raises(FerBenchError, match=r"lies in .*other/fer2013/one, expected one in"):
        store.mark_default(other.find("one"))


@pytest.mark.parametrize("fits", range(4))
def test_a_disk_that_fills_up_midway_leaves_the_old_files(
    store: ResultsStore, monkeypatch: pytest.MonkeyPatch, fits: int
) -> None:
    run = save_one(store)
    before = {p.name: p.read_bytes() for p in run.folder.iterdir()}
    real, calls = os.fsync, []

    def fills_up(descriptor: int) -> None:
        calls.append(descriptor)
        if len(calls) > fits:
            full_disk()
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fills_up)
    with pytest.raises(FerBenchError, match="No space left"):
        store.save(
            make_record(name="one", seed=1),
            history=make_history(seed=1),
            predictions=make_predictions(seed=1),
            network={"model.safetensors": b"others"},
        )
    assert {p.name: p.read_bytes() for p in run.folder.iterdir()} == before


def test_the_record_is_the_last_file_to_appear(
    store: ResultsStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, order = Path.replace, []

    def watched(self: Path, target: Path) -> Path:
        order.append(target.name)
        return real(self, target)

    monkeypatch.setattr(Path, "replace", watched)
    save_one(store)
    assert order[-1] == "record.json"
    assert len(order) == 5


def test_a_full_disk_does_not_change_the_default(
    store: ResultsStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = save_one(store)
    store.mark_default(run)
    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(FerBenchError, match="could not save fer2013/one as default"):
        store.mark_default(run)
    assert store.find("default") == run


def test_a_root_that_is_a_file_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "results").write_text("not a folder")
    store = ResultsStore(tmp_path / "results")
    with pytest.raises(FerBenchError, match=r"cannot list .*results: Not a directory"):
        store.runs()
    with pytest.raises(FerBenchError, match="could not save"):
        store.save(make_record())
