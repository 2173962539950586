"""What the rest of the library knows of data: `SourceData` as read, `FaceDataset` as used."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from fer_bench.errors import FerBenchError, unknown_name
from fer_bench.types import SPLITS, Split

UNASSIGNED = -1


@dataclass(frozen=True, kw_only=True)
class LeftOut:
    """A sample that could not be used, and why; never dropped silently."""

    id: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class SourceData:
    """Everything a source holds, decoded once, before any protocol is applied.

    Attributes:
        images: uint8 `(N, H, W)` gray or `(N, H, W, 3)` RGB; may be memory-mapped.
        labels: int64 `(N,)`, indices into `emotions`; -1 where only votes exist.
        ids: str `(N,)`, the source's own file name or row, never a machine path.
        parts: str `(N,)`, the source's own partition: `Training`, `PublicTest`, `PrivateTest`,
            `train`, `val`, `test`, or empty where it names none.
        hashes: uint64 `(N,)`, a hash of each image's pixels; equal for exact duplicates.
        numbering: what each number meant, where the source's labels were numbers.
    """

    name: str
    source: str
    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    ids: NDArray[np.str_]
    parts: NDArray[np.str_]
    hashes: NDArray[np.uint64]
    emotions: tuple[str, ...]
    numbering: tuple[tuple[int, str], ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    comparable: bool = True


@dataclass(frozen=True, kw_only=True)
class FaceDataset:
    """Faces with labels and splits; the one thing that training and evaluation read.

    Attributes:
        images, labels, ids, hashes: as in `SourceData`.
        protocol: what made the splits, see `fer_bench.data.splits.describe`.
        splits: int8 `(N,)`, index into `fer_bench.types.SPLITS`, or -1 for no split.
        votes: float32 `(N, C)`, rows sum to 1, only for FER+ soft targets.
        numbering: as in `SourceData`.
        comparable: False for synthetic data: its numbers say nothing about real faces.
        split_note: what was decided for the splits, see `fer_bench.data.splits.decisions`.
        limited_from: the whole data's `whole_fingerprint`, where these are a part of them.
        shared_persons: how many persons stand in test and in another split too, where they are
            known.
    """

    name: str
    source: str
    protocol: str
    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    ids: NDArray[np.str_]
    hashes: NDArray[np.uint64]
    splits: NDArray[np.int8]
    emotions: tuple[str, ...]
    votes: NDArray[np.float32] | None = None
    numbering: tuple[tuple[int, str], ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    comparable: bool = True
    shared_persons: int = 0
    split_note: str = ""
    limited_from: str | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def _of(self, split: Split) -> NDArray[np.bool_]:
        if split not in SPLITS:
            raise unknown_name("split", split, SPLITS)
        here: NDArray[np.bool_] = self.splits == SPLITS.index(split)
        return here

    def indices(self, split: Split) -> NDArray[np.int64]:
        """Positions of a split's samples, ascending.

        Raises:
            FerBenchError: an unknown split, or an empty one.
        """
        rows = np.flatnonzero(self._of(split))
        if not len(rows):
            raise FerBenchError(
                f"the {split} split of {self.source} is empty: expected images there; "
                "check the folders' names or choose another protocol"
            )
        return rows

    def split_sizes(self) -> dict[str, int]:
        """Samples per split."""
        return {s: int((self.splits == i).sum()) for i, s in enumerate(SPLITS)}

    def class_counts(self, split: Split) -> dict[str, int]:
        """Samples per emotion in a split, in label order."""
        here = self.labels[self._of(split)]
        counts = np.bincount(here, minlength=len(self.emotions))
        return {e: int(n) for e, n in zip(self.emotions, counts, strict=True)}

    @cached_property
    def clean_test(self) -> NDArray[np.bool_]:
        """bool `(N,)`: test samples whose pixels stand nowhere in train (nor in val)."""
        test = self.splits == SPLITS.index("test")
        seen = self.hashes[(self.splits >= 0) & ~test]
        clean: NDArray[np.bool_] = test & ~np.isin(self.hashes, seen)
        return clean

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over pixels (by their hashes), labels, votes, splits and emotion names."""
        return self._digest(self.votes)

    @cached_property
    def whole_fingerprint(self) -> str:
        """The fingerprint of the data that a ranking is on.

        That is without a limit, and with each vote on its face's label: FER+'s soft targets are
        another way to train, tested on the same images and labels.
        """
        if self.limited_from is not None:
            return self.limited_from
        if self.votes is None:
            return self.fingerprint
        votes = np.zeros_like(self.votes)
        known = np.flatnonzero(self.labels >= 0)
        votes[known, self.labels[known]] = 1
        return self._digest(votes)

    def _digest(self, votes: NDArray[np.float32] | None) -> str:
        digest = hashlib.sha256()
        digest.update("\n".join(self.emotions).encode())
        for array in (self.hashes, self.labels, self.splits, votes):
            if array is not None:
                digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()

    def select_emotions(self, emotions: Sequence[str]) -> FaceDataset:
        """Only the samples of these emotions, relabelled in the given order.

        Samples of other classes leave every split (they stay in the arrays with split -1).

        Raises:
            FerBenchError: an emotion that the data do not have.
        """
        missing = [e for e in emotions if e not in self.emotions]
        if missing:
            raise FerBenchError(
                f"{self.source} has no class {', '.join(missing)}: "
                f"it has {', '.join(self.emotions)}"
            )
        new_label = np.full(len(self.emotions), UNASSIGNED, dtype=np.int64)
        for position, emotion in enumerate(emotions):
            new_label[self.emotions.index(emotion)] = position
        labels = np.where(self.labels >= 0, new_label[self.labels], UNASSIGNED)
        splits = np.where(labels >= 0, self.splits, UNASSIGNED).astype(np.int8)
        votes = self.votes
        if votes is not None:
            votes = votes[:, [self.emotions.index(e) for e in emotions]]
            votes = votes / np.maximum(votes.sum(1, keepdims=True), 1e-9)
        return replace(self, labels=labels, splits=splits, emotions=tuple(emotions), votes=votes)

    def limited(self, per_split: int, seed: int = 0) -> FaceDataset:
        """At most `per_split` random samples in each split; the draw depends on the seed alone."""
        splits = self.splits.copy()
        for number in range(len(SPLITS)):
            here = np.flatnonzero(self.splits == number)
            rng = np.random.default_rng([seed, number])
            splits[rng.permutation(here)[per_split:]] = UNASSIGNED
        return replace(self, splits=splits, limited_from=self.whole_fingerprint)

    def spread(self, split: Split, emotions: Sequence[str], limit: int | None) -> FaceDataset:
        """A split with at most `limit` samples of these emotions, evenly spread over it, in order.

        Samples of other emotions stay, to be left out and counted, and so do the other splits: what
        is clean depends on them. All that measures a model on a part of a split takes this one.

        Raises:
            FerBenchError: an unknown split, or a limit below 1.
        """
        if limit is not None and limit < 1:
            raise FerBenchError(f"expected a limit of 1 image or more, got {limit}")
        numbers = [self.emotions.index(e) for e in emotions if e in self.emotions]
        here = self._of(split)
        known = np.flatnonzero(here & np.isin(self.labels, numbers))
        if limit is None or limit >= len(known):
            return self
        chosen = np.linspace(0, len(known) - 1, limit).round().astype(np.int64)
        splits = self.splits.copy()
        splits[np.delete(known, chosen)] = UNASSIGNED
        return replace(self, splits=splits, limited_from=self.whole_fingerprint)


def draw_rows(rows: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """At most so many of the rows, at random but always the same, in their order."""
    drawn: NDArray[np.int64] = np.sort(np.random.default_rng(0).permutation(rows)[:most])
    return drawn
