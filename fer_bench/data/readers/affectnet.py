"""AffectNet (Mollahosseini et al. 2017, arXiv 1708.03985): the folder and the CSV distribution."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from tokenize import TokenError

import numpy as np

from fer_bench.data.dataset import LeftOut, SourceData
from fer_bench.data.files import csv_table
from fer_bench.data.files.archive import READ_ERRORS, Tree, is_image, open_tree
from fer_bench.data.numbering import (
    PUBLISHED,
    Numbering,
    emotion_of,
    published_by,
    require_fit,
)
from fer_bench.data.parts import part_of
from fer_bench.data.readers.class_folders import class_numbers, given_names, numeric_classes
from fer_bench.data.readers.folder import class_samples, present, with_parts
from fer_bench.data.readers.images import Sample, read_images
from fer_bench.data.readers.registry import Reader, Reading
from fer_bench.emotions import AFFECTNET
from fer_bench.errors import FerBenchError

#: Labels 8-10 of the CSV.
NO_EXPRESSION = {8: "none", 9: "uncertain", 10: "no face"}
CSV_PARTS = {"training.csv": "train", "validation.csv": "val"}
#: What NumPy makes of a header that is no Python, or that promises terabytes.
HEADER_ERRORS = (TypeError, MemoryError, SyntaxError, TokenError)
COLUMNS = (
    "subDirectory_filePath", "face_x", "face_y", "face_width", "face_height",
    "facial_landmarks", "expression", "valence", "arousal",
)  # fmt: skip


def _emotions(samples: Sequence[Sample]) -> tuple[str, ...]:
    """All 8, or the 7 of AffectNet-7 where no sample shows contempt, which comes last."""
    return AFFECTNET if "contempt" in present(samples, AFFECTNET) else AFFECTNET[:-1]


class AffectNetFolderReader(Reader):
    """`train_set/images/1.jpg` with `train_set/annotations/1_exp.npy`, or class folders 0..7."""

    def recognises(self, source: Path, names: Sequence[str]) -> bool:
        if any(n.endswith("_exp.npy") for n in names):
            return True
        named = "affectnet" in source.name.lower() and any(is_image(n) for n in names)
        tables = any(n.rsplit("/", 1)[-1] in CSV_PARTS for n in names)
        if named and not tables:
            return True
        numbered = bool(numeric_classes(names))
        return numbered and published_by(given_names(names, source)) == "affectnet"

    def read(self, source: Path, how: Reading) -> SourceData:
        tree = open_tree(source)
        if any(n.endswith("_exp.npy") for n in tree.names):
            numbers = how.classes or PUBLISHED["affectnet"]
            samples, left_out = _annotated(tree, numbers)
        else:
            numbers = class_numbers(
                tree, how.classes, published_by(given_names(tree.names, source))
            )
            samples, left_out = class_samples(tree.names, source.name, AFFECTNET, numbers)
        return read_images(
            tree,
            samples,
            name="affectnet",
            emotions=_emotions(samples),
            how=how,
            left_out=left_out,
            numbering=numbers,
        )


def _annotated(tree: Tree, numbers: Numbering) -> tuple[list[Sample], list[LeftOut]]:
    """Samples of `PART/images/ID.jpg`, each with its label in `PART/annotations/ID_exp.npy`."""
    annotations = {n for n in tree.names if n.endswith("_exp.npy")}
    samples: list[Sample] = []
    left_out: list[LeftOut] = []
    seen: Counter[int] = Counter()
    for name in filter(is_image, tree.names):
        *steps, file = name.split("/")
        part = next((p for step in reversed(steps) if (p := part_of(step))), "")
        folder = "/".join([*steps[:-1], "annotations"])
        annotation = f"{folder}/{file.rsplit('.', 1)[0]}_exp.npy"
        if annotation not in annotations:
            left_out.append(LeftOut(id=name, reason=f"no annotation {annotation}"))
            continue
        number = _annotation(tree, annotation)
        seen[number] += number not in NO_EXPRESSION
        if (emotion := emotion_of(numbers, number)) is not None:
            label = AFFECTNET.index(emotion)
            samples.append(Sample(id=name, name=name, label=label, part=part))
        else:
            left_out.append(LeftOut(id=name, reason=_no_label(number)))
    require_fit(seen, numbers, tree.path.name, is_given=numbers is not PUBLISHED["affectnet"])
    return with_parts(samples, left_out, tree.path.name)


def _annotation(tree: Tree, name: str) -> int:
    """The number in an annotation file; -1 where it holds none."""
    try:
        return int(np.load(io.BytesIO(tree.read(name)), allow_pickle=False).item())
    except (*READ_ERRORS, *HEADER_ERRORS):
        return -1


def _no_label(label: int) -> str:
    meaning = NO_EXPRESSION.get(label)
    return f"labelled {meaning}" if meaning else "expected an expression 0-10 as its label"


class AffectNetCsvReader(Reader):
    """Manually_Annotated: `training.csv` and `validation.csv` next to the images' folders.

    The source is the folder, or one of the two CSV files. Faces are cropped by the CSV's box;
    expressions 8-10 (none, uncertain, no face) are left out and counted.
    """

    def recognises(self, source: Path, names: Sequence[str]) -> bool:
        if csv_table.is_csv(source):
            return "subDirectory_filePath" in csv_table.header(source)
        return source.is_dir() and any(n.rsplit("/", 1)[-1] in CSV_PARTS for n in names)

    def reads(self, source: Path) -> Path:
        return source if source.is_dir() else source.parent  # the images lie next to the CSV

    def read(self, source: Path, how: Reading) -> SourceData:
        tree = open_tree(self.reads(source))
        files = [n for n in tree.names if n.rsplit("/", 1)[-1] in CSV_PARTS]
        if not source.is_dir():
            files = [source.name]
        images = {"/".join(n.split("/")[-2:]): n for n in tree.names if is_image(n)}
        numbers, seen = how.classes or PUBLISHED["affectnet"], Counter[int]()
        placed = [
            _sample(row, CSV_PARTS.get(file.rsplit("/", 1)[-1], ""), images, numbers, seen)
            for file in files
            for row in _rows(tree.path / file)
        ]
        require_fit(seen, numbers, source.name, is_given=how.classes is not None)
        samples = [s for s in placed if isinstance(s, Sample)]
        left_out = [s for s in placed if isinstance(s, LeftOut)]
        data = read_images(
            tree,
            samples,
            name="affectnet",
            emotions=_emotions(samples),
            how=how,
            left_out=left_out,
            numbering=numbers,
        )
        return replace(data, source=source.name)


def _rows(path: Path) -> Iterator[dict[str, str]]:
    """The rows by column; `validation.csv` is also handed out without its header."""
    rows = csv_table.rows(path)
    first = [column.strip() for column in next(rows, [])]
    columns = first if "subDirectory_filePath" in first else list(COLUMNS)
    if len(first) < len(COLUMNS) - 2:
        raise FerBenchError(
            f"{path.name} is not AffectNet's CSV: expected the columns {','.join(COLUMNS)}, "
            f"got {','.join(first)[:80] or 'an empty file'}"
        )
    if columns is not first:
        yield dict(zip(columns, first, strict=False))
    for row in rows:
        yield dict(zip(columns, row, strict=False))


def _sample(
    row: dict[str, str], part: str, images: dict[str, str], numbers: Numbering, seen: Counter[int]
) -> Sample | LeftOut:
    """A row's sample; its label's number is counted in `seen`."""
    file = row.get("subDirectory_filePath", "").strip()
    expression = row.get("expression", "").strip()
    number = int(expression) if csv_table.is_count(expression) else -1
    seen[number] += number not in NO_EXPRESSION
    emotion = emotion_of(numbers, number)
    if emotion is None:
        return LeftOut(id=file, reason=_no_label(number))
    label = AFFECTNET.index(emotion)
    try:
        x, y, width, height = (
            round(float(row[c])) for c in ("face_x", "face_y", "face_width", "face_height")
        )
    except (KeyError, ValueError, OverflowError):
        return LeftOut(id=file, reason="expected four numbers as the face's box")
    name = images.get("/".join(file.split("/")[-2:]))
    if name is None:
        return LeftOut(id=file, reason="the image is missing")
    return Sample(id=file, name=name, label=label, part=part, box=(x, y, width, height))
