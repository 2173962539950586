"""FER2013 (Goodfellow et al. 2013, arXiv 1307.0414): Kaggle's files and the original CSV."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fer_bench.data import table
from fer_bench.data.base import LeftOut, SourceData
from fer_bench.data.cache import pixel_hashes
from fer_bench.data.catalogue import Reader, Reading
from fer_bench.data.decoding import resize_plain
from fer_bench.data.folder import class_samples
from fer_bench.data.reading import read_images
from fer_bench.data.tree import is_image, open_tree
from fer_bench.emotions import FER2013
from fer_bench.errors import FerBenchError

SIDE = 48
KAGGLE_FILE = re.compile(r"(?:^|/)(Training|PublicTest|PrivateTest)_\d+\.\w+$")
USAGES = ("Training", "PublicTest", "PrivateTest")
ROW_ID = "row {}"


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
        samples, left_out = class_samples(
            tree.names, source.name, FER2013, dict(enumerate(FER2013))
        )
        samples = [
            replace(s, part=found[1]) if (found := KAGGLE_FILE.search(s.name)) else s
            for s in samples
        ]
        return read_images(
            tree, samples, name="fer2013", emotions=FER2013, how=how, left_out=left_out
        )


class CsvReader(Reader):
    """`fer2013.csv`: columns `emotion`, `pixels` (2,304 numbers 0-255, row by row), `Usage`.

    Columns may stand in any order and `Usage` may be missing. Ids are `row 0`, `row 1`, ...: FER+
    finds its votes by them.
    """

    def recognises(self, source: Path, names: Sequence[str]) -> bool:
        return table.is_csv(source) and {"emotion", "pixels"} <= set(table.header(source))

    def read(self, source: Path, how: Reading) -> SourceData:
        rows = table.rows(source)
        columns = [c.strip() for c in next(rows, [])]
        if not {"emotion", "pixels"} <= set(columns):
            raise FerBenchError(
                f"{source.name} is not FER2013's CSV: expected the columns emotion,pixels,Usage, "
                f"got {','.join(columns)[:80] or 'an empty file'}"
            )
        images: list[NDArray[np.uint8]] = []
        kept: list[tuple[int, int, str]] = []
        left_out: list[LeftOut] = []
        for number, row in enumerate(rows):
            try:
                label, pixels, usage = parse_row(row, columns)
            except ValueError as error:
                left_out.append(LeftOut(id=ROW_ID.format(number), reason=str(error)))
                continue
            kept.append((number, label, usage))
            images.append(
                resize_plain(pixels, (how.image_size, how.image_size)) if how.image_size else pixels
            )
        if not kept:
            first = f"; the first, {left_out[0].id}: {left_out[0].reason}" if left_out else ""
            raise FerBenchError(f"no row of {source.name} is an image with a label{first}")
        stacked = np.stack(images)
        return SourceData(
            name="fer2013",
            source=source.name,
            images=stacked,
            labels=np.array([label for _, label, _ in kept], dtype=np.int64),
            ids=np.array([ROW_ID.format(number) for number, _, _ in kept]),
            parts=np.array([usage for _, _, usage in kept]),
            hashes=pixel_hashes(stacked),
            emotions=FER2013,
            left_out=tuple(left_out),
        )


def parse_row(row: Sequence[str], columns: Sequence[str]) -> tuple[int, NDArray[np.uint8], str]:
    """A row's label, pixels uint8 `(48, 48)` and usage.

    Raises:
        ValueError: what is wrong with the row, for the list of samples left out.
    """
    if len(row) != len(columns):
        raise ValueError(f"expected {len(columns)} columns, got {len(row)}")
    fields = dict(zip(columns, row, strict=True))
    emotion = fields["emotion"].strip()
    if emotion not in {str(i) for i in range(len(FER2013))}:
        raise ValueError(f"expected an emotion 0-{len(FER2013) - 1}, got {emotion[:20]!r}")
    usage = fields.get("Usage", "").strip()
    if "Usage" in fields and usage not in USAGES:
        raise ValueError(f"expected a usage {', '.join(USAGES)}, got {usage[:20]!r}")
    return int(emotion), parse_pixels(fields["pixels"]), usage


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
