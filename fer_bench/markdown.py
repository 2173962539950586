"""Markdown around text from elsewhere, which cannot break out of its place."""

from __future__ import annotations

import re
from collections.abc import Sequence

from fer_bench.formatting import escape


def prose(text: object) -> str:
    """Foreign text within a line; needless escapes are left out, for readers of the source."""
    return re.sub(r"\\([,;'()%/+-]|\.(?=\d)|(?<=[^\W_]\\)_(?=[^\W_]))", r"\1", escape(text))


def code(text: str) -> str:
    """Foreign text as code within a line; not for tables, where `|` would split it."""
    line = " ".join(text.split())
    pad = " " if "`" in line else ""
    fence = _fence(line, 1)
    return f"{fence}{pad}{line}{pad}{fence}"


def block(text: str, language: str) -> str:
    """Foreign text as a block of code."""
    fence = _fence(text, 3)
    return f"{fence}{language}\n{text}\n{fence}"


def _fence(text: str, least: int) -> str:
    """At least so many backticks, and more than stand anywhere in the text."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    return "`" * max(least, longest + 1)


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table; cells are Markdown already."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def listed(words: Sequence[str]) -> str:
    """`a, b and c`."""
    return " and ".join(filter(None, (", ".join(words[:-1]), *words[-1:])))
