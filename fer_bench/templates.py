"""Documents by Jinja templates, each in the folder `templates` of the package that it serves.

In Markdown, `prose`, `code` and `block` keep text from elsewhere plain text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from fer_bench import formatting
from fer_bench.errors import one_line


def render(package: str, template: str, values: Mapping[str, object]) -> str:
    """A document.

    Text is escaped in templates that end in `.html`; in those of Markdown the filters `prose`,
    `code` and `block` do it.

    Args:
        package: the package's full name.
        template: the file's name.
        values: what the template calls for.

    Raises:
        jinja2.UndefinedError: a name that is not among the values.
    """
    return _environment(package).get_template(template).render(values)


@cache
def _environment(package: str) -> Environment:
    environment = Environment(
        loader=PackageLoader(package),
        autoescape=select_autoescape(),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    functions = (
        formatting.duration,
        formatting.file_size,
        formatting.how_many,
        formatting.large_number,
        one_line,
        formatting.percent,
        formatting.thousands,
        formatting.three_decimals,
        block,
        code,
        listed,
        prose,
    )
    environment.filters |= {function.__name__: function for function in functions}
    return environment


def prose(text: object) -> str:
    """Foreign text within a line; needless escapes are left out, for readers of the source."""
    return re.sub(
        r"\\([,;'()%/+-]|\.(?=\d)|(?<=[^\W_]\\)_(?=[^\W_]))", r"\1", formatting.escape(text)
    )


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
