"""A table as Markdown or LaTeX; whatever its cells hold, it stays text."""

from __future__ import annotations

import re
from collections.abc import Iterable

from fer_bench import templates
from fer_bench.errors import one_line
from fer_bench.report.tables import Table

LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "`": r"\textasciigrave{}",
    # After a row's end LaTeX takes these for an argument.
    "[": "{[}",
    "*": "{*}",
    "±": r"$\pm$",
    "×": r"$\times$",
    "·": r"$\cdot$",
    "\N{NO-BREAK SPACE}": "~",
}


def latex_text(text: str) -> str:
    """Text for LaTeX; two hyphens stay two, a dash becomes one."""
    escaped = "".join(LATEX.get(letter, letter) for letter in one_line(text))
    return re.sub("-(?=-)", "-{}", escaped).replace("–", "--")


def to_markdown(table: Table) -> str:
    """A table of GitHub's Markdown."""
    header = [templates.prose(name) for name in _with_number(table.header, "#", table)]
    rows = [[templates.prose(one_line(cell)) for cell in row] for row in _rows(table)]
    return templates.table(header, rows)


def to_latex(table: Table, *, caption: str, label: str) -> str:
    """A floating table in booktabs' style; it needs `\\usepackage{booktabs}`.

    Args:
        caption: plain text.
        label: letters, digits and hyphens.
    """
    numbered = bool(table.sources)
    columns = "r" * numbered + "l" * table.texts + "r" * (len(table.header) - table.texts)
    header = _with_number(table.header, "#", table)
    lines = [
        r"\begin{table*}",
        r"\centering",
        r"\footnotesize",
        rf"\caption{{{latex_text(caption)}}}",
        rf"\label{{{label}}}",
        rf"\begin{{tabular}}{{{columns}}}",
        r"\toprule",
        _latex_row(header),
        r"\midrule",
        *map(_latex_row, _rows(table)),
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table*}",
    ]
    return "\n".join(lines)


def _with_number(row: Iterable[str], number: str, table: Table) -> list[str]:
    return [number, *row] if table.sources else [*row]


def _rows(table: Table) -> list[list[str]]:
    numbers = table.sources or [0] * len(table.rows)
    return [_with_number(row, str(n), table) for row, n in zip(table.rows, numbers, strict=True)]


def _latex_row(cells: Iterable[str]) -> str:
    return " & ".join(map(latex_text, cells)) + r" \\"
