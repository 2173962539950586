"""RAF-DB's single-label set (Li et al. 2017, CVPR: Reliable Crowdsourcing ...), aligned faces."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from fer_bench.data.dataset import LeftOut, SourceData
from fer_bench.data.files.archive import READ_ERRORS, Tree, is_image, open_tree
from fer_bench.data.files.csv_table import is_count
from fer_bench.data.numbering import (
    PUBLISHED,
    Numbering,
    emotion_of,
    published_by,
    require_fit,
)
from fer_bench.data.readers.class_folders import class_numbers, given_names, numeric_classes
from fer_bench.data.readers.folder import class_samples
from fer_bench.data.readers.images import Sample, read_images
from fer_bench.data.readers.registry import Reader, Reading
from fer_bench.emotions import RAFDB
from fer_bench.errors import FerBenchError

#: The authors' own spelling, and the one that copies correct it to.
LIST_FILE = "list_patition_label.txt"
LIST_FILES = (LIST_FILE, "list_partition_label.txt")
#: The authors' own file names, which tell the part: `train_00001.jpg`, `test_0001_aligned.jpg`.
OWN_FILE = re.compile(r"(train|test)_\d{4,5}(_aligned)?\.\w+")


class RafDbReader(Reader):
    """The authors' layout (a list of labels 1-7, `Image/aligned`) or `DATASET/train|test/1..7`."""

    def recognises(self, source: Path, names: Sequence[str]) -> bool:
        if any(n.rsplit("/", 1)[-1] in LIST_FILES for n in names):
            return True
        return bool(numeric_classes(names)) and _is_rafdb(names, source)

    def read(self, source: Path, how: Reading) -> SourceData:
        tree = open_tree(source)
        lists = [n for n in tree.names if n.rsplit("/", 1)[-1] in LIST_FILES]
        if lists:
            numbers = how.classes or PUBLISHED["rafdb"]
            samples, left_out = _listed(tree, lists[0], numbers, is_given=how.classes is not None)
        else:
            sure = "rafdb" if _is_rafdb(tree.names, source) else None
            numbers = class_numbers(tree, how.classes, sure)
            samples, left_out = class_samples(
                tree.names, source.name, RAFDB, numbers, _part_in_name
            )
        return read_images(
            tree,
            samples,
            name="rafdb",
            emotions=RAFDB,
            how=how,
            left_out=left_out,
            numbering=numbers,
        )


def _is_rafdb(names: Sequence[str], source: Path) -> bool:
    """Whether the files have the authors' names, or the folders the data set's."""
    files = [n.rsplit("/", 1)[-1] for n in names if is_image(n)]
    own = sum(bool(OWN_FILE.fullmatch(f)) for f in files) * 2 > len(files)
    publisher = published_by(given_names(names, source))
    return publisher == "rafdb" or (own and publisher is None)


def _part_in_name(file: str) -> str | None:
    match = OWN_FILE.fullmatch(file)
    return match[1] if match else None


def _listed(
    tree: Tree, list_name: str, numbers: Numbering, *, is_given: bool
) -> tuple[list[Sample], list[LeftOut]]:
    """Samples by the authors' list: lines `train_00001.jpg 5`."""
    try:
        lines = tree.read(list_name).decode("utf-8-sig").splitlines()
    except (*READ_ERRORS, UnicodeDecodeError) as error:
        raise FerBenchError(f"cannot read {list_name} of {tree.path.name}: {error}") from error
    images = {n.rsplit("/", 1)[-1]: n for n in tree.names if is_image(n)}
    samples: list[Sample] = []
    left_out: list[LeftOut] = []
    seen: Counter[int] = Counter()
    for line in filter(str.strip, lines):
        file, _, number = (word.strip() for word in line.strip().partition(" "))
        part = file.partition("_")[0]
        name = images.get(f"{PurePosixPath(file).stem}_aligned.jpg") or images.get(file)
        label = int(number) if is_count(number) else -1
        seen[label] += 1
        emotion = emotion_of(numbers, label)
        if emotion not in RAFDB or part not in ("train", "test"):
            reason = f"expected train_* or test_* and a label 1-7 in {LIST_FILE}, got {line[:60]!r}"
            left_out.append(LeftOut(id=file, reason=reason))
        elif name is None:
            left_out.append(LeftOut(id=file, reason="the image is missing"))
        else:
            label = RAFDB.index(emotion)
            samples.append(Sample(id=file, name=name, label=label, part=part))
    require_fit(seen, numbers, list_name.rsplit("/", 1)[-1], is_given=is_given)
    return samples, left_out
