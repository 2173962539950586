"""What an unfinished build has done, block by block, so that a killed one goes on where it was."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from zlib import crc32

#: Part of a journal's name.
SUFFIX = ".journal"


class Journal:
    """A file of JSON lines, one for each finished block, each with its checksum.

    Its first line names the job; a journal of another job is begun anew. A torn or changed line
    counts as not written, and so does all that follows it.
    """

    def __init__(self, path: Path, job: str) -> None:
        """Raises OSError where the file cannot be written."""
        path.touch()
        self._file = path.open("r+b")
        if self._next(lambda first: first == {"job": job}) is None:
            self.add({"job": job})

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def resume(self, sound: Callable[[dict[str, Any]], bool]) -> Iterator[dict[str, Any]]:
        """The blocks noted so far, before any is added; those from the first unsound one go."""
        while (block := self._next(sound)) is not None:
            yield block

    def add(self, block: dict[str, Any]) -> None:
        """Notes a finished block; a killed process does not lose it from then on."""
        self._file.write(_line(block))
        self._file.flush()

    def _next(self, sound: Callable[[dict[str, Any]], bool]) -> dict[str, Any] | None:
        start = self._file.tell()
        line = self._file.readline()
        try:
            block: dict[str, Any] = json.loads(line[9:])
            if line == _line(block) and sound(block):
                return block
        except (ValueError, RecursionError):
            pass
        self._cut(start)
        return None

    def _cut(self, at: int) -> None:
        self._file.seek(at)
        self._file.truncate()


def _line(block: dict[str, Any]) -> bytes:
    text = json.dumps(block).encode()
    return b"%08x %s\n" % (crc32(text), text)
