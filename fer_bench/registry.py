"""Named things found by name: lazy, and helpful about misspelt names."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from fer_bench.errors import unknown_name


@dataclass(frozen=True)
class Entry:
    """One registered thing: where it lives (`"package.module:attribute"`) and a line about it."""

    target: str
    summary: str


class Registry:
    """Maps names to entries; a target's module is imported only when it is asked for.

    So `list models` answers without importing torch, and adding a model is one file and one line.
    """

    def __init__(self, kind: str, entries: dict[str, Entry]) -> None:
        self.kind = kind
        self._entries = dict(entries)

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def entry(self, name: str) -> Entry:
        """The entry behind a name.

        Raises:
            FerBenchError: no such name; the message suggests the near ones.
        """
        if name not in self._entries:
            raise unknown_name(self.kind, name, self._entries)
        return self._entries[name]

    def load(self, name: str) -> Any:
        """The registered object itself, importing its module now."""
        module, _, attribute = self.entry(name).target.partition(":")
        return getattr(import_module(module), attribute)
