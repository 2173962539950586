"""CK+48: the last frames of CK+ (Lucey et al. 2010) as 48x48 faces in class folders."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fer_bench.data.dataset import SourceData
from fer_bench.data.files.archive import is_image, open_tree
from fer_bench.data.readers.class_folders import class_numbers
from fer_bench.data.readers.folder import class_samples
from fer_bench.data.readers.images import read_images
from fer_bench.data.readers.registry import Reader, Reading
from fer_bench.emotions import CKPLUS

FRAME = re.compile(r"(?:^|/)S(\d{3})_\d{3}_\d{8}\.\w+$")


class CkPlusReader(Reader):
    """Three frames of each sequence look nearly alike, so splits are made by person."""

    def recognises(self, source: Path, names: Sequence[str]) -> bool:
        images = [n for n in names if is_image(n)]
        return sum(bool(FRAME.search(n)) for n in images) * 2 > len(images)

    def read(self, source: Path, how: Reading) -> SourceData:
        tree = open_tree(source)
        numbers = class_numbers(tree, how.classes, None)
        samples, left_out = class_samples(tree.names, source.name, CKPLUS, numbers)
        return read_images(
            tree,
            samples,
            name="ckplus",
            emotions=CKPLUS,
            how=how,
            left_out=left_out,
            numbering=numbers,
        )

    def groups(self, data: SourceData) -> NDArray[np.int64]:
        """The person's number; an image without one is a group of its own (negative)."""
        matches = [FRAME.search(str(i)) for i in data.ids]
        return np.array([int(m[1]) if m else -1 - i for i, m in enumerate(matches)], dtype=np.int64)
