"""Sources larger than memory: what is held of each image is a name and a few numbers, no pixels.

Peak memory is a process's own (`VmHWM`): `ru_maxrss` of a child starts at its parent's.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from data_fixtures import encoded, face, parquet_file, zipped

from fer_bench.emotions import FER2013

ROOT = Path(__file__).parents[3]
#: Bytes for each further image, at most, that building an entry takes: its name and place, a label,
#: a hash. Python's `zipfile` keeps 600 of a member; with two dataclasses more it was 1,300.
BUILT = {"zip": 900, "parquet": 500}
#: And that opening it takes.
OPENED = 100
#: What the memory's pages, pools and blocks under way may differ by between two processes, bytes.
SLACK = 4 * 2**20

PEAK = """
import json, re, sys
from pathlib import Path
import numpy as np
import pyarrow.parquet
from fer_bench.data.readers import (
    affectnet, ckplus, fer2013, ferplus, folder, parquet, rafdb, webdataset
)
from fer_bench.data.dataset import FaceDataset
from fer_bench.data.check import check, summarise
from fer_bench.data.load import load_dataset

def peak():
    return 1024 * int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])

before = peak()
"""
READ = """
data = load_dataset(sys.argv[1])
print(json.dumps({"n": len(data), "bytes": peak() - before}))
"""
#: 300,000 images of 224 px in colour, in a file of 45 GB that takes no room on the disk.
AFFECTNET_SIZE = """
n, path = 300_000, Path(sys.argv[1])
with path.open("wb") as file:
    file.truncate(n * 224 * 224 * 3)
rng = np.random.default_rng(0)
data = FaceDataset(
    name="x", source="x", protocol="official",
    images=np.memmap(path, np.uint8, "r", shape=(n, 224, 224, 3)),
    labels=rng.integers(0, 8, n), ids=np.array(["train/happy/000000.jpg"] * n),
    hashes=rng.integers(0, 2**63, n).astype(np.uint64),
    splits=rng.integers(0, 3, n).astype(np.int8), emotions=tuple("abcdefgh"),
)
before = peak()
data.fingerprint, data.clean_test
summarise(data.select_emotions(("c", "a")).limited(100_000), "folder")
for rows in rng.integers(0, n, (5, 64)):
    assert not data.images[rows].any()
print(json.dumps({"n": len(data), "bytes": peak() - before}))
"""


def measured(script: str, path: Path) -> tuple[int, int]:
    """Images, and the bytes by which the peak grew, of a process of its own."""
    words = [sys.executable, "-c", PEAK + script, str(path)]
    done = subprocess.run(words, cwd=ROOT, check=True, stdout=subprocess.PIPE)
    found = json.loads(done.stdout)
    return found["n"], found["bytes"]


PICTURES = [encoded(face(number, size=8)) for number in range(8)]


def a_zip(path: Path, n: int) -> Path:
    parts = ("train", "train", "val", "test")
    names = (f"{parts[i % 4]}/{FER2013[i % 7]}/{i:06}.png" for i in range(n))
    return zipped(path.with_suffix(".zip"), {name: PICTURES[i % 8] for i, name in enumerate(names)})


def a_parquet_file(path: Path, n: int) -> Path:
    images: list[bytes | None] = [PICTURES[number % 8] for number in range(n)]
    labels = [number % 7 for number in range(n)]
    parquet_file(path / "train-0.parquet", images, labels, names=list(FER2013), group=n)
    return path


KINDS: dict[str, Callable[[Path, int], Path]] = {"zip": a_zip, "parquet": a_parquet_file}


@pytest.mark.parametrize("kind", KINDS)
def test_peak_memory_is_flat_from_2000_to_50000_images(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FER_BENCH_CACHE", str(tmp_path / "cache"))
    few, many = (KINDS[kind](tmp_path / str(n), n) for n in (2_000, 50_000))
    for most in (BUILT[kind], OPENED):  # the second time from the cache
        (n_few, small), (n_many, large) = measured(READ, few), measured(READ, many)
        assert (n_few, n_many) == (2_000, 50_000)
        assert large - small < most * (n_many - n_few) + SLACK


def test_pixels_of_a_set_of_affectnets_size_are_read_batch_by_batch(tmp_path: Path) -> None:
    n, grown = measured(AFFECTNET_SIZE, tmp_path / "images.bin")
    read = 5 * 64 * 224 * 224 * 3
    assert (tmp_path / "images.bin").stat().st_size == n * 224 * 224 * 3 > 45e9
    assert grown < 2 * read + 250 * n  # the system maps a few pages around those asked for
