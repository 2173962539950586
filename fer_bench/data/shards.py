"""What WebDataset and Parquet shards share: the split in a shard's name, and what labels mean."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from fer_bench.data.base import LeftOut
from fer_bench.data.folder import ORDER, is_emotion, part_of, present, with_parts
from fer_bench.data.reading import Sample
from fer_bench.data.table import is_count
from fer_bench.emotions import canonical
from fer_bench.errors import FerBenchError

#: Names the classes of numbered labels, one a line, in the numbers' order.
NAMES_FILE = "classes.txt"
#: A larger file names no classes.
MAX_NAMES_BYTES = 2**16


@dataclass(frozen=True, kw_only=True, slots=True)
class Labelled:
    """An image among the files as its shard labels it: by a class's number, or by its name."""

    name: str
    label: int | str
    part: str


def part_of_shard(shard: str) -> str:
    """`train`, `val` or `test` by the nearest folder or word of a shard's name that says so.

    `data/validation-00000-of-00002.parquet` and `val/000017.tar` are both `val`.
    """
    *folders, file = shard.split("/")
    words = [*re.split(r"[-_.]", file), *reversed(folders)]
    return next((part for word in words if (part := part_of(word))), "")


def class_names(source: Path) -> tuple[str, ...]:
    """The lines of `classes.txt` in the shards' folder; empty without one.

    Raises:
        FerBenchError: it is no text.
    """
    path = source / NAMES_FILE
    if not path.is_file():
        return ()
    try:
        with path.open("rb") as file:
            text = file.read(MAX_NAMES_BYTES).decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise FerBenchError(f"cannot read {NAMES_FILE} of {source.name}: {error}") from error
    return tuple(line.strip() for line in text.splitlines() if line.strip())


def samples_of(
    found: Iterable[Labelled | LeftOut], names: Sequence[str], source: Path
) -> tuple[list[Sample], list[LeftOut], tuple[str, ...]]:
    """Samples, what is left out, and the emotions that occur, in FER2013's order.

    names: what labels that are numbers mean.

    Raises:
        FerBenchError: labels are numbers and nothing names them.
    """
    samples: list[Sample] = []
    left_out: list[LeftOut] = []
    for one in found:
        if isinstance(one, LeftOut):
            left_out.append(one)
            continue
        name = _class_name(one.label, names, source)
        if name is not None and is_emotion(name):
            label = ORDER.index(canonical(name))
            samples.append(Sample(id=one.name, name=one.name, label=label, part=one.part))
        else:
            reason = f"labelled {name or one.label!r:.40}, which is no emotion"
            left_out.append(LeftOut(id=one.name, reason=reason))
    samples, left_out = with_parts(samples, left_out)
    emotions = present(samples, ORDER)
    numbers = {ORDER.index(emotion): number for number, emotion in enumerate(emotions)}
    for place, s in enumerate(samples):  # in place: there may be millions
        label = numbers[s.label]
        samples[place] = Sample(id=s.id, name=s.name, label=label, part=s.part)
    return samples, left_out, emotions


def _class_name(label: int | str, names: Sequence[str], source: Path) -> str | None:
    """The class's name, quoted where it is an emotion's no more than a number's."""
    if isinstance(label, str) and not is_count(label):
        return label
    if not names:
        where = source.name if source.is_dir() else f"a folder with {source.name}"
        raise FerBenchError(
            f"the labels of {source.name} are numbers (the first: {label!s:.20}) and nothing names "
            f"their classes: put a file {NAMES_FILE} into {where}, with one emotion a line in the "
            "numbers' order, and give the folder"
        )
    number = int(label)
    return names[number] if 0 <= number < len(names) else None
