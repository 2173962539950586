"""Parquet shards as Hugging Face datasets keeps images: an `image` column, and a `label`."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from threading import Lock
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from fer_bench.data.dataset import LeftOut, SourceData
from fer_bench.data.files.archive import open_tree
from fer_bench.data.files.limits import require_size
from fer_bench.data.readers.registry import Reader, Reading
from fer_bench.data.readers.shards import ShardImage, class_names, part_of_shard, read_shards
from fer_bench.errors import FerBenchError, one_line, wrong_kind

IMAGE_COLUMNS = ("image", "img", "face", "pixels")
LABEL_COLUMNS = ("label", "labels", "emotion", "expression", "class", "cls")
#: Rows decoded at once: images, and labels.
ROWS, LABEL_ROWS = 16, 65_536
#: Rows that are stored until they are asked for, at most, and their bytes.
KEPT_ROWS, KEPT_BYTES = 4096, 2**28
#: A row with an image takes more than this in a file, however well it is packed.
LEAST_ROW_BYTES = 1
#: What pyarrow raises for a damaged file.
ARROW_ERRORS = (OSError, ValueError, KeyError, pa.ArrowException)
#: A column is read through a buffer of so many bytes instead of whole.
BUFFER = 2**20


class ParquetReader(Reader):
    """A folder of `train-00000-of-00002.parquet`, ..., or one such file.

    The image is a struct with `bytes`, or plain binary. A label is a class's name or its number;
    numbers are named by Hugging Face's metadata, or by a `classes.txt` in the folder. The split is
    named by the file or its folder. Sample 17 of a file is `train-00000-of-00002.parquet/17`.
    """

    def recognises(self, source: Path, names: Sequence[str]) -> bool:
        if not source.is_dir():
            return _is_parquet(source.name)
        return any(map(_is_parquet, names))  # no folder of classes, which is asked before

    def read(self, source: Path, how: Reading) -> SourceData:
        if source.is_dir():
            files = [Shard(source, n) for n in open_tree(source).names if _is_parquet(n)]
        else:
            files = [Shard(source.parent, source.name)]
        named = next((f.class_names for f in files if f.class_names), ())
        given = how.classes or class_names(source)
        other = next((f for f in files if f.class_names not in ((), named)), None)
        if other is not None and given is None:
            raise FerBenchError(
                f"{other.name} of {source.name} names its classes {', '.join(other.class_names)}, "
                f"other files {', '.join(named)}: give files of one data set"
            )
        names = given or dict(enumerate(named)) or None
        rows = (one for file in files for one in file.labels())
        return read_shards(source, ShardImages(source, files), rows, names, how)


def _is_parquet(name: str) -> bool:
    return name.lower().endswith(".parquet")


class Shard:
    """One Parquet file: its row groups' sizes, and which columns hold what."""

    def __init__(self, folder: Path, name: str) -> None:
        """Raises FerBenchError where it is damaged or has no such columns."""
        self.name = name
        self._path = folder / name
        try:
            with self._open() as file:
                schema: Any = file.schema_arrow
                sizes = [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)]
                length = self._path.stat().st_size
        except ARROW_ERRORS as error:
            raise self._damaged(error) from error
        if min(sizes, default=0) < 0 or sum(sizes) * LEAST_ROW_BYTES > length:
            raise self._damaged("it promises more rows than it can hold")
        self.group_sizes = sizes
        self._image = self._column(schema, IMAGE_COLUMNS, _holds_images, "images")
        self._label = self._column(schema, LABEL_COLUMNS, _holds_labels, "labels")
        self.class_names = _class_names(schema, self._label)

    def _open(self) -> Any:
        return pq.ParquetFile(self._path, buffer_size=BUFFER, pre_buffer=False)

    def _damaged(self, why: object) -> FerBenchError:
        if what := wrong_kind(self._path):
            return FerBenchError(f"{self._path.name} is no Parquet file: it {what}")
        return FerBenchError(
            f"{self._path.name} cannot be read as Parquet: {one_line(str(why))[:200]}; expected a "
            "whole file; download it again"
        )

    def _column(
        self, schema: Any, known: Sequence[str], fits: Callable[[Any], bool], what: str
    ) -> str:
        """The column of a usual name, or else the only one of a fitting type."""
        fitting = [field.name for field in schema if fits(field.type)]
        usual = [name for name in known if name in fitting]
        if not usual and len(fitting) != 1:
            raise FerBenchError(
                f"{self._path.name} has no column of {what} by the name of "
                f"{', '.join(known)}: its columns are {', '.join(schema.names)[:200] or 'none'}"
            )
        return (usual or fitting)[0]

    def labels(self) -> Iterator[ShardImage | LeftOut]:
        """Each row's name and label, in the file's order.

        Raises:
            FerBenchError: the labels are damaged.
        """
        part, row = part_of_shard(self.name), 0
        try:
            with self._open() as file:
                for batch in file.iter_batches(
                    LABEL_ROWS, columns=[self._label], use_threads=False
                ):
                    for label in batch.column(0).to_pylist():
                        name = f"{self.name}/{row}"
                        row += 1
                        if label is None or label == -1:  # -1: Hugging Face's for a hidden one
                            yield LeftOut(id=name, reason="no label")
                        else:
                            yield ShardImage(name=name, label=label, part=part)
        except ARROW_ERRORS as error:
            raise self._damaged(error) from error

    def images(self, group: int) -> Iterator[bytes | None]:
        """The encoded images of a row group; raises one of `ARROW_ERRORS` where damaged."""
        with self._open() as file:
            column = f"{self._image}.bytes"
            if not pa.types.is_struct(file.schema_arrow.field(self._image).type):
                column = self._image
            for batch in file.iter_batches(ROWS, [group], columns=[column]):
                values = batch.column(0)
                values = values.field("bytes") if pa.types.is_struct(values.type) else values
                for value in values:
                    yield value.as_py()


class ShardImages:
    """The images of all shards by `FILE/ROW`; asked for nearly in order, each is read once."""

    def __init__(self, path: Path, shards: Sequence[Shard]) -> None:
        self.path = path
        self._lock = Lock()
        self._groups = [(s, i) for s in shards for i in range(len(s.group_sizes))]
        sizes = [size for s in shards for size in s.group_sizes]
        #: Row groups' first rows, counted through all shards, and the end of the last.
        self._starts = list(accumulate(sizes, initial=0))
        ends = accumulate((sum(s.group_sizes) for s in shards), initial=0)
        self._first = {s.name: first for s, first in zip(shards, ends, strict=False)}
        #: The row group that is being read, the rest of it, and the row that is next.
        self._group, self._next = -1, -KEPT_ROWS
        self._rest: Iterator[bytes | None] = iter(())
        self._kept: dict[int, bytes | None] = {}
        self._kept_bytes = 0
        #: Row groups that cannot be read: from which row, and why.
        self._lost: dict[int, tuple[int, str]] = {}

    def read(self, name: str) -> bytes:
        file, _, number = name.rpartition("/")
        row = self._first[file] + int(number)
        with self._lock:
            if row not in self._kept:
                self._read_until(row)
            image = self._kept.pop(row)
            self._kept_bytes -= len(image or b"")
        if image is None:
            raise ValueError("the row holds no image's bytes")
        require_size(len(image))
        return image

    def _read_until(self, row: int) -> None:
        """Reads on until `row` is stored, from its row group's start where it is behind or far.

        Raises:
            OSError: it cannot be read.
        """
        group = bisect_right(self._starts, row) - 1
        if not self._next <= row < self._next + KEPT_ROWS and not self._is_lost(row, group):
            self._open(group)
        while self._next <= row and not self._is_lost(row, group):
            if self._next == self._starts[self._group + 1]:
                self._open(self._group + 1)
                continue
            try:
                self._remember(next(self._rest))
            except (*ARROW_ERRORS, StopIteration) as error:
                reason = one_line(str(error)) or "it ends before its last row"
                self._lost[self._group] = self._next, f"the row group is damaged: {reason}"
                self._next = self._starts[self._group + 1]
        if row not in self._kept:
            raise OSError(self._lost[group][1])

    def _is_lost(self, row: int, group: int) -> bool:
        return group in self._lost and row >= self._lost[group][0]

    def _open(self, group: int) -> None:
        shard, number = self._groups[group]
        self._group, self._rest, self._next = group, shard.images(number), self._starts[group]

    def _remember(self, image: bytes | None) -> None:
        """Keeps the next row's image; the oldest go where they are too many."""
        before = self._kept.pop(self._next, None)
        self._kept[self._next] = image
        self._kept_bytes += len(image or b"") - len(before or b"")
        self._next += 1
        while len(self._kept) > KEPT_ROWS or (
            self._kept_bytes > KEPT_BYTES and len(self._kept) > 1
        ):
            oldest = next(iter(self._kept))
            self._kept_bytes -= len(self._kept.pop(oldest) or b"")


def _holds_images(kind: Any) -> bool:
    """Whether a column's type is binary, or a struct with `bytes` that are."""
    if pa.types.is_struct(kind):
        index = kind.get_field_index("bytes")
        return index >= 0 and _is_binary(kind.field(index).type)
    return _is_binary(kind)


def _is_binary(kind: Any) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _holds_labels(kind: Any) -> bool:
    """Whether a column's type is whole numbers or text."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    types = pa.types
    return bool(types.is_integer(kind) or types.is_string(kind) or types.is_large_string(kind))


def _class_names(schema: Any, label: str) -> tuple[str, ...]:
    """The names of Hugging Face's `ClassLabel` in a schema's metadata; empty without them."""
    try:
        document = json.loads((schema.metadata or {})[b"huggingface"])
        names = document["info"]["features"][label]["names"]
    except (KeyError, TypeError, ValueError, RecursionError):
        return ()
    return tuple(map(str, names)) if isinstance(names, list) else ()
