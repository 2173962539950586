"""A folder that follows results at a URL, for all that reads and writes files.

The URL has the truth. What is new there is brought when the results are opened; networks are large,
so each is brought when it is opened. What `location.write_results` writes in the folder
goes to the URL first, in its order, so that a record is there only once its files are.

    s3://bucket/lab/default.txt
    s3://bucket/lab/<dataset>/<run>/record.json, history.csv, ...

Everything else there is left alone, and so are the hidden files here (claims, checkpoints).
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from filelock import FileLock

from fer_bench.storage import finished_file, read_json, remove_leftovers
from fer_bench.urls import open_store, plain_errors, shown

STATE, LOCK = ".mirror.json", ".mirror.lock"
#: Brought when it is asked for.
LARGE = ".safetensors"
#: Files brought at a time; their content is held in memory.
BATCH = 64
#: What tells one content of an object from the next, by file system; the first that there is.
_VERSIONS = (
    "ETag",
    "etag",
    "md5Hash",
    "mtime",
    "LastModified",
    "updated",
    "created",
)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class _Object(NamedTuple):
    version: str
    size: int


class RemoteResults:
    """A local folder that follows a URL. May be shared between processes of a machine."""

    def __init__(self, url: str, folder: Path) -> None:
        """Opens the storage; nothing is read yet.

        Raises:
            FerBenchError: a URL of a kind that fsspec does not know, or whose package is missing.
        """
        self.url, self.folder = url, folder
        self._files, self._root = open_store(url, "the results")
        self._there: dict[str, _Object] = {}
        self._pulled_at: float | None = None

    def pull(self, *, every: float = 0) -> None:
        """Brings what is new, and removes what is no longer there.

        Args:
            every: not again within so many seconds.

        Raises:
            FerBenchError: the URL cannot be read, or the folder not written.
        """
        if self._pulled_at is not None and time.monotonic() - self._pulled_at < every:
            return
        with self._clear("read"), self._locked():
            there, here = self._listing(), self._state()
            for name in sorted(here):
                if there.get(name) != here[name] and (name not in there or name.endswith(LARGE)):
                    (self.folder / name).unlink(missing_ok=True)
                    del here[name]
            wanted = [
                name
                for name, one in there.items()
                if not name.endswith(LARGE) and not self._is_here(name, one, here)
            ]
            # A record that is read has its files next to it.
            wanted.sort(key=lambda name: (name.endswith("record.json"), name))
            for start in range(0, len(wanted), BATCH):
                here |= self._bring(wanted[start : start + BATCH], there)
            self._keep_state(here)
            self._there = there
        self._pulled_at = time.monotonic()

    def fetch(self, path: Path) -> None:
        """Brings one file of the folder, if the URL has it and it is not here already.

        Raises:
            FerBenchError: as `pull`.
        """
        name = self._name(path)
        one = self._there.get(name or "")
        if name is None or one is None:
            return
        with self._clear("read"), self._locked():
            here = self._state()
            if self._is_here(name, one, here):
                return
            remove_leftovers(path.parent, LARGE)
            with finished_file(path) as temporary:
                self._files.get_file(self._at(name), str(temporary))
            self._keep_state(here | {name: one})

    def has(self, path: Path) -> bool:
        """Whether the URL had this file when it was last listed."""
        return self._name(path) in self._there

    @contextmanager
    def publishing(self, files: Mapping[Path, Path]) -> Iterator[None]:
        """Puts files to the URL in their order, then lets the block bring them into the folder.

        Args:
            files: where the content of each file of the folder lies until then.

        Raises:
            FerBenchError: the URL cannot be written; the block is left out.
        """
        named = {name: content for path, content in files.items() if (name := self._name(path))}
        if not named:
            yield
            return
        with self._locked():
            with self._clear("write to"):
                for name, content in named.items():
                    self._files.put_file(str(content), self._at(name))
            yield
            with self._clear("read"):
                new = {name: _object(self._files.info(self._at(name))) for name in named}
                self._there |= new
                self._keep_state(self._state() | new)

    def discard(self, path: Path) -> None:
        """Removes a file here and there, if it is.

        Raises:
            FerBenchError: the URL cannot be written.
        """
        name = self._name(path)
        with self._clear("write to"), self._locked():
            if name is not None and self._files.exists(self._at(name)):
                self._files.rm_file(self._at(name))
            path.unlink(missing_ok=True)
            self._there.pop(name or "", None)
            self._keep_state({n: one for n, one in self._state().items() if n != name})

    def _name(self, path: Path) -> str | None:
        """What the URL calls a file of the folder; None for a hidden one."""
        name = path.relative_to(self.folder).as_posix()
        return name if _is_of_a_store(name) else None

    def _at(self, name: str) -> str:
        return f"{self._root}/{name}"

    def _listing(self) -> dict[str, _Object]:
        self._files.invalidate_cache()  # other machines write there too
        files = self._files.find(self._root, detail=True)
        listed = {path[len(self._root) + 1 :]: _object(info) for path, info in files.items()}
        return {name: one for name, one in listed.items() if _is_of_a_store(name)}

    def _bring(self, names: list[str], there: Mapping[str, _Object]) -> dict[str, _Object]:
        """Those of the files that came; one that was removed meanwhile does not."""
        paths = [self._at(name) for name in names]
        came = {}
        for name, content in zip(
            names, self._files.cat_ranges(paths, [None] * len(paths), None), strict=True
        ):
            if isinstance(content, FileNotFoundError):
                continue
            if isinstance(content, Exception):
                raise content
            with finished_file(self.folder / name) as temporary:
                temporary.write_bytes(content)
            came[name] = there[name]
        return came

    def _is_here(self, name: str, one: _Object, here: Mapping[str, _Object]) -> bool:
        """Whether the folder has this very content; one of another size was cut off."""
        try:
            return here.get(name) == one and (self.folder / name).stat().st_size == one.size
        except OSError:
            return False

    def _state(self) -> dict[str, _Object]:
        """Which contents the folder has; none where that is not known."""
        try:
            state = read_json(self.folder / STATE)
            return {
                name: _Object(str(version), int(size)) for name, (version, size) in state.items()
            }
        except (ValueError, TypeError, AttributeError, OverflowError):
            return {}

    def _keep_state(self, here: Mapping[str, _Object]) -> None:
        with finished_file(self.folder / STATE) as temporary:
            temporary.write_text(json.dumps(dict(here)), encoding="utf-8")

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self.folder.mkdir(parents=True, exist_ok=True)
        with FileLock(self.folder / LOCK):
            yield

    def _clear(self, action: str) -> AbstractContextManager[None]:
        advice = "check the place, your access to it and this machine's disk, then run it again"
        return plain_errors(self._files, f"{action} the results at {shown(self.url)}", advice)


def _object(info: Mapping[str, Any]) -> _Object:
    size = int(info.get("size") or 0)
    version = next((str(info[key]) for key in _VERSIONS if info.get(key)), "")
    return _Object(version, size)


def _is_of_a_store(name: str) -> bool:
    """`default.txt` or `<dataset>/<run>/<file>`: nothing hidden, nothing outside the folder."""
    parts = name.split("/")
    known = parts == ["default.txt"] or len(parts) == 3
    return known and all(_NAME.fullmatch(part) for part in parts)
