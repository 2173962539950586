"""Damaged and odd sources: one clear sentence, or a sample left out by name; nothing is lost."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from pathlib import Path

import numpy as np
import pytest
from data_fixtures import (
    class_files,
    csv_row,
    csv_rows,
    encoded,
    face,
    kaggle_files,
    put,
    write_csv,
    zipped,
)
from table_fixtures import table

from fer_bench.data.files import archive, limits, picture_errors
from fer_bench.data.load import load_dataset, read_source
from fer_bench.errors import FerBenchError


def reasons(source: Path) -> dict[str, str]:
    return {row.id: row.reason for row in read_source(source).left_out}


@pytest.mark.parametrize("keep", [0, 100, 0.5, 0.999])
def test_a_zip_that_is_not_one_or_is_cut_short(keep: float, tmp_path: Path) -> None:
    path = zipped(tmp_path / "fer2013.zip", kaggle_files())
    data = path.read_bytes()
    path.write_bytes(data[: int(keep * len(data)) if keep < 1 else int(keep)])
    with pytest.raises(
        FerBenchError,
        match=r"^fer2013\.zip is (not a zip or is cut|no zip: it is empty).*again",
    ):
        load_dataset(path)


def test_a_zip_member_with_damaged_bytes_is_left_out(tmp_path: Path) -> None:
    files = kaggle_files()
    path = zipped(tmp_path / "fer2013.zip", files)
    wanted = files["train/happy/Training_60.jpg"]
    path.write_bytes(path.read_bytes().replace(wanted, wanted[:200] + b"?" * (len(wanted) - 200)))
    found = reasons(path)
    assert list(found) == ["train/happy/Training_60.jpg"]
    assert "CRC" in found["train/happy/Training_60.jpg"]


@table(
    ("damage", "reason"),
    [
        (lambda data: b"", "the file is empty"),
        (lambda data: b"these are no pixels", "not an image of a known format"),
        (lambda data: data[: len(data) // 2], "truncated"),
        (lambda data: b"\0" * len(data), "not an image of a known format"),
    ],
    ids=["empty", "text", "cut", "zeros"],
)
@table("suffix", [".jpg", ".png"])
def test_an_image_that_does_not_decode_is_left_out_and_named(
    suffix: str, damage: object, reason: str, tmp_path: Path
) -> None:
    files = kaggle_files(suffix=suffix)
    name = f"train/angry/Training_1{suffix}"
    assert callable(damage)
    files[name] = damage(files[name])
    source = put(tmp_path / "faces", files)
    found = reasons(source)
    assert list(found) == [name] and reason in found[name]
    assert load_dataset(source).split_sizes() == {"train": 83, "val": 14, "test": 14}


def test_an_image_above_the_pixel_limit_is_refused_before_decoding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = class_files(["happy", "sad"], 3)
    files["sad/huge.png"] = encoded(np.zeros((200, 300), dtype=np.uint8))
    monkeypatch.setattr(picture_errors, "MAX_PIXELS", 50_000)
    (reason,) = reasons(put(tmp_path / "faces", files)).values()
    assert "300x200 pixels, more than the limit of 50,000" in reason


def test_a_file_above_the_size_limit_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = class_files(["happy", "sad"], 3)
    files["sad/huge.png"] = b"x" * 5000
    monkeypatch.setattr(limits, "MAX_FILE_BYTES", 4000)
    assert list(reasons(zipped(tmp_path / "faces.zip", files))) == ["sad/huge.png"]


BAD_ROWS = {
    "2303 pixels": (
        [["0", " ".join(["1"] * 2303), "Training"]],
        "expected 2,304 pixels, got 2,303",
    ),
    "letters": ([["0", "12 ab " + "1 " * 2302, "Training"]], "expected whole numbers"),
    "too bright": (
        [["0", "256 " + "1 " * 2303, "Training"]],
        "expected pixels 0-255, got 1 to 256",
    ),
    "negative": ([["0", "-1 " + "1 " * 2303, "Training"]], "expected pixels 0-255, got -1 to 1"),
    "fraction": ([["0", "0.5 " + "1 " * 2303, "Training"]], "expected whole numbers"),
    "no pixels": ([["0", "", "Training"]], "expected 2,304 pixels, got 0"),
    "label": ([csv_row(face(1), 7, "Training")], "expected an emotion 0-6, got '7'"),
    "usage": ([csv_row(face(1), 0, "Trainin")], "got 'Trainin'"),
    "columns": ([["0", "1 2"]], "expected 3 columns, got 2"),
}


@table("kind", BAD_ROWS)
def test_a_bad_csv_row_is_left_out_and_named_by_its_number(kind: str, tmp_path: Path) -> None:
    bad, reason = BAD_ROWS[kind]
    rows = csv_rows()
    source = write_csv(tmp_path / "fer2013.csv", [*rows[:4], *bad, *rows[4:]])
    data = read_source(source)
    assert [row.id for row in data.left_out] == ["row 4"]
    assert reason in data.left_out[0].reason
    assert len(data.labels) == len(rows) and data.ids[4] == "row 5"


@pytest.mark.parametrize("format", [None, "fer2013-csv"])
@pytest.mark.parametrize("header", ["label,data", ""])
def test_a_csv_with_another_header(header: str, format: str | None, tmp_path: Path) -> None:
    source = write_csv(tmp_path / "fer2013.csv", [], header)
    with pytest.raises(FerBenchError, match="expected the columns emotion,pixels,Usage"):
        read_source(source, format=format)


def cut_short(path: Path) -> Path:
    path.write_bytes(path.read_bytes()[:20_000])
    return path


@table(
    ("make", "sentence"),
    [
        (
            lambda at: put(at / "faces", {"happy/1.jpg": b"x", "sad/2.jpg": b"y"}),
            r"no image of faces could be read.*happy/1\.jpg",
        ),
        (
            lambda at: write_csv(at / "fer2013.csv", [["0", "1 2 3", "Training"]]),
            r"no row of fer2013\.csv .* row 0: .* got 3",
        ),
        (
            lambda at: cut_short(write_csv(at / "fer2013.csv.gz", csv_rows())),
            r"fer2013\.csv\.gz cannot be read as CSV",
        ),
        (
            lambda at: put(at / "faces", class_files(["train/happy", "train/suprise"], 2)),
            r"class folder 'suprise' of faces.*'surprise'",
        ),
        (
            lambda at: put(at / "faces", class_files(["0", "1", "9"], 2)),
            r"folders of faces are numbers \(0, 1, 9\).*--classes",
        ),
        (
            lambda at: put(at / "faces", class_files(["test/happy", "test/sad"], 3)),
            "the train split of faces is empty",
        ),
        (
            lambda at: put(at / "faces", {"notes.txt": b"no images here"}),
            r"faces holds no images: expected one of: .*RAF-DB",
        ),
        (lambda at: at, r"\d holds no images: expected one of: .*RAF-DB"),
        (lambda at: at / "nothing.zip", r"does not exist: expected one of: .*\[fer2013\]"),
    ],
)
def test_what_is_no_data_set_is_one_sentence(
    make: Callable[[Path], Path], sentence: str, tmp_path: Path
) -> None:
    with pytest.raises(FerBenchError, match=sentence) as caught:
        load_dataset(make(tmp_path))
    assert caught.value.code == ("missing_file" if "exist" in sentence else "bad_data")


def test_a_home_directory_is_not_looked_through(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "LOOKED_AT", 100)
    tools = {f"tool{i}/part{i % 7}/code{i}.py": b"" for i in range(90)}
    put(tmp_path / "home", tools | class_files(["faces/happy", "faces/sad"], 10))
    with pytest.raises(FerBenchError, match=r"of the first 100 files in it, \d\d are neither"):
        read_source(tmp_path / "home")
    read_source(tmp_path / "home/faces")
    hidden = {f".cache/{name}": content for name, content in tools.items()}
    put(tmp_path / "home/faces", hidden)
    assert len(read_source(tmp_path / "home/faces").labels) == 20


def test_what_was_expected_may_be_said_more_shortly(tmp_path: Path) -> None:
    with pytest.raises(FerBenchError) as caught:
        load_dataset(tmp_path / "nothing.zip")
    error = copy(caught.value)  # as between processes
    assert str(error).endswith(f": {error.expected}")
    error.expected = "expected a folder"
    assert str(error).endswith("nothing.zip' does not exist: expected a folder")
    assert error.code == "missing_file"


def test_images_outside_class_folders_and_parts_are_left_out(tmp_path: Path) -> None:
    files = class_files(["train/happy", "train/sad", "test/happy", "test/sad"], 3)
    stray = encoded(face(1, size=16))
    files |= {"preview.png": stray, "train/1.png": stray, "happy/1.png": stray}
    assert reasons(put(tmp_path / "faces", files)) == {
        "preview.png": "stands in no class folder",
        "train/1.png": "stands in no class folder",
        "happy/1.png": "stands in no train, val or test folder, though others do",
    }


def test_a_class_missing_from_train_unless_it_is_not_asked_for(tmp_path: Path) -> None:
    files = {n: d for n, d in kaggle_files().items() if not n.startswith("train/disgust")}
    source = zipped(tmp_path / "fer2013.zip", files)
    with pytest.raises(FerBenchError, match=r"fer2013\.zip has no training image of disgust"):
        load_dataset(source)
    assert load_dataset(source, emotions="happy,sad").split_sizes()["train"] == 24


def test_a_misspelt_format_and_seed(tmp_path: Path) -> None:
    with pytest.raises(FerBenchError, match="unknown dataset 'rafbd': did you mean 'rafdb'"):
        read_source(tmp_path, format="rafbd")
    with pytest.raises(FerBenchError, match="whole number, got 'synthetic:x'"):
        read_source("synthetic:x")
