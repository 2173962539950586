"""Folder trees and zips whose class folders carry an emotion's name, with or without parts."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from fer_bench.data.base import LeftOut, SourceData
from fer_bench.data.catalogue import Reader, Reading
from fer_bench.data.reading import Sample, read_images
from fer_bench.data.table import is_count
from fer_bench.data.tree import is_image, open_tree
from fer_bench.emotions import ALIASES, COLOURS, FER2013, canonical
from fer_bench.errors import FerBenchError, suggest

PARTS = {
    "train": "train", "training": "train", "train_set": "train",
    "val": "val", "valid": "val", "validation": "val", "val_set": "val", "dev": "val",
    "test": "test", "testing": "test", "test_set": "test",
}  # fmt: skip
#: The order of a plain folder's classes.
ORDER = (*FER2013, "contempt")


def part_of(folder: str) -> str | None:
    """`train`, `val` or `test` where a folder's name says so."""
    return PARTS.get(folder.lower())


def is_emotion(folder: str) -> bool:
    """Whether a folder's name is an emotion's name or alias, in any case."""
    return ALIASES.get(folder.strip().lower(), folder.strip().lower()) in COLOURS


def class_folders(names: Sequence[str]) -> set[str]:
    """The folders that images stand in directly, but for parts (`train/x.jpg` has no class)."""
    parents = {n.split("/")[-2] for n in names if "/" in n and is_image(n)}
    return {p for p in parents if part_of(p) is None}


def numeric_classes(names: Sequence[str]) -> set[int]:
    """The class folders as numbers where all of them are numbers, else empty."""
    folders = class_folders(names)
    return {int(f) for f in folders} if all(map(is_count, folders)) else set()


def _numbered(names: Sequence[str], source: str, numbering: dict[int, str]) -> dict[str, str]:
    """Emotion of each numeric class folder; empty where the folders have names."""
    numbers = numeric_classes(names)
    unknown = sorted(numbers - set(numbering))
    if unknown:
        known = ", ".join(f"{n} {e}" for n, e in numbering.items())
        raise FerBenchError(
            f"class folder {str(unknown[0])!r} of {source} is no emotion: "
            f"expected an emotion's name or a number ({known}); rename it or leave it out"
        )
    return {f: numbering[int(f)] for f in class_folders(names)} if numbers else {}


def _emotion_of(steps: Sequence[str], numbered: dict[str, str]) -> tuple[int, str] | None:
    """Position and emotion of the folder nearest to the file that names one."""
    for position in range(len(steps) - 1, -1, -1):
        folder = steps[position]
        if folder in numbered:
            return position, numbered[folder]
        if is_emotion(folder):
            return position, canonical(folder)
    return None


def _place(name: str, numbered: dict[str, str], source: str) -> tuple[str, str, str] | LeftOut:
    """A file's (id, emotion, part) by the folders it stands in."""
    *steps, file = name.split("/")
    parts = [(i, part) for i, step in enumerate(steps) if (part := part_of(step))]
    if not steps or (parts and parts[-1][0] == len(steps) - 1):
        return LeftOut(id=name, reason="stands in no class folder")
    found = _emotion_of(steps, numbered)
    if found is None:
        raise FerBenchError(
            f"class folder {steps[-1]!r:.80} of {source} is no emotion: rename it or leave it out; "
            f"{suggest(steps[-1].lower(), [*COLOURS, *ALIASES])}"
        )
    position, emotion = found
    before = [(i, part) for i, part in parts if i < position]
    root, part = before[-1] if before else (position, "")
    # The name itself where it is the id: one string in memory instead of two.
    return "/".join([*steps[root:], file]) if root else name, emotion, part


def class_samples(
    names: Sequence[str], source: str, emotions: tuple[str, ...], numbering: dict[int, str]
) -> tuple[list[Sample], list[LeftOut]]:
    """All images of a class tree, and those that cannot be placed.

    emotions: the labels' order; an emotion outside it is left out.
    numbering: what class folders mean where all of them are numbers.

    Raises:
        FerBenchError: a class folder that is no emotion.
    """
    numbered = _numbered(names, source, numbering)
    samples: list[Sample] = []
    left_out: list[LeftOut] = []
    for name in filter(is_image, names):
        place = _place(name, numbered, source)
        if isinstance(place, LeftOut):
            left_out.append(place)
        elif place[1] not in emotions:
            left_out.append(LeftOut(id=place[0], reason=f"class {place[1]!r} is not of this set"))
        else:
            label = emotions.index(place[1])
            samples.append(Sample(id=place[0], name=name, label=label, part=place[2]))
    return with_parts(_unique_ids(samples), left_out)


def _unique_ids(samples: list[Sample]) -> list[Sample]:
    """Whole relative names as ids where the short ones are not unique (two trees in one)."""
    if len({s.id for s in samples}) == len(samples):
        return samples
    return [Sample(id=s.name, name=s.name, label=s.label, part=s.part) for s in samples]


def with_parts(
    samples: list[Sample], left_out: list[LeftOut]
) -> tuple[list[Sample], list[LeftOut]]:
    """Leaves out images that stand in no part where others do."""
    if not any(s.part for s in samples):
        return samples, left_out
    outside = [
        LeftOut(id=s.id, reason="stands in no train, val or test folder, though others do")
        for s in samples
        if not s.part
    ]
    return [s for s in samples if s.part], [*left_out, *outside]


def present(samples: Sequence[Sample], emotions: tuple[str, ...]) -> tuple[str, ...]:
    """The emotions that occur, in the set's order."""
    counts = Counter(s.label for s in samples)
    return tuple(e for i, e in enumerate(emotions) if counts[i])


def dataset_name(folder: str) -> str:
    """A folder's name as a data set's: lower-case ASCII that can name a folder of results."""
    plain = unicodedata.normalize("NFKD", folder).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9._-]+", "-", plain).strip("._-") or "faces"


class FolderReader(Reader):
    """Any class tree; its emotions are the ones that occur, in FER2013's order."""

    def recognises(self, source: Path, names: Sequence[str]) -> bool:
        return any(is_image(n) for n in names)

    def read(self, source: Path, how: Reading) -> SourceData:
        tree = open_tree(source)
        numbering = dict(enumerate(FER2013))
        emotions = present(class_samples(tree.names, source.name, ORDER, numbering)[0], ORDER)
        samples, left_out = class_samples(tree.names, source.name, emotions, numbering)
        return read_images(
            tree,
            samples,
            name=dataset_name(source.stem if source.is_file() else source.name),
            emotions=emotions,
            how=how,
            left_out=left_out,
        )
