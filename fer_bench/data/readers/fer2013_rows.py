"""Which row of the original `fer2013.csv` each of Kaggle's files is, found by their pixels."""

from __future__ import annotations

import tempfile
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fer_bench.data.dataset import LeftOut, SourceData
from fer_bench.data.files import csv_table
from fer_bench.data.readers.fer2013 import ROW_ID, Fer2013CsvReader
from fer_bench.data.readers.registry import Reading
from fer_bench.errors import FerBenchError

COLUMNS = ["row", "file"]
#: Kaggle's JPEGs differ from the original by 1.3 gray levels on average; other faces by 30 and up.
MAX_MEAN_DIFFERENCE = 4.0
POOL = 4


@dataclass(frozen=True, kw_only=True)
class RowTable:
    """rows: row of each file; left_out: files without one, and why.

    A file goes by its name alone (`Training_1.jpg`), or by its id (`train/angry/Training_1.jpg`)
    where the name stands in two class folders, as two of Kaggle's do.
    """

    rows: dict[str, int]
    left_out: tuple[LeftOut, ...] = ()


def file_keys(data: SourceData) -> list[str]:
    """What each sample goes by in a `RowTable`."""
    names = [str(i).rsplit("/", 1)[-1] for i in data.ids]
    times = Counter(names)
    return [n if times[n] == 1 else str(i) for n, i in zip(names, data.ids, strict=True)]


def row_number(sample_id: str) -> int:
    """The row in an id of `fer2013.csv`'s reader."""
    return int(sample_id.removeprefix(ROW_ID.format("")))


def is_from_csv(data: SourceData) -> bool:
    """Whether the samples are rows of a CSV, by their ids."""
    return str(data.ids[0]).startswith(ROW_ID.format(""))


def read_row_table(path: Path) -> RowTable:
    """Reads a `row,file` CSV.

    Raises:
        FerBenchError: no such file, other columns, or a row that is no number.
    """
    if not path.is_file():
        raise FerBenchError(
            f"the table {path} does not exist: expected a CSV with row,file", code="missing_file"
        )
    lines = csv_table.rows(path)
    columns = next(lines, [])
    if columns != COLUMNS:
        raise FerBenchError(
            f"{path.name} is no table of rows: expected the columns row,file, "
            f"got {','.join(columns)[:80] or 'an empty file'}"
        )
    rows: dict[str, int] = {}
    for line in lines:
        if len(line) != 2 or not csv_table.is_count(line[0]):
            got = f"{line!r:.80}"
            raise FerBenchError(f"{path.name}: expected a row's number and a file, got {got}")
        rows[line[1]] = int(line[0])
    return RowTable(rows=rows)


def rows_of(data: SourceData, rows_file: Path | None) -> NDArray[np.int64]:
    """int64 `(N,)`: each sample's row in `fer2013.csv`; -1 where unknown.

    Raises:
        FerBenchError: Kaggle's files without a table, or a table that names none of them.
    """
    if is_from_csv(data):
        return np.array([row_number(str(i)) for i in data.ids], dtype=np.int64)
    if rows_file is None:
        raise FerBenchError(
            f"FER+ votes go by the rows of fer2013.csv, which {data.source} does not tell: give a "
            "row,file table or the original fer2013.csv as the rows file"
        )
    if csv_table.is_csv(rows_file) and csv_table.header(rows_file) != COLUMNS:
        with tempfile.TemporaryDirectory() as scratch:
            how = Reading(image_size=None, scratch=Path(scratch))
            known = build_row_table(data, Fer2013CsvReader().read(rows_file, how))
    else:
        known = read_row_table(rows_file)
    rows = np.array([known.rows.get(key, -1) for key in file_keys(data)], dtype=np.int64)
    if not (rows >= 0).any():
        raise FerBenchError(f"{rows_file.name} names no file of {data.source}: give its own table")
    return rows


def build_row_table(kaggle: SourceData, original: SourceData) -> RowTable:
    """Matches Kaggle's JPEGs with the original's pixels, within each usage and label.

    Exact duplicates within a usage and label are matched in order where there are as many files as
    rows, and left out otherwise: nothing tells them apart.

    Raises:
        FerBenchError: images of different sizes, or not one match.
    """
    if kaggle.images.shape[1:] != original.images.shape[1:]:
        raise FerBenchError(
            f"expected two sources of one image size, got {kaggle.images.shape[1:]} "
            f"and {original.images.shape[1:]}: read both without resizing"
        )
    keys = np.array(file_keys(kaggle))
    rows: dict[str, int] = {}
    left_out: list[LeftOut] = []
    for part in np.unique(kaggle.parts):
        for label in range(len(kaggle.emotions)):
            files = np.flatnonzero((kaggle.parts == part) & (kaggle.labels == label))
            lines = np.flatnonzero((original.parts == part) & (original.labels == label))
            matched, lost = _match(kaggle.images[files], keys[files].tolist(), original, lines)
            rows.update(matched)
            left_out += lost
    if not rows:
        raise FerBenchError(f"no image of {kaggle.source} stands in {original.source}")
    return RowTable(rows=rows, left_out=tuple(left_out))


def _match(
    images: NDArray[np.uint8], names: list[str], original: SourceData, lines: NDArray[np.int64]
) -> tuple[dict[str, int], list[LeftOut]]:
    """Rows by file for one usage and label; `lines` are its positions in the original."""
    if not len(lines):
        return {}, [LeftOut(id=n, reason="no row of its usage and label") for n in names]
    copies: dict[int, list[int]] = defaultdict(list)
    for line in lines:
        copies[int(original.hashes[line])].append(int(line))
    distinct = np.array([same[0] for same in copies.values()])
    nearest = distinct[_nearest(images, original.images[distinct])]
    claims: dict[int, list[str]] = defaultdict(list)
    left_out: list[LeftOut] = []
    for name, image, line in zip(names, images, nearest, strict=True):
        difference = image.astype(np.int16) - original.images[line]
        if np.abs(difference).mean() <= MAX_MEAN_DIFFERENCE:
            claims[int(original.hashes[line])].append(name)
        else:
            left_out.append(LeftOut(id=name, reason="no row has its pixels"))
    rows: dict[str, int] = {}
    for pixels, claimants in claims.items():
        same = copies[pixels]
        if len(same) == len(claimants):
            numbers = (row_number(str(original.ids[line])) for line in same)
            rows.update(zip(sorted(claimants), numbers, strict=True))
        else:
            reason = f"{len(claimants)} files and {len(same)} rows have the same pixels"
            left_out += [LeftOut(id=n, reason=reason) for n in claimants]
    return rows, left_out


def _nearest(queries: NDArray[np.uint8], known: NDArray[np.uint8]) -> NDArray[np.int64]:
    """int64 `(Q,)`: the nearest known image of each query, on 4x4 means (JPEG noise averages out).

    Both uint8 `(., H, W)`, H and W divisible by 4.
    """
    a, b = _pooled(queries), _pooled(known)
    squares = (b * b).sum(1)
    nearest = [
        np.argmin(squares - 2 * (a[i : i + 1024] @ b.T), axis=1) for i in range(0, len(a), 1024)
    ]
    return np.concatenate([np.empty(0, dtype=np.int64), *nearest])


def _pooled(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    n, height, width = images.shape
    blocks = images.reshape(n, height // POOL, POOL, width // POOL, POOL)
    means: NDArray[np.float32] = blocks.mean((2, 4), dtype=np.float32).reshape(n, -1)
    return means
