"""Pictures damaged in their middle are named, by every reader and command; whole ones never are."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from data_fixtures import encoded, face, parquet_file, put, tarred, zipped
from PIL import Image

from fer_bench.data.files.decode import DECODE_ERRORS, decode
from fer_bench.data.load import read_source
from fer_bench.errors import FerBenchError
from fer_bench.inference.images import decode_image

PHOTO = Path(__file__).parents[3] / "assets" / "samples" / "astronaut.jpg"


def photo(*, mode: str = "RGB", kind: str = "JPEG", size: int = 96, **options: object) -> bytes:
    """A real photograph, encoded."""
    buffer = io.BytesIO()
    with Image.open(PHOTO) as image:
        image.convert(mode).resize((size, size)).save(buffer, kind, **options)
    return buffer.getvalue()


def damaged(data: bytes, how: str = "zeros") -> bytes:
    """Some hundred bytes of the middle are other ones, as a bad sector leaves them, or gone."""
    at, n = len(data) * 6 // 10, len(data) // 8
    other = {"zeros": bytes(n), "noise": np.random.default_rng(0).bytes(n), "gone": b""}[how]
    return data[:at] + other + data[at + n :]


JPEGS: dict[str, Callable[[], bytes]] = {
    "baseline": lambda: photo(),
    "finest": lambda: photo(quality=98, subsampling=0),
    "progressive": lambda: photo(progressive=True),
    "restart intervals": lambda: photo(restart_marker_rows=1),
    "gray": lambda: photo(mode="L"),
    "CMYK": lambda: photo(mode="CMYK"),
    "large": lambda: photo(size=400),
}


@pytest.mark.parametrize("colour", [True, False])
@pytest.mark.parametrize("how", ["zeros", "noise", "gone"])
@pytest.mark.parametrize("kind", JPEGS)
def test_a_jpeg_damaged_in_its_middle_is_not_read(kind: str, how: str, colour: bool) -> None:
    data = damaged(JPEGS[kind](), how)
    with pytest.raises(DECODE_ERRORS):
        decode(data, colour=colour)


@pytest.mark.parametrize("how", ["zeros", "noise", "gone"])
@pytest.mark.parametrize("options", [{"kind": "PNG"}, {"kind": "GIF"}], ids=["PNG", "GIF"])
def test_so_is_a_picture_of_another_kind_that_carries_a_check(
    options: dict[str, str], how: str
) -> None:
    data = damaged(photo(**options), how)
    with pytest.raises(DECODE_ERRORS):
        decode(data, colour=True)


def with_thumbnail() -> bytes:
    """EXIF with an orientation and a JPEG inside, as cameras write it."""
    exif = Image.Exif()
    exif[0x0112] = 6
    exif.get_ifd(0xFFFF)
    return photo(exif=exif.tobytes() + photo(size=32))


def before_the_end(data: bytes, more: bytes) -> bytes:
    return data[:-2] + more + data[-2:]


def flat(**options: bool) -> bytes:
    """One gray alone: optimised, its code is all zeros."""
    buffer = io.BytesIO()
    Image.new("L", (640, 640), 128).save(buffer, "JPEG", **options)
    return buffer.getvalue()


WHOLE: dict[str, Callable[[], bytes]] = JPEGS | {
    "optimised": lambda: photo(optimize=True),
    "one colour": lambda: encoded(np.full((640, 640), 255, np.uint8), ".jpg"),
    "one colour, optimised": lambda: flat(optimize=True),
    "one colour, progressive": lambda: flat(progressive=True),
    "one colour in RGB": lambda: encoded(np.full((640, 640, 3), 90, np.uint8), ".jpg"),
    "odd sides": lambda: encoded(face(3)[:37, :41], ".jpg"),
    "RGB inside": lambda: photo(keep_rgb=True),
    "EXIF and thumbnail": with_thumbnail,
    "trailing data": lambda: photo() + b"trailer" * 100,
    "a second picture": lambda: photo() + photo(size=32),
    "bytes too many": lambda: before_the_end(photo(), b"\x12\x34\x56"),
    "filled with zeros": lambda: before_the_end(photo(), bytes(700)),
    "comment": lambda: photo(comment=b"Corrupt JPEG data"),
}


@pytest.mark.parametrize("colour", [True, False])
@pytest.mark.parametrize("kind", WHOLE)
def test_a_whole_jpeg_gives_pillows_pixels(kind: str, colour: bool) -> None:
    data = WHOLE[kind]()
    with Image.open(io.BytesIO(data)) as image:
        if not colour and kind not in ("RGB inside", "CMYK"):
            image.draft("L", image.size)  # the file's own gray, not that of its colours
        expected = image.convert("RGB" if colour else "L")
        if kind == "EXIF and thumbnail":
            expected = expected.transpose(Image.Transpose.ROTATE_270)
    found = decode(data, colour=colour)
    if kind != "RGB inside" or colour:
        assert np.array_equal(found, np.asarray(expected))


def csv_of_affectnet(root: Path, files: dict[str, bytes]) -> Path:
    header = "subDirectory_filePath,face_x,face_y,face_width,face_height,facial_landmarks,"
    lines = [header + "expression,valence,arousal"]
    numbers = {"happy": 1, "sad": 2}
    lines += [f"{name},0,0,48,48,,{numbers[name.split('/')[0]]},0,0" for name in files]
    table = "\n".join(lines).encode()
    return put(
        root / "AffectNet",
        {f"Manually_Annotated_Images/{k}": v for k, v in files.items()} | {"training.csv": table},
    )


def list_of_rafdb(root: Path, files: dict[str, bytes]) -> Path:
    names = {name: f"train_{i:05}" for i, name in enumerate(files, 1)}
    lines = [f"{names[name]}.jpg {4 if 'happy' in name else 5}" for name in files]
    pictures = {f"Image/aligned/{names[n]}_aligned.jpg": data for n, data in files.items()}
    listed = {"EmoLabel/list_patition_label.txt": "\n".join(lines).encode()}
    return put(root / "raf", pictures | listed)


def shard(root: Path, files: dict[str, bytes]) -> Path:
    members = {}
    for name, data in files.items():
        label, _, number = name.removesuffix(".jpg").partition("/")
        members |= {f"{label}{number}.jpg": data, f"{label}{number}.cls": label.encode()}
    return tarred(root / "shard-000.tar", members)


SOURCES: dict[str, Callable[[Path, dict[str, bytes]], Path]] = {
    "folder": lambda root, files: put(root / "faces", files),
    "zip": lambda root, files: zipped(root / "faces.zip", files),
    "tar": lambda root, files: tarred(root / "faces.tar", files),
    "shard": shard,
    "Parquet": lambda root, files: parquet_file(
        root / "faces.parquet", list(files.values()), [name.split("/")[0] for name in files]
    ),
    "AffectNet's CSV": csv_of_affectnet,
    "RAF-DB's list": list_of_rafdb,
}


def faces_and_a_damaged_one() -> dict[str, bytes]:
    """Ten of each class, the last of them damaged."""
    files = {
        f"{emotion}/{i}.jpg": photo(mode="L", size=48, quality=70 + 10 * j + i)
        for j, emotion in enumerate(("happy", "sad"))
        for i in range(10)
    }
    return files | {"sad/9.jpg": damaged(files["sad/9.jpg"])}


@pytest.mark.parametrize("kind", SOURCES)
def test_every_reader_names_it(kind: str, tmp_path: Path) -> None:
    data = read_source(SOURCES[kind](tmp_path, faces_and_a_damaged_one()))
    (lost,) = data.left_out
    assert lost.reason.startswith("cannot be decoded: ")
    assert len(data.labels) == 19 and lost.id not in data.ids


@pytest.mark.parametrize("command", ["check", "train"])
def test_commands_name_it(command: str, tmp_path: Path, fer: Callable[..., tuple]) -> None:
    source = put(tmp_path / "faces", faces_and_a_damaged_one())
    words = ["data", "check", source]
    if command == "train":
        words = ["train", "--model", "keras_cnn", "--recipe", "keras-cnn", "--data", source]
        words += ["--results", tmp_path / "results", "--epochs", "1", "--emotions", "happy,sad"]
        words += ["--pretraining", "none", "--weights", "none"]
    code, out, err = fer(*words)
    assert code == 0, err
    assert "1 cannot be decoded (sad/9.jpg)" in out + err


def test_a_picture_to_predict_is_named() -> None:
    with pytest.raises(FerBenchError, match=r"^a\.jpg is damaged or cut off, its pixels cannot be"):
        decode_image(damaged(photo()), "a.jpg")
