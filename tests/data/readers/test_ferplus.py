"""FER+ votes: every branch of the official rules, over the CSV and over Kaggle's files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from data_fixtures import (
    VOTES_HEADER,
    csv_row,
    csv_rows,
    face,
    kaggle_files,
    put,
    write_csv,
    zipped,
)
from table_fixtures import table

from fer_bench.data.load import load_dataset, read_source
from fer_bench.data.readers.fer2013_rows import RowTable, build_row_table, read_row_table
from fer_bench.data.readers.ferplus import read_votes, targets
from fer_bench.emotions import FER2013, FERPLUS
from fer_bench.errors import FerBenchError
from fer_bench.specs.run import VoteMode


def votes(**counts: int) -> list[int]:
    """Ten vote columns by emotion."""
    return [counts.get(name, 0) for name in (*FERPLUS, "unknown", "nf")]


def shares(**values: float) -> list[float]:
    return [values.get(name, 0.0) for name in FERPLUS]


DISCARDED = shares()
BRANCHES = [
    # majority: more than half of the votes that are left without single ones
    ("majority", votes(happy=10), shares(happy=1)),
    ("majority", votes(happy=6, sad=4), shares(happy=1)),
    ("majority", votes(happy=5, sad=5), DISCARDED),
    ("majority", votes(happy=4, sad=3, fear=3), DISCARDED),
    ("majority", votes(happy=4, sad=3, fear=1, angry=1, disgust=1), shares(happy=1)),
    ("majority", votes(unknown=6, happy=4), DISCARDED),
    ("majority", votes(nf=10), DISCARDED),
    ("majority", [1] * 10, DISCARDED),
    ("majority", [0] * 10, DISCARDED),
    # soft-majority: majority's faces with the shares of all emotions
    ("soft-majority", votes(happy=10), shares(happy=1)),
    ("soft-majority", votes(happy=6, sad=4), shares(happy=0.6, sad=0.4)),
    ("soft-majority", votes(happy=7, sad=2, fear=1), shares(happy=7 / 9, sad=2 / 9)),
    ("soft-majority", votes(happy=6, unknown=4), shares(happy=1)),
    ("soft-majority", votes(happy=5, sad=5), DISCARDED),
    ("soft-majority", votes(unknown=6, happy=4), DISCARDED),
    # probability: strongest first until three quarters, at most three
    ("probability", votes(happy=8, sad=2), shares(happy=1)),
    ("probability", votes(happy=6, sad=4), shares(happy=0.6, sad=0.4)),
    ("probability", votes(happy=5, sad=3, fear=2), shares(happy=5 / 8, sad=3 / 8)),
    ("probability", votes(happy=4, sad=3, fear=2), shares(happy=4 / 7, sad=3 / 7)),
    ("probability", votes(happy=4, sad=2, fear=2), shares(happy=0.5, sad=0.25, fear=0.25)),
    ("probability", votes(happy=3, sad=3, fear=3), shares(happy=1 / 3, sad=1 / 3, fear=1 / 3)),
    ("probability", votes(happy=4, sad=2, fear=2, angry=2), DISCARDED),
    ("probability", votes(happy=2, sad=2, fear=2, angry=2, disgust=2), DISCARDED),
    ("probability", votes(unknown=8, happy=2), DISCARDED),
    ("probability", votes(happy=6, unknown=4), shares(happy=1)),
    ("probability", votes(happy=5, unknown=5), DISCARDED),
    ("probability", votes(happy=4, sad=4, nf=2), shares(happy=0.5, sad=0.5)),
    ("probability", votes(happy=4, sad=3, nf=3), shares(happy=4 / 7, sad=3 / 7)),
    ("probability", votes(happy=4, unknown=2, nf=4), DISCARDED),
    ("probability", [1] * 10, DISCARDED),
    # multi-target: 30 % or more each, more than half together
    ("multi-target", votes(happy=10), shares(happy=1)),
    ("multi-target", votes(happy=4, sad=3, fear=3), shares(happy=0.4, sad=0.3, fear=0.3)),
    ("multi-target", votes(happy=6, sad=2, fear=2), shares(happy=1)),
    ("multi-target", votes(happy=5, sad=3, fear=2), shares(happy=5 / 8, sad=3 / 8)),
    ("multi-target", votes(happy=4, sad=2, fear=2, angry=2), DISCARDED),
    ("multi-target", votes(happy=2, sad=2, fear=2, angry=2, disgust=2), DISCARDED),
    ("multi-target", votes(happy=6, unknown=4), shares(happy=1)),
    ("multi-target", votes(happy=5, unknown=5), shares(happy=1)),
    ("multi-target", votes(happy=4, nf=6), DISCARDED),
    ("multi-target", [1] * 10, DISCARDED),
]


@table(("mode", "counts", "expected"), BRANCHES)
def test_targets(mode: VoteMode, counts: list[int], expected: list[float]) -> None:
    found = targets(np.array([counts]), mode)
    assert found.dtype == np.float32 and found.shape == (1, 8)
    assert found[0].tolist() == pytest.approx(expected)


@pytest.mark.parametrize("mode", get_args(VoteMode))
def test_targets_of_many_rows_are_those_of_each(mode: VoteMode) -> None:
    rows = np.array([counts for _, counts, _ in BRANCHES])
    together = targets(rows, mode)
    assert np.array_equal(together, np.concatenate([targets(r[None], mode) for r in rows]))
    assert set(together.sum(1).round(5).tolist()) == {0.0, 1.0}


Rows = list[list[str]]


def vote_rows(rows: Rows) -> Rows:
    """Ten votes for one of FER+'s emotions in turn; row 0 is undecided, row 1 has no image."""
    found = []
    for i, (_, _, usage) in enumerate(rows):
        counts = votes(**{FERPLUS[i % 8]: 10}) if i else [1] * 10
        found.append([usage, f"fer{i:07}.png" if i != 1 else "", *map(str, counts)])
    return found


@pytest.fixture
def rows() -> Rows:
    return csv_rows(per_class=16, held=4)


@pytest.fixture
def votes_file(tmp_path: Path, rows: Rows) -> Path:
    (tmp_path / "votes").mkdir()
    return write_csv(tmp_path / "votes" / "fer2013new.csv", vote_rows(rows), VOTES_HEADER)


def test_over_the_csv_row_i_is_row_i(tmp_path: Path, rows: Rows, votes_file: Path) -> None:
    source = write_csv(tmp_path / "fer2013.csv", rows)
    data = load_dataset(source, votes="majority", votes_file=votes_file)
    assert data.name == "ferplus" and data.emotions == FERPLUS
    assert data.votes is not None and data.votes.dtype == np.float32
    assert data.labels[2:].tolist() == [i % 8 for i in range(2, len(rows))]
    assert np.array_equal(data.votes[2:].argmax(1), data.labels[2:])
    assert data.votes[2:].sum(1).tolist() == [1.0] * (len(rows) - 2)
    assert data.labels[:2].tolist() == data.splits[:2].tolist() == [-1, -1]
    assert sum(data.split_sizes().values()) == len(rows) - 2
    assert [(r.id, r.reason) for r in data.left_out] == [
        ("row 0", "FER+ votes give no majority label"),
        ("row 1", "FER+ names no image: not a face"),
    ]


def test_votes_are_found_next_to_a_zip_of_the_csv(tmp_path: Path, rows: Rows) -> None:
    write_csv(tmp_path / "fer2013new.csv", vote_rows(rows), VOTES_HEADER)
    original = write_csv(tmp_path / "fer2013.csv", rows)
    expected = load_dataset(tmp_path, votes="majority").fingerprint
    zipped(tmp_path / "fer2013.zip", {"fer2013/fer2013.csv": original.read_bytes()})
    original.unlink()
    assert load_dataset(tmp_path, votes="majority").fingerprint == expected


def test_a_row_that_the_csv_reader_left_out_does_not_shift_the_votes(
    tmp_path: Path, rows: Rows, votes_file: Path
) -> None:
    rows[5][1] = "damaged"
    source = write_csv(tmp_path / "fer2013.csv", rows)
    data = load_dataset(source, votes="majority", votes_file=votes_file)
    assert data.ids[5] == "row 6" and data.labels[5] == 6
    assert "row 5" in [r.id for r in data.left_out]


def write_row_table(table: RowTable, path: Path) -> None:
    lines = (f"{row},{name}\n" for name, row in table.rows.items())
    path.write_text("row,file\n" + "".join(lines))


@pytest.mark.parametrize("given", ["table", "original"])
def test_over_kaggles_files_the_same_labels_come_through_the_rows(
    given: str, tmp_path: Path, rows: Rows, votes_file: Path
) -> None:
    original = write_csv(tmp_path / "fer2013.csv", rows)
    kaggle = zipped(tmp_path / "faces.zip", kaggle_files(per_class=16, held=4))
    rows_file = original
    if given == "table":
        rows_file = tmp_path / "table.csv"
        write_row_table(build_row_table(read_source(kaggle), read_source(original)), rows_file)
    data = load_dataset(
        kaggle, votes="majority", votes_file=votes_file, rows_file=rows_file, protocol="kaggle"
    )
    by_pixels = {row[1]: i for i, row in enumerate(rows)}
    for sample, label in zip(data.ids, data.labels, strict=True):
        number = int(str(sample).rsplit("_", 1)[-1].removesuffix(".jpg"))
        row = by_pixels[" ".join(map(str, face(number).ravel()))]
        assert label == (row % 8 if row > 1 else -1)


def test_a_file_that_the_table_does_not_name_is_left_out(
    tmp_path: Path, rows: Rows, votes_file: Path
) -> None:
    original = write_csv(tmp_path / "fer2013.csv", rows)
    kaggle = zipped(tmp_path / "faces.zip", kaggle_files(per_class=16, held=4))
    table = build_row_table(read_source(kaggle), read_source(original))
    rows_file = tmp_path / "table.csv"
    write_row_table(replace(table, rows={k: v for k, v in table.rows.items() if v > 9}), rows_file)
    data = load_dataset(kaggle, votes="majority", votes_file=votes_file, rows_file=rows_file)
    assert len(data.left_out) == 10
    assert {r.reason for r in data.left_out} == {
        "its row in fer2013.csv is unknown, so its FER+ votes are"
    }


def test_votes_and_table_are_found_beside_the_source(tmp_path: Path, rows: Rows) -> None:
    folder = tmp_path / "both"
    folder.mkdir()
    write_csv(folder / "fer2013new.csv", vote_rows(rows), VOTES_HEADER)
    original = read_source(write_csv(tmp_path / "fer2013.csv", rows))
    kaggle = zipped(folder / "fer2013.zip", kaggle_files(per_class=16, held=4))
    write_row_table(build_row_table(read_source(kaggle), original), folder / "kaggle_rows.csv")
    by_zip = load_dataset(kaggle, votes="probability")
    by_folder = load_dataset(folder, votes="probability")
    assert by_zip.fingerprint == by_folder.fingerprint
    assert load_dataset(folder).name == "ferplus"


def test_a_row_table_is_read_as_it_stands(tmp_path: Path, rows: Rows) -> None:
    kaggle = read_source(put(tmp_path / "faces", kaggle_files(per_class=16, held=4)))
    table = build_row_table(kaggle, read_source(write_csv(tmp_path / "fer2013.csv", rows)))
    assert len(table.rows) == len(rows) and table.left_out == ()
    write_row_table(table, tmp_path / "kaggle_rows.csv")
    assert read_row_table(tmp_path / "kaggle_rows.csv").rows == table.rows


def test_duplicates_are_matched_in_order_where_counts_agree(tmp_path: Path) -> None:
    files = kaggle_files(per_class=4, held=1)
    files["train/angry/Training_2.jpg"] = files["train/angry/Training_1.jpg"]
    files["train/happy/Training_20.jpg"] = files["train/happy/Training_19.jpg"]
    rows = csv_rows(per_class=4, held=1)
    # The original has the angry pair as well, but the happy image only once.
    twin = next(r for r in rows if r[1] == csv_row(face(2), 0, "Training")[1])
    twin[1] = csv_row(face(1), 0, "Training")[1]
    kaggle = read_source(put(tmp_path / "faces", files))
    table = build_row_table(kaggle, read_source(write_csv(tmp_path / "fer2013.csv", rows)))
    pair = sorted(i for i, r in enumerate(rows) if r[1] == twin[1])
    assert [table.rows["Training_1.jpg"], table.rows["Training_2.jpg"]] == pair
    assert {r.id: r.reason for r in table.left_out} == {
        "Training_19.jpg": "2 files and 1 rows have the same pixels",
        "Training_20.jpg": "2 files and 1 rows have the same pixels",
    }


def test_an_image_that_no_row_has_is_left_out_of_the_table(tmp_path: Path) -> None:
    files = kaggle_files(per_class=4, held=1)
    rows = [r for r in csv_rows(per_class=4, held=1) if r != csv_row(face(1), 0, "Training")]
    kaggle = read_source(put(tmp_path / "faces", files))
    table = build_row_table(kaggle, read_source(write_csv(tmp_path / "fer2013.csv", rows)))
    assert [(r.id, r.reason) for r in table.left_out] == [
        ("Training_1.jpg", "no row has its pixels")
    ]


def test_a_file_name_in_two_classes_goes_by_its_whole_id(tmp_path: Path) -> None:
    files = kaggle_files(per_class=4, held=1)
    files["train/sad/Training_1.jpg"] = files.pop("train/sad/Training_25.jpg")
    kaggle = read_source(put(tmp_path / "faces", files))
    rows = csv_rows(per_class=4, held=1)
    table = build_row_table(kaggle, read_source(write_csv(tmp_path / "fer2013.csv", rows)))
    row = rows[table.rows["train/sad/Training_1.jpg"]]
    assert row == csv_row(face(25), 4, "Training")


def test_missing_and_foreign_files_are_explained(
    tmp_path: Path, rows: Rows, votes_file: Path
) -> None:
    source = write_csv(tmp_path / "fer2013.csv", rows)
    kaggle = zipped(tmp_path / "faces.zip", kaggle_files(per_class=16, held=4))
    with pytest.raises(FerBenchError, match=r"give the votes file fer2013new\.csv"):
        load_dataset(source, votes="majority")
    with pytest.raises(FerBenchError, match="do not exist"):
        load_dataset(source, votes="majority", votes_file=tmp_path / "none.csv")
    with pytest.raises(FerBenchError, match="give a row,file table or the original"):
        load_dataset(kaggle, votes="majority", votes_file=votes_file)
    with pytest.raises(FerBenchError, match="expected the columns row,file"):
        read_row_table(votes_file)
    with pytest.raises(FerBenchError, match=r"votes are for FER2013, but synthetic"):
        load_dataset("synthetic", votes="majority", votes_file=votes_file)
    part = write_csv(tmp_path / "sample.csv", rows[3:])
    with pytest.raises(FerBenchError, match=r"does not belong to sample\.csv"):
        load_dataset(part, votes="majority", votes_file=votes_file)


@pytest.mark.parametrize(
    ("header", "row", "message"),
    [
        ("Usage,pixels", [], "holds no FER\\+ votes: expected the columns Usage,Image name"),
        (VOTES_HEADER, ["Training", "fer0.png", *["x"] * 10], "row 0 of .* is damaged"),
        (VOTES_HEADER, ["Training", "fer0.png", "1"], "row 0 of .* is damaged"),
    ],
)
def test_a_damaged_votes_file(header: str, row: list[str], message: str, tmp_path: Path) -> None:
    with pytest.raises(FerBenchError, match=message):
        read_votes(write_csv(tmp_path / "fer2013new.csv", [row], header))


def test_votes_of_other_rows_are_refused(tmp_path: Path) -> None:
    rows = csv_rows(per_class=40, held=4)
    right = [
        [usage, f"fer{i:07}.png", *map(str, votes(**{FER2013[int(label)]: 10}))]
        for i, (label, _, usage) in enumerate(rows)
    ]
    file = write_csv(tmp_path / "fer2013new.csv", right, VOTES_HEADER)
    whole = load_dataset(
        write_csv(tmp_path / "a.csv", rows), votes="majority", votes_file=file, complete=False
    )
    assert len(whole.left_out) == 0
    with pytest.raises(FerBenchError, match="it has 336 rows, and the source 335"):
        load_dataset(
            write_csv(tmp_path / "b.csv", rows[1:]),
            votes="majority",
            votes_file=file,
            complete=False,
        )
    turned = write_csv(tmp_path / "c.csv", sorted(rows))
    with pytest.raises(FerBenchError, match=r"do not follow|agree with"):
        load_dataset(turned, votes="majority", votes_file=file, complete=False)
    for first in (0, 110):  # all rows, or those of a stretch
        turned_rows = [*rows[first + 1 :], rows[first]]
        moved = [
            *rows[:first],
            *([*a[:2], b[2]] for a, b in zip(turned_rows, rows[first:], strict=True)),
        ]
        source = write_csv(tmp_path / f"{first}.csv", moved)
        with pytest.raises(FerBenchError, match=rf"agree with \d+% of .* {first}\.csv from row"):
            load_dataset(source, votes="majority", votes_file=file, complete=False)


@pytest.mark.parametrize("mode", ["probability", "multi-target"])
def test_soft_targets_validate_and_test_by_majority(
    mode: VoteMode, tmp_path: Path, rows: Rows
) -> None:
    shared, clear = votes(happy=5, sad=5), votes(sad=6, happy=4)
    table = [
        [r[2], f"fer{i}.png", *map(str, clear if i % 2 else shared)] for i, r in enumerate(rows)
    ]
    votes_file = write_csv(tmp_path / "fer2013new.csv", table, VOTES_HEADER)
    data = load_dataset(
        write_csv(tmp_path / "fer2013.csv", rows), votes=mode, votes_file=votes_file, complete=False
    )
    for split, usage in (("train", "Training"), ("val", "PublicTest"), ("test", "PrivateTest")):
        meant = [i for i, row in enumerate(rows) if row[2] == usage and (split == "train" or i % 2)]
        assert data.indices(split).tolist() == meant
        if split != "train":
            assert set(data.labels[meant]) == {FERPLUS.index("sad")}
