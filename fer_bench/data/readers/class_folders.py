"""Which folder above a file is its class, and what class folders mean that are numbers."""

from __future__ import annotations

import os.path
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from fer_bench.data.files.archive import READ_ERRORS, Tree, is_image
from fer_bench.data.files.csv_table import is_count
from fer_bench.data.numbering import (
    MAX_NAMES_BYTES,
    NAMES_FILE,
    PUBLISHED,
    Numbering,
    ask_for_classes,
    is_emotion,
    is_whole,
    parse_classes,
    require_fit,
)
from fer_bench.data.parts import part_of
from fer_bench.errors import FerBenchError

#: Files that are no images, and no damaged ones either.
OTHER_FILES = (
    ".txt", ".csv", ".tsv", ".json", ".jsonl", ".xml", ".yaml", ".yml", ".md", ".npy", ".npz",
    ".mat", ".pts", ".pkl", ".html", ".pdf", ".py", ".ipynb", ".db", ".ini", ".log", ".cls",
)  # fmt: skip
ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".rar", ".7z", ".bz2", ".xz")


def folders_of(name: str) -> list[str]:
    """The folders of a name, the topmost first."""
    return name.split("/")[:-1]


def class_position(steps: Sequence[str]) -> int | None:
    """Index of the folder that is the class: nearest to the file, an emotion before others."""
    backwards = range(len(steps) - 1, -1, -1)
    named = next((i for i in backwards if is_emotion(steps[i])), None)
    if named is not None:
        return named
    return next((i for i in backwards if part_of(steps[i]) is None), None)


def is_class(folder: str) -> bool:
    """Whether a folder's name can only be a class: a number or an emotion."""
    return is_count(folder) or is_emotion(folder)


def in_class_folder(name: str) -> bool:
    """Whether one of the folders that a file stands in can only be a class."""
    return any(map(is_class, folders_of(name)))


def may_be_image(file: str) -> bool:
    """Whether a file without an image's suffix may be one all the same: the decoder will tell."""
    suffix = os.path.splitext(file)[1].lower()  # noqa: PTH122  # millions of names
    return suffix not in OTHER_FILES and not is_archive(file)


def is_archive(file: str) -> bool:
    """Whether a file is packed: its images are not looked at."""
    return file.lower().endswith(ARCHIVES)


def numeric_classes(names: Sequence[str]) -> set[int]:
    """The class folders as numbers where all of them are numbers, else empty."""
    folders = set()
    pairs = {(n.rpartition("/")[0], is_image(n)) for n in names if "/" in n and may_be_image(n)}
    for parent, certain in pairs:
        steps = parent.split("/")
        position = class_position(steps)
        if position is not None and (certain or is_class(steps[position])):
            folders.add(steps[position])
    return {int(f) for f in folders} if all(map(is_count, folders)) else set()


def given_names(names: Sequence[str], source: Path) -> list[str]:
    """The names that may tell which data set it is: the source's, and of images' folders."""
    parents = {n.rpartition("/")[0] for n in names if "/" in n and is_image(n)}
    return [source.stem if source.is_file() else source.name, *parents]


def read_classes(tree: Tree) -> Numbering | None:
    """What the tree's `classes.txt` says, the one nearest to its root; None without one.

    Raises:
        FerBenchError: it is no text, names no classes, or two as near say different things.
    """
    files = [n for n in tree.names if n.rsplit("/", 1)[-1].lower() == NAMES_FILE]
    nearest = min((n.count("/") for n in files), default=0)
    classes: dict[str, Numbering] = {}
    for name in (n for n in files if n.count("/") == nearest):
        where = f"{name} of {tree.path.name}"
        try:
            text = tree.read(name)[:MAX_NAMES_BYTES].decode("utf-8-sig")
        except (*READ_ERRORS, UnicodeDecodeError) as error:
            raise FerBenchError(f"cannot read {where}: {error}") from error
        classes[name] = parse_classes(text, where)
        if classes[name] != next(iter(classes.values())):
            raise FerBenchError(
                f"{' and '.join((next(iter(classes)), name))} of {tree.path.name} say different "
                f"things: put one {NAMES_FILE} into {tree.path.name} itself"
            )
    return next(iter(classes.values()), None)


def class_numbers(tree: Tree, given: Numbering | None, published: str | None) -> Numbering:
    """What numbered class folders mean; empty where they have names.

    Args:
        given: what they mean by `--classes`.
        published: the data set in `PUBLISHED` that the tree is, for sure.

    Raises:
        FerBenchError: nothing says what they mean, or they do not fit what does.
    """
    seen = numeric_classes(tree.names)
    if not seen:
        if given is not None:
            raise FerBenchError(
                f"--classes says what numbers mean, but the class folders of {tree.path.name} are "
                "no numbers: leave it out"
            )
        return {}
    numbering = given if given is not None else read_classes(tree)
    if numbering is not None:
        require_fit(Counter(seen), numbering, tree.path.name, is_given=True)
        return {n: numbering.get(n, str(n)) for n in seen}
    if published is None or not is_whole(seen, published):
        raise ask_for_classes(seen, tree.path.name)
    return {n: PUBLISHED[published][n] for n in seen}
