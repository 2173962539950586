"""Tiny made-up data sources in the layouts of the real ones."""

from __future__ import annotations

import csv
import io
import json
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from PIL import Image

from fer_bench.emotions import FER2013

VOTES_HEADER = (
    "Usage,Image name,neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unknown,NF"
)


def face(number: int, *, size: int = 48, colour: bool = False) -> NDArray[np.uint8]:
    """A smooth pattern, different for each number: survives JPEG as a photograph does."""
    rng = np.random.default_rng(number)
    shape = (6, 6, 3) if colour else (6, 6)
    coarse = Image.fromarray(rng.integers(0, 256, shape).astype(np.uint8))
    return np.asarray(coarse.resize((size, size), Image.Resampling.BICUBIC))


def encoded(image: NDArray[np.uint8], suffix: str = ".png") -> bytes:
    """The bytes of an image file."""
    buffer = io.BytesIO()
    kind = "PNG" if suffix == ".png" else "JPEG"
    Image.fromarray(image).save(buffer, kind, **({} if kind == "PNG" else {"quality": 95}))
    return buffer.getvalue()


def put(root: Path, files: dict[str, bytes]) -> Path:
    """Writes files by their relative names."""
    for name, data in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return root


def zipped(path: Path, files: dict[str, bytes]) -> Path:
    """Writes the same files as a zip."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def tarred(path: Path, files: dict[str, bytes]) -> Path:
    """Writes the same files as a tar."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


def parquet_file(
    path: Path,
    images: list[bytes | None],
    labels: list[int] | list[str],
    *,
    names: list[str] | None = None,
    group: int = 5,
) -> Path:
    """Writes a file as Hugging Face's `push_to_hub` does; `names`: its `ClassLabel`'s."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [{"bytes": image, "path": f"{i}.png"} for i, image in enumerate(images)]
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    table = pa.table({"image": pa.array(rows, kind), "label": labels})
    if names is not None:
        features = {"image": {"_type": "Image"}, "label": {"names": names, "_type": "ClassLabel"}}
        document = json.dumps({"info": {"features": features}})
        table = table.replace_schema_metadata({"huggingface": document})
    pq.write_table(table, path, row_group_size=group, use_dictionary=False)
    return path


def kaggle_files(per_class: int = 12, held: int = 2, suffix: str = ".jpg") -> dict[str, bytes]:
    """Kaggle's FER2013 in small: `per_class` Training, `held` PublicTest and PrivateTest each."""
    files = {}
    number = 0
    for emotion in FER2013:
        for usage, count in (("Training", per_class), ("PublicTest", held), ("PrivateTest", held)):
            folder = "train" if usage == "Training" else "test"
            for _ in range(count):
                number += 1
                name = f"{folder}/{emotion}/{usage}_{number}{suffix}"
                files[name] = encoded(face(number), suffix)
    return files


def class_files(
    folders: list[str], per_class: int, *, suffix: str = ".png", size: int = 16
) -> dict[str, bytes]:
    """`per_class` different images in each folder."""
    return {
        f"{folder}/{i}{suffix}": encoded(face(1000 * j + i, size=size), suffix)
        for j, folder in enumerate(folders)
        for i in range(per_class)
    }


def csv_row(image: NDArray[np.uint8], label: int | str, usage: str) -> list[str]:
    """A row of fer2013.csv."""
    return [str(label), " ".join(str(p) for p in image.ravel()), usage]


def csv_rows(per_class: int = 12, held: int = 2) -> list[list[str]]:
    """The rows of the same faces as `kaggle_files`, in another order."""
    rows = []
    number = 0
    for label in range(len(FER2013)):
        for usage, count in (("Training", per_class), ("PublicTest", held), ("PrivateTest", held)):
            for _ in range(count):
                number += 1
                rows.append(csv_row(face(number), label, usage))
    order = np.random.default_rng(7).permutation(len(rows))
    return [rows[i] for i in order]


def write_csv(path: Path, rows: list[list[str]], header: str = "emotion,pixels,Usage") -> Path:
    """Writes a CSV, gzipped where the name says so."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    buffer.write(header + "\n")
    writer.writerows(rows)
    data = buffer.getvalue().encode()
    if path.suffix == ".gz":
        import gzip

        data = gzip.compress(data)
    path.write_bytes(data)
    return path
