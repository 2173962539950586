"""The image page's history: what is kept, what is listed, and what deleting leaves alone."""

from __future__ import annotations

import errno
import io
import json
import os
import re
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

import fsspec
import numpy as np
import pytest
from botocore.exceptions import NoCredentialsError
from fsspec.implementations.local import LocalFileSystem
from fsspec.implementations.memory import MemoryFileSystem
from fsspec.registry import known_implementations
from PIL import Image
from table_fixtures import table

from fer_bench.errors import FerBenchError
from fer_bench.inference import history as module
from fer_bench.inference.history import FACES_FILE, IMAGE_FILE, MARKER, UNFINISHED, History

ROWS = [{"emotion": "happy", "score": 0.93, "box": [1, 2, 3, 4]}, {"emotion": "sad", "score": 0.5}]
FACE = np.full((20, 30, 3), (200, 100, 50), np.uint8)


@pytest.fixture(params=["folder", "file", "memory"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A place of each kind where nothing lies yet, not even the folder."""
    return {
        "folder": f"{tmp_path}/my [new] history",
        "file": f"file://{tmp_path}/history/",
        "memory": f"memory://{uuid.uuid4()}",
    }[request.param]


def put(url: str, *parts: str, content: bytes = b"mine") -> None:
    files, root = fsspec.url_to_fs(url)
    path = "/".join((root.rstrip("/"), *parts))
    files.makedirs(path.rpartition("/")[0], exist_ok=True)
    files.pipe_file(path, content)


def tree(url: str) -> set[str]:
    files, root = fsspec.url_to_fs(url)
    root = root.rstrip("/")
    return {path.removeprefix(f"{root}/") for path in files.find(root)}


def test_a_new_history_is_empty_and_writes_nothing(url: str) -> None:
    history = History(url)
    assert history.entries() == ()
    assert history.delete_all() == 0
    assert tree(url) == set()


def test_what_is_kept_comes_back(url: str) -> None:
    before = datetime.now(UTC)
    entry = History(url).add("holiday.png", FACE, ROWS)
    (kept,) = History(url).entries()
    assert (kept.id, kept.name, kept.rows) == (entry, "holiday.png", tuple(ROWS))
    assert before <= kept.time <= datetime.now(UTC)
    assert re.fullmatch(r"\d{8}T\d{12}Z-holiday\.png-[0-9a-f]{8}", entry)
    assert tree(url) == {MARKER, f"{entry}/{IMAGE_FILE}", f"{entry}/{FACES_FILE}"}
    with Image.open(io.BytesIO(History(url).image(entry))) as image:
        assert (image.format, image.size, image.mode) == ("JPEG", (30, 20), "RGB")
        assert np.abs(np.asarray(image).astype(int) - FACE).max() <= 3


def test_a_gray_image_without_faces_and_numpy_figures_are_kept(url: str) -> None:
    history = History(url)
    history.add("a", FACE[..., 0], [])
    history.add("b", FACE, [{"p": np.array([0.25, 0.75]), "n": np.int64(3), "s": np.float32(0.5)}])
    assert [e.rows for e in history.entries()] == [
        ({"p": [0.25, 0.75], "n": 3, "s": 0.5},),
        (),
    ]


def test_the_newest_comes_first(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    now = datetime(2026, 1, 31, 23, 59, 59, 999_999, tzinfo=UTC)

    class Clock(datetime):
        @classmethod
        def now(cls, tz: object = None) -> datetime:
            return now

    monkeypatch.setattr(module, "datetime", Clock)
    history = History(url)
    ids = []
    for name in ("z first", "a second", "m third"):
        ids.append(history.add(name, FACE, []))
        now += timedelta(microseconds=1)
    entries = history.entries()
    assert [e.name for e in entries] == ["m third", "a second", "z first"]
    assert [e.id for e in entries] == ids[::-1]
    assert entries[-1].time == datetime(2026, 1, 31, 23, 59, 59, 999_999, tzinfo=UTC)
    assert [e.name for e in history.entries(limit=2)] == ["m third", "a second"]


@table(
    ("name", "safe", "shown"),
    [
        ("../../etc/passwd", "etc_passwd", "../../etc/passwd"),
        ("C:\\Users\\me.jpg", "C_Users_me.jpg", "C:\\Users\\me.jpg"),
        ("a\n\x00\x1b[31mb\u202e", "a_31mb", "a[31mb"),
        ("Größe 1.jpg", "Gr_e_1.jpg", "Größe 1.jpg"),
        ("写真", "image", "写真"),
        ("", "image", ""),
        ("..", "image", ".."),
        ("x" * 5000, "x" * 40, "x" * 200),
    ],
)
def test_any_name_is_made_safe(url: str, name: str, safe: str, shown: str) -> None:
    entry = History(url).add(name, FACE, [])
    assert entry[23:-9] == safe
    assert {path.partition("/")[0] for path in tree(url)} == {MARKER, entry}
    assert [e.name for e in History(url).entries()] == [shown]
    History(url).delete_all()


@table(
    "entry",
    [
        "",
        "..",
        "../secret",
        "/etc",
        MARKER,
        "20260101T000000000000Z-a/../../secret-0123abcd",
        "20260101T000000000000Z-a-0123abcd/..",
        "20260101T000000000000Z-a-0123abcd\n",
    ],
)
def test_an_id_that_is_none_of_ours_is_refused(url: str, entry: str) -> None:
    put(url, "..", "secret", IMAGE_FILE)
    history = History(url)
    for act in (history.image, history.delete):
        with pytest.raises(FerBenchError, match="is no history entry"):
            act(entry)
    assert fsspec.url_to_fs(url)[0].exists(fsspec.url_to_fs(url)[1] + f"/../secret/{IMAGE_FILE}")


def test_an_entry_that_is_gone_is_named(url: str) -> None:
    history = History(url)
    entry = history.add("a", FACE, [])
    history.delete(entry)
    for act in (history.image, history.delete):
        with pytest.raises(FerBenchError, match=f"has no entry {entry}: it was deleted"):
            act(entry)


def test_delete_removes_one_entry(url: str) -> None:
    history = History(url)
    first, second = history.add("a", FACE, []), history.add("b", FACE, [])
    history.delete(first)
    assert [e.id for e in history.entries()] == [second]
    assert tree(url) == {MARKER, f"{second}/{IMAGE_FILE}", f"{second}/{FACES_FILE}"}


def test_delete_all_leaves_every_file_of_the_users(url: str) -> None:
    history = History(url)
    entry = history.add("a", FACE, [])
    history.add("b", FACE, [])
    mine = {
        "notes.txt",
        f"holiday/{IMAGE_FILE}",
        f"holiday/{FACES_FILE}",
        f"20260101T000000000000Z/{IMAGE_FILE}",
        f"{entry}/my note.txt",
    }
    for path in mine:
        put(url, path)
    assert history.delete_all() == 2
    assert tree(url) == mine
    assert history.entries() == ()


def test_delete_all_refuses_a_folder_that_it_did_not_mark(url: str) -> None:
    entry = "20260101T000000000000Z-copied-0123abcd"
    put(url, entry, IMAGE_FILE)
    with pytest.raises(FerBenchError, match=f"nothing was deleted in .*expected .*{MARKER}"):
        History(url).delete_all()
    assert tree(url) == {f"{entry}/{IMAGE_FILE}"}


def test_delete_all_takes_half_written_entries_too(url: str) -> None:
    history = History(url)
    history.add("a", FACE, [])
    put(url, "20260101T000000000000Z-half-0123abcd", IMAGE_FILE)
    put(url, "20260101T000000000000Z-half-0123abcd", UNFINISHED)
    assert history.delete_all() == 2
    assert tree(url) == set()


def test_a_half_written_entry_is_not_listed(url: str) -> None:
    history = History(url)
    put(url, "20260101T000000000000Z-half-0123abcd", IMAGE_FILE)
    put(url, "20260101T000000000000Z-half-0123abcd", UNFINISHED, content=b'{"name": "a"')
    assert history.entries() == ()
    assert history.damaged == 0


@table("content", [b"", b"{", b"\xff\xfe", b"[]", b'{"name": 3, "rows": []}', b'{"name": "a"}'])
def test_a_damaged_entry_is_left_out_and_counted(url: str, content: bytes) -> None:
    history = History(url)
    good = history.add("good", FACE, [])
    bad = history.add("bad", FACE, [])
    put(url, bad, FACES_FILE, content=content)
    assert [e.id for e in history.entries()] == [good]
    assert history.damaged == 1
    history.delete(bad)
    assert [e.id for e in history.entries()] == [good]
    assert history.damaged == 0
    history.delete(good)


def test_a_linked_folder_is_no_entry(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / IMAGE_FILE).write_bytes(b"mine")
    history = History(str(tmp_path / "history"))
    history.add("a", FACE, [])
    (tmp_path / "history" / "20260101T000000000000Z-link-0123abcd").symlink_to(elsewhere)
    assert history.delete_all() == 1
    assert (elsewhere / IMAGE_FILE).read_bytes() == b"mine"


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("", "expected a folder or URL"),
        ("  ", "expected a folder or URL"),
        ("nowhere://faces", "cannot open the history at nowhere://faces: Protocol not known"),
        ("nowhere://me:secret@faces", "history at nowhere://faces"),
    ],
)
def test_a_place_that_cannot_be_is_refused(url: str, message: str) -> None:
    with pytest.raises(FerBenchError, match=message) as caught:
        History(url)
    assert "secret" not in str(caught.value)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = {"class": "fer_bench.no_such_package.FS", "err": "Install s3fs to access S3"}
    monkeypatch.setitem(known_implementations, "bucket", broken)
    with pytest.raises(FerBenchError, match="bucket://faces: Install s3fs to access S3; expected"):
        History("bucket://faces")


@pytest.mark.parametrize(
    ("code", "words"),
    [(errno.EACCES, "Permission denied"), (errno.EROFS, "Read-only"), (errno.ENOSPC, "No space")],
)
@pytest.mark.parametrize("store", ["folder", "memory"])
def test_a_write_that_fails_is_one_sentence_and_leaves_nothing(
    code: int, words: str, store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tests may run as root, who may write anywhere: so the file system says no by itself."""
    url = str(tmp_path) if store == "folder" else f"memory://{uuid.uuid4()}"
    kind = LocalFileSystem if store == "folder" else MemoryFileSystem
    write = kind.pipe_file

    def fail(self: object, path: str, *rest: object, **more: object) -> None:
        if FACES_FILE in path:
            raise OSError(code, os.strerror(code), path)
        write(self, path, *rest, **more)

    monkeypatch.setattr(kind, "pipe_file", fail)
    history = History(url)
    with pytest.raises(FerBenchError, match=f"cannot write to the history at .*: {words}"):
        history.add("a", FACE, [])
    assert tree(url) == {MARKER}
    assert history.entries() == ()


def test_a_file_in_the_way_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    history = History(str(tmp_path / "file"))
    assert history.entries() == ()
    with pytest.raises(FerBenchError, match=r"cannot write to the history at .*: Not a directory"):
        history.add("a", FACE, [])
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("act", ["entries", "delete_all"])
def test_a_folder_that_cannot_be_read_is_one_sentence(
    act: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: object, path: str, *rest: object, **more: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", path)

    monkeypatch.setattr(LocalFileSystem, "ls", fail)
    with pytest.raises(FerBenchError, match=r"the history at .*: Permission denied; check"):
        getattr(History(str(tmp_path)), act)()


def test_an_error_of_the_stores_own_library_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As an S3 without credentials raises, which is no OSError."""

    def fail(self: object, path: str, *rest: object, **more: object) -> None:
        raise NoCredentialsError

    monkeypatch.setattr(MemoryFileSystem, "protocol", "s3")
    monkeypatch.setattr(MemoryFileSystem, "ls", fail)
    with pytest.raises(FerBenchError, match=r"cannot read .*: Unable to locate credentials; check"):
        History("memory://faces").entries()


def test_what_is_no_image_or_too_long_for_jpeg_is_refused(url: str) -> None:
    history = History(url)
    with pytest.raises(FerBenchError, match="expected an image as uint8 array"):
        history.add("a", FACE.astype(np.float32), [])
    with pytest.raises(FerBenchError, match=r"70000 x 1 pixels.*at most 65500"):
        history.add("a", np.zeros((1, 70_000), np.uint8), [])
    assert tree(url) == set()


def test_the_faces_are_plain_json(tmp_path: Path) -> None:
    entry = History(str(tmp_path)).add("a", FACE, ROWS)
    content = json.loads((tmp_path / entry / FACES_FILE).read_text(encoding="utf-8"))
    assert content == {"name": "a", "rows": ROWS}
