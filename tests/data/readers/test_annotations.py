"""Tables and lists of labels next to images: what they lack or contradict is said by name."""

from __future__ import annotations

from pathlib import Path

import pytest
from data_fixtures import (
    class_files,
    csv_row,
    csv_rows,
    encoded,
    face,
    kaggle_files,
    labelled,
    put,
    write_csv,
    zipped,
)

from fer_bench.data.load import load_dataset, read_source
from fer_bench.data.readers.fer2013_rows import build_row_table, read_row_table
from fer_bench.errors import FerBenchError

AFFECTNET = "subDirectory_filePath,face_x,face_y,face_width,face_height,facial_landmarks,expression"
LIST = "basic/EmoLabel/list_patition_label.txt"


def rafdb(lines: bytes) -> dict[str, bytes]:
    names = [f"train_{i:05}" for i in range(1, 15)]
    images = {
        f"basic/Image/aligned/{name}_aligned.jpg": encoded(face(i), ".jpg")
        for i, name in enumerate(names)
    }
    listed = "\n".join(f"{name}.jpg {i % 7 + 1}" for i, name in enumerate(names))
    return images | {LIST: listed.encode() + b"\n" + lines}


@pytest.mark.parametrize(
    ("format", "files", "sentence"),
    [
        ("affectnet-csv", {"training.csv": b"file,label\n1.png,3\n"}, "is not AffectNet's CSV"),
        ("affectnet-csv", {"training.csv": b""}, "is not AffectNet's CSV: .* an empty file"),
        ("rafdb", rafdb(b"\xff\xfe"), "cannot read .*list_patition_label.txt of data"),
        (
            None,
            class_files(["0", "1"], 3) | {"classes.txt": b"gl\xfccklich\ntraurig\n"},
            "cannot read classes.txt of data",
        ),
        ("ferplus", {"fer2013new.csv": b"", "readme.txt": b""}, "data holds no FER2013"),
        ("synthetic", {"1.png": b""}, "synthetic faces need no files"),
    ],
)
def test_labels_that_cannot_be_read_are_one_sentence(
    format: str | None, files: dict[str, bytes], sentence: str, tmp_path: Path
) -> None:
    with pytest.raises(FerBenchError, match=sentence) as caught:
        load_dataset(put(tmp_path / "data", files), format=format)
    assert (caught.value.code, "\n" in str(caught.value)) == ("bad_data", False)


def affectnet(boxes: list[str]) -> dict[str, bytes]:
    rows = [f"0/{i}.png,{box},,{i % 8}" for i, box in enumerate(boxes)]
    images = {f"images/0/{i}.png": encoded(face(i, colour=True)) for i in range(len(boxes))}
    return images | {"training.csv": "\n".join([AFFECTNET, *rows]).encode()}


@pytest.mark.parametrize(
    ("format", "files", "left_out"),
    [
        (
            "affectnet-csv",
            affectnet(["0,0,48,48"] * 16 + ["0,0,wide,48", "0,0,inf,48"]),
            dict.fromkeys(["0/16.png", "0/17.png"], "expected four numbers as the face's box"),
        ),
        ("rafdb", rafdb(b"train_00099.jpg 1"), {"train_00099.jpg": "the image is missing"}),
        (
            None,
            class_files(["train/happy", "train/sad", "test/happy", "test/sad"], 3)
            | {"train/happy/test/1.png": encoded(face(1))},
            {"train/happy/test/1.png": "stands in a train and in a test folder"},
        ),
        (
            "rafdb",
            class_files(["happy", "sad", "contempt"], 1),
            {"contempt/0.png": "class 'contempt' is not of this set"},
        ),
        (
            None,
            class_files(["0", "1", "2"], 2) | {"classes.txt": b"happy\nsad\ntable\n"},
            dict.fromkeys(["2/0.png", "2/1.png"], "labelled 'table', which is no emotion"),
        ),
    ],
)
def test_what_a_label_does_not_fit_is_left_out_by_name(
    format: str | None, files: dict[str, bytes], left_out: dict[str, str], tmp_path: Path
) -> None:
    data = read_source(put(tmp_path / "data", files), format=format)
    assert {row.id: row.reason for row in data.left_out} == left_out
    assert not labelled(data).keys() & left_out.keys()


def test_a_row_table_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(FerBenchError, match=r"rows\.csv does not exist: .* row,file") as caught:
        read_row_table(tmp_path / "rows.csv")
    assert caught.value.code == "missing_file"


@pytest.mark.parametrize(
    ("rows", "size", "sentence"),
    [
        (csv_rows(), 24, r"of one image size, got \(24, 24\) and \(48, 48\)"),
        ([csv_row(face(9999), 0, "Training")], None, "no image of .* stands in fer2013.csv"),
    ],
)
def test_another_fer2013_has_no_rows_for_the_files(
    rows: list[list[str]], size: int | None, sentence: str, tmp_path: Path
) -> None:
    kaggle = read_source(zipped(tmp_path / "kaggle.zip", kaggle_files()), image_size=size)
    original = read_source(write_csv(tmp_path / "fer2013.csv", rows))
    with pytest.raises(FerBenchError, match=sentence):
        build_row_table(kaggle, original)
