"""From a name or a path to a `FaceDataset`: recognise, read through the cache, split."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fer_bench.config import validate
from fer_bench.data import splits
from fer_bench.data.cache import cached
from fer_bench.data.dataset import UNASSIGNED, FaceDataset, SourceData
from fer_bench.data.files import csv_table
from fer_bench.data.files.archive import content_digest
from fer_bench.data.numbering import parse_classes
from fer_bench.data.readers.ferplus import ROWS_FILE, VOTES_FILE, apply_votes
from fer_bench.data.readers.recognise import SYNTHETIC, no_data, reader_of, recognise
from fer_bench.data.readers.registry import DATASETS, Reading
from fer_bench.emotions import FERPLUS, emotion_set
from fer_bench.errors import FerBenchError, coded, near_names
from fer_bench.specs.run import DataSpec, Protocol, VoteMode
from fer_bench.types import Progress, silent

#: One split for all training seeds: they are to differ in training, not in data.
SPLIT_SEED = 0
SYNTHETIC_SIZE = 48


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """A source as read: its format's name in `DATASETS`, and where it stands (None: drawn)."""

    format: str
    data: SourceData
    path: Path | None

    def groups(self) -> NDArray[np.int64] | None:
        """Persons, where the format knows them; see `Reader.groups`."""
        return None if self.path is None else reader_of(self.format).groups(self.data)


def _synthetic(source: str, image_size: int | None) -> Loaded:
    _, colon, seed = source.partition(":")
    if colon and not seed.isdecimal():
        raise FerBenchError(
            f"expected `synthetic` or `synthetic:SEED` with a whole number, got {source!r}"
        )
    read = DATASETS.load(SYNTHETIC)
    data = read(size=image_size or SYNTHETIC_SIZE, seed=int(seed or 0))
    return Loaded(format=SYNTHETIC, data=data, path=None)


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where faces come from, and what goes with them.

    Attributes:
        data: a folder, zip or CSV, or `synthetic` / `synthetic:SEED`.
        format: a name in `DATASETS`; by default the first reader that recognises the source.
        classes: what labels that are numbers mean, see `fer_bench.data.numbering.parse_classes`.
        votes_file, rows_file: for FER+ labels, see `load_dataset`.
        on_load: gets each data set that is loaded, to say what has been decided about it.
    """

    data: str
    format: str | None = None
    classes: str | None = None
    votes_file: Path | None = None
    rows_file: Path | None = None
    on_load: Callable[[FaceDataset], None] | None = None

    @coded("bad_data")
    def read(self, image_size: int | None = None, progress: Progress = silent) -> Loaded:
        """Everything that it holds, from the cache where it has been read before.

        Args:
            image_size: side of the square that images are resized to, pixels; by default their
                common size, or 224 where they differ.

        Raises:
            FerBenchError: it does not exist, is of no known format, or is damaged throughout;
                single damaged images are in `left_out` instead.
        """
        if self.format is not None:
            DATASETS.entry(self.format)
        if self.data.partition(":")[0] == SYNTHETIC:
            if self.classes is not None:
                raise FerBenchError(
                    "--classes says what numbers mean, but drawn faces have names: leave it out"
                )
            return _synthetic(self.data, image_size)
        if self.format == SYNTHETIC:
            raise FerBenchError(
                f"synthetic faces need no files: give `synthetic`, not {self.data!r}"
            )
        # Not pathlib's: it stumbles over an unknown `~user`, and gives `.` and links other names.
        path = Path(os.path.abspath(os.path.expanduser(self.data)))  # noqa: PTH100, PTH111
        try:
            is_there = bool(self.data) and path.exists()
        except OSError as error:  # too long a name, or a folder that may not be looked into
            raise FerBenchError(
                f"cannot use {path}: {error.strerror}: check its name and rights",
                code="missing_file",
            ) from None
        if not is_there:
            sentence = f"the data source {self.data!r} does not exist"
            if self.data and (near := near_names(path)):
                raise FerBenchError(f"{sentence}; {near}", code="missing_file")
            raise no_data(sentence, "missing_file")

        numbers = None if self.classes is None else parse_classes(self.classes, "--classes")

        # A CSV's header says at once whose it is; of a tree, no reader looks outside.
        known = self.format or (recognise(path) if csv_table.is_csv(path) else None)
        reads = path if known is None else reader_of(known).reads(path)

        def read(scratch: Path) -> tuple[str, SourceData]:
            name = known or recognise(path)
            how = Reading(
                image_size=image_size, scratch=scratch, progress=progress, classes=numbers
            )
            return name, reader_of(name).read(path, how)

        asked = f"{self.format or 'auto'}\0{image_size or 'as is'}"
        key = f"{path.resolve().name}\0{content_digest(reads)}\0{asked}"
        if numbers is not None:
            key += f"\0{sorted(numbers.items())}"
        format_name, data = cached(key, read)
        return Loaded(format=format_name, data=data, path=path)

    def split(self, loaded: Loaded, spec: DataSpec) -> FaceDataset:
        """What was read under a protocol and label set, not yet checked for empty splits."""
        data, protocol, val_share = loaded.data, spec.protocol, spec.val_share
        groups = loaded.groups()
        assigned = splits.assign(data, protocol, SPLIT_SEED, groups, val_share)
        dataset = FaceDataset(
            name=data.name,
            source=data.source,
            protocol=splits.describe(data, protocol, groups),
            images=data.images,
            labels=data.labels,
            ids=data.ids,
            hashes=data.hashes,
            splits=assigned,
            emotions=data.emotions,
            numbering=data.numbering,
            left_out=data.left_out,
            comparable=data.comparable,
            shared_persons=splits.shared_groups(assigned, groups),
            split_note=splits.decisions(data, protocol, groups, val_share),
        )
        if votes := spec.votes or ("majority" if loaded.format == "ferplus" else None):
            dataset = _with_votes(dataset, loaded, votes, self)
        return dataset if spec.emotions is None else dataset.select_emotions(spec.emotions)

    def load(
        self, spec: DataSpec, *, complete: bool = True, seed: int = 0, progress: Progress = silent
    ) -> FaceDataset:
        """The data set that a run asks for; arguments and errors as in `load_dataset`."""
        with coded("bad_data"):
            loaded = self.read(spec.image_size, progress)
            dataset = self.split(loaded, spec)
            if complete:
                splits.require_use(loaded.data, spec.protocol, spec.val_share)
                splits.require_complete(dataset)
            if spec.limit is not None:
                dataset = dataset.limited(spec.limit, seed)
        if self.on_load is not None:
            self.on_load(dataset)
        return dataset

    def load_for(self, spec: DataSpec) -> FaceDataset:
        """All the data, to try a finished run of this specification on.

        Under the run's protocol; under its FER+ labels over FER2013, elsewhere the data's own.
        """
        asked = spec.model_copy(update={"limit": None, "emotions": None, "votes": None})
        dataset = self.load(asked, complete=False)
        if spec.votes and dataset.name in ("fer2013", "ferplus"):  # no other data have votes
            asked = asked.model_copy(update={"votes": spec.votes})
            dataset = self.load(asked, complete=False)
        return dataset


def read_source(
    source: str | Path,
    *,
    format: str | None = None,
    image_size: int | None = None,
    classes: str | None = None,
    progress: Progress = silent,
) -> SourceData:
    """Everything a source holds; arguments and errors as in `Source`."""
    asked = Source(data=str(source), format=format, classes=classes)
    return asked.read(image_size, progress).data


def find_sibling_file(loaded: Loaded, name: str) -> Path | None:
    """A file of this name in the source's folder or next to the source, where there is one."""
    if loaded.path is None:
        return None
    folders = (loaded.path, loaded.path.resolve().parent)
    return next((f / name for f in folders if (f / name).is_file()), None)


def _with_votes(
    dataset: FaceDataset, loaded: Loaded, mode: VoteMode, source: Source
) -> FaceDataset:
    """The same faces and splits under FER+'s labels; faces without one leave their split."""
    votes_file = source.votes_file or find_sibling_file(loaded, VOTES_FILE)
    if votes_file is None:
        raise FerBenchError(
            f"FER+ labels need the votes: give the votes file {VOTES_FILE} (from "
            f"github.com/microsoft/FERPlus), or put it next to {dataset.source}"
        )
    rows_file = source.rows_file or find_sibling_file(loaded, ROWS_FILE)
    voted = apply_votes(loaded.data, mode, votes_file=votes_file, rows_file=rows_file)
    labels, left_out = voted.labels, voted.left_out
    if mode in ("probability", "multi-target"):
        # As the paper's code: trained on these targets, validated and tested by majority.
        majority = apply_votes(loaded.data, "majority", votes_file=votes_file, rows_file=rows_file)
        measured = dataset.splits != splits.TRAIN
        labels = np.where(measured, majority.labels, voted.labels)
        lost = {str(i) for i in dataset.ids[labels < 0]}
        reasons = {row.id: row for row in (*voted.left_out, *majority.left_out)}
        left_out = tuple(row for row_id, row in reasons.items() if row_id in lost)
    return replace(
        dataset,
        name="ferplus",
        labels=labels,
        votes=voted.votes,
        splits=np.where(labels < 0, UNASSIGNED, dataset.splits).astype(np.int8),
        emotions=FERPLUS,
        left_out=(*dataset.left_out, *left_out),
    )


@coded("bad_data")
def load_dataset(
    source: str | Path,
    *,
    protocol: Protocol = "official",
    emotions: str | Sequence[str] | None = None,
    votes: VoteMode | None = None,
    votes_file: Path | None = None,
    rows_file: Path | None = None,
    limit: int | None = None,
    val_share: float | None = None,
    seed: int = 0,
    format: str | None = None,
    image_size: int | None = None,
    classes: str | None = None,
    complete: bool = True,
    progress: Progress = silent,
) -> FaceDataset:
    """Faces ready for training and evaluation.

    Args:
        source, format, classes: see `Source`.
        image_size: see `Source.read`.
        protocol, val_share: see `fer_bench.data.splits.assign`. What is held out is the same for
            every seed.
        emotions: only these classes, in this order; the others leave their splits.
        votes: FER+ labels for FER2013, from `votes_file` (fer2013new.csv); for Kaggle's files also
            `rows_file` (a `row,file` CSV or the original fer2013.csv). Both are also found next to
            the source. Faces that FER+ discards stay in the arrays with split -1, label -1, zero
            votes.
        limit: at most so many random samples per split, drawn with `seed`.
        complete: False lets splits be empty, to evaluate on data that have a test part only.

    Raises:
        FerBenchError: an unknown protocol or kind of votes, a number out of range, a source that
            cannot be read, files for the votes missing, an empty split, or a class without training
            images.
    """
    wanted = {
        "protocol": protocol,
        "emotions": None if emotions is None else emotion_set(emotions),
        "votes": votes,
        "limit": limit,
        "val_share": val_share,
        "image_size": image_size,
    }
    spec = validate(DataSpec, wanted, "the data")
    asked = Source(
        data=str(source), format=format, classes=classes, votes_file=votes_file, rows_file=rows_file
    )
    return asked.load(spec, complete=complete, seed=seed, progress=progress)
