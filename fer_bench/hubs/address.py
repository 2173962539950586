"""How repositories of the Hugging Face hub are named on the command line and in Python."""

from __future__ import annotations

import re
from dataclasses import dataclass

from fer_bench.errors import FerBenchError

#: Begins the name of a run that lies on the hub: `hub:ORG/NAME`, `hub:ORG/NAME@REVISION`.
HUB = "hub:"
#: `hf:` is what `push` takes; either is understood.
_NAME = re.compile(r"(?:hub|hf):([\w.-]+)/([\w.-]+)(?:@(\w[\w./-]*))?", re.ASCII)
#: The hub's own rule: at most 96 characters, no `--` or `..`, neither `-` nor `.` at an end.
_PART = re.compile(r"(?!.*(--|\.\.))[A-Za-z0-9_]([\w.-]{0,94}\w)?", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class Repository:
    """A repository's id, `ORG/NAME`, and a branch, tag or commit of it; None for its main one."""

    id: str
    revision: str | None = None


def is_on_hub(name: str) -> bool:
    """Whether a run's name means one on the hub."""
    return name.startswith(HUB)


def parse_repository(name: str) -> Repository:
    """`hub:ORG/NAME` or `hf:ORG/NAME`, with `@REVISION` where another than the main one is meant.

    Raises:
        FerBenchError: anything else.
    """
    match = _NAME.fullmatch(name)
    if match is None or not all(_PART.fullmatch(part) for part in match.groups()[:2]):
        raise FerBenchError(
            f"expected a repository of the hub, hub:ORG/NAME or hf:ORG/NAME, got {name!r:.160}: "
            "ORG and NAME are letters, digits, '-', '_' and '.', as in the address of its page"
        )
    return Repository(id=f"{match[1]}/{match[2]}", revision=match[3])
