"""CSV files, plain, gzipped or in a zip, with errors that say what is wrong with them."""

from __future__ import annotations

import csv
import gzip
import zipfile
from collections.abc import Iterator
from itertools import chain, count
from pathlib import Path
from typing import TextIO, cast

from fer_bench.data.files.archive import READ_ERRORS
from fer_bench.errors import FerBenchError

#: Characters of a line and lines of a file: a few kilobytes of .gz may become gigabytes of text.
MAX_LINE, MAX_LINES = 2**20, 5_000_000


def open_text(path: Path | zipfile.Path) -> TextIO:
    """A text file, or a gzipped one by its name, opened for reading."""
    if isinstance(path, zipfile.Path):
        return cast(TextIO, path.open(encoding="utf-8-sig", newline=""))
    if path.suffix.lower() == ".gz":
        return cast(TextIO, gzip.open(path, "rt", encoding="utf-8-sig", newline=""))
    return path.open(encoding="utf-8-sig", newline="")


def rows(path: Path | zipfile.Path) -> Iterator[list[str]]:
    """The rows of a CSV file, the header first; blank lines are none.

    Columns go by commas; by semicolons or tabs, as spreadsheets write them in many countries, where
    the header has those and no comma.

    Raises:
        FerBenchError: the file cannot be read, is cut short, or is no text.
    """
    try:
        with open_text(path) as file:
            lines = _lines(file)
            header = next(lines, "")
            between = next((sign for sign in ",;\t" if sign in header), ",")
            yield from filter(None, csv.reader(chain([header], lines), delimiter=between))
    except UnicodeDecodeError:
        raise FerBenchError(
            f"{path.name} cannot be read as CSV: it is no UTF-8 text; save it as that"
        ) from None
    except (*READ_ERRORS, csv.Error) as error:
        raise FerBenchError(
            f"{path.name} cannot be read as CSV: {error}; expected a whole text file or .csv.gz"
        ) from error


def _lines(file: TextIO) -> Iterator[str]:
    """The lines of a file.

    Raises:
        csv.Error: one is too long, or they are too many.
    """
    for number in count():
        line = file.readline(MAX_LINE)
        if not line:
            return
        if number == MAX_LINES or (len(line) == MAX_LINE and not line.endswith("\n")):
            raise csv.Error(f"more than {MAX_LINES:,} lines, or one of {MAX_LINE:,} characters")
        yield line


def is_count(cell: str) -> bool:
    """Whether a cell is a whole number from 0 that every kind of integer holds."""
    return cell.isdecimal() and len(cell) <= 9


def header(path: Path | zipfile.Path) -> list[str]:
    """The column names of a CSV file, without the spaces around them; empty for an empty file."""
    return [column.strip() for column in next(rows(path), [])]


def is_csv(path: Path) -> bool:
    """Whether a path is a CSV file by its name."""
    return path.is_file() and path.name.lower().endswith((".csv", ".csv.gz"))
