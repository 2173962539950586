"""WebDataset shards (github.com/webdataset/webdataset): tars of images with labels next to them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

from fer_bench.data.dataset import LeftOut, SourceData
from fer_bench.data.files.archive import READ_ERRORS, Files, is_image, open_tree
from fer_bench.data.files.tar import TarTree
from fer_bench.data.parts import part_of
from fer_bench.data.readers.class_folders import in_class_folder
from fer_bench.data.readers.registry import Reader, Reading
from fer_bench.data.readers.shards import ShardImage, class_names, part_of_shard, read_shards
from fer_bench.errors import cannot_read

LABEL_SUFFIXES = (".cls", ".json")
#: Fields of a .json that may hold the label.
FIELDS = ("emotion", "label", "cls")
#: A larger file holds no label.
MAX_LABEL_BYTES = 2**20


class WebDatasetReader(Reader):
    """A folder of `train-000000.tar`, `val/000.tar`, ..., or one tar.

    A sample is the files of one name up to the first dot: `000017.jpg` and `000017.cls`, a class's
    number or name, or `000017.json` with it as `emotion` or `label`. Numbers are named by a
    `classes.txt` in the folder. The split is named by the shard, its folder, or a folder within it.
    """

    def recognises(self, source: Path, names: Sequence[str]) -> bool:
        if not source.is_dir():
            labels = {_key(n) for n in names if n.endswith(LABEL_SUFFIXES)}
            return any(is_image(n) and _key(n) in labels for n in names)
        return any(_is_shard(n) for n in names) and not any(
            is_image(n) and in_class_folder(n) for n in names
        )

    def read(self, source: Path, how: Reading) -> SourceData:
        tree = _open(source)
        labelled = _labelled(tree, tree.names, in_shards=source.is_dir())
        return read_shards(source, tree, labelled, how.classes or class_names(source), how)


def _open(source: Path) -> TarTree:
    try:
        if not source.is_dir():
            return TarTree(source)
        return TarTree(source, [n for n in open_tree(source).names if _is_shard(n)])
    except OSError as error:
        raise cannot_read(source.name, error) from error


def _is_shard(name: str) -> bool:
    return name.lower().endswith(".tar")


def _key(name: str) -> str:
    """A member's name up to the first dot of its file's, by which WebDataset knows a sample."""
    folder, slash, file = name.rpartition("/")
    return f"{folder}{slash}{file.partition('.')[0]}"


def _labelled(
    files: Files, names: Sequence[str], *, in_shards: bool
) -> Iterator[ShardImage | LeftOut]:
    """Each image with its label; sorted, the files of a sample stand together."""
    for _, group in groupby(names, _key):
        members = list(group)
        images = [n for n in members if is_image(n)]
        labels = [n for n in members if n.lower().endswith(LABEL_SUFFIXES)]
        for name in images:
            if len(images) > 1:
                yield LeftOut(id=name, reason="one of several images of one sample")
                continue
            label = next((v for n in labels if (v := _label(files, n)) is not None), None)
            if label is None:
                yield LeftOut(id=name, reason="no label: expected a .cls or .json next to it")
            else:
                yield ShardImage(name=name, label=label, part=_part(name, in_shards))


def _part(name: str, in_shards: bool) -> str:
    """By the folders within the shard, then by the shard."""
    steps = name.split("/")[:-1]
    inner = next((part for step in reversed(steps) if (part := part_of(step))), "")
    if inner or not in_shards:
        return inner
    shard = next(i for i, step in enumerate(steps) if _is_shard(step))
    return part_of_shard("/".join(steps[: shard + 1]))


def _label(files: Files, name: str) -> int | str | None:
    """The label in a .cls or .json; None where it holds none."""
    try:
        data = files.read(name)
        if len(data) > MAX_LABEL_BYTES:
            return None
        text = data.decode("utf-8-sig").strip()
        if not name.lower().endswith(".json"):
            return text or None
        value = json.loads(text)
    except (*READ_ERRORS, RecursionError):
        return None
    fields = [value.get(field) for field in FIELDS] if isinstance(value, dict) else [value]
    labels = (f for f in fields if isinstance(f, int | str) and not isinstance(f, bool))
    return next(labels, None)
