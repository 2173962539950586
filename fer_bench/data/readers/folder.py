"""Folder trees and zips whose class folders carry an emotion's name, with or without parts."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import takewhile
from pathlib import Path, PurePath

from fer_bench.data.dataset import LeftOut, SourceData
from fer_bench.data.files.archive import is_image, open_tree
from fer_bench.data.files.csv_table import is_count
from fer_bench.data.numbering import (
    Numbering,
    emotion_of,
    is_emotion,
    published_by,
)
from fer_bench.data.parts import EVAL, part_of, settle_eval
from fer_bench.data.readers.class_folders import (
    class_numbers,
    class_position,
    folders_of,
    given_names,
    in_class_folder,
    is_archive,
    may_be_image,
)
from fer_bench.data.readers.images import Sample, read_images
from fer_bench.data.readers.registry import Reader, Reading
from fer_bench.emotions import ALIASES, COLOURS, FER2013, canonical
from fer_bench.errors import FerBenchError, suggest

#: The order of a plain folder's classes.
ORDER = (*FER2013, "contempt")
_DIGITS = re.compile(r"\d+")
#: So many folders of the same names within all classes are splits rather than persons.
FEW = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class _ImagePath:
    """An image by the folders it stands in: those above and below its class, and its split."""

    sample_id: str
    name: str
    emotion: str
    part: str
    above: tuple[str, ...]
    below: tuple[str, ...]


def _parse_path(
    name: str, numbers: Numbering, source: str, part_in_name: Callable[[str], str | None]
) -> _ImagePath | LeftOut | None:
    """A file by the folders it stands in; None for one that is no image."""
    steps, file = tuple(folders_of(name)), name.rsplit("/", 1)[-1]
    if not is_image(name) and not may_be_image(file):
        return LeftOut(id=name, reason="is an archive: unpack it") if is_archive(file) else None
    position = class_position(steps)
    if position is None:
        return LeftOut(id=name, reason="stands in no class folder") if is_image(name) else None
    folder = steps[position]
    if is_emotion(folder):
        emotion = canonical(folder)
    elif numbers and is_count(folder):
        label = numbers.get(int(folder), folder)
        if (known := emotion_of(numbers, int(folder))) is None:
            return LeftOut(id=name, reason=f"labelled {label!r:.40}, which is no emotion")
        emotion = known
    elif not is_image(name):
        return None
    elif part_of(steps[-1]) is not None:
        return LeftOut(id=name, reason="stands in no class folder")
    else:
        raise FerBenchError(
            f"class folder {steps[-1]!r:.80} of {source} is no emotion: rename it or leave it out; "
            f"{suggest(steps[-1].lower(), [*COLOURS, *ALIASES])}"
        )
    above, below = steps[:position], steps[position + 1 :]
    parts = [(i, part) for i, step in enumerate(above) if (part := part_of(step))]
    within = [part for step in below if (part := part_of(step))]
    if parts and within and parts[-1][1] != within[-1]:
        return LeftOut(id=name, reason=f"stands in a {parts[-1][1]} and in a {within[-1]} folder")
    root = parts[-1][0] if parts else position
    part = part_in_name(file) or (parts[-1][1] if parts else within[-1] if within else "")
    return _ImagePath(
        # The name itself where it is the id: one string in memory instead of two.
        sample_id="/".join([*steps[root:], file]) if root else name,
        name=name,
        emotion=emotion,
        part=part,
        above=above[:root] if parts else above,
        below=below,
    )


def _no_part(file: str) -> str | None:
    return None


def class_samples(
    names: Sequence[str],
    source: str,
    emotions: tuple[str, ...],
    numbers: Numbering,
    part_in_name: Callable[[str], str | None] = _no_part,
) -> tuple[list[Sample], list[LeftOut]]:
    """All images of a class tree, and those that cannot be images.

    Args:
        emotions: the labels' order; an emotion outside it is left out.
        numbers: what class folders mean that are numbers, see `class_numbers`.
        part_in_name: the part that a file's own name says, before its folders'.

    Raises:
        FerBenchError: a class folder that is no emotion, or folders that seem to be splits.
    """
    images: list[_ImagePath] = []
    left_out: list[LeftOut] = []
    for name in names:
        sample = _parse_path(name, numbers, source, part_in_name)
        if isinstance(sample, LeftOut):
            left_out.append(sample)
        elif sample is not None and sample.emotion not in emotions:
            reason = f"class {sample.emotion!r} is not of this set"
            left_out.append(LeftOut(id=sample.sample_id, reason=reason))
        elif sample is not None:
            images.append(sample)
    images = _parts_in_names(images)
    _require_understood(images, source)
    samples = [
        Sample(id=p.sample_id, name=p.name, label=emotions.index(p.emotion), part=p.part)
        for p in images
    ]
    return with_parts(_unique_ids(samples), left_out, source)


def _parts_in_names(images: list[_ImagePath]) -> list[_ImagePath]:
    """With the parts that the files' own names say, where no folder does and every name says one.

    As in `happy/train_00017.png` and `happy/17_test.png`.
    """
    if any(p.part for p in images):
        return images
    plain = (_DIGITS.sub("0", PurePath(p.name).stem) for p in images)  # few different ones
    parts = [part for part in takewhile(bool, map(lru_cache(part_of), plain)) if part]
    if len(parts) < len(images) or len(set(parts)) < 2:
        return images
    return [replace(p, part=part) for p, part in zip(images, parts, strict=True)]


def _require_understood(images: Sequence[_ImagePath], source: str) -> None:
    """Folders over or within the classes that no word explains may be splits: never pooled.

    Raises:
        FerBenchError: there are several, or one next to train, val or test.
    """
    unclear = _unclear_above(images) or _unclear_within(images)
    if unclear:
        raise not_understood(unclear, source)


def not_understood(unclear: Collection[str], source: str) -> FerBenchError:
    """The error for folders or shards that may be splits and that no word explains."""
    shown = ", ".join(map(repr, sorted(unclear)[:6])) + (" …" if len(unclear) > 6 else "")
    return FerBenchError(
        f"the classes of {source} stand in several folders or shards, of which these name no "
        f"split: {shown}; rename them train, val and test, leave out what is none of them, or give "
        "the one that is meant"
    )


def _unclear_above(images: Sequence[_ImagePath]) -> set[str]:
    """The topmost folders in which images without a part stand apart from others."""
    contexts = {p.above for p in images}
    levels = zip(*contexts, strict=False)
    common = sum(1 for _ in takewhile(lambda level: len(set(level)) == 1, levels))
    outside = {p.above for p in images if not p.part}
    if not any(p.part for p in images) and len(outside) < 2:
        return set()
    return {context[common] for context in outside if len(context) > common}


def _unclear_within(images: Sequence[_ImagePath]) -> set[str]:
    """Folders within the classes that look like splits: a few that all classes share."""
    pooled = [p for p in images if not p.part]
    if len(pooled) < len(images):
        return {p.below[0] for p in pooled if p.below}
    by_class: dict[str, set[str]] = defaultdict(set)
    for p in pooled:
        by_class[p.emotion].add(p.below[0] if p.below else "")
    shared = set.intersection(*by_class.values()) if len(by_class) > 1 else set()
    return shared if 2 <= len(shared) <= FEW and "" not in shared else set()


def _unique_ids(samples: list[Sample]) -> list[Sample]:
    """Whole relative names as ids where the short ones are not unique (two trees in one)."""
    if len({s.id for s in samples}) == len(samples):
        return samples
    return [Sample(id=s.name, name=s.name, label=s.label, part=s.part) for s in samples]


def with_parts(
    samples: list[Sample], left_out: list[LeftOut], source: str
) -> tuple[list[Sample], list[LeftOut]]:
    """Settles what `eval` means, and leaves out images that stand in no part where others do.

    Raises:
        FerBenchError: `eval` next to val and test.
    """
    parts = {s.part for s in samples if s.part}
    if not parts:
        return samples, left_out
    if EVAL in parts:
        meant = settle_eval(parts, source)
        samples = [replace(s, part=meant) if s.part == EVAL else s for s in samples]
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


def relabelled(
    samples: Sequence[Sample], emotions: tuple[str, ...], used: Collection[str]
) -> Iterator[Sample]:
    """The same samples with labels counted among `used`, whose emotions they all have."""
    numbers: Mapping[str, int] = {emotion: number for number, emotion in enumerate(used)}
    for s in samples:
        label = numbers[emotions[s.label]]
        yield s if label == s.label else replace(s, label=label)


def dataset_name(folder: str) -> str:
    """A folder's name as a data set's: lower-case ASCII that can name a folder of results.

    A name of other letters gives `faces-` and a few digits that tell it from others.
    """
    plain = unicodedata.normalize("NFKD", folder).encode("ascii", "ignore").decode().lower()
    name = re.sub(r"[^a-z0-9._-]+", "-", plain).strip("._-")
    if name or not folder.strip("._- "):
        return name or "faces"
    return f"faces-{hashlib.sha256(folder.encode('utf-8', 'surrogateescape')).hexdigest()[:6]}"


class FolderReader(Reader):
    """Any class tree; its emotions are the ones that occur, in FER2013's order."""

    def recognises(self, source: Path, names: Sequence[str]) -> bool:
        # Next to shards, pictures outside class folders are those of a README.
        shards = any(n.lower().endswith((".parquet", ".tar")) for n in names)
        return any(
            (is_image(n) and not shards) or (may_be_image(n) and in_class_folder(n)) for n in names
        )

    def read(self, source: Path, how: Reading) -> SourceData:
        tree = open_tree(source)
        numbers = class_numbers(tree, how.classes, published_by(given_names(tree.names, source)))
        samples, left_out = class_samples(tree.names, source.name, ORDER, numbers)
        emotions = present(samples, ORDER)
        return read_images(
            tree,
            list(relabelled(samples, ORDER, emotions)),
            name=dataset_name(source.stem if source.is_file() else source.name),
            emotions=emotions,
            how=how,
            left_out=left_out,
            numbering=numbers,
        )
