"""The cache of decoded sources: mapped, keyed by content, whole or not there at all."""

from __future__ import annotations

import errno
import json
import os
import shutil
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from data_fixtures import class_files, csv_rows, encoded, face, kaggle_files, put, write_csv, zipped
from platformdirs import user_cache_path

from fer_bench.data import cache
from fer_bench.data.cache import ArrayFile, cached, pixel_hashes
from fer_bench.data.dataset import SourceData
from fer_bench.data.files import decode
from fer_bench.data.load import read_source
from fer_bench.errors import FerBenchError
from fer_bench.settings import cache_dir


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FER_BENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return zipped(tmp_path / "fer2013.zip", kaggle_files(4, 1))


@pytest.fixture
def decodes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """One entry for each image decoded."""
    calls: list[int] = []
    original = decode.decode

    def counted(data: bytes, *, colour: bool) -> object:
        calls.append(len(data))
        return original(data, colour=colour)

    monkeypatch.setattr(decode, "decode", counted)
    return calls


def entries(root: Path) -> list[Path]:
    return sorted(root.iterdir())


def same(a: SourceData, b: SourceData) -> bool:
    arrays = ("images", "labels", "ids", "parts", "hashes")
    plain = ("name", "source", "emotions", "left_out", "comparable")
    return all(np.array_equal(getattr(a, n), getattr(b, n)) for n in arrays) and all(
        getattr(a, n) == getattr(b, n) for n in plain
    )


def test_a_source_is_decoded_once_and_mapped_read_only(source: Path, decodes: list[int]) -> None:
    first, second = read_source(source), read_source(source)
    assert len(decodes) == 42
    assert same(first, second)
    assert isinstance(second.images, np.memmap) and not second.images.flags.writeable


def test_only_whole_npy_and_json_files_are_kept(source: Path, root: Path) -> None:
    read_source(source)
    (entry,) = entries(root)
    names = sorted(p.name for p in entry.iterdir())
    assert names == [
        "hashes.npy", "ids.npy", "images.npy", "labels.npy", "meta.json", "parts.npy",
        "sha256.txt",
    ]  # fmt: skip


def test_left_out_samples_are_remembered(tmp_path: Path) -> None:
    files = kaggle_files(4, 1)
    files["train/happy/broken.jpg"] = b"x"
    cut = files["train/angry/Training_1.jpg"]
    files["train/angry/Training_1.jpg"] = cut[: len(cut) // 2]
    source = put(tmp_path / "faces", files)
    first, second = read_source(source), read_source(source)
    assert [row.id for row in first.left_out] == [
        "train/happy/broken.jpg", "train/angry/Training_1.jpg",
    ]  # fmt: skip
    assert same(first, second) and len(second.images) == len(second.labels) == 41


@pytest.mark.parametrize("kind", ["zip", "folder", "csv"])
def test_changed_content_is_read_again(kind: str, tmp_path: Path, decodes: list[int]) -> None:
    files = class_files(["happy", "sad"], 3)
    changed = {**files, "sad/0.png": encoded(face(77, size=16))}
    if kind == "csv":
        rows = csv_rows(2, 1)
        source = write_csv(tmp_path / "fer2013.csv", rows)
        before = read_source(source)
        write_csv(source, rows[:-1])
    elif kind == "zip":
        source = zipped(tmp_path / "faces.zip", files)
        before = read_source(source)
        zipped(source, changed)
    else:
        source = put(tmp_path / "faces", files)
        before = read_source(source)
        put(source, changed)
    after = read_source(source)
    assert not np.array_equal(before.hashes, after.hashes)


@pytest.mark.parametrize("how", ["written anew", "put in its place"])
@pytest.mark.parametrize("kind", ["folder", "csv"])
def test_content_of_equal_size_and_date_is_read_again(kind: str, how: str, tmp_path: Path) -> None:
    if kind == "folder":
        files = {n: d + bytes(999 - len(d)) for n, d in class_files(["happy", "sad"], 3).items()}
        source = put(tmp_path / "faces", files)
        file, other = source / "sad/0.png", files["happy/1.png"]
    else:
        rows = csv_rows(2, 1)
        source = file = write_csv(tmp_path / "fer2013.csv", rows)
        other = write_csv(tmp_path / "other.csv", [*rows[1:], rows[0]]).read_bytes()
    before, stat = read_source(source), file.stat()
    if how == "put in its place":
        new = file.with_suffix(".new")
        new.write_bytes(other)
        os.utime(new, ns=(stat.st_atime_ns, stat.st_mtime_ns))
        new.replace(file)
    else:
        file.write_bytes(other)
        os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert (file.stat().st_size, file.stat().st_mtime_ns) == (stat.st_size, stat.st_mtime_ns)
    assert not np.array_equal(before.hashes, read_source(source).hashes)


@pytest.mark.parametrize("format", [None, "affectnet-csv"])
def test_a_csv_sees_images_that_arrive_later(format: str | None, tmp_path: Path) -> None:
    names = [f"images/{i % 2}/{i}.png" for i in range(16)]
    images = {name: encoded(face(i)) for i, name in enumerate(names)}
    rows = [f"{n[7:]},0,0,48,48,0;0,{i % 8},0,0" for i, n in enumerate(names)]
    header = "subDirectory_filePath,face_x,face_y,face_width,face_height,facial_landmarks,"
    table = "\n".join([header + "expression,valence,arousal", *rows]).encode()
    first = dict(list(images.items())[:12])
    folder = put(tmp_path / "affectnet", {"training.csv": table, **first})
    source = folder / "training.csv"
    assert len(read_source(source, format=format).labels) == 12
    put(folder, images)
    late = read_source(source, format=format)
    assert (len(late.labels), late.left_out) == (16, ())


def test_format_and_image_size_are_part_of_the_key(source: Path) -> None:
    assert read_source(source).name == "fer2013"
    assert read_source(source, image_size=24).images.shape[1:] == (24, 24)
    assert read_source(source, format="folder").parts[0] == "test"
    assert read_source(source).images.shape[1:] == (48, 48)


@pytest.mark.parametrize(
    "damage",
    [
        lambda entry: (entry / "meta.json").write_text("{"),
        lambda entry: (entry / "meta.json").unlink(),
        lambda entry: (entry / "labels.npy").write_bytes(b"no array"),
        lambda entry: np.save(entry / "labels.npy", np.zeros(3, dtype=np.int64)),
        lambda entry: (entry / "images.npy").write_bytes((entry / "images.npy").read_bytes()[:999]),
        lambda entry: np.save(entry / "images.npy", np.zeros((42, 48, 48), dtype=np.uint8)),
        lambda entry: np.save(entry / "ids.npy", np.array([{}] * 42, dtype=object)),
    ],
    ids=["json", "no json", "no array", "short", "cut images", "zeroed images", "pickle"],
)
def test_a_damaged_entry_is_built_again(
    damage: object, source: Path, root: Path, decodes: list[int]
) -> None:
    first = read_source(source)
    arrays = {n: np.array(getattr(first, n)) for n in ("images", "labels", "ids")}
    (entry,) = entries(root)
    assert callable(damage)
    damage(entry)
    again = read_source(source)
    assert len(decodes) == 84
    assert all(np.array_equal(arrays[n], getattr(again, n)) for n in arrays)
    assert entries(root) == [entry]


@pytest.mark.parametrize("which", ["images", "labels"])
def test_a_full_disk_is_one_sentence_and_leaves_no_half_entry(
    which: str, source: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = ArrayFile.append

    def full(self: ArrayFile, chunk: np.ndarray) -> None:  # type: ignore[type-arg]
        if (chunk.ndim == 3) == (which == "images"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        original(self, chunk)

    with monkeypatch.context() as patch:
        patch.setattr(ArrayFile, "append", full)
        with pytest.raises(
            FerBenchError, match=r"No space left on device; free some space .*FER_BENCH_CACHE"
        ):
            read_source(source)
    assert entries(root) == []
    assert len(read_source(source).labels) == 42


def test_a_cache_that_cannot_be_made(source: Path, root: Path) -> None:
    root.write_text("a file where the folder should be")
    with pytest.raises(FerBenchError, match=r"cannot save the decoded images in .*FER_BENCH_CACHE"):
        read_source(source)


def test_a_writer_that_loses_the_race_uses_the_winners_entry(source: Path, root: Path) -> None:
    winner = read_source(source)
    (entry,) = entries(root)
    won = root.parent / "won"
    shutil.move(entry, won)

    def slower(scratch: Path) -> tuple[str, SourceData]:
        return "fer2013", winner

    original = Path.rename

    def raced(unfinished: Path, folder: Path) -> Path:
        shutil.copytree(won, folder)
        return original(unfinished, folder)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "rename", raced)
        format_name, data = cached("any key", slower)
    assert format_name == "fer2013" and same(data, winner)
    assert len(entries(root)) == 1


def test_unfinished_entries_of_killed_processes_go_after_a_day(source: Path, root: Path) -> None:
    old, young = root / ".unfinished-old", root / ".unfinished-young"
    old.mkdir(parents=True)
    young.mkdir()
    os.utime(old, (time.time() - 2 * cache.DAY,) * 2)
    read_source(source)
    assert not old.exists() and young.exists()


def test_the_meta_file_is_plain_json(source: Path, root: Path) -> None:
    read_source(source)
    meta = json.loads((entries(root)[0] / "meta.json").read_text())
    assert meta["format"] == "fer2013" and meta["source"] == "fer2013.zip"


def test_cache_dir_is_the_variable_or_the_platforms_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FER_BENCH_CACHE", "/somewhere")
    assert cache_dir() == Path("/somewhere")
    monkeypatch.delenv("FER_BENCH_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/xdg")
    assert cache_dir() == user_cache_path("fer_bench", appauthor=False)
    if sys.platform == "linux":
        assert cache_dir() == Path("/xdg/fer_bench")


def test_array_file_grows_in_place(tmp_path: Path) -> None:
    file = ArrayFile(tmp_path / "a.npy", (2, 3), "<i4")
    for _ in range(7):
        file.append(np.arange(6).reshape(1, 2, 3))
    assert np.array_equal(file.finish(), np.tile(np.arange(6).reshape(1, 2, 3), (7, 1, 1)))
    assert np.load(tmp_path / "a.npy", allow_pickle=False).shape == (7, 2, 3)


def test_hashes_are_equal_for_equal_pixels_alone() -> None:
    images = np.stack([face(1), face(2), face(1)])
    hashes = pixel_hashes(images)
    assert hashes.dtype == np.uint64
    assert hashes[0] == hashes[2] != hashes[1]
