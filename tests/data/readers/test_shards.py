"""WebDataset and Parquet shards: labels, splits, what is left out, and what is refused."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from data_fixtures import class_files, encoded, face, labelled, parquet_file, put, tarred, zipped
from hypothesis import given, settings
from hypothesis import strategies as st
from property_fixtures import few, read_or_refused
from table_fixtures import table

from fer_bench.data.dataset import SourceData
from fer_bench.data.files import limits, tar
from fer_bench.data.load import Source, load_dataset, read_source
from fer_bench.data.readers import parquet
from fer_bench.emotions import AFFECTNET, FER2013
from fer_bench.errors import FerBenchError

PICTURES = [encoded(face(n, size=16)) for n in range(12)]


def reasons(data: SourceData) -> dict[str, str]:
    return {row.id: row.reason for row in data.left_out}


def shard(path: Path, first: int, labels: list[object], suffix: str = ".cls") -> Path:
    """A tar of pictures with labels."""
    files = {}
    for n, label in enumerate(labels, first):
        files[f"{n:06}.png"] = PICTURES[n % len(PICTURES)]
        files[f"{n:06}{suffix}"] = str(label).encode()
    return tarred(path, files)


def test_shards_hold_the_same_pixels_labels_and_hashes_as_a_folder(tmp_path: Path) -> None:
    labels = ["angry", "happy", "sad"] * 4
    folder = put(tmp_path / "folder", {f"{e}/{n}.png": PICTURES[n] for n, e in enumerate(labels)})
    shard(tmp_path / "tars" / "faces-000.tar", 0, labels[:7])
    shard(tmp_path / "tars" / "faces-001.tar", 7, labels[7:])
    parquet_file(tmp_path / "hub" / "faces-0.parquet", [*PICTURES], labels)
    reference = read_source(folder)
    expected = {
        int(h): reference.emotions[label]
        for h, label in zip(reference.hashes, reference.labels, strict=True)
    }
    for source in (tmp_path / "tars", tmp_path / "hub"):
        data = read_source(source)
        assert data.images.shape == (12, 16, 16)
        assert data.emotions == reference.emotions == ("angry", "happy", "sad")
        assert [expected[int(h)] for h in data.hashes] == labels
        assert [data.emotions[label] for label in data.labels] == labels
        assert np.array_equal(data.images[5], face(5, size=16))


@pytest.mark.parametrize(
    ("suffix", "labels"),
    [
        (".cls", ["happy", "Sadness", " anger\n"]),
        (".json", ['{"emotion": "joy", "id": 3}', '{"label": "sad"}', '"Anger"']),
        (".cls", ["3", "4", "0"]),
        (".json", ['{"label": 3}', "4", '{"cls": "0"}']),
    ],
)
def test_a_label_is_a_name_or_a_number_in_cls_or_json(
    suffix: str, labels: list[object], tmp_path: Path
) -> None:
    shard(tmp_path / "tars" / "0.tar", 0, labels, suffix)
    (tmp_path / "tars" / "classes.txt").write_text("\n".join(FER2013))
    assert [found for found, _ in labelled(read_source(tmp_path / "tars")).values()] == [
        "happy", "sad", "angry",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "names",
    [
        ["train-000000.tar", "valid-000000.tar", "test-000000.tar"],
        ["train/0.tar", "val/0.tar", "testing/0.tar"],
        ["fer_training_0.tar", "fer_validation_0.tar", "fer_test_0.tar"],
    ],
)
def test_the_split_is_named_by_the_shard_or_its_folder(names: list[str], tmp_path: Path) -> None:
    for n, name in enumerate(names):
        shard(tmp_path / "tars" / name, 4 * n, ["happy", "sad"] * 2)
    parts = [part for _, part in labelled(read_source(tmp_path / "tars")).values()]
    assert sorted(parts) == ["test"] * 4 + ["train"] * 4 + ["val"] * 4


@pytest.mark.parametrize(
    ("names", "unclear"),
    [
        (["gallery-000", "gallery-001", "probe-000"], "'gallery-000.tar', 'probe-000.tar'"),
        (["a/000", "b/000", "b/001"], "'a/000.tar', 'b/000.tar'"),
        (["000000", "000001", "000002"], None),
        (["faces-00000-of-00002", "faces-00001-of-00002"], None),
        (["a", "b", "c", "d", "e"], None),
    ],
)
def test_shards_that_no_word_explains_are_refused(
    names: list[str], unclear: str | None, tmp_path: Path
) -> None:
    for place, name in enumerate(names):
        shard(tmp_path / "tars" / f"{name}.tar", 2 * place, ["happy", "sad"])
    if unclear is None:
        assert set(read_source(tmp_path / "tars").parts.tolist()) == {""}
    else:
        with pytest.raises(FerBenchError, match=f"these name no split: {unclear}; rename"):
            read_source(tmp_path / "tars")


def test_one_tar_is_a_source_with_the_splits_of_its_folders(tmp_path: Path) -> None:
    files = {}
    for n, part in enumerate(["train", "train", "val", "test"]):
        files[f"./{part}/{n}.seg.png"] = PICTURES[n]
        files[f"./{part}/{n}.cls"] = b"fear" if n % 2 else b"sad"
    loaded = Source(data=str(tarred(tmp_path / "faces.tar", files))).read()
    assert (loaded.format, loaded.data.name) == ("webdataset", "faces")
    assert labelled(loaded.data) == {
        "test/3.seg.png": ("fear", "test"),
        "train/0.seg.png": ("sad", "train"),
        "train/1.seg.png": ("fear", "train"),
        "val/2.seg.png": ("sad", "val"),
    }


def test_a_tar_of_class_folders_is_read_as_the_zip_of_them_is(tmp_path: Path) -> None:
    files = class_files(["train/happy", "train/sad", "test/happy", "test/sad"], 3)
    packed = Source(data=str(tarred(tmp_path / "faces.tar", files))).read()
    assert packed.format == "folder"
    same = read_source(zipped(tmp_path / "faces.zip", files))
    assert packed.data.ids.tolist() == same.ids.tolist()
    assert packed.data.hashes.tolist() == same.hashes.tolist()


def test_samples_of_a_tar_without_one_image_and_one_label_are_left_out(tmp_path: Path) -> None:
    source = tarred(
        tmp_path / "tars" / "train-0.tar",
        {
            "a.png": PICTURES[0], "a.cls": b"happy",
            "b.png": PICTURES[1],
            "c.png": PICTURES[2], "c.jpg": PICTURES[3], "c.cls": b"sad",
            "d.png": PICTURES[4], "d.cls": b"uncertain",
            "e.png": PICTURES[5], "e.cls": b"\xff\xfe",
            "f.png": PICTURES[6], "f.json": b"[" * 100_000,
            "g.png": PICTURES[7], "g.json": b'{"label": true}',
            "h.png": b"no picture", "h.cls": b"sad",
            "i.cls": b"sad", "README.txt": b"x", "._a.png": b"x",
        },
    )  # fmt: skip
    data = read_source(source.parent)
    assert data.ids.tolist() == ["train-0.tar/a.png"]
    none, several = (
        "no label: expected a .cls or .json next to it",
        "one of several images of one sample",
    )
    assert reasons(data) == {
        "train-0.tar/b.png": none,
        "train-0.tar/c.jpg": several,
        "train-0.tar/c.png": several,
        "train-0.tar/d.png": "labelled 'uncertain', which is no emotion",
        "train-0.tar/e.png": none,
        "train-0.tar/f.png": none,
        "train-0.tar/g.png": none,
        "train-0.tar/h.png": "cannot be decoded: not an image of a known format",
    }


def test_parquet_labels_are_named_by_hugging_faces_metadata(tmp_path: Path) -> None:
    for n, part in enumerate(("train", "validation", "test")):
        parquet_file(
            tmp_path / "hub" / "data" / f"{part}-00000-of-00001.parquet",
            PICTURES[4 * n : 4 * n + 4],
            [7, 1, 0, -1],
            names=[*AFFECTNET[:7], "Contempt"],
        )
    put(tmp_path / "hub", {"assets/example.png": PICTURES[0]})  # shown in its README
    data = read_source(tmp_path / "hub")
    assert data.emotions == ("happy", "neutral", "contempt")
    assert labelled(data)["data/validation-00000-of-00001.parquet/0"] == ("contempt", "val")
    assert data.parts.tolist() == ["test"] * 3 + ["train"] * 3 + ["val"] * 3
    assert set(reasons(data).values()) == {"no label"}
    with_own = put(tmp_path / "hub", {"classes.txt": b"sad\nhappy\n\nx\nx\nx\nx\nx\n"})
    (with_own / "classes.txt").write_text("\n".join(["sad", "happy", *["none of ours"] * 6]))
    assert read_source(tmp_path / "hub").emotions == ("happy", "sad")


def test_a_class_is_not_lost_to_its_spelling_nor_named_by_another_file(tmp_path: Path) -> None:
    names = ["angry", "suprise", "sad"]
    place = tmp_path / "hub" / "train-0.parquet"
    parquet_file(place, PICTURES, [0, 1, 2] * 4, names=names)
    with pytest.raises(FerBenchError, match=r"4 images of hub are labelled 'suprise', .*surprise'"):
        read_source(place.parent)
    assert read_source(place.parent, classes="angry,surprise,sad").emotions == (
        "angry",
        "sad",
        "surprise",
    )
    parquet_file(place, PICTURES, [0, 1, 2] * 4, names=["angry", "surprise", "sad"])
    parquet_file(
        place.with_name("test-0.parquet"), PICTURES, [0, 1, 2] * 4, names=["angry", "sad", "fear"]
    )
    with pytest.raises(
        FerBenchError, match=r"train-0\.parquet of hub names its classes angry, sur"
    ):
        read_source(place.parent)
    place.write_bytes(b"version https://git-lfs.github.com/spec/v1")
    with pytest.raises(FerBenchError, match=r"is no Parquet file: it is a Git LFS pointer"):
        read_source(place.parent)


@pytest.mark.parametrize("kind", ["plain", "large", "dictionary", "named otherwise"])
def test_parquet_columns_of_other_types_and_names(kind: str, tmp_path: Path) -> None:
    pictures = pa.array(PICTURES, pa.large_binary() if kind == "large" else pa.binary())
    emotions = pa.array(["happy", "sad"] * 6)
    if kind == "dictionary":
        emotions = emotions.dictionary_encode()
    names = ["face_jpeg", "what"] if kind == "named otherwise" else ["img", "emotion"]
    path = tmp_path / "faces.parquet"
    pq.write_table(pa.table([pictures, emotions, pa.array([0.5] * 12)], [*names, "age"]), path)
    loaded = Source(data=str(path)).read()
    assert (loaded.format, loaded.data.source) == ("parquet", "faces.parquet")
    assert loaded.data.ids[3] == "faces.parquet/3"
    assert np.array_equal(loaded.data.images[3], face(3, size=16))
    assert load_dataset(path).split_sizes() == {"train": 8, "val": 2, "test": 2}


@pytest.mark.parametrize("kept", [2, 4096])
@pytest.mark.parametrize("group", [1, 5, 100])
def test_parquet_rows_are_found_in_any_order(
    group: int, kept: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet, "ROWS", 3)
    monkeypatch.setattr(parquet, "KEPT_ROWS", kept)
    images: list[bytes | None] = [bytes([n]) * n for n in range(1, 31)]
    for first in (0, 20):
        rows = images[first : first + 20]
        parquet_file(tmp_path / f"{first:02}.parquet", rows, [0] * len(rows), group=group)
    shards = [parquet.Shard(tmp_path, f"{first:02}.parquet") for first in (0, 20)]
    files = parquet.ShardImages(tmp_path, shards)
    names = [f"{n // 20 * 20:02}.parquet/{n % 20}" for n in range(30)]
    order = [*range(30), *np.random.default_rng(0).permutation(30), 29, 0]
    assert [files.read(names[n]) for n in order] == [images[n] for n in order]


def test_parquet_rows_in_order_are_read_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[int] = []
    original = parquet.Shard.images

    def noting(self: parquet.Shard, group: int) -> object:
        opened.append(group)
        return original(self, group)

    monkeypatch.setattr(parquet.Shard, "images", noting)
    path = parquet_file(tmp_path / "x.parquet", PICTURES * 50, ["happy", "sad"] * 300, group=100)
    assert len(read_source(path).labels) == 600
    assert opened == [0, 1, 2, 3, 4, 5] * 2  # to look at, and to decode


def test_parquet_rows_without_bytes_and_damaged_row_groups_are_left_out(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    noise = [encoded(rng.integers(0, 256, (16, 16), np.uint8)) for _ in range(10)]
    images: list[bytes | None] = [*noise]
    images[1], images[2] = None, b""
    path = parquet_file(tmp_path / "x.parquet", images, ["happy", "sad"] * 5, group=5)
    data = path.read_bytes()
    metadata = pq.read_metadata(path).row_group(1)
    columns = [metadata.column(i) for i in range(metadata.num_columns)]
    (start,) = (c.data_page_offset for c in columns if c.path_in_schema == "image.bytes")
    path.write_bytes(data[:start] + b"\xff" * 40 + data[start + 40 :])
    found = reasons(read_source(path))
    assert list(found) == [f"x.parquet/{row}" for row in (1, 2, 5, 6, 7, 8, 9)]
    assert found["x.parquet/1"] == "cannot be decoded: the row holds no image's bytes"
    assert found["x.parquet/2"] == "cannot be decoded: the file is empty"
    assert found["x.parquet/7"].startswith("cannot be decoded: the row group is damaged: ")


@pytest.mark.parametrize("source", ["tars", "hub", "hub/x.parquet"])
def test_numbers_without_names_say_how_to_give_them(source: str, tmp_path: Path) -> None:
    shard(tmp_path / "tars" / "0.tar", 0, [0, 1, 2])
    parquet_file(tmp_path / "hub" / "x.parquet", [*PICTURES[:3]], [0, 1, 2])
    with pytest.raises(
        FerBenchError,
        match=r"are numbers \(the first: 0\).*: put a file classes\.txt into .*, with one emotion "
        "a line in the numbers' order, and give the folder",
    ):
        read_source(tmp_path / source)


def test_a_number_beyond_the_names_is_left_out(tmp_path: Path) -> None:
    shard(tmp_path / "tars" / "0.tar", 0, [0, 1, 2, 9, "²", "-1"])
    (tmp_path / "tars" / "classes.txt").write_text("happy\nsad\nuncertain\n")
    assert list(reasons(read_source(tmp_path / "tars")).values()) == [
        f"labelled {name}, which is no emotion" for name in ("'uncertain'", "'9'", "'²'", "'-1'")
    ]
    (tmp_path / "tars" / "classes.txt").write_bytes(b"\xff\xff")
    with pytest.raises(FerBenchError, match=r"cannot read classes\.txt of tars"):
        read_source(tmp_path / "tars")


def member(name: str, data: bytes = b"", **facts: object) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    for fact, value in facts.items():
        setattr(info, fact, value)
    return info, data


def hostile_tar(path: Path, *found: tuple[tarfile.TarInfo, bytes]) -> Path:
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:
        for info, data in (*found, member("happy/good.png", PICTURES[0])):
            archive.addfile(info, io.BytesIO(data))
    return path


def test_names_links_and_devices_of_a_tar_do_nothing(tmp_path: Path) -> None:
    source = hostile_tar(
        tmp_path / "x.tar",
        member("../../sad/a.png", PICTURES[1]),
        member("/sad/b.png", PICTURES[2]),
        member("..\\sad\\c.png", PICTURES[3]),
        member("sad/link.png", type=tarfile.SYMTYPE, linkname="/etc/passwd"),
        member("sad/hard.png", type=tarfile.LNKTYPE, linkname="sad/a.png"),
        member("sad/device.png", type=tarfile.CHRTYPE),
        member("sad/folder.png", type=tarfile.DIRTYPE),
    )
    data = read_source(source)
    assert data.ids.tolist() == ["happy/good.png", "sad/a.png", "sad/b.png", "sad/c.png"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["cache", "x.tar"]


def test_a_member_above_the_size_limit_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MAX_FILE_BYTES", 4000)
    source = hostile_tar(tmp_path / "x.tar", member("sad/huge.png", b"x" * 5000))
    assert list(reasons(read_source(source))) == ["sad/huge.png"]


def promised(size: int, kind: bytes = tarfile.REGTYPE) -> bytes:
    """A header that promises more than there is."""
    return member("sad/a.png", size=size, type=kind)[0].tobuf()


WHOLE = {"happy/1.png": PICTURES[0], "sad/2.png": PICTURES[1]}
TARS: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda tar: b"",
    "text": lambda tar: b"these are no tars\n" * 100,
    "cut in a member": lambda tar: tar[:700],
    "cut before its end": lambda tar: tar[: tar.rindex(b"IEND") + 8],
    "cut in a header": lambda tar: tar[:1100],
    "zeros": lambda tar: tar[:1024].ljust(2048, b"\xff"),
    "gzip": lambda tar: b"\x1f\x8b\x08" + tar,
    "terabytes": lambda tar: promised(2**40) + tar,
    "a name of gigabytes": lambda tar: promised(2**31, tarfile.GNUTYPE_LONGNAME) + tar,
    "gigabytes of pax headers": lambda tar: promised(2**31, tarfile.XHDTYPE) + tar,
    "less than nothing": lambda tar: promised(-(2**40)) + tar,
}


@table("kind", TARS)
@table("place", ["x.tar", "tars/x.tar"])
def test_a_tar_that_is_none_or_is_cut_short_is_one_sentence(
    kind: str, place: str, tmp_path: Path
) -> None:
    path = tarred(tmp_path / place, WHOLE)
    path.write_bytes(TARS[kind](path.read_bytes()))
    with pytest.raises(FerBenchError, match=r"^x\.tar is no(t a plain tar|\b).*again"):
        read_source(path if place == "x.tar" else path.parent)


def test_a_member_with_an_endless_name_is_refused(tmp_path: Path) -> None:
    source = hostile_tar(tmp_path / "x.tar", member("sad/" + "x" * tar.MAX_NAME, b"x"))
    with pytest.raises(FerBenchError, match="is not a plain tar"):
        read_source(source)


@pytest.mark.parametrize("keep", [0, 4, 0.5, 0.99])
def test_a_parquet_file_that_is_none_or_is_cut_short(keep: float, tmp_path: Path) -> None:
    path = parquet_file(tmp_path / "x.parquet", [*PICTURES], ["happy", "sad"] * 6)
    data = path.read_bytes()
    path.write_bytes(data[: int(keep * len(data)) if keep < 1 else int(keep)])
    with pytest.raises(
        FerBenchError, match=r"^x\.parquet (cannot be read as|is no) Parquet.*again"
    ):
        read_source(path)


@pytest.mark.parametrize("missing", ["image", "label"])
def test_a_parquet_file_without_images_or_labels_names_its_columns(
    missing: str, tmp_path: Path
) -> None:
    columns = {"image": PICTURES, "label": ["happy"] * 12, "a": [0.5] * 12}
    pq.write_table(
        pa.table({k: v for k, v in columns.items() if k != missing}), tmp_path / "x.parquet"
    )
    rest = ", ".join(k for k in columns if k != missing)
    with pytest.raises(FerBenchError, match=f"no column of {missing}s by .* columns are {rest}"):
        read_source(tmp_path / "x.parquet")


def test_a_parquet_file_of_endlessly_many_rows_is_refused(tmp_path: Path) -> None:
    n = 200_000
    images = pa.DictionaryArray.from_arrays(np.zeros(n, np.int32), pa.array([PICTURES[0]]))
    table = pa.table({"image": images.cast(pa.binary()), "label": pa.array(["happy"] * n)})
    pq.write_table(table, tmp_path / "x.parquet")
    assert (tmp_path / "x.parquet").stat().st_size < 10_000
    with pytest.raises(FerBenchError, match="it promises more rows than it can hold"):
        read_source(tmp_path / "x.parquet")


@settings(few, max_examples=15)
@given(place=st.integers(0, 10**6), replacement=st.binary(max_size=8), cut=st.integers(0, 10**6))
@pytest.mark.parametrize("kind", ["tar", "parquet"])
def test_any_change_of_a_shard_is_read_or_refused(
    kind: str,
    place: int,
    replacement: bytes,
    cut: int,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = tmp_path_factory.mktemp("changed")
    monkeypatch.setenv("FER_BENCH_CACHE", str(folder / "cache"))
    labels = ["happy", "sad"] * 2
    if kind == "tar":
        path = shard(folder / "x.tar", 0, [json.dumps(label) for label in labels], ".json")
    else:
        path = parquet_file(folder / "x.parquet", [*PICTURES[:4]], labels, group=2)
    whole = path.read_bytes()
    place %= len(whole)
    changed = whole[:place] + replacement + whole[place + len(replacement) :]
    for data in (changed, changed[: cut % (len(whole) + 1)]):
        path.write_bytes(data)
        loaded = read_or_refused(lambda: Source(data=str(path)).read())
        assert loaded is None or len(loaded.data.labels) == len(loaded.data.images) > 0
