"""Splits as sources name them: honoured, or refused with their names; nothing is lost unsaid."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from data_fixtures import class_files, csv_row, encoded, face, put, write_csv, zipped
from table_fixtures import table

from fer_bench.benchmark.plan import as_source
from fer_bench.data.check import check
from fer_bench.data.load import load_dataset, read_source
from fer_bench.data.notes import data_notes
from fer_bench.data.parts import part_of
from fer_bench.errors import FerBenchError
from fer_bench.specs.run import DataSpec, Protocol

EMOTIONS = ("happy", "sad")


def tree(*folders: str, per_class: int = 3) -> dict[str, bytes]:
    return class_files([f"{f}/{e}" if f else e for f in folders for e in EMOTIONS], per_class)


@table(
    ("name", "part"),
    [
        *(
            (n, "train")
            for n in ("train", "Training", "TRAIN ", "trainset", "train_data", "01_train")
        ),
        *((n, "train") for n in ("FER2013Train", "train-images", "fer.training", "trainingSet")),
        *((n, "train") for n in ("1. Training set", "TrainData2", "TRAINset", "imgtrain", "trn")),
        *((n, "train") for n in ("Trainingsdaten", "entraînement", "entrenamiento", "treino")),
        *((n, "train") for n in ("训练集", "学習データ", "훈련", "обучающая выборка", "train2017")),
        *((n, "val") for n in ("val", "valid_set", "FER2013Valid", "validation images", "devset")),
        *((n, "val") for n in ("PublicTest", "public_test", "Validierung", "validación", "验证集")),
        *((n, "test") for n in ("test", "testset", "test-images", "FER2013Test", "PrivateTest")),
        *((n, "test") for n in ("03_TESTING", "hold-out", "pruebas", "テスト", "тестовая")),
        *((n, "train") for n in ("trénovací", "Träning", "huấn luyện", "навчальна", "אימון")),
        *((n, "val") for n in ("convalida", "validační", "Validar")),
        *((n, "test") for n in ("Testen", "testovací", "kiểm tra", "teszt", "ทดสอบ")),
        *((n, "eval") for n in ("eval", "Evaluation_set", "评估")),
        *(
            (n, None)
            for n in ("trainval", "train_val_test", "latest", "contest", "strain", "restraint")
        ),
        *(
            (n, None)
            for n in ("invalid", "devil", "fold1", "a", "2013", "", "pretrained", "retail")
        ),
    ],
)
def test_a_words_part(name: str, part: str | None) -> None:
    assert part_of(name) == part


@table(
    "parts",
    [
        {"trainset": "train", "testset": "test"},
        {"train_data": "train", "val_data": "val", "test_data": "test"},
        {"FER2013Train": "train", "FER2013Valid": "val", "FER2013Test": "test"},
        {"train-images": "train", "test-images": "test"},
        {"01_train": "train", "02_val": "val", "03_test": "test"},
        {"train ": "train", "test ": "test"},
        {"Training": "train", "PublicTest": "val", "PrivateTest": "test"},
        {"train": "train", "eval": "val"},
        {"train": "train", "valid_set": "val"},
        {"train": "train", "eval": "val", "test": "test"},
        {"train": "train", "val": "val", "eval": "test"},
        {"archive/My Training Set": "train", "archive/My Test Set": "test"},
        {"训练集": "train", "测试集": "test"},
        {"a/train": "train", "b/test": "test"},
    ],
)
@table("class_first", [False, True])
@table("packed", [False, True])
def test_every_image_stands_in_the_split_that_its_folder_names(
    parts: dict[str, str], class_first: bool, packed: bool, tmp_path: Path
) -> None:
    files, expected = {}, {}
    for number, (name, data) in enumerate(tree(*parts).items()):
        above, emotion, _ = name.rsplit("/", 2)
        folders = f"{emotion}/{above}" if class_first else f"{above}/{emotion}"
        files[f"{folders}/{number}.png"] = data
        expected[f"{number}.png"] = (emotion, parts[above])
    source = zipped(tmp_path / "x.zip", files) if packed else put(tmp_path / "x", files)
    data = read_source(source)
    found = zip(data.ids.tolist(), data.labels.tolist(), data.parts.tolist(), strict=True)
    assert {i.rsplit("/", 1)[-1]: (data.emotions[k], part) for i, k, part in found} == expected
    assert data.left_out == ()


@table("pattern", ["{emotion}/{part}_{emotion}_{i}.png", "{emotion}/{i}-{part}.png"])
@table("parts", [("train", "test"), ("Train", "Valid", "Test"), ("Training", "PrivateTest")])
def test_every_files_own_name_says_its_split(
    parts: tuple[str, ...], pattern: str, tmp_path: Path
) -> None:
    names = [
        pattern.format(emotion=e, part=part, i=i)
        for e in EMOTIONS
        for part in parts
        for i in (7, 8)
    ]
    source = put(tmp_path / "x", {name: encoded(face(i)) for i, name in enumerate(names)})
    data = read_source(source)
    found = dict(zip(data.ids.tolist(), data.parts.tolist(), strict=True))
    assert found == {name: part_of(name.partition("/")[2]) for name in names}
    (source / "happy/more.png").write_bytes(encoded(face(99)))
    assert set(read_source(source).parts.tolist()) == {""}


@table(
    ("files", "named"),
    [
        (tree("setA", "setB"), "'setA', 'setB'"),
        (tree("fold1", "fold2", "fold3"), "'fold1', 'fold2', 'fold3'"),
        (tree("train", "test", "extra"), "'extra'"),
        (tree("train_val", "test"), "'train_val'"),
        (tree("data/gallery", "data/probe"), "'gallery', 'probe'"),
        (tree("", "copy"), "'copy'"),
        (class_files([f"{e}/{s}" for e in EMOTIONS for s in ("gallery", "probe")], 2), "'gallery'"),
        (class_files([f"{e}/{s}" for e in EMOTIONS for s in ("train", "rest")], 2), "'rest'"),
    ],
)
def test_folders_that_no_word_explains_are_refused(
    files: dict[str, bytes], named: str, tmp_path: Path
) -> None:
    with pytest.raises(FerBenchError, match=f"these name no split: {named}"):
        read_source(put(tmp_path / "x", files))


def test_val_test_and_eval_together_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FerBenchError, match="has a val, a test and an eval part"):
        read_source(put(tmp_path / "x", tree("train", "val", "test", "eval")))


@pytest.mark.parametrize(
    "files",
    [
        tree("archive"),
        tree("data/faces 48x48"),
        class_files([f"{e}/{person:02}" for e in EMOTIONS for person in range(9)], 1),
        class_files(["happy/a", "happy/b", "sad"], 2),
    ],
)
def test_one_folder_over_the_classes_or_persons_within_them_are_pooled(
    files: dict[str, bytes], tmp_path: Path
) -> None:
    dataset = load_dataset(put(tmp_path / "x", files), complete=False)
    assert dataset.protocol == "random split"
    assert data_notes(dataset) == [
        "x names no train and test part: split 80 / 10 / 10 at random",
    ]


VAL_IS_TEST = "has no test part: its val part is the test split"
SHARE = "10 % of its train part, held out at random, is the val split"


@table(
    ("folders", "protocol", "share", "note"),
    [
        (("train", "val", "test"), "official", None, None),
        (("test",), "official", None, None),
        (("train",), "official", None, "has a train part alone: split 80 / 10 / 10 at random"),
        (("",), "official", 0.25, "names no train and test part: split 65 / 25 / 10 at random"),
        (("val",), "official", None, VAL_IS_TEST),
        (("dev",), "kaggle", None, VAL_IS_TEST),
        (("valid", "train"), "official", None, f"{VAL_IS_TEST}, {SHARE}"),
        (("train", "eval"), "official", 0.3, f"{VAL_IS_TEST}, {SHARE.replace('10', '30')}"),
        (("train", "test"), "official", None, f"has no val part, {SHARE}"),
        (("train", "val", "test"), "kaggle", None, "under protocol kaggle: its val and test parts "
         f"are the test split, {SHARE}"),
    ],
)  # fmt: skip
def test_what_is_decided_for_the_splits_is_said(
    folders: tuple[str, ...],
    protocol: Protocol,
    share: float | None,
    note: str | None,
    tmp_path: Path,
) -> None:
    source = put(tmp_path / "x", tree(*folders, per_class=20))
    dataset = load_dataset(source, protocol=protocol, val_share=share, complete=False)
    assert data_notes(dataset) == ([f"x {note}"] if note else [])
    if note:  # from Python it is a warning
        spec = DataSpec(protocol=protocol, val_share=share)
        with pytest.warns(UserWarning, match=f"^x {note}$"):
            as_source(source).load(spec, complete=False)


def test_a_share_for_val_that_leaves_nothing_to_train_on_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FerBenchError, match=r"--val-share 0.95 of it as val leaves nothing"):
        load_dataset(put(tmp_path / "x", tree("")), val_share=0.95)


@table("header", ["emotion,pixels,usage", "Emotion,Pixels,USAGE", "emotion,pixels,split"])
@table(
    "words",
    [
        ("Training", "PublicTest", "PrivateTest"),
        ("training", "publictest", "privatetest"),
        ("train", "val", "test"),
        ("Train set", "validation", "TEST"),
        ("train", "val", "eval"),
    ],
)
def test_a_csvs_usage_in_any_case_and_words(
    header: str, words: tuple[str, ...], tmp_path: Path
) -> None:
    rows = [csv_row(face(i), i % 7, words[i % 3]) for i in range(21)]
    data = read_source(write_csv(tmp_path / "fer2013.csv", rows, header))
    assert data.parts.tolist() == ["Training", "PublicTest", "PrivateTest"] * 7
    assert load_dataset(tmp_path / "fer2013.csv", complete=False).protocol == "official"


def test_a_usage_that_says_no_split_is_left_out(tmp_path: Path) -> None:
    rows = [csv_row(face(i), i % 7, "Training" if i < 20 else "elsewhere") for i in range(21)]
    (row,) = read_source(write_csv(tmp_path / "x.csv", rows)).left_out
    assert "expected a usage" in row.reason and "got 'elsewhere'" in row.reason


def test_images_of_other_suffixes_and_of_none_are_read(tmp_path: Path) -> None:
    jpeg, png = encoded(face(1), ".jpg"), encoded(face(2))
    files = {"happy/a.jfif": jpeg, "happy/b.jpe": jpeg, "happy/c": png, "happy/d.photo": jpeg}
    files |= {"happy/notes.txt": b"x", "README": b"x", "sad/e.JPEG": jpeg}
    data = read_source(zipped(tmp_path / "x.zip", files))
    assert sorted(data.ids.tolist()) == [
        "happy/a.jfif",
        "happy/b.jpe",
        "happy/c",
        "happy/d.photo",
        "sad/e.JPEG",
    ]
    assert data.left_out == ()


@pytest.mark.parametrize("suffix", [".avif", ".jp2", ".heic"])
def test_what_the_decoder_cannot_is_counted(suffix: str, tmp_path: Path) -> None:
    files = tree("train", "test") | {f"train/happy/x{suffix}": b"no picture"}
    files["train/sad/more.zip"] = b"PK"
    data = read_source(put(tmp_path / "x", files))
    assert len(data.ids) == 12
    assert {row.id: row.reason for row in data.left_out} == {
        f"train/happy/x{suffix}": "cannot be decoded: not an image of a known format",
        "train/sad/more.zip": "is an archive: unpack it",
    }


@pytest.mark.parametrize("target", ["nowhere.png", "gone.png"])
def test_dead_links_are_counted(tmp_path: Path, target: str) -> None:
    """One to nowhere, and one to itself."""
    source = put(tmp_path / "x", tree("train", "test"))
    (source / "train/happy/gone.png").symlink_to(target)
    (row,) = read_source(source).left_out
    assert (row.id, row.reason) == (
        "train/happy/gone.png", "cannot be decoded: a link to a file that is not there",
    )  # fmt: skip


def test_what_is_left_out_is_one_line(tmp_path: Path, same_sentence: Callable[[str], None]) -> None:
    files = tree("train", "test") | {"happy/1.png": encoded(face(1)), "train/happy/x.png": b"no"}
    dataset = load_dataset(put(tmp_path / "x", files), complete=False)
    same_sentence("\n".join(data_notes(dataset)))


def ckplus(tmp_path: Path, test_from: int) -> Path:
    names = ("anger", "contempt", "disgust", "fear", "happy", "sadness", "surprise")
    files = {
        f"{part}/{name}/S{person:03}_{label:03}_{frame:08}.png": encoded(face(person * 50 + label))
        for part, persons, frame in (
            ("train", range(1, 9), 1),
            ("test", range(test_from, test_from + 4), 2),
        )
        for person in persons
        for label, name in enumerate(names)
    }
    return put(tmp_path / "ck", files)


def test_persons_on_both_sides_of_ckplus_are_counted_and_not_comparable(tmp_path: Path) -> None:
    source = ckplus(tmp_path, 6)
    line = "3 persons of the test split stand in train or val too"
    assert load_dataset(source).shared_persons == 3
    assert line in check(source).warnings and line in check(source).notes


def test_persons_on_one_side_of_ckplus_are_no_warning(tmp_path: Path) -> None:
    dataset = load_dataset(ckplus(tmp_path, 9))
    assert dataset.shared_persons == 0 and dataset.protocol == "own splits"
