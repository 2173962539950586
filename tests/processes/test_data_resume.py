"""A build of the cache that is killed goes on where it was; its entry is the same to the byte."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from data_fixtures import kaggle_files, put, zipped

from fer_bench.data.cache import ArrayFile, cached
from fer_bench.data.dataset import SourceData
from fer_bench.data.files import decode as decoding
from fer_bench.data.journal import Journal
from fer_bench.data.load import read_source
from fer_bench.data.readers import images
from fer_bench.errors import FerBenchError

ROOT = Path(__file__).parents[2]
#: Reads a source in blocks of 8 images, and dies at the n-th call of a function: before it, in its
#: middle (`torn`) or after it.
KILLED = """
import os, signal, sys
from fer_bench.data import cache
from fer_bench.data.readers import images
from fer_bench.data.journal import Journal
from fer_bench.data.load import read_source
from fer_bench.settings import cache_dir

TORN = {"append": "images.npy", "add": "decoding.journal"}
source, name, when, number = sys.argv[1:]
owner = {"append": cache.ArrayFile, "add": Journal}.get(name, cache)
original, calls = getattr(owner, name), []

def dying(*given):
    calls.append(given)
    if len(calls) == int(number):
        if when == "torn":
            (file,) = cache_dir().rglob(".unfinished-*/" + TORN[name])
            with file.open("ab") as torn:
                torn.write(b"12345678 {")
        if when == "after":
            original(*given)
        os.kill(os.getpid(), signal.SIGKILL)
    return original(*given)

setattr(owner, name, dying)
images.BLOCK = 8
read_source(source)
"""
#: Reads a source; says so after its first block, and goes on once it may.
SLOW = """
import sys
from fer_bench.data import cache
from fer_bench.data.readers import images
from fer_bench.data.load import read_source

append = cache.ArrayFile.append

def waiting(self, chunk):
    append(self, chunk)
    if chunk.ndim == 3:
        print("reading", flush=True)
        sys.stdin.read()

cache.ArrayFile.append = waiting
read_source(sys.argv[1])
"""


class Counts:
    """How many images were looked at and decoded in this process."""

    looked = decoded = 0


@pytest.fixture
def counts(monkeypatch: pytest.MonkeyPatch) -> Counts:
    found = Counts()
    peek, decode = images.peek, decoding.decode

    def looking(data: bytes, box: decoding.Box | None) -> object:
        found.looked += 1
        return peek(data, box)

    def decodes(data: bytes, *, colour: bool) -> object:
        found.decoded += 1
        return decode(data, colour=colour)

    monkeypatch.setattr(images, "peek", looking)
    monkeypatch.setattr(decoding, "decode", decodes)
    return found


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """42 images, of which two cannot be read, one by its header and one by its pixels."""
    files = kaggle_files(4, 1)
    files["train/angry/Training_2.jpg"] = b"no picture"
    cut = files["train/happy/Training_20.jpg"]
    files["train/happy/Training_20.jpg"] = cut[: len(cut) // 2]
    return zipped(tmp_path_factory.mktemp("source") / "fer2013.zip", files)


@pytest.fixture(scope="module")
def whole(source: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The entry's files after an uninterrupted build."""
    root = tmp_path_factory.mktemp("uninterrupted")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FER_BENCH_CACHE", str(root))
        read_source(source)
    return contents(root)


@pytest.fixture(scope="module")
def killed(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache in which a build was killed when three blocks were decoded."""
    root = tmp_path_factory.mktemp("killed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FER_BENCH_CACHE", str(root))
        kill(source, "add", "after", 11)
    return root


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FER_BENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def contents(root: Path) -> dict[str, bytes]:
    """The files of a cache's only entry."""
    (entry,) = root.iterdir()
    assert not entry.name.startswith(".")
    return {path.name: path.read_bytes() for path in entry.iterdir()}


def kill(source: Path, name: str, when: str, number: int) -> None:
    words = [sys.executable, "-c", KILLED, str(source), name, when, str(number)]
    assert subprocess.run(words, cwd=ROOT, check=False).returncode == -9


@pytest.mark.parametrize(
    ("name", "when", "number", "looked", "decoded"),
    [
        ("add", "after", 4, 18, 41),  # the first line names the job, so three blocks
        ("append", "before", 1, 0, 41),
        ("append", "torn", 3, 0, 26),
        ("add", "torn", 11, 0, 26),  # 1 + 6 blocks looked at, 1 + 2 decoded
        ("add", "after", 11, 0, 18),
        ("_digest", "before", 1, 0, 0),
        ("_rename_unless_taken", "before", 1, 0, 0),
    ],
    ids=[
        "looking", "before the first pixels", "amid pixels", "amid a note",
        "after a note", "before the checksum", "before the end",
    ],
)  # fmt: skip
def test_a_killed_build_goes_on_after_its_last_whole_block(
    name: str, when: str, number: int, looked: int, decoded: int,
    source: Path, whole: dict[str, bytes], root: Path, counts: Counts,
) -> None:  # fmt: skip
    kill(source, name, when, number)
    assert any(path.is_dir() for path in root.glob(".unfinished-*"))
    read_source(source)
    assert (counts.looked, counts.decoded) == (looked, decoded)
    assert contents(root) == whole


def changed(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 0xFF
    path.write_bytes(data)


#: What is done to the folder, and how many images are decoded then.
DAMAGE: dict[str, tuple[Callable[[Path], None], int]] = {
    "a pixel of the second block": (lambda f: changed(f / "images.npy", 128 + 48 * 48 * 9), 33),
    "pixels cut": (lambda f: (f / "images.npy").write_bytes(b"\x93NUMPY"), 41),
    "no pixels": (lambda f: (f / "images.npy").unlink(), 41),
    "the last note": (lambda f: changed(f / "decoding.journal", -20), 26),
    "no notes": (lambda f: (f / "decoding.journal").unlink(), 41),
    "zeroed notes": (lambda f: (f / "decoding.journal").write_bytes(bytes(5000)), 41),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_what_is_damaged_of_a_killed_build_is_made_anew(
    kind: str, source: Path, whole: dict[str, bytes], killed: Path, root: Path, counts: Counts
) -> None:
    shutil.copytree(killed, root)
    (unfinished,) = (path for path in root.glob(".unfinished-*") if path.is_dir())
    damage, decoded = DAMAGE[kind]
    damage(unfinished)
    read_source(source)
    assert counts.decoded == decoded
    assert contents(root) == whole


def test_ctrl_c_keeps_what_is_done_and_a_refused_source_keeps_nothing(
    source: Path,
    root: Path,
    tmp_path: Path,
    counts: Counts,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(images, "BLOCK", 8)
    append, written = ArrayFile.append, []

    def interrupted(self: ArrayFile, chunk: np.ndarray) -> None:  # type: ignore[type-arg]
        if len(written) == 2:
            raise KeyboardInterrupt
        written.append(chunk)
        append(self, chunk)

    with monkeypatch.context() as patch:
        patch.setattr(ArrayFile, "append", interrupted)
        with pytest.raises(KeyboardInterrupt):
            read_source(source)
    assert [path.name.startswith(".unfinished-") for path in root.iterdir()] == [True]
    counts.decoded = 0
    read_source(source)
    assert counts.decoded == 26
    before = contents(root)
    with pytest.raises(FerBenchError, match="no image of none could be read"):
        read_source(put(tmp_path / "none", {"happy/1.png": b"none"}))
    assert contents(root) == before


def test_a_second_process_waits_and_uses_what_the_first_one_built(
    source: Path, root: Path, counts: Counts
) -> None:
    first = subprocess.Popen(
        [sys.executable, "-c", SLOW, str(source)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert first.stdout is not None
    assert first.stdout.readline() == "reading\n"
    found: list[SourceData] = []
    second = threading.Thread(target=lambda: found.append(read_source(source)))
    second.start()
    second.join(0.3)
    assert second.is_alive()
    assert not found
    first.communicate("")
    second.join(60)
    assert (counts.looked, counts.decoded, len(found[0].labels)) == (0, 0, 40)
    assert set(contents(root)) == {
        "hashes.npy", "ids.npy", "images.npy", "labels.npy", "meta.json", "parts.npy", "sha256.txt",
    }  # fmt: skip


def test_the_journal_of_another_job_is_begun_anew(tmp_path: Path) -> None:
    path = tmp_path / "x.journal"
    for job, expected in (("a", []), ("a", [1, 2]), ("b", []), ("b", [1, 2])):
        with Journal(path, job) as journal:
            assert [block["n"] for block in journal.resume(lambda block: True)] == expected
            for number in () if expected else (1, 2):
                journal.add({"n": number})
    with Journal(path, "b") as journal:
        assert [b["n"] for b in journal.resume(lambda block: block["n"] < 2)] == [1]
        journal.add({"n": 3})
    with Journal(path, "b") as journal:
        assert [b["n"] for b in journal.resume(lambda block: True)] == [1, 3]


def test_a_reader_may_leave_arrays_in_the_folder_or_in_memory(root: Path) -> None:
    def read(scratch: Path) -> tuple[str, SourceData]:
        file = ArrayFile(scratch / "images.npy", (2, 2), "|u1")
        file.append(np.arange(12).reshape(3, 2, 2))
        (scratch / "labels.npy").write_bytes(b"torn by a kill")
        return "x", SourceData(
            name="x",
            source="x",
            images=file.finish(),
            labels=np.arange(3),
            ids=np.array(["a", "b", "c"]),
            parts=np.array([""] * 3),
            hashes=images.pixel_hashes(np.arange(12, dtype=np.uint8).reshape(3, 2, 2)),
            emotions=("happy", "sad", "fear"),
        )

    _, data = cached("x", read)
    assert data.labels.tolist() == [0, 1, 2]
    assert data.images.reshape(-1).tolist() == list(range(12))
