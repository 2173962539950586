"""Labels that are numbers: taken where a layout says what they mean, asked for everywhere else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from data_fixtures import (
    class_files,
    csv_row,
    encoded,
    face,
    kaggle_files,
    parquet_file,
    put,
    tarred,
    write_csv,
    zipped,
)
from table_fixtures import table

from fer_bench.data.check import check
from fer_bench.data.dataset import SourceData
from fer_bench.data.load import read_source
from fer_bench.data.numbering import parse_classes
from fer_bench.emotions import AFFECTNET, FER2013, FERPLUS, RAFDB
from fer_bench.errors import FerBenchError

ALPHABETICAL = ("angry", "contempt", "disgust", "fear", "happy", "neutral", "sad", "surprise")


def numbered(
    emotions: tuple[str, ...], first: int = 0, wrap: str = "", pad: int = 0
) -> dict[str, bytes]:
    """Two images of each class under its number; the file names tell the truth."""
    return {
        f"{wrap}{part}/{number:0{pad or 1}}/{emotion}-{i}.png": encoded(face(100 * number + i))
        for number, emotion in enumerate(emotions, start=first)
        for part in ("train", "test")
        for i in range(2)
    }


def share_right(data: SourceData) -> float:
    """Of labels that are what the file names say."""
    truth = [str(i).rsplit("/", 1)[-1].split("-")[0] for i in data.ids]
    return float(np.mean([data.emotions[k] == t for k, t in zip(data.labels, truth, strict=True)]))


@table(
    "files",
    [
        numbered(RAFDB[:6], 1),
        numbered(RAFDB, 1),
        numbered(RAFDB, 1, "DATASET/"),
        numbered(AFFECTNET[:7]),
        numbered(AFFECTNET, wrap="images/"),
        numbered(ALPHABETICAL),
        numbered(ALPHABETICAL, 1),
        numbered(FERPLUS),
        numbered(FER2013, 1),
        numbered(FER2013, 0, pad=2),
        numbered(FER2013, 10),
        numbered(FER2013[:2]),
        # a name that does not settle it: two data sets', too few or shifted numbers
        numbered(AFFECTNET, wrap="AffectNet+RAF-DB/"),
        numbered(AFFECTNET[:3], wrap="AffectNet/"),
        numbered(AFFECTNET, 1, "AffectNet/"),
        numbered(RAFDB, 0, "RAF-DB/"),
        numbered(RAFDB[:6], 1, "RAF-DB/"),
        numbered(FER2013, 1, "fer2013/"),
        numbered(ALPHABETICAL[:7], 1, "FERPlus/"),
        # nor one in which no image stands
        numbered(AFFECTNET) | {"AffectNet/README.txt": b"x"},
    ],
)
@table("packed", [True, False])
def test_numbered_folders_that_nothing_names_are_refused(
    files: dict[str, bytes], packed: bool, tmp_path: Path
) -> None:
    source = zipped(tmp_path / "archive.zip", files) if packed else put(tmp_path / "archive", files)
    with pytest.raises(FerBenchError, match=r"are numbers.*classes\.txt.*--classes"):
        read_source(source)


@table(
    ("files", "name"),
    [
        (numbered(AFFECTNET, wrap="AffectNet/"), "affectnet"),
        (numbered(AFFECTNET[:7], wrap="data/affect-net 7/"), "affectnet"),
        (numbered(RAFDB, 1, "RAF-DB/basic/"), "rafdb"),
        (numbered(RAFDB, 1, "raf_db/"), "rafdb"),
        (numbered(FERPLUS, wrap="FER+/"), "archive"),
        (numbered(FERPLUS, wrap="fer2013plus/"), "archive"),
        (numbered(FER2013, wrap="FER-2013/"), "archive"),
    ],
)
def test_an_inner_folders_name_says_what_whole_numbers_mean(
    files: dict[str, bytes], name: str, tmp_path: Path
) -> None:
    data = read_source(put(tmp_path / "archive", files))
    assert (share_right(data), data.name) == (1, name)
    assert set(data.parts.tolist()) == {"train", "test"}


@table(
    ("emotions", "first", "text"),
    [
        (RAFDB, 1, "\n".join(f"{i} {e}" for i, e in enumerate(RAFDB, 1))),
        (RAFDB[:6], 1, "\r\n".join(f"{i}: {e}" for i, e in enumerate(RAFDB, 1))),
        (ALPHABETICAL, 0, "\n".join(ALPHABETICAL) + "\n\n"),
        (FER2013, 0, "Anger\nDisgusted\nFearful\nJoy\nSadness\nSurprised\nCalm"),
        (AFFECTNET, 0, "affectnet"),
        (RAFDB, 1, "rafdb"),
        (("happy", "sad"), 4, "5=sad\n4=happy"),
    ],
)
@table("how", ["file", "inner file", "option"])
def test_classes_say_what_numbers_mean(
    emotions: tuple[str, ...], first: int, text: str, how: str, tmp_path: Path
) -> None:
    files = numbered(emotions, first, "faces/")
    if how != "option":
        files["classes.txt" if how == "file" else "faces/classes.txt"] = text.encode()
    classes = ",".join(text.split()) if how == "option" and "=" in text else text
    data = read_source(
        zipped(tmp_path / "archive.zip", files), classes=classes if how == "option" else None
    )
    assert share_right(data) == 1
    assert [number for number, _ in data.numbering] == list(range(first, first + len(emotions)))


def test_a_list_from_0_never_shifts_numbers_from_1(tmp_path: Path) -> None:
    folder = put(tmp_path / "folders", numbered(RAFDB, 1))
    tarred(
        tmp_path / "tars" / "0.tar",
        {
            f"{i}.{suffix}": encoded(face(i)) if suffix == "png" else str(i).encode()
            for i in range(1, 8)
            for suffix in ("png", "cls")
        },
    )
    parquet_file(
        tmp_path / "hub" / "x.parquet", [encoded(face(i)) for i in range(7)], [*range(1, 8)]
    )
    for source in (folder, tmp_path / "tars", tmp_path / "hub"):
        with pytest.raises(FerBenchError, match=r"counted from another number.*--classes 1=angry"):
            read_source(source, classes=",".join(RAFDB))
        right = read_source(source, classes="rafdb")
        assert [right.emotions[i] for i in right.labels[:1]] == ["surprise"]
        assert len(right.left_out) == 0


def test_lists_of_classes_that_contradict_one_another_are_refused(tmp_path: Path) -> None:
    files = numbered(("happy", "sad"))
    files |= {"train/classes.txt": b"happy\nsad\n", "test/classes.txt": b"0 happy\n1 sad"}
    source = put(tmp_path / "x", files)
    assert share_right(read_source(source)) == 1
    (source / "test/classes.txt").write_bytes(b"sad\nhappy\n")
    with pytest.raises(FerBenchError, match=r"test/classes.txt and train/classes.txt of x say dif"):
        read_source(source)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("1=happy,sad", "numbers to some classes alone, not to 'sad'"),
        ("1=happy,1=sad", "names one number twice"),
        ("a,b,c", "names no emotion, got a, b, c"),
        ("", "names no emotion, got nothing"),
    ],
)
def test_classes_that_are_none(text: str, sentence: str) -> None:
    with pytest.raises(FerBenchError, match=sentence):
        parse_classes(text, "--classes")


def test_classes_for_named_folders_are_refused(tmp_path: Path) -> None:
    source = put(tmp_path / "faces", class_files(["happy", "sad"], 2))
    with pytest.raises(FerBenchError, match="are no numbers: leave it out"):
        read_source(source, classes="happy,sad")
    with pytest.raises(FerBenchError, match="drawn faces have names: leave it out"):
        read_source("synthetic", classes="happy,sad")


def test_numbers_of_persons_within_named_classes_are_no_classes(tmp_path: Path) -> None:
    files = {f"{e}/{i}/{e}-{i}.png": encoded(face(i)) for i, e in enumerate(FER2013)}
    data = read_source(put(tmp_path / "faces", files))
    assert share_right(data) == 1 and data.numbering == ()


def test_a_raf_list_counted_from_0_is_refused(tmp_path: Path) -> None:
    files = {f"Image/aligned/train_{i:05}_aligned.jpg": encoded(face(i), ".jpg") for i in range(14)}
    lines = [f"train_{i:05}.jpg {i % 7}" for i in range(14)]
    files["EmoLabel/list_patition_label.txt"] = "\n".join(lines).encode()
    source = put(tmp_path / "raf", files)
    with pytest.raises(FerBenchError, match="numbers 0, 1, 2, 3, 4, 5, 6, but 1 = surprise"):
        read_source(source)
    right = read_source(source, classes=",".join(RAFDB))
    assert right.labels.tolist() == [i % 7 for i in range(14)]


@pytest.mark.parametrize("numbers", [range(1, 8), range(1, 7)])
def test_a_csv_counted_from_1_is_refused(numbers: range, tmp_path: Path) -> None:
    rows = [csv_row(face(i), i, "Training") for i in numbers]
    source = write_csv(tmp_path / "fer2013.csv", rows)
    with pytest.raises(FerBenchError, match="counted from another number"):
        read_source(source)
    classes = ",".join(f"{i}={e}" for i, e in enumerate(FER2013, 1))
    right = read_source(source, classes=classes)
    assert [right.emotions[i] for i in right.labels] == list(FER2013[: len(numbers)])


@pytest.mark.parametrize(("numbers", "odd"), [(range(8), 8), (range(24), 1), (range(11), 2)])
def test_a_csv_of_other_numbers_is_refused_and_a_damaged_one_left_out(
    numbers: range, odd: int, tmp_path: Path
) -> None:
    labels = [i % 7 for i in range(40)] + [n for n in numbers if n > 6] * odd
    rows = [csv_row(face(i), label, "Training") for i, label in enumerate(labels)]
    source = write_csv(tmp_path / "fer2013.csv", rows)
    if odd > 1:
        with pytest.raises(FerBenchError, match=r"6 = neutral was expected.*of another data set"):
            read_source(source)
    else:
        assert len(read_source(source).left_out) == 17


def test_a_csv_of_other_numbers_goes_by_the_classes(tmp_path: Path) -> None:
    rows = [csv_row(face(i), i, "Training") for i in range(8)]
    data = read_source(write_csv(tmp_path / "x.csv", rows), classes="ferplus")
    assert [data.emotions[i] for i in data.labels] == list(FERPLUS)


def test_kaggles_files_in_numbered_folders_are_fer2013s_numbers(tmp_path: Path) -> None:
    numbers = {e: str(i) for i, e in enumerate(FER2013)}
    files = {
        "/".join(numbers.get(step, step) for step in name.split("/")): data
        for name, data in kaggle_files(2, 1).items()
    }
    data = read_source(put(tmp_path / "archive", files))
    assert (data.name, len(data.labels)) == ("fer2013", 28)
    named = read_source(put(tmp_path / "named", kaggle_files(2, 1)))
    truth = dict(zip(named.hashes.tolist(), named.labels.tolist(), strict=True))
    assert [truth[h] for h in data.hashes.tolist()] == data.labels.tolist()


def test_the_mapping_is_among_what_a_check_says(tmp_path: Path) -> None:
    found = check(put(tmp_path / "archive", numbered(RAFDB, 1, "RAF-DB/")))
    assert found.numbering == tuple(enumerate(RAFDB, 1))
    assert "1 = surprise, 2 = fear" in found.notes[0]
