"""Documents by Jinja templates, each in the folder `templates` of the package that it serves."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from fer_bench import formatting, markdown


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
        formatting.one_line,
        formatting.percent,
        formatting.thousands,
        formatting.three_decimals,
        markdown.block,
        markdown.code,
        markdown.listed,
        markdown.prose,
    )
    environment.filters |= {function.__name__: function for function in functions}
    return environment
