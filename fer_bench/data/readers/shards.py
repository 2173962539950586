"""What WebDataset and Parquet shards share: the split in a shard's name, and what labels mean."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from fer_bench.data.dataset import LeftOut, SourceData
from fer_bench.data.files.archive import Files
from fer_bench.data.files.csv_table import is_count
from fer_bench.data.numbering import (
    MAX_NAMES_BYTES,
    NAMES_FILE,
    Numbering,
    emotion_of,
    is_emotion,
    parse_classes,
    require_fit,
    require_spelt,
)
from fer_bench.data.parts import part_of
from fer_bench.data.readers.folder import (
    FEW,
    ORDER,
    dataset_name,
    not_understood,
    present,
    relabelled,
    with_parts,
)
from fer_bench.data.readers.images import Sample, read_images
from fer_bench.data.readers.registry import Reading
from fer_bench.emotions import canonical
from fer_bench.errors import FerBenchError


@dataclass(frozen=True, kw_only=True, slots=True)
class ShardImage:
    """An image among the files as its shard labels it: by a class's number, or by its name."""

    name: str
    label: int | str
    part: str


def part_of_shard(shard: str) -> str:
    """`train`, `val` or `test` by the nearest folder or word of a shard's name that says so.

    `data/validation-00000-of-00002.parquet` and `val/000017.tar` are both `val`.
    """
    return next((part for step in reversed(shard.split("/")) if (part := part_of(step))), "")


def class_names(source: Path) -> Numbering | None:
    """What `classes.txt` in the shards' folder says; None without one.

    Raises:
        FerBenchError: it is no text.
    """
    path = source / NAMES_FILE
    if not path.is_file():
        return None
    try:
        with path.open("rb") as file:
            text = file.read(MAX_NAMES_BYTES).decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise FerBenchError(f"cannot read {NAMES_FILE} of {source.name}: {error}") from error
    return parse_classes(text, f"{NAMES_FILE} of {source.name}")


def read_shards(
    source: Path,
    files: Files,
    rows: Iterable[ShardImage | LeftOut],
    names: Numbering | None,
    how: Reading,
) -> SourceData:
    """The images of shards with the emotions that occur, in FER2013's order.

    Args:
        files: where the images are read from.
        names: what labels that are numbers mean.

    Raises:
        FerBenchError: labels are numbers and nothing names them, they do not fit the names, or a
            name is misspelt.
    """
    samples: list[Sample] = []
    left_out: list[LeftOut] = []
    seen: Counter[int] = Counter()
    words: Counter[str] = Counter()
    for one in rows:
        if isinstance(one, LeftOut):
            left_out.append(one)
            continue
        number = int(one.label) if isinstance(one.label, int) or is_count(one.label) else None
        if number is not None:
            if names is None:
                raise _unnamed(one.label, source)
            seen[number] += 1
            emotion = emotion_of(names, number)
            word = names.get(number) or one.label
        else:
            word = str(one.label)
            emotion = canonical(word) if is_emotion(word) else None
        if emotion is not None:
            label = ORDER.index(emotion)
            samples.append(Sample(id=one.name, name=one.name, label=label, part=one.part))
        else:
            words[str(word)] += 1
            reason = f"labelled {word!r:.40}, which is no emotion"
            left_out.append(LeftOut(id=one.name, reason=reason))
    if names is not None:
        require_fit(seen, names, source.name, is_given=True)
    require_spelt(words, source.name, len(samples) + len(left_out))
    _require_understood(samples, source.name)
    samples, left_out = with_parts(samples, left_out, source.name)
    emotions = present(samples, ORDER)
    for index, sample in enumerate(relabelled(samples, ORDER, emotions)):
        samples[index] = sample  # in place: there may be millions
    numbering = {n: name for n, name in (names or {}).items() if n in seen}
    return read_images(
        files,
        samples,
        name=dataset_name(source.stem if source.is_file() else source.name),
        emotions=emotions,
        how=how,
        left_out=left_out,
        numbering=numbering,
    )


def _require_understood(samples: list[Sample], source: str) -> None:
    """Shards of a few names, numbers aside, may be splits: never pooled where none says which.

    Raises:
        FerBenchError: `gallery-000.tar` next to `probe-000.tar`.
    """
    if any(sample.part for sample in samples):
        return
    shards = {sample.name.rpartition("/")[0] for sample in samples}
    kinds = {re.sub(r"\d+", "", shard): shard for shard in sorted(shards, reverse=True)}
    unclear = [name for name in kinds.values() if not is_emotion(name.rpartition("/")[2])]
    if 2 <= len(unclear) <= FEW:
        raise not_understood(unclear, source)


def _unnamed(label: int | str, source: Path) -> FerBenchError:
    where = source.name if source.is_dir() else f"a folder with {source.name}"
    return FerBenchError(
        f"the labels of {source.name} are numbers (the first: {label!s:.20}) and nothing names "
        f"their classes: put a file {NAMES_FILE} into {where}, with one emotion a line in the "
        "numbers' order, and give the folder; or say --classes angry,disgust,…"
    )
