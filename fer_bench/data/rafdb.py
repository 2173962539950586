"""RAF-DB's single-label set (Li et al. 2017, CVPR: Reliable Crowdsourcing ...), aligned faces."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from fer_bench.data.base import LeftOut, SourceData
from fer_bench.data.catalogue import Reader, Reading
from fer_bench.data.folder import class_samples, numeric_classes
from fer_bench.data.reading import Sample, read_images
from fer_bench.data.tree import READ_ERRORS, Tree, is_image, open_tree
from fer_bench.emotions import RAFDB
from fer_bench.errors import FerBenchError

#: The authors' own spelling.
LIST_FILE = "list_patition_label.txt"
NUMBERING = dict(enumerate(RAFDB, start=1))


class RafDbReader(Reader):
    """The authors' layout (a list of labels 1-7, `Image/aligned`) or `DATASET/train|test/1..7`."""

    def recognises(self, source: Path, names: Sequence[str]) -> bool:
        listed = any(n.rsplit("/", 1)[-1] == LIST_FILE for n in names)
        return listed or numeric_classes(names) == set(NUMBERING)

    def read(self, source: Path, how: Reading) -> SourceData:
        tree = open_tree(source)
        lists = [n for n in tree.names if n.rsplit("/", 1)[-1] == LIST_FILE]
        if lists:
            samples, left_out = _listed(tree, lists[0])
        else:
            samples, left_out = class_samples(tree.names, source.name, RAFDB, NUMBERING)
        return read_images(tree, samples, name="rafdb", emotions=RAFDB, how=how, left_out=left_out)


def _listed(tree: Tree, list_name: str) -> tuple[list[Sample], list[LeftOut]]:
    """Samples by the authors' list: lines `train_00001.jpg 5`."""
    try:
        lines = tree.read(list_name).decode("utf-8-sig").splitlines()
    except (*READ_ERRORS, UnicodeDecodeError) as error:
        raise FerBenchError(f"cannot read {list_name} of {tree.path.name}: {error}") from error
    images = {n.rsplit("/", 1)[-1]: n for n in tree.names if is_image(n)}
    samples: list[Sample] = []
    left_out: list[LeftOut] = []
    for line in filter(str.strip, lines):
        file, _, number = line.strip().partition(" ")
        part = file.partition("_")[0]
        name = images.get(f"{PurePosixPath(file).stem}_aligned.jpg") or images.get(file)
        if number not in map(str, NUMBERING) or part not in ("train", "test"):
            reason = f"expected train_* or test_* and a label 1-7 in {LIST_FILE}, got {line[:60]!r}"
            left_out.append(LeftOut(id=file, reason=reason))
        elif name is None:
            left_out.append(LeftOut(id=file, reason="the image is missing"))
        else:
            samples.append(Sample(id=file, name=name, label=int(number) - 1, part=part))
    return samples, left_out
