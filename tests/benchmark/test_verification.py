"""A stored run against its data, its network and its digest: each kind of tampering is found."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from command_fixtures import Fer
from finished_fixtures import SYNTHETIC, tiny_spec
from table_fixtures import table

from fer_bench.benchmark import runs_in, verify_run
from fer_bench.benchmark.verification import DIGEST, verify_data
from fer_bench.bundles.submission import submission
from fer_bench.data.dataset import FaceDataset
from fer_bench.errors import FerBenchError
from fer_bench.results.record import RunRecord
from fer_bench.results.store import ResultsStore
from fer_bench.results.stored_run import HISTORY, PREDICTIONS, RECORD, StoredRun, read_run
from fer_bench.types import InputSpec


@pytest.fixture(scope="module")
def dataset() -> FaceDataset:
    return SYNTHETIC.load(tiny_spec())


DESCRIBED: dict[str, Callable[[RunRecord], RunRecord]] = {
    "name": lambda r: moved(r, name="fer2013"),
    "protocol": lambda r: moved(r, protocol="kaggle"),
    "class_counts": lambda r: moved(r, class_counts=r.dataset.class_counts | {"train": {}}),
    "n_left_out": lambda r: moved(r, n_left_out=9),
    "whole": lambda r: moved(r, whole_fingerprint="0" * 64),
    "synthetic data": lambda r: r.model_copy(update={"not_comparable_because": []}),
}


@table("word", DESCRIBED)
def test_a_false_description_of_the_data_is_found(word: str, own_run: StoredRun) -> None:
    """A description of the data that they do not fit; drawn faces among the ranked."""
    record = DESCRIBED[word](own_run.require_record())
    (own_run.folder / RECORD).write_text(record.model_dump_json())
    found = [one for one in problems(read_run(own_run.folder)) if one.startswith("data descr")]
    assert len(found) == 1 and word in found[0]


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"parameters": 7}, "the record says 7"),
        (
            {"input_spec": InputSpec(size=64, channels=1, mean=(0.5,), std=(0.5,))},
            "takes other faces than the record says",
        ),
    ],
)
def test_a_false_description_of_the_network_is_found(
    changed: dict[str, object], sentence: str, own_run: StoredRun
) -> None:
    record = own_run.require_record()
    assert record.model
    other = record.model.model_copy(update=changed)
    (own_run.folder / RECORD).write_text(
        record.model_copy(update={"model": other}).model_dump_json()
    )
    assert any(sentence in one for one in problems(read_run(own_run.folder), 3))


@pytest.mark.parametrize(
    ("rewrite", "sentence"),
    [
        (lambda t: t.assign(val_accuracy=1.0), "curves: val accuracy of epoch"),
        (lambda t: pd.concat([t, t]), "epochs, the record says"),
    ],
)
def test_curves_of_another_training_are_found(
    rewrite: Callable[[pd.DataFrame], pd.DataFrame], sentence: str, own_run: StoredRun
) -> None:
    curves = own_run.folder / HISTORY
    rewrite(pd.read_csv(curves)).to_csv(curves, index=False)
    assert any(sentence in one for one in problems(own_run))


def problems(run: StoredRun, forward: int = 0) -> list[str]:
    checks = verify_run(run, SYNTHETIC, forward)
    return [f"{check.name}: {check.problem}" for check in checks if not check.agrees]


def test_an_honest_run_agrees_with_its_data_and_its_network(finished: StoredRun) -> None:
    checks = {check.name for check in verify_run(finished, SYNTHETIC, 5)}
    assert problems(finished, 5) == []
    assert {"test_tta", "prediction sets", "data labels", "leak", "5 forwarded"} <= checks


def changed_test(table: pd.DataFrame, column: str, value: object) -> pd.DataFrame:
    changed = table.copy()
    first = changed.index[changed["split"] == "test"][0]
    changed.loc[first, column] = value
    return changed


def swapped_labels(table: pd.DataFrame) -> pd.DataFrame:
    """Two images of different emotions each get the other's label: the counts stay."""
    test = table[table["split"] == "test"]
    first, second = test.drop_duplicates("label").index[:2]
    changed = table.copy()
    changed.loc[[first, second], "label"] = table.loc[[second, first], "label"].to_numpy()
    return changed


def moved(record: RunRecord, **values: object) -> RunRecord:
    return record.model_copy(update={"dataset": record.dataset.model_copy(update=values)})


AGAINST_DATA: dict[str, tuple[Callable[..., tuple[RunRecord, pd.DataFrame]], str]] = {
    "fingerprint": (lambda r, t: (moved(r, fingerprint="0" * 64), t), "data fingerprint: it is"),
    "sizes": (
        lambda r, t: (moved(r, split_sizes=r.dataset.split_sizes | {"train": 9}), t),
        "data sizes: ",
    ),
    "an image of elsewhere": (
        lambda r, t: (r, changed_test(t, "id", "elsewhere.png")),
        "has no image elsewhere.png",
    ),
    "labels exchanged": (lambda r, t: (r, swapped_labels(t)), "data labels: 2 labels are not"),
    "val called test": (
        lambda r, t: (r, t.assign(split="test")),
        "images are not of the split that they stand under",
    ),
}


@table("kind", AGAINST_DATA)
def test_tampering_shows_against_the_data(
    kind: str, finished: StoredRun, dataset: FaceDataset
) -> None:
    tamper, sentence = AGAINST_DATA[kind]
    rows = pd.read_parquet(finished.folder / PREDICTIONS)
    checks = verify_data(*tamper(finished.require_record(), rows), dataset)
    found = [f"{check.name}: {check.problem}" for check in checks]
    assert any(sentence in problem for problem in found), found


def test_an_image_of_train_called_clean_is_a_leak(
    finished: StoredRun, dataset: FaceDataset
) -> None:
    """The data hold a test image a second time in train, and the record hides it."""
    train, test = dataset.indices("train")[0], dataset.indices("test")[0]
    hashes = dataset.hashes.copy()
    hashes[test] = hashes[train]
    rows = pd.read_parquet(finished.folder / PREDICTIONS)
    checks = verify_data(finished.require_record(), rows, replace(dataset, hashes=hashes))
    (leak,) = [check for check in checks if check.name == "leak"]
    assert leak.problem.startswith("1 images are called clean")


def test_answers_that_its_network_does_not_give_are_found(own_run: StoredRun) -> None:
    """Probabilities and metrics agree with each other, but they are another network's."""
    rows = pd.read_parquet(own_run.folder / PREDICTIONS)
    columns = [column for column in rows if str(column).startswith("p_")]
    rows[columns] = np.roll(rows[columns].to_numpy(), 1, axis=1)
    rows.to_parquet(own_run.folder / PREDICTIONS, index=False)
    assert any("answers are not its network's" in problem for problem in problems(own_run, 10))


def test_forward_needs_the_data(finished: StoredRun) -> None:
    with pytest.raises(FerBenchError, match="say --data PATH too"):
        verify_run(finished, forward=3)


def test_a_submission_is_the_same_bytes_each_time_and_verifies_where_it_is_unpacked(
    finished: StoredRun, tmp_path: Path
) -> None:
    packed = submission(finished)
    assert packed == submission(finished)
    (tmp_path / "s.zip").write_bytes(packed.content)
    with zipfile.ZipFile(tmp_path / "s.zip") as archive:
        names = archive.namelist()
        archive.extractall(tmp_path / "results")
    assert names == [f"{finished.id}/{name}" for name in (DIGEST, PREDICTIONS, RECORD)]
    (unpacked,) = runs_in(tmp_path / "results")
    assert "digest" in {check.name for check in verify_run(unpacked)}
    assert problems(unpacked) == []


def test_a_submission_is_the_same_with_the_line_ends_of_windows(
    own_run: StoredRun, finished: StoredRun
) -> None:
    """Git writes text files with them there."""
    packed = submission(finished)
    with zipfile.ZipFile(_written(own_run, packed.content)) as archive:
        archive.extractall(own_run.folder.parent.parent)
    for name in (RECORD, DIGEST):
        text = (own_run.folder / name).read_bytes()
        (own_run.folder / name).write_bytes(text.replace(b"\n", b"\r\n"))
    again = read_run(own_run.folder)
    assert problems(again) == []
    assert submission(again) == packed


@pytest.mark.parametrize("name", [PREDICTIONS, RECORD])
def test_a_file_that_is_not_what_was_handed_in_shows(
    name: str, own_run: StoredRun, finished: StoredRun
) -> None:
    """The record with one more blank, the predictions compressed otherwise: the same figures."""
    with zipfile.ZipFile(_written(own_run, submission(finished).content)) as archive:
        (own_run.folder / DIGEST).write_bytes(archive.read(f"{finished.id}/{DIGEST}"))
    assert problems(own_run) == []
    if name == RECORD:
        (own_run.folder / name).write_text((own_run.folder / name).read_text() + "\n")
    else:
        rows = pd.read_parquet(own_run.folder / name)
        rows.to_parquet(own_run.folder / name, index=False, compression="gzip")
    assert problems(own_run) == ["digest: the files are not those that digest.txt was made of"]


def _written(own_run: StoredRun, content: bytes) -> Path:
    path = own_run.folder.parent.parent.parent / "s.zip"
    path.write_bytes(content)
    return path


def test_a_record_in_anothers_folder_is_found(own_run: StoredRun) -> None:
    other = own_run.folder.rename(own_run.folder.with_name("better-run"))
    assert any("folder: it lies in" in problem for problem in problems(read_run(other)))


def test_a_folder_of_runs_is_verified_run_by_run(fer: Fer, own_run: StoredRun) -> None:
    root = own_run.folder.parent.parent
    code, out, _ = fer("verify", root)
    assert code == 0 and out == f"{own_run.id}  agrees\n"
    second = shutil.copytree(own_run.folder, own_run.folder.with_name("second"))
    (second / RECORD).write_text("{}")
    code, out, err = fer("verify", root, "--json")
    document = json.loads(out)
    assert code == 1 and [one["agrees"] for one in document["runs"]] == [True, False]
    assert "second is unreadable" in err


def test_submit_writes_one_file_and_refuses_what_does_not_verify(
    fer: Fer, own_run: StoredRun, tmp_path: Path
) -> None:
    root, file = own_run.folder.parent.parent, tmp_path / "one.zip"
    code, out, _ = fer("submit", own_run.name, "--results", root, "--out", file, "--json")
    assert code == 0 and json.loads(out)["sha256"] == submission(own_run).sha256
    record = own_run.require_record()
    lie = record.metrics | {"test": record.metrics["test"].model_copy(update={"accuracy": 1.0})}
    ResultsStore(root).save(record.model_copy(update={"metrics": lie}))
    code, _, err = fer("submit", own_run.name, "--results", root, "--out", tmp_path / "two.zip")
    assert code == 1 and "is not packed: test: accuracy is" in err
    assert not (tmp_path / "two.zip").exists()
