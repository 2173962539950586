"""A ranking holds one data set: the same pixels, labels and splits, whatever they are called."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from data_fixtures import class_files, csv_row, face, put, write_csv
from record_fixtures import STARTED, make_record

from fer_bench.benchmark.records import describe_dataset
from fer_bench.data.load import load_dataset
from fer_bench.emotions import FER2013
from fer_bench.report import collect, markdown_tables, methods
from fer_bench.results.leaderboard.rankings import answered_fingerprint, ranking_key, ranking_names
from fer_bench.results.record import DatasetInfo, RunRecord
from fer_bench.results.store import ResultsStore
from fer_bench.results.summary import summary_table
from fer_bench.studies.comparison.seeds import over_seeds


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FER_BENCH_CACHE", str(tmp_path / "cache"))


def fer2013(path: Path, usages: list[str | None], first: int = 0) -> Path:
    """A CSV of 12 faces a usage and emotion; None for a CSV without usages."""
    path.parent.mkdir(exist_ok=True)
    rows = [
        csv_row(face(first + 84 * i + 7 * n + label), label, usage or "")
        for i, usage in enumerate(usages)
        for n in range(12)
        for label in range(7)
    ]
    if usages == [None]:
        return write_csv(path, [row[:2] for row in rows], "emotion,pixels")
    return write_csv(path, rows)


def on(source: Path, seed: int, **changes: object) -> RunRecord:
    """A record of a run on some data."""
    record = make_record(seed=seed, accuracy=0.2 + seed / 10)
    info = describe_dataset(load_dataset(source, **changes))
    return record.model_copy(update={"dataset": info})


def stored(root: Path, records: list[RunRecord]) -> list[object]:
    store = ResultsStore(root / "results")
    for record in records:
        store.save(record)
    return store.runs()


def test_fer2013_of_five_kinds_is_five_rankings_and_no_mean(tmp_path: Path) -> None:
    whole = ["Training", "PublicTest", "PrivateTest"]
    sources = [
        fer2013(tmp_path / "a" / "fer2013.csv", whole),
        fer2013(tmp_path / "b" / "fer2013.csv", [None]),
        fer2013(tmp_path / "c" / "fer2013.csv", ["Training"]),
        fer2013(tmp_path / "d" / "fer2013.csv", whole[:2]),
        fer2013(tmp_path / "e" / "fer2013.csv", whole, first=1000),
    ]
    records = [on(source, seed) for seed, source in enumerate(sources)]
    assert [r.dataset.protocol for r in records] == [
        "official", "random split", "random split", "own splits", "official",
    ]  # fmt: skip
    # b is c without its usages: the same faces, split alike
    assert len({ranking_key(r) for r in records}) == len(set(ranking_names(records)))
    rows = over_seeds(summary_table(stored(tmp_path, records)))
    assert rows["seeds"].max() <= 2 and len(rows) == len(set(ranking_names(records)))
    shown = {r.dataset.fingerprint[:8] for r in records}
    assert set(rows["data"]) == shown
    assert all(any(f"data {s}" in name for s in shown) for name in ranking_names(records))


def test_folders_of_one_name_rank_apart_and_copies_of_other_names_together(tmp_path: Path) -> None:
    folders = [f"{part}/{e}" for part in ("train", "val", "test") for e in FER2013]
    files = class_files(folders, 3)
    other = {name: data for name, data in files.items() if not name.endswith("/2.png")}
    a, b = put(tmp_path / "1" / "archive", files), put(tmp_path / "2" / "archive", other)
    c = put(tmp_path / "表情", files)
    first, second, copy = (on(source, n) for n, source in enumerate((a, b, c)))
    assert ranking_key(first) == ranking_key(copy) != ranking_key(second)
    names = ranking_names([first, second, copy])
    assert names[0] == names[2] != names[1]


def test_a_part_of_the_data_stands_with_the_whole(tmp_path: Path) -> None:
    source = fer2013(tmp_path / "x" / "fer2013.csv", ["Training", "PublicTest", "PrivateTest"])
    whole, part = on(source, 0), on(source, 1, limit=8)
    assert whole.dataset.fingerprint != part.dataset.fingerprint
    assert ranking_key(whole) == ranking_key(part)
    assert whole.dataset.whole_fingerprint is None


def test_an_old_record_stands_beside_a_new_one_of_the_same_data(tmp_path: Path) -> None:
    folders = [f"{e}" for e in FER2013]
    new = on(put(tmp_path / "faces", class_files(folders, 20)), 1)
    values = new.dataset.model_dump() | {"protocol": "official", "name": "old-name"}
    del values["whole_fingerprint"], values["numbering"]
    old = make_record(seed=0, started_at=STARTED.replace(year=2020))
    old = old.model_copy(update={"dataset": DatasetInfo.model_validate(values)})
    names = ranking_names([old, new])
    assert names[0] == names[1]
    assert names[0].startswith("faces · random split · 7 emotions · data ")


def test_shipped_soft_majority_stands_beside_majority() -> None:
    store = ResultsStore(Path("results"))
    runs = [run for run in store.runs() if run.dataset == "ferplus"]
    assert len(runs) == 3 and len({ranking_key(run.require_record()) for run in runs}) == 1
    assert len({answered_fingerprint(run.require_record()) for run in runs}) == 1
    contents = collect(store, "ferplus")
    assert "### The best 3, two by two" in markdown_tables(contents)
    assert "fingerprint of images, labels and splits 87f46edd" in methods(contents)


def test_soft_votes_rank_by_the_labels_they_give(tmp_path: Path) -> None:
    source = put(
        tmp_path / "x", class_files([f"{p}/{e}" for p in ("train", "test") for e in FER2013], 4)
    )
    data = load_dataset(source)
    hard = np.eye(len(FER2013), dtype=np.float32)[data.labels]
    soft = np.float32(0.8) * hard + np.float32(0.2 / 7)
    fingerprints = {replace(data, votes=votes).whole_fingerprint for votes in (hard, soft)}
    assert fingerprints == {replace(data, votes=hard).fingerprint}
