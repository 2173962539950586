"""What is wrong with a source before anyone trains on it: copies, conflicts and leakage.

Two images are *exact duplicates* when their pixels are equal, and *near duplicates* when they show
the same photograph: a copy that was brightened, compressed again, cropped a pixel off or stamped
with a watermark. Near duplicates are found by comparing every distinct image with every other
(a matrix product of small descriptors, so 34,000 images take seconds and none is missed as by
hash buckets), then each candidate pair at 48 px.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, computed_field
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from fer_bench.data.dataset import SourceData
from fer_bench.data.preprocess import to_unit
from fer_bench.types import Progress, silent

TRAIN_PARTS = ("Training", "train")
VAL_PARTS = ("PublicTest", "val")
TEST_PARTS = ("PrivateTest", "test")

#: Side of the descriptor, and the correlation from which a pair is compared more closely.
COARSE_SIDE, COARSE_CORRELATION = 12, 0.90
#: Side, shift in pixels and correlation of the closer look. Seen on FER2013: of pairs at 0.93 to
#: 0.95, all of 70 looked at were the same photograph; at 0.91, some were different people.
FINE_SIDE, FINE_SHIFT, FINE_CORRELATION = 48, 1, 0.94
#: What bounds the memory: images or pairs read at once, the bytes of their pixels, and correlations
#: held at once (128 MiB).
CHUNK, CHUNK_BYTES, CORRELATIONS = 1024, 2**23, 2**25


class _Finding(BaseModel):
    model_config = ConfigDict(frozen=True)


class Group(_Finding):
    """Images that are the same; one entry per image in each tuple, in the source's order."""

    ids: tuple[str, ...]
    emotions: tuple[str, ...]  # "" where an image has votes only
    parts: tuple[str, ...]

    @property
    def conflicting(self) -> bool:
        """Whether the same image carries different labels."""
        return len(set(self.emotions) - {""}) > 1


class Leak(_Finding):
    """A held-out image that also stands where it must not, and its first twin there."""

    id: str
    part: str
    emotion: str
    twin_id: str
    twin_emotion: str


class Duplicates(_Finding):
    """Groups of the same image, the largest first, and what crosses the source's own parts.

    Attributes:
        held_out_in_train: PublicTest / val and PrivateTest / test images that stand in train.
        test_in_val: PrivateTest / test images that stand in PublicTest / val.
    """

    groups: tuple[Group, ...]
    held_out_in_train: tuple[Leak, ...]
    test_in_val: tuple[Leak, ...]

    @computed_field  # type: ignore[prop-decorator]
    @property
    def n_groups(self) -> int:
        return len(self.groups)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def n_conflicting(self) -> int:
        """Groups in which the same image carries different labels."""
        return sum(group.conflicting for group in self.groups)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def n_held_out_in_train(self) -> int:
        return len(self.held_out_in_train)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def n_test_in_val(self) -> int:
        return len(self.test_in_val)


class Audit(_Finding):
    """The findings on one source.

    Attributes:
        exact: images whose pixels are equal.
        near: groups with at least two different images; their leaks are those not in `exact`.
    """

    source: str
    n: int
    n_distinct: int
    exact: Duplicates
    near: Duplicates


def audit(data: SourceData, progress: Progress = silent) -> Audit:
    """Looks through a source for duplicates, label conflicts and leakage between its parts.

    Takes about 400 MB and 0.6 KB for each image; the time grows with the square of the number of
    distinct images.
    """
    _, first, image_number = np.unique(data.hashes, return_index=True, return_inverse=True)
    pairs = _near_pairs(data.images, first, progress)
    group_number = _connected(pairs, len(first))[image_number]
    return Audit(
        source=data.source,
        n=len(data.hashes),
        n_distinct=len(first),
        exact=_duplicates(data, image_number),
        near=_duplicates(data, group_number, image_number),
    )


def _duplicates(
    data: SourceData, group: NDArray[np.int64], image_number: NDArray[np.int64] | None = None
) -> Duplicates:
    """Findings for a grouping `(N,)`; with `image_number`, without those of exact copies alone."""
    return Duplicates(
        groups=tuple(_group(data, members) for members in _members(group, image_number)),
        held_out_in_train=_leaks(data, group, VAL_PARTS + TEST_PARTS, TRAIN_PARTS, image_number),
        test_in_val=_leaks(data, group, TEST_PARTS, VAL_PARTS, image_number),
    )


def _members(
    group: NDArray[np.int64], image_number: NDArray[np.int64] | None
) -> list[NDArray[np.int64]]:
    """Positions of each group with two images or more (two *different* images or more)."""
    order = np.argsort(group, kind="stable")
    starts = np.flatnonzero(np.diff(group[order])) + 1
    several = [m for m in np.split(order, starts) if len(m) > 1]
    if image_number is not None:
        several = [m for m in several if len(set(image_number[m])) > 1]
    return sorted(several, key=lambda m: (-len(m), m[0]))


def _leaks(
    data: SourceData,
    group: NDArray[np.int64],
    held_out: tuple[str, ...],
    seen: tuple[str, ...],
    image_number: NDArray[np.int64] | None,
) -> tuple[Leak, ...]:
    there = np.flatnonzero(np.isin(data.parts, seen))
    _, first = np.unique(group[there], return_index=True)
    twin = {int(group[i]): int(i) for i in there[first]}
    leaking = np.isin(data.parts, held_out) & np.isin(group, group[there])
    if image_number is not None:
        leaking &= ~np.isin(image_number, image_number[there])
    return tuple(
        Leak(
            id=str(data.ids[i]),
            part=str(data.parts[i]),
            emotion=_emotion(data, i),
            twin_id=str(data.ids[twin[int(group[i])]]),
            twin_emotion=_emotion(data, twin[int(group[i])]),
        )
        for i in map(int, np.flatnonzero(leaking))
    )


def _group(data: SourceData, members: NDArray[np.int64]) -> Group:
    return Group(
        ids=tuple(map(str, data.ids[members])),
        emotions=tuple(_emotion(data, int(i)) for i in members),
        parts=tuple(map(str, data.parts[members])),
    )


def _emotion(data: SourceData, position: int) -> str:
    label = int(data.labels[position])
    return data.emotions[label] if label >= 0 else ""


def _connected(pairs: NDArray[np.int64], n: int) -> NDArray[np.int64]:
    """`(n,)`: the number of the group that each image falls into by its `(P, 2)` pairs."""
    links = coo_array((np.ones(len(pairs), bool), (pairs[:, 0], pairs[:, 1])), shape=(n, n))
    numbers: NDArray[np.int64] = connected_components(links, directed=False)[1].astype(np.int64)
    return numbers


def _near_pairs(
    images: NDArray[np.uint8], distinct: NDArray[np.int64], progress: Progress
) -> NDArray[np.int64]:
    """`(P, 2)` positions in `distinct` whose images are near duplicates."""
    n = len(distinct)
    described = torch.cat(
        [_unit_rows(_gray(images[rows], COARSE_SIDE)) for rows in _chunks(distinct, images)]
    )
    parts = [np.empty((0, 2), np.int64)]
    step = max(1, CORRELATIONS // max(n, 1))
    for start in range(0, n, step):
        correlation = described[start : start + step] @ described[start:].T
        near = torch.nonzero(correlation >= COARSE_CORRELATION).numpy()
        candidates = near[near[:, 0] < near[:, 1]] + start
        for pairs in _chunks(candidates, images):
            left, right = distinct[pairs[:, 0]], distinct[pairs[:, 1]]
            parts.append(pairs[_same_photograph(images[left], images[right])])
        progress("comparing images", min(start + step, n), n, {})
    return np.concatenate(parts)


def _chunks(rows: NDArray[np.int64], images: NDArray[np.uint8]) -> Iterator[NDArray[np.int64]]:
    """The rows, as many at once as their images' size allows."""
    size = max(1, min(CHUNK, CHUNK_BYTES // math.prod(images.shape[1:])))
    return (rows[start : start + size] for start in range(0, len(rows), size))


def _same_photograph(left: NDArray[np.uint8], right: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """bool `(P,)`: the best correlation of the pair over small shifts is high enough."""
    inner = FINE_SIDE - 2 * FINE_SHIFT
    edge = slice(FINE_SHIFT, -FINE_SHIFT)
    ours = _unit_rows(_gray(left, FINE_SIDE)[:, edge, edge])
    theirs = _gray(right, FINE_SIDE)
    best = torch.full((len(left),), -1.0)
    for down in range(2 * FINE_SHIFT + 1):
        for across in range(2 * FINE_SHIFT + 1):
            shifted = _unit_rows(theirs[:, down : down + inner, across : across + inner])
            best = torch.maximum(best, (ours * shifted).sum(1))
    same: NDArray[np.bool_] = (best >= FINE_CORRELATION).numpy()
    return same


def _gray(images: NDArray[np.uint8], side: int) -> Tensor:
    """float `(B, side, side)` in [0, 1]."""
    return F.interpolate(to_unit(images, 1), size=(side, side), mode="area")[:, 0]


def _unit_rows(x: Tensor) -> Tensor:
    """`(B, side * side)` with mean 0 and length 1, whose products are correlations.

    An image of a single shade becomes all 0 and so resembles nothing.
    """
    flat = x.flatten(1)
    unit: Tensor = F.normalize(flat - flat.mean(1, keepdim=True), eps=1e-3)
    return unit
