"""What a source holds and what is wrong with it, counted: `data check`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fer_bench.data.dataset import FaceDataset, LeftOut
from fer_bench.data.load import Source
from fer_bench.data.notes import data_notes, persons_note
from fer_bench.specs.run import DataSpec, Protocol, VoteMode
from fer_bench.types import SPLITS, Progress, silent

#: Fewer test images than this give intervals too wide to compare models by.
TINY_SPLIT = 100


@dataclass(frozen=True, kw_only=True)
class DataCheck:
    """counts: images per split and emotion; image_size: (width, height), pixels.

    Attributes:
        n_images: images read, whether in a split or not;
        n_unassigned: those in none.
        numbering: what each number meant, where labels were numbers.
        duplicates_across_splits: test images whose pixels also stand in train or val.
    """

    name: str
    source: str
    format: str
    protocol: str
    n_images: int
    n_unassigned: int
    image_size: tuple[int, int]
    colour: bool
    emotions: tuple[str, ...]
    numbering: tuple[tuple[int, str], ...]
    counts: dict[str, dict[str, int]]
    split_sizes: dict[str, int]
    duplicates_across_splits: int
    left_out: tuple[LeftOut, ...]
    notes: tuple[str, ...]
    warnings: tuple[str, ...]
    comparable: bool


def check(
    source: str | Path,
    *,
    protocol: Protocol = "official",
    votes: VoteMode | None = None,
    votes_file: Path | None = None,
    rows_file: Path | None = None,
    classes: str | None = None,
    progress: Progress = silent,
) -> DataCheck:
    """Reads a source and counts it; what would stop a training is a warning here.

    Raises:
        FerBenchError: the source cannot be read at all.
    """
    asked = Source(data=str(source), classes=classes, votes_file=votes_file, rows_file=rows_file)
    loaded = asked.read(progress=progress)
    spec = DataSpec.model_construct(protocol=protocol, votes=votes)
    return summarise(asked.split(loaded, spec), loaded.format)


def summarise(dataset: FaceDataset, format: str) -> DataCheck:
    """The check of a data set that is loaded already."""
    height, width = dataset.images.shape[1:3]
    in_test = dataset.splits == SPLITS.index("test")
    leaked = int(in_test.sum() - dataset.clean_test.sum())
    return DataCheck(
        name=dataset.name,
        source=dataset.source,
        format=format,
        protocol=dataset.protocol,
        n_images=len(dataset),
        n_unassigned=int((dataset.splits < 0).sum()),
        image_size=(width, height),
        colour=dataset.images.ndim == 4,
        emotions=dataset.emotions,
        numbering=dataset.numbering,
        counts={split: dataset.class_counts(split) for split in SPLITS},
        split_sizes=dataset.split_sizes(),
        duplicates_across_splits=leaked,
        left_out=dataset.left_out,
        notes=tuple(data_notes(dataset)),
        warnings=tuple(_warnings(dataset, leaked)),
        comparable=dataset.comparable,
    )


def _warnings(dataset: FaceDataset, leaked: int) -> list[str]:
    warnings = []
    for split in SPLITS:
        size = dataset.split_sizes()[split]
        missing = [e for e, n in dataset.class_counts(split).items() if not n]
        if not size:
            warnings.append(f"the {split} split is empty")
        elif missing:
            warnings.append(f"the {split} split has no image of {', '.join(missing)}")
        if 0 < size < TINY_SPLIT:
            warnings.append(f"the {split} split has only {size} images: its numbers say little")
    if leaked:
        warnings.append(f"{leaked:,} test images also stand in train or val (same pixels)")
    if dataset.shared_persons:
        warnings.append(persons_note(dataset))
    if dataset.left_out:
        warnings.append(f"{len(dataset.left_out):,} samples are left out")
    if np.unique(dataset.hashes).size < len(dataset):
        copies = len(dataset) - np.unique(dataset.hashes).size
        warnings.append(f"{copies:,} images are exact copies of another")
    return warnings
