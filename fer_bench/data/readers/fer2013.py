"""FER2013 (Goodfellow et al. 2013, arXiv 1307.0414): Kaggle's files and the original CSV."""

from __future__ import annotations

import re
import warnings
import zipfile
from collections import Counter
from collections.abc import Sequence
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fer_bench.data.cache import pixel_hashes
from fer_bench.data.dataset import LeftOut, SourceData
from fer_bench.data.files import csv_table
from fer_bench.data.files.archive import is_image, is_tree, open_tree
from fer_bench.data.files.decode import resize_plain
from fer_bench.data.numbering import (
    PUBLISHED,
    Numbering,
    emotion_of,
    is_emotion,
    require_fit,
    require_spelt,
)
from fer_bench.data.parts import EVAL, part_of, settle_eval
from fer_bench.data.readers.class_folders import class_numbers
from fer_bench.data.readers.folder import ORDER, class_samples
from fer_bench.data.readers.images import read_images
from fer_bench.data.readers.registry import Reader, Reading
from fer_bench.emotions import FER2013, canonical
from fer_bench.errors import FerBenchError

SIDE = 48
#: The columns that a table of faces has; `Usage` may be missing.
FACES = {"emotion", "pixels"}
KAGGLE_FILE = re.compile(r"(?:^|/)(Training|PublicTest|PrivateTest)_\d+\.\w+$")
USAGES = ("Training", "PublicTest", "PrivateTest")
ROW_ID = "row {}"
#: Other names of the column `Usage`, and FER2013's own words for the parts.
USAGE_COLUMNS = ("split", "set", "subset", "partition", "part", "phase", "fold", "usages")
OWN_WORDS = {"train": "Training", "val": "PublicTest", "test": "PrivateTest"}


class KaggleReader(Reader):
    """`train/CLASS/Training_*.jpg`, `test/CLASS/PublicTest_*.jpg` and `PrivateTest_*.jpg`.

    The file names carry the official partition; ids are `train/angry/Training_1.jpg`, whether
    read from the folder or from the zip.
    """

    def recognises(self, source: Path, names: Sequence[str]) -> bool:
        images = [n for n in names if is_image(n)]
        return sum(bool(KAGGLE_FILE.search(n)) for n in images) * 2 > len(images)

    def read(self, source: Path, how: Reading) -> SourceData:
        tree = open_tree(source)
        numbers = class_numbers(tree, how.classes, "fer2013")
        samples, left_out = class_samples(tree.names, source.name, FER2013, numbers, _part_in_name)
        return read_images(
            tree,
            samples,
            name="fer2013",
            emotions=FER2013,
            how=how,
            left_out=left_out,
            numbering=numbers,
        )


def _part_in_name(file: str) -> str | None:
    match = KAGGLE_FILE.search(file)
    return match[1] if match else None


class Fer2013CsvReader(Reader):
    """`fer2013.csv`: columns `emotion`, `pixels` (2,304 numbers 0-255, row by row), `Usage`.

    The file, or a folder or zip that holds it and no images. Columns may stand in any order, in any
    case, and `Usage` may be missing. An emotion is a number or a name. Ids are `row 0`, `row 1`,
    ...: FER+ finds its votes by them.
    """

    def recognises(self, source: Path, names: Sequence[str]) -> bool:
        if names:
            return not any(map(is_image, names)) and _table_in(source, names) is not None
        return csv_table.is_csv(source) and set(_columns(csv_table.header(source))) >= FACES

    def read(self, source: Path, how: Reading) -> SourceData:
        table = _table_in(source, open_tree(source).names) if is_tree(source) else source
        if table is None:
            raise FerBenchError(
                f"{source.name} holds no CSV of FER2013: expected the columns emotion,pixels,Usage"
            )
        rows = csv_table.rows(table)
        header = [c.strip() for c in next(rows, [])]
        first = next(rows, [])
        columns = _columns(header, first)
        numbers = how.classes or PUBLISHED["fer2013"]
        if not {"emotion", "pixels"} <= set(columns):
            raise FerBenchError(
                f"{source.name} is not FER2013's CSV: expected the columns emotion,pixels,Usage, "
                f"got {','.join(header)[:80] or 'an empty file'}"
            )
        images: list[NDArray[np.uint8]] = []
        usable: list[tuple[int, int, str]] = []
        left_out: list[LeftOut] = []
        seen: Counter[int] = Counter()
        words: Counter[str] = Counter()
        for number, row in enumerate(chain([first] if first else [], rows)):
            try:
                cell = emotion_cell(row, columns)
                if not is_emotion(cell):
                    words[cell] += not csv_table.is_count(cell)
                    seen[label_number(cell)] += 1
                label, pixels, usage = parse_row(row, columns, numbers)
            except ValueError as error:
                left_out.append(LeftOut(id=ROW_ID.format(number), reason=str(error)))
                continue
            usable.append((number, label, usage))
            images.append(
                resize_plain(pixels, (how.image_size, how.image_size)) if how.image_size else pixels
            )
        require_fit(seen, numbers, source.name, is_given=how.classes is not None)
        require_spelt(words, source.name, len(usable) + len(left_out))
        if not usable:
            why = f"; the first, {left_out[0].id}: {left_out[0].reason}" if left_out else ""
            raise FerBenchError(f"no row of {source.name} is an image with a label{why}")
        stacked = np.stack(images)
        labels = np.array([label for _, label, _ in usable], dtype=np.int64)
        emotions: tuple[str, ...] = FER2013
        if how.classes is not None or labels.max() >= len(FER2013):
            emotions = tuple(e for i, e in enumerate(ORDER) if (labels == i).any())
            labels = np.array([emotions.index(ORDER[i]) for i in labels], dtype=np.int64)
        return SourceData(
            name="fer2013",
            source=source.name,
            images=stacked,
            labels=labels,
            ids=np.array([ROW_ID.format(number) for number, _, _ in usable]),
            parts=_settled([usage for _, _, usage in usable], source.name),
            hashes=pixel_hashes(stacked),
            emotions=emotions,
            numbering=tuple(sorted(numbers.items())) if seen else (),
            left_out=tuple(left_out),
        )


def _table_in(source: Path, names: Sequence[str]) -> Path | zipfile.Path | None:
    """FER2013's CSV in a folder or zip: the only one, or the only one that names the parts.

    So Kaggle's `icml_face_data.csv` is taken, and not the `train.csv` next to it.

    Raises:
        FerBenchError: it may be one of several.
    """
    folder = source if source.is_dir() else None
    if folder is None and not zipfile.is_zipfile(source):
        return None  # a tar: its members are no files
    tables = [n for n in names if n.lower().endswith((".csv", ".csv.gz") if folder else ".csv")]
    places = {n: folder / n if folder else zipfile.Path(source, n) for n in tables}
    columns = {n: _columns(csv_table.header(p)) for n, p in places.items() if p.is_file()}
    faces = [n for n, its in columns.items() if set(its) >= FACES]
    whole = [n for n in faces if "Usage" in columns[n]]
    if len(faces) > 1 and len(whole) != 1:
        raise FerBenchError(
            f"{source.name} holds {len(faces)} tables of faces ({', '.join(faces)[:160]}): give "
            "one of them"
        )
    chosen = whole or faces
    return places[chosen[0]] if chosen else None


def _columns(header: Sequence[str], first: Sequence[str] = ()) -> list[str]:
    """The header with this format's own spelling of its columns.

    The usage may have another name: that of a split, or any whose first cell says one.
    """
    known = {"emotion": "emotion", "pixels": "pixels", "usage": "Usage"}
    columns = [known.get(column.lower(), column) for column in header]
    if "Usage" not in columns:
        cells = zip(columns, [*first, *[""] * len(columns)], strict=False)
        for index, (column, cell) in enumerate(cells):
            if column not in known.values() and (column.lower() in USAGE_COLUMNS or _usage(cell)):
                columns[index] = "Usage"
                break
    return columns


def _usage(cell: str) -> str | None:
    """FER2013's own word for a row's part, however it is spelt; `eval` for that one."""
    own = {usage.lower(): usage for usage in USAGES}
    part = part_of(cell)
    return own.get(cell.strip().lower()) or (OWN_WORDS.get(part, part) if part else None)


def _settled(usages: list[str], source: str) -> NDArray[np.str_]:
    """The rows' usages, with what `eval` means among them."""
    if EVAL in usages:
        parts = {part_of(usage) or "" for usage in usages}
        meant = OWN_WORDS[settle_eval(parts, source)]
        usages = [meant if usage == EVAL else usage for usage in usages]
    return np.array(usages)


def emotion_cell(row: Sequence[str], columns: Sequence[str]) -> str:
    """A row's `emotion`; raises ValueError for a row that is not as long as the header."""
    if len(row) != len(columns):
        raise ValueError(f"expected {len(columns)} columns, got {len(row)}")
    return row[columns.index("emotion")].strip()


def label_number(cell: str) -> int:
    """The number in a cell; raises ValueError where there is none."""
    if not csv_table.is_count(cell):
        raise ValueError(f"expected an emotion 0-{len(FER2013) - 1}, got {cell[:20]!r}")
    return int(cell)


def parse_row(
    row: Sequence[str], columns: Sequence[str], numbers: Numbering = PUBLISHED["fer2013"]
) -> tuple[int, NDArray[np.uint8], str]:
    """A row's label (index into FER2013's emotions and contempt), pixels uint8 `(48, 48)`, usage.

    Args:
        numbers: what the column `emotion` means.

    Raises:
        ValueError: what is wrong with the row, for the list of samples left out.
    """
    cell = emotion_cell(row, columns)
    emotion = canonical(cell) if is_emotion(cell) else emotion_of(numbers, label_number(cell))
    if emotion is None:
        raise ValueError(f"expected an emotion {min(numbers)}-{max(numbers)}, got {cell[:20]!r}")
    fields = dict(zip(columns, row, strict=True))
    part = fields.get("Usage", "").strip()
    usage = _usage(part)
    if "Usage" in fields and usage is None:
        raise ValueError(f"expected a usage {', '.join(USAGES)}, got {part[:20]!r}")
    return ORDER.index(emotion), parse_pixels(fields["pixels"]), usage or ""


def parse_pixels(text: str) -> NDArray[np.uint8]:
    """2,304 numbers 0-255 with spaces between them as uint8 `(48, 48)`.

    Raises:
        ValueError: another count, a number out of range, or something that is no number.
    """
    with warnings.catch_warnings():
        # NumPy warns where a text goes on with something that is no number.
        warnings.simplefilter("error", DeprecationWarning)
        try:
            pixels = np.fromstring(text, dtype=np.int64, sep=" ")
        except (DeprecationWarning, ValueError):
            odd = next((w for w in text.split() if not w.isdecimal()), text[:20])
            raise ValueError(f"expected whole numbers as pixels, got {odd[:20]!r}") from None
    if len(pixels) != SIDE * SIDE:
        raise ValueError(f"expected {SIDE * SIDE:,} pixels, got {len(pixels):,}")
    if pixels.min() < 0 or pixels.max() > 255:
        raise ValueError(f"expected pixels 0-255, got {pixels.min()} to {pixels.max()}")
    return pixels.astype(np.uint8).reshape(SIDE, SIDE)
