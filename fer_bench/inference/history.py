"""The image page's history: annotated images and their faces, in a folder or a bucket.

    <folder>/.fer-bench-history           says that this folder's entries are ours to delete
    <folder>/<time>-<name>-<random>/image.jpg, faces.json

An entry counts once its `faces.json` is there, which is written last and appears whole.
"""

from __future__ import annotations

import contextlib
import io
import json
import re
import secrets
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
from fsspec.implementations.local import LocalFileSystem
from numpy.typing import NDArray
from PIL import Image
from pydantic import BaseModel, ValidationError

from fer_bench.errors import FerBenchError
from fer_bench.inference.images import check_image
from fer_bench.urls import open_store, plain_errors, shown, store_errors

MARKER = ".fer-bench-history"
IMAGE_FILE, FACES_FILE, UNFINISHED = "image.jpg", "faces.json", "faces.json.part"
JPEG_QUALITY = 90
#: What JPEG can hold, pixels a side.
LONGEST = 65_500

_TIME = "%Y%m%dT%H%M%S%fZ"
_ID = re.compile(r"(\d{8}T\d{12}Z)-[A-Za-z0-9._-]{1,40}-[0-9a-f]{8}")


@dataclass(frozen=True, kw_only=True)
class HistoryEntry:
    """One image that was stored.

    Attributes:
        id: its folder's name.
        name: what the user called it, without control characters.
        time: when it was stored, UTC.
        rows: one per face, as given to `add`.
    """

    id: str
    name: str
    time: datetime
    rows: tuple[dict[str, Any], ...]


class _Faces(BaseModel):
    """What `faces.json` holds."""

    name: str
    rows: tuple[dict[str, Any], ...]


class History:
    """Entries in a folder: a path or any URL of fsspec (`s3://bucket/prefix`, `memory://faces`).

    Nothing is written before the first `add`. May be shared between threads and processes.

    Attributes:
        damaged: how many entries the last `entries` could not read and left out.
    """

    def __init__(self, url: str) -> None:
        """Opens the storage.

        Raises:
            FerBenchError: a URL of a kind that fsspec does not know, or whose package is missing.
        """
        self.url = shown(url)
        self.damaged = 0
        if not url.strip():
            raise FerBenchError("expected a folder or URL for the history, got an empty one")
        self._files, self._root = open_store(url, "the history")
        self._errors = store_errors(self._files)

    def add(self, name: str, image: NDArray[np.uint8], rows: Sequence[Mapping[str, Any]]) -> str:
        """Keeps an image and its faces.

        Args:
            name: the image's, as the user has it; anything at all.
            image: annotated, uint8 `(H, W)` gray or `(H, W, 3)` RGB; kept as JPEG.
            rows: one per face; values as JSON holds them, or numpy's.

        Returns:
            The entry's id.

        Raises:
            FerBenchError: it cannot be written; nothing of it is left then.
        """
        shown = _shown(name)
        faces = {"name": shown, "rows": [dict(row) for row in rows]}
        content = {
            IMAGE_FILE: _jpeg(image),
            FACES_FILE: json.dumps(faces, indent=2, default=_plain).encode(),
        }
        safe = re.sub(r"[^A-Za-z0-9.-]+", "_", shown).strip("._-")[:40] or "image"
        entry = f"{datetime.now(UTC):{_TIME}}-{safe}-{secrets.token_hex(4)}"
        with self._clear("write to"):
            try:
                self._files.makedirs(self._path(entry), exist_ok=True)
                if not self._files.exists(self._path(MARKER)):
                    self._files.pipe_file(self._path(MARKER), b"Written by FER Bench.\n")
                for file, data in content.items():
                    self._write(self._path(entry, file), data)
            except self._errors:
                self._remove(entry)
                raise
        return entry

    def entries(self, limit: int | None = None) -> tuple[HistoryEntry, ...]:
        """The entries, newest first; those that cannot be read are counted in `damaged`.

        Args:
            limit: read no more than the newest so many.

        Raises:
            FerBenchError: the storage cannot be read.
        """
        with self._clear("read"):
            ids = self._ids()[:limit]
            contents = self._files.cat_ranges(
                [self._path(entry, FACES_FILE) for entry in ids], [None] * len(ids), None
            )
        entries = []
        self.damaged = 0
        for entry, content in zip(ids, contents, strict=True):
            if isinstance(content, FileNotFoundError):  # half written, or deleted meanwhile
                continue
            read = _read(entry, content)
            if read is None:
                self.damaged += 1
            else:
                entries.append(read)
        return tuple(entries)

    def image(self, entry: str) -> bytes:
        """The JPEG of an entry by its id.

        Raises:
            FerBenchError: no such entry, or it cannot be read.
        """
        _check_id(entry)
        with self._clear("read"):
            try:
                content: bytes = self._files.cat_file(self._path(entry, IMAGE_FILE))
            except FileNotFoundError:
                raise self._unknown(entry) from None
        return content

    def delete(self, entry: str) -> None:
        """Removes an entry by its id.

        Raises:
            FerBenchError: no such entry, or it cannot be removed.
        """
        _check_id(entry)
        with self._clear("delete from"):
            if entry not in self._ids():
                raise self._unknown(entry)
            self._delete(entry)

    def delete_all(self) -> int:
        """Removes every entry, half-written ones too, and nothing that the history did not write.

        Returns:
            How many there were.

        Raises:
            FerBenchError: something cannot be removed, or entries lie in a folder that the history
                did not mark as its own.
        """
        with self._clear("delete from"):
            ids = self._ids()
            marker = self._path(MARKER)
            if not ids:
                return 0
            if not self._files.exists(marker):
                raise FerBenchError(
                    f"nothing was deleted in {self.url}: expected the history's file {MARKER} "
                    "there, which says that its entries are FER Bench's; delete them by hand"
                )
            for entry in ids:
                self._delete(entry)
            self._files.rm_file(marker)
        return len(ids)

    def _path(self, *parts: str) -> str:
        return "/".join((self._root, *parts))

    def _ids(self) -> list[str]:
        """Names of the folders that look like entries, newest first; links do not count."""
        self._files.invalidate_cache(self._root)  # other processes write here too
        try:
            listing = self._files.ls(self._root, detail=True)
        except FileNotFoundError:
            return []
        folders = [i["name"].rpartition("/")[2] for i in listing if i["type"] == "directory"]
        return sorted((name for name in folders if _ID.fullmatch(name)), reverse=True)

    def _write(self, path: str, data: bytes) -> None:
        """A local file would be seen growing, so it is renamed when whole; elsewhere a file
        appears at once."""
        if path.endswith(FACES_FILE) and isinstance(self._files, LocalFileSystem):
            part = path.removesuffix(FACES_FILE) + UNFINISHED
            self._files.pipe_file(part, data)
            self._files.mv(part, path)
        else:
            self._files.pipe_file(path, data)

    def _delete(self, entry: str) -> None:
        """Removes the files that we write, unlisting the entry first, and its folder if empty."""
        for file in (FACES_FILE, UNFINISHED, IMAGE_FILE):
            with contextlib.suppress(FileNotFoundError):
                self._files.rm_file(self._path(entry, file))
        # Still there with someone else's file in it; a bucket has no folders.
        with contextlib.suppress(OSError, NotImplementedError):
            self._files.rmdir(self._path(entry))

    def _remove(self, entry: str) -> None:
        """After a failed write: what can be removed goes; the first error is the one to tell."""
        with contextlib.suppress(*self._errors):
            self._delete(entry)

    def _unknown(self, entry: str) -> FerBenchError:
        return FerBenchError(f"the history at {self.url} has no entry {entry}: it was deleted")

    def _clear(self, action: str) -> AbstractContextManager[None]:
        advice = "check the place and its permissions, or choose another"
        return plain_errors(self._files, f"{action} the history at {self.url}", advice)


def _shown(name: str) -> str:
    return "".join(c for c in name if c.isprintable())[:200]


def _check_id(entry: str) -> None:
    """Raises FerBenchError for an id that is not ours, such as `../..`."""
    if not _ID.fullmatch(entry):
        raise FerBenchError(f"{entry[:80]!r} is no history entry: take an id that entries() gives")


def _jpeg(image: NDArray[np.uint8]) -> bytes:
    check_image(image)
    if max(image.shape[:2]) > LONGEST:
        raise FerBenchError(
            f"cannot keep an image of {image.shape[1]} x {image.shape[0]} pixels in the history: "
            f"expected at most {LONGEST} on a side, as JPEG holds; shrink it first"
        )
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=JPEG_QUALITY)
    return buffer.getvalue()


def _plain(value: object) -> object:
    """A numpy value as JSON can hold it."""
    if isinstance(value, (np.generic, np.ndarray)):
        return value.tolist()
    raise TypeError(f"expected a value that JSON holds, got {type(value).__name__}")


def _read(entry: str, content: object) -> HistoryEntry | None:
    """An entry from its `faces.json`, or None where that is damaged or could not be read."""
    match = _ID.fullmatch(entry)
    if match is None or not isinstance(content, bytes):
        return None
    try:
        faces = _Faces.model_validate_json(content)
        time = datetime.strptime(match[1], _TIME).replace(tzinfo=UTC)
    except (ValidationError, ValueError):
        return None
    return HistoryEntry(id=entry, name=_shown(faces.name), time=time, rows=faces.rows)
