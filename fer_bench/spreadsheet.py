"""Tables as CSV that a spreadsheet opens without running anything."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

#: A cell that starts so is a formula to Excel, LibreOffice and Google Sheets (OWASP).
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def defused(cell: object) -> object:
    """A cell as it is, but text that looks like a formula gets a `'` before."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULA_STARTS) else cell


def safe_csv(table: pd.DataFrame) -> bytes:
    """The table as UTF-8 CSV without its index; text that looks like a formula gets a `'` before.

    Numbers stay numbers, negative ones too.
    """
    safe = table.rename(columns=defused).map(defused)
    # All text in quotes: the writer would leave a lone carriage return bare, which ends a row.
    return safe.to_csv(index=False, quoting=csv.QUOTE_NONNUMERIC).encode("utf-8")
