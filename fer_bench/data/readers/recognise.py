"""Which of the formats that FER Bench reads a source is."""

from __future__ import annotations

from pathlib import Path

from fer_bench.data.files import csv_table
from fer_bench.data.files.archive import is_tree, open_tree
from fer_bench.data.readers.class_folders import ARCHIVES
from fer_bench.data.readers.registry import DATASETS, Reader
from fer_bench.errors import Code, FerBenchError, wrong_kind

SYNTHETIC = "synthetic"


def reader_of(name: str) -> Reader:
    """The reader of a format by its name in `DATASETS`."""
    reader: Reader = DATASETS.load(name)()
    return reader


def no_data(sentence: str, code: Code) -> FerBenchError:
    """The error of a source of no known format: it ends with all that are read."""
    lines = (f"{DATASETS.entry(name).summary} [{name}]" for name in DATASETS)
    return FerBenchError(sentence, code=code, expected="expected one of: " + "; ".join(lines))


def recognise(source: Path) -> str:
    """The name of the first format whose reader recognises the source.

    Raises:
        FerBenchError: no reader does.
    """
    names = open_tree(source).names if is_tree(source) else []
    for name in DATASETS:
        if name != SYNTHETIC and reader_of(name).recognises(source, names):
            return name
    if csv_table.is_csv(source):
        if what := wrong_kind(source):
            raise FerBenchError(f"{source.name} is no CSV: it {what}")
        raise FerBenchError(
            f"{source.name} is a CSV of no known kind: expected the columns emotion,pixels,Usage "
            "(FER2013) or subDirectory_filePath,...,expression (AffectNet), "
            f"got {','.join(csv_table.header(source))[:80] or 'an empty file'}"
        )
    if others := [n for n in names if n.lower().endswith((*ARCHIVES, ".csv"))]:
        how = "give that" if source.is_dir() else f"unpack {source.name} and give that"
        raise FerBenchError(
            f"{source.name} holds no images, only {', '.join(others[:3])[:160]}: {how}"
        )
    if source.name.lower().endswith(ARCHIVES) and not is_tree(source):
        raise FerBenchError(
            f"{source.name} is packed in a way that is not read: unpack it and give what it holds; "
            "zips are read as they are, and single tables as .csv.gz"
        )
    held = "holds no images" if is_tree(source) else "is no data set"
    raise no_data(f"{source.name} {held}", "bad_data")
