"""Every format of the catalogue reads, from folder, zip or CSV, with the right labels and parts."""

from __future__ import annotations

import io
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
from data_fixtures import (
    class_files,
    csv_rows,
    encoded,
    face,
    kaggle_files,
    labelled,
    parquet_file,
    put,
    tarred,
    write_csv,
    zipped,
)
from PIL import Image
from table_fixtures import table

from fer_bench.data.check import check
from fer_bench.data.files import archive
from fer_bench.data.files.decode import decode
from fer_bench.data.load import Source, load_dataset, read_source
from fer_bench.data.readers.registry import DATASETS
from fer_bench.emotions import AFFECTNET, CKPLUS, FER2013, RAFDB
from fer_bench.errors import FerBenchError


def npy(value: object) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.array(value))
    return buffer.getvalue()


def fer2013_zip(root: Path) -> Path:
    return zipped(root / "fer2013.zip", kaggle_files())


def fer2013_csv(root: Path) -> Path:
    return write_csv(root / "fer2013.csv", csv_rows())


def ferplus_folder(root: Path) -> Path:
    folder = root / "both"
    folder.mkdir()
    rows = csv_rows()
    write_csv(folder / "fer2013.csv", rows)
    votes = [[usage, f"fer{i:07}.png", *["0"] * 10] for i, (_, _, usage) in enumerate(rows)]
    for i, row in enumerate(votes):
        row[2 + i % 8] = "10"
    header = "Usage,Image name,neutral,happiness,surprise,sadness,anger,disgust,fear,contempt"
    write_csv(folder / "fer2013new.csv", votes, f"{header},unknown,NF")
    return folder


def affectnet_folder(root: Path) -> Path:
    files = {}
    for part, first in (("train_set", 0), ("val_set", 100)):
        for i in range(24):
            files[f"{part}/images/{first + i}.jpg"] = encoded(face(first + i, colour=True), ".jpg")
            files[f"{part}/annotations/{first + i}_exp.npy"] = npy(str(i % 8))
            files[f"{part}/annotations/{first + i}_val.npy"] = npy("0.5")
    return put(root / "affect", files)


def affectnet_csv(root: Path) -> Path:
    files = {}
    for part, first, count in (("training", 0, 24), ("validation", 100, 8)):
        lines = []
        for i in range(first, first + count):
            files[f"Manually_Annotated_Images/{i % 3}/{i}.png"] = encoded(face(i, colour=True))
            lines.append(f"{i % 3}/{i}.png,8,4,32,32,0;0,{(i - first) % 8},0.1,0.2")
        header = "subDirectory_filePath,face_x,face_y,face_width,face_height,facial_landmarks,"
        header += "expression,valence,arousal"
        # The authors' validation.csv is also handed out without its header.
        whole = [header, *lines] if part == "training" else lines
        files[f"{part}.csv"] = "\n".join(whole).encode()
    return put(root / "manual", files)


def rafdb_folder(root: Path) -> Path:
    lines, files = [], {}
    for part in ("train", "test"):
        for i in range(28 if part == "train" else 7):
            name = f"{part}_{i:05}"
            files[f"basic/Image/aligned/{name}_aligned.jpg"] = encoded(face(i, size=20), ".jpg")
            lines.append(f"{name}.jpg {i % 7 + 1}")
    files["basic/EmoLabel/list_patition_label.txt"] = "\n".join(lines).encode()
    return put(root / "raf", files)


def ckplus_folder(root: Path) -> Path:
    names = ("anger", "contempt", "disgust", "fear", "happy", "sadness", "surprise")
    files = {
        f"CK+48/{name}/S{person:03}_{label:03}_{frame:08}.png": encoded(
            face(person * 100 + label * 10 + frame)
        )
        for label, name in enumerate(names)
        for person in range(1, 21)
        for frame in range(3)
    }
    return put(root / "ck", files)


def webdataset_folder(root: Path) -> Path:
    for part, first, count in (("train", 0, 20), ("train", 20, 20), ("val", 40, 10)):
        files = {}
        for i in range(first, first + count):
            files[f"{i:06}.jpg"] = encoded(face(i), ".jpg")
            files[f"{i:06}.cls"] = FER2013[i % 7].encode()
        tarred(root / "shards" / f"{part}-{first:06}.tar", files)
    return root / "shards"


def parquet_folder(root: Path) -> Path:
    for part, first, count in (("train", 0, 30), ("validation", 30, 9), ("test", 40, 9)):
        numbers = range(first, first + count)
        parquet_file(
            root / "hub" / "data" / f"{part}-00000-of-00001.parquet",
            [encoded(face(i)) for i in numbers],
            [i % 7 for i in numbers],
            names=["anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral"],
        )
    return root / "hub"


def plain_folder(root: Path) -> Path:
    return put(root / "mine", class_files(["Joy", "anger", "Calm"], 12))


def synthetic(root: Path) -> Path:
    return Path("synthetic:3")


SOURCES = {
    "ferplus": ferplus_folder,
    "webdataset": webdataset_folder,
    "parquet": parquet_folder,
    "fer2013": fer2013_zip,
    "fer2013-csv": fer2013_csv,
    "affectnet": affectnet_folder,
    "affectnet-csv": affectnet_csv,
    "rafdb": rafdb_folder,
    "ckplus": ckplus_folder,
    "folder": plain_folder,
    "synthetic": synthetic,
}


@table("name", list(DATASETS))
def test_each_format_is_recognised_and_loads_with_three_splits(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "LOOKED_AT", 1)  # however large, none is taken for a whole disk
    source = SOURCES[name](tmp_path)
    loaded = Source(data=str(source)).read()
    assert loaded.format == name
    dataset = load_dataset(source)
    assert min(dataset.split_sizes().values()) > 0
    assert dataset.left_out == ()
    assert str(tmp_path) not in " ".join([dataset.source, *dataset.ids])
    assert check(source).format == name


@pytest.mark.parametrize("wrap", ["", "archive/fer2013/"])
def test_kaggle_zip_and_folder_give_the_same_dataset(wrap: str, tmp_path: Path) -> None:
    files = kaggle_files()
    noise = {"__MACOSX/train/angry/._Training_1.jpg": b"x", wrap + "train/.DS_Store": b"x"}
    folder = load_dataset(put(tmp_path / "faces", files))
    archive = load_dataset(
        zipped(tmp_path / "faces.zip", {wrap + n: d for n, d in files.items()} | noise)
    )
    assert archive.fingerprint == folder.fingerprint
    assert archive.ids.tolist() == folder.ids.tolist() == sorted(files)
    assert archive.split_sizes() == {"train": 84, "val": 14, "test": 14}
    assert archive.emotions == FER2013 and archive.name == "fer2013"
    first = cv2.imdecode(np.frombuffer(files[archive.ids[0]], np.uint8), cv2.IMREAD_GRAYSCALE)
    assert np.array_equal(archive.images[0], first)


def test_zip_members_that_climb_out_of_their_folder_are_read_in_place(tmp_path: Path) -> None:
    files = {f"../../{name}": data for name, data in kaggle_files().items()}
    data = read_source(
        zipped(tmp_path / "a" / ".." / "fer2013.zip", files)
        if (tmp_path / "a").mkdir() is None
        else ""
    )
    assert data.ids.tolist() == sorted(kaggle_files())
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "cache", "fer2013.zip"]


@pytest.mark.parametrize("name", ["fer2013.csv", "fer2013.csv.gz"])
def test_csv_rows_keep_pixels_labels_usages_and_numbers(name: str, tmp_path: Path) -> None:
    rows = csv_rows()
    data = read_source(write_csv(tmp_path / name, rows))
    assert data.images.shape == (112, 48, 48) and data.images.dtype == np.uint8
    assert data.ids.tolist() == [f"row {i}" for i in range(112)]
    assert data.parts.tolist() == [row[2] for row in rows]
    assert data.labels.tolist() == [int(row[0]) for row in rows]
    assert data.images[5].ravel().tolist() == [int(p) for p in rows[5][1].split()]


def test_csv_columns_may_stand_in_another_order_with_spaces(tmp_path: Path) -> None:
    rows = [[row[0], row[2], row[1]] for row in csv_rows()]
    swapped = write_csv(tmp_path / "icml_face_data.csv", rows, "emotion, Usage, pixels")
    original = write_csv(tmp_path / "fer2013.csv", csv_rows())
    text = swapped.read_text()
    for sign in ",;\t":  # as spreadsheets write in many countries
        swapped.write_text(text.replace(",", sign))
        assert load_dataset(swapped).fingerprint == load_dataset(original).fingerprint


def test_the_csv_is_found_in_its_folder_or_zip(tmp_path: Path) -> None:
    """As Kaggle packs it: in a folder of its own, next to tables without parts and other files."""
    rows = csv_rows()
    (tmp_path / "theirs" / "fer2013").mkdir(parents=True)
    original = write_csv(tmp_path / "theirs" / "fer2013" / "icml_face_data.csv", rows)
    files = {
        "fer2013/icml_face_data.csv": original.read_bytes(),
        "fer2013/train.csv": write_csv(
            tmp_path / "theirs" / "fer2013" / "train.csv",
            [row[:2] for row in rows],
            "emotion,pixels",
        ).read_bytes(),
        "fer2013/README": b"the data",
        "fer2013/fer2013.tar.gz": b"packed again",
    }
    expected = load_dataset(original).fingerprint
    assert load_dataset(tmp_path / "theirs").fingerprint == expected
    assert load_dataset(zipped(tmp_path / "theirs.zip", files)).fingerprint == expected
    del files["fer2013/icml_face_data.csv"]
    files["fer2013/more.csv"] = files["fer2013/train.csv"]
    with pytest.raises(FerBenchError, match=r"holds 2 tables of faces \(fer2013/more\.csv, "):
        load_dataset(zipped(tmp_path / "several.zip", files))
    only = zipped(tmp_path / "packed.zip", {"fer2013.tar.gz": b"packed again"})
    with pytest.raises(FerBenchError, match=r"only fer2013\.tar\.gz: unpack packed\.zip and give"):
        load_dataset(only)


def test_csv_rows_may_name_their_emotions_and_blank_lines_are_no_rows(tmp_path: Path) -> None:
    rows = csv_rows()
    numbered = load_dataset(write_csv(tmp_path / "fer2013.csv", rows))
    named = write_csv(
        tmp_path / "named.csv", [[FER2013[int(row[0])].title(), *row[1:]] for row in rows]
    )
    named.write_text(named.read_text() + "\n\n")
    data = load_dataset(named)
    assert data.fingerprint == numbered.fingerprint
    assert (data.numbering, data.left_out) == ((), ())
    named.write_text(named.read_text().replace("Happy", "Hapy"))
    with pytest.raises(FerBenchError, match=r"16 images of .* labelled 'Hapy', .* mean 'happy'"):
        load_dataset(named)


def test_a_source_that_is_not_there_names_a_near_one(tmp_path: Path) -> None:
    write_csv(tmp_path / "fer2013.csv", csv_rows())
    with pytest.raises(FerBenchError, match=r"does not exist; did you mean 'fer2013\.csv'\?"):
        read_source(tmp_path / "fer2013.cvs")


def test_affectnet_annotations_label_images_and_no_face_is_left_out(tmp_path: Path) -> None:
    source = affectnet_folder(tmp_path)
    (source / "train_set/annotations/0_exp.npy").write_bytes(npy("10"))
    (source / "train_set/annotations/1_exp.npy").unlink()
    data = read_source(source)
    assert data.emotions == AFFECTNET and data.name == "affectnet"
    assert data.images.shape == (46, 48, 48, 3)
    assert labelled(data)["train_set/images/7.jpg"] == ("contempt", "train")
    assert {row.id: row.reason for row in data.left_out} == {
        "train_set/images/0.jpg": "labelled no face",
        "train_set/images/1.jpg": "no annotation train_set/annotations/1_exp.npy",
    }


def test_affectnet_without_contempt_has_seven_classes(tmp_path: Path) -> None:
    names = [f"train/{n}" for n in ("Neutral", "Happy", "Sad", "Surprise", "Fear", "Disgust")]
    source = put(tmp_path / "AffectNet", class_files([*names, "train/Anger", "val/Anger"], 3))
    data = read_source(source)
    assert data.emotions == AFFECTNET[:-1] and data.name == "affectnet"


def test_affectnet_numbers_are_its_own_not_fer2013s(tmp_path: Path) -> None:
    source = put(tmp_path / "faces", class_files([f"AffectNet/train/{i}" for i in range(8)], 2))
    data = read_source(source)
    assert {k: v for k, (v, _) in labelled(data).items()}["train/0/1.png"] == "neutral"


def test_affectnet_csv_crops_the_box_and_leaves_out_expressions_8_to_10(tmp_path: Path) -> None:
    source = affectnet_csv(tmp_path)
    table = (source / "training.csv").read_text().splitlines()
    table += ["0/0.png,NULL,NULL,NULL,NULL,,8,-2,-2", "9/9.png,1,1,5,5,,3,0,0"]
    table += ["0/0.png,48,48,5,5,,3,0,0"]
    (source / "training.csv").write_text("\n".join(table))
    data = read_source(source)
    assert data.images.shape == (32, 32, 32, 3)
    assert np.array_equal(data.images[0], face(0, colour=True)[4:36, 8:40])
    assert Counter(data.parts.tolist()) == {"train": 24, "val": 8}
    assert data.emotions == AFFECTNET
    assert [row.reason for row in data.left_out] == [
        "labelled none",
        "the image is missing",
        "cannot be decoded: the face box (48, 48, 5, 5) lies outside the image of 48x48 pixels",
    ]
    one = read_source(source / "training.csv")
    assert one.source == "training.csv" and len(one.labels) == 24


@pytest.mark.parametrize("layout", ["list", "folders"])
def test_rafdb_labels_count_from_one(layout: str, tmp_path: Path) -> None:
    if layout == "list":
        data = read_source(rafdb_folder(tmp_path))
        labels = next(tmp_path.rglob("list_patition_label.txt"))
        labels.rename(labels.with_name("list_partition_label.txt"))  # as copies correct it
        assert labelled(read_source(tmp_path / data.source)) == labelled(data)
        found = labelled(data)["train_00004.jpg"]
    else:
        files = {
            f"DATASET/{part}/{i}/{part}_{10 * i + j:05}_aligned.jpg": encoded(face(i), ".jpg")
            for part in ("train", "test")
            for i in range(1, 8)
            for j in range(2)
        }
        data = read_source(zipped(tmp_path / "raf.zip", files))
        found = labelled(data)["train/5/train_00050_aligned.jpg"]
    assert found == ("sad", "train")
    assert data.emotions == RAFDB and data.name == "rafdb"
    assert set(data.parts.tolist()) == {"train", "test"}


def test_ckplus_never_puts_one_person_into_two_splits(tmp_path: Path) -> None:
    dataset = load_dataset(ckplus_folder(tmp_path))
    splits: dict[str, set[int]] = {}
    for sample, split in zip(dataset.ids, dataset.splits, strict=True):
        splits.setdefault(str(sample).rsplit("/", 1)[-1][:4], set()).add(int(split))
    assert len(splits) == 20 and all(len(s) == 1 for s in splits.values())
    assert dataset.emotions == CKPLUS
    assert dataset.split_sizes() == {"train": 336, "val": 42, "test": 42}


@pytest.mark.parametrize(
    ("folders", "expected"),
    [
        (["anger", "HAPPINESS", "Fearful"], {"angry", "happy", "fear"}),
        (["train/Angry", "valid/joy", "test/sadness"], {"angry", "happy", "sad"}),
        (["data/training/mad", "data/Validation/calm"], {"angry", "neutral"}),
        (["contempt", "surprised"], {"contempt", "surprise"}),
    ],
)
def test_class_folders_go_by_name_or_alias(
    folders: list[str], expected: set[str], tmp_path: Path
) -> None:
    data = read_source(put(tmp_path / "mine", class_files(folders, 2)))
    assert set(data.emotions) == expected
    assert len(data.labels) == 2 * len(folders)
    assert data.name == data.source == "mine"


def test_images_of_one_size_keep_it_and_others_become_squares(tmp_path: Path) -> None:
    same = put(tmp_path / "same", class_files(["happy", "sad"], 2, size=20))
    mixed = put(tmp_path / "mixed", class_files(["happy", "sad"], 2, size=20))
    put(mixed, {"sad/other.png": encoded(face(5, size=31))})
    assert read_source(same).images.shape == (4, 20, 20)
    assert read_source(same, image_size=12).images.shape == (4, 12, 12)
    assert read_source(mixed).images.shape == (5, 224, 224)
    small = read_source(mixed, image_size=10).images
    reference = Image.fromarray(face(5, size=31)).resize((10, 10), Image.Resampling.BILINEAR)
    assert np.array_equal(small[-1], np.asarray(reference))


def test_one_colour_image_makes_the_set_rgb(tmp_path: Path) -> None:
    source = put(tmp_path / "mixed", class_files(["happy", "sad"], 2))
    red = np.zeros((16, 16, 3), dtype=np.uint8)
    red[..., 0] = 200
    put(source, {"sad/red.png": encoded(red)})
    data = read_source(source)
    assert data.images.shape == (5, 16, 16, 3)
    assert np.array_equal(data.images[-1], red)
    assert np.array_equal(data.images[0][..., 0], face(0, size=16))


@pytest.mark.parametrize("colour", [False, True])
@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_opencv_decodes_what_pillow_does(colour: bool, suffix: str) -> None:
    data = encoded(face(3, colour=colour), suffix)
    pillow = np.asarray(Image.open(io.BytesIO(data)))
    assert np.abs(decode(data, colour=colour).astype(int) - pillow).max() <= (
        1 if colour and suffix == ".jpg" else 0
    )


def test_formats_that_opencv_does_not_take_go_to_pillow_and_exif_turns_the_image() -> None:
    buffer = io.BytesIO()
    Image.fromarray(face(1)).save(buffer, "GIF")
    assert np.array_equal(decode(buffer.getvalue(), colour=False), face(1))
    turned = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(face(1)[:20]).save(turned, "PNG", exif=exif)
    assert np.array_equal(decode(turned.getvalue(), colour=False), np.rot90(face(1)[:20], -1))


def test_a_subset_of_emotions_keeps_its_order_and_counts_the_rest(tmp_path: Path) -> None:
    source = fer2013_zip(tmp_path)
    dataset = load_dataset(source, emotions="expressio")
    assert dataset.emotions == ("angry", "happy", "sad", "surprise")
    assert dataset.split_sizes() == {"train": 48, "val": 8, "test": 8}
    assert int((dataset.splits < 0).sum()) == 48


def test_limit_depends_on_the_seed_and_the_split_does_not(tmp_path: Path) -> None:
    source = plain_folder(tmp_path)
    assert load_dataset(source, seed=0).fingerprint == load_dataset(source, seed=1).fingerprint
    limited = [load_dataset(source, limit=3, seed=s).fingerprint for s in (0, 0, 1)]
    assert limited[0] == limited[1] != limited[2]


def test_check_counts_and_warns(tmp_path: Path) -> None:
    files = kaggle_files()
    files["test/happy/PrivateTest_9.jpg"] = files["train/angry/Training_1.jpg"]
    files["train/sad/broken.jpg"] = b"no image"
    found = check(zipped(tmp_path / "fer2013.zip", files))
    assert found.counts["test"]["happy"] == 3 and found.split_sizes["train"] == 84
    assert found.image_size == (48, 48) and not found.colour and found.n_images == 113
    assert found.duplicates_across_splits == 1
    assert [row.id for row in found.left_out] == ["train/sad/broken.jpg"]
    assert "1 test images also stand in train or val (same pixels)" in found.warnings
    assert "the test split has only 15 images: its numbers say little" in found.warnings


def test_check_reports_what_would_stop_a_training(tmp_path: Path) -> None:
    source = put(tmp_path / "odd", class_files(["train/happy", "test/happy", "test/sad"], 5))
    assert "the train split has no image of sad" in check(source).warnings
    with pytest.raises(FerBenchError, match="no training image of sad"):
        load_dataset(source)
