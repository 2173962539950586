"""Which sample is trained on, chosen by and tested on: the protocols `official` and `kaggle`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fer_bench.data.dataset import UNASSIGNED, FaceDataset, SourceData
from fer_bench.errors import FerBenchError
from fer_bench.specs.run import Protocol
from fer_bench.types import SPLITS

TRAIN, VAL, TEST = range(3)
#: A source's own partition names.
PART_SPLITS = {
    "Training": TRAIN, "PublicTest": VAL, "PrivateTest": TEST,
    "train": TRAIN, "val": VAL, "test": TEST,
}  # fmt: skip
HELD_OUT = 0.1
#: The parts that the authors of data sets made; drawn faces come with theirs.
OFFICIAL = {
    "fer2013": ({"Training", "PublicTest", "PrivateTest"},),
    "affectnet": ({"train", "val"},),
    "rafdb": ({"train", "test"},),
    "synthetic": ({"train", "val", "test"}, {"Training", "PublicTest", "PrivateTest"}),
}


def assign(
    data: SourceData,
    protocol: Protocol,
    seed: int = 0,
    groups: NDArray[np.int64] | None = None,
    val_share: float | None = None,
) -> NDArray[np.int8]:
    """int8 `(N,)`: each sample's index into `SPLITS`.

    official: Training / PublicTest / PrivateTest, or train / val / test, as they stand. Without a
        val part a tenth of train is held out; without a test part val becomes the test.
    kaggle: a tenth of train is held out as val; the test is all that is not train
        (PublicTest + PrivateTest), which most projects call "test".
    A source without parts is split 80 / 10 / 10 under both. What is held out is stratified by
    label and depends on the seed alone; exact duplicates, and samples of one of `groups` (int64
    `(N,)`, persons), stay together.

    Args:
        val_share: held out as val instead of a tenth, where val is held out.

    Raises:
        FerBenchError: a share for val that leaves nothing to train on.
    """
    splits = np.array([PART_SPLITS.get(str(p), UNASSIGNED) for p in data.parts], dtype=np.int8)
    has = _own_splits(data)
    units = _units(data.hashes, groups)
    rng = np.random.default_rng(seed)
    if not has & {VAL, TEST}:
        splits[:] = TRAIN
        splits[_held_out(splits == TRAIN, data.labels, units, rng, of=len(splits))] = TEST
    elif protocol == "kaggle" or TEST not in has:
        splits[splits == VAL] = TEST
    if not (splits == VAL).any():
        pool = splits == TRAIN
        whole = int(pool.sum()) if has & {VAL, TEST} else len(splits)
        share = val_share or HELD_OUT
        if whole > pool.sum() and share + HELD_OUT >= 1:
            raise FerBenchError(
                f"{data.source} is split as a whole, a tenth of it as test: --val-share {share:g} "
                "of it as val leaves nothing to train on; choose a smaller one"
            )
        splits[_held_out(pool, data.labels, units, rng, of=whole, share=share)] = VAL
    return splits


def require_use(data: SourceData, protocol: Protocol, val_share: float | None) -> None:
    """Checks that a share for val is asked for only where val is held out.

    Raises:
        FerBenchError: the source has a val part of its own.
    """
    if val_share is not None and protocol == "official" and _own_splits(data) >= {VAL, TEST}:
        raise FerBenchError(
            f"{data.source} has a val part of its own, which the protocol {protocol} keeps: leave "
            "--val-share out, or choose --protocol kaggle, which holds val out of train"
        )


def describe(data: SourceData, protocol: Protocol, groups: NDArray[np.int64] | None = None) -> str:
    """What a record calls the splits of `assign`: `official` where the authors made them.

    Else `kaggle`, `own splits` (the source's, whoever made them), `random split` or `split by
    person`.
    """
    parts = {str(part) for part in np.unique(data.parts)}
    if not _own_splits(data) & {VAL, TEST}:
        return "random split" if groups is None else "split by person"
    if protocol != "official":
        return protocol
    return (
        "official" if any(parts >= made for made in OFFICIAL.get(data.name, ())) else "own splits"
    )


def decisions(
    data: SourceData,
    protocol: Protocol,
    groups: NDArray[np.int64] | None = None,
    val_share: float | None = None,
) -> str:
    """What `assign` decides where the source's own parts do not say it, in a line; else empty."""
    has = _own_splits(data)
    way = "at random" if groups is None else "by person"
    share = 100 * (val_share or HELD_OUT)
    tested = 100 * HELD_OUT
    if not has & {VAL, TEST}:
        names = "has a train part alone" if has else "names no train and test part"
        shares = f"{100 - share - tested:g} / {share:g} / {tested:g}"
        return f"{data.source} {names}: split {shares} {way}"
    sentences = []
    if VAL in has and TEST not in has:
        sentences = ["has no test part: its val part is the test split"]
    elif VAL in has and protocol == "kaggle":
        sentences = ["under protocol kaggle: its val and test parts are the test split"]
    elif TEST in has and VAL not in has and TRAIN in has:
        sentences = ["has no val part"]
    if sentences and TRAIN in has:
        sentences.append(f"{share:g} % of its train part, held out {way}, is the val split")
    return f"{data.source} {', '.join(sentences)}" if sentences else ""


def _own_splits(data: SourceData) -> set[int]:
    return {PART_SPLITS[part] for part in np.unique(data.parts).tolist() if part in PART_SPLITS}


def shared_groups(splits: NDArray[np.int8], groups: NDArray[np.int64] | None) -> int:
    """How many persons of the test stand in train or val too; 0 where nobody knows them."""
    if groups is None:
        return 0
    in_test = splits == TEST
    return len(np.intersect1d(groups[in_test], groups[(splits >= 0) & ~in_test]))


def _units(hashes: NDArray[np.uint64], groups: NDArray[np.int64] | None) -> NDArray[np.int64]:
    """int64 `(N,)`: what stays together: a person, or else the copies of one image."""
    whole = hashes if groups is None else groups
    _, units = np.unique(whole, return_inverse=True)
    return units.astype(np.int64).reshape(-1)


def _held_out(
    pool: NDArray[np.bool_],
    labels: NDArray[np.int64],
    units: NDArray[np.int64],
    rng: np.random.Generator,
    *,
    of: int,
    share: float = HELD_OUT,
) -> NDArray[np.int64]:
    """Positions of about this share of `of` samples from the pool, whole units, class by class.

    The rarest class goes first: a person held out for it brings samples of the common ones along.
    Each class gives at least one unit; a class with a single unit keeps it, so that training does
    not lose it.
    """
    here = np.flatnonzero(pool)
    share *= of / max(1, len(here))
    _, compact = np.unique(units[here], return_inverse=True)
    classes, label = np.unique(labels[here], return_inverse=True)
    n_units = int(compact.max(initial=-1)) + 1
    counts = np.zeros((n_units, len(classes)), dtype=np.int64)
    np.add.at(counts, (compact, label), 1)
    order = rng.permutation(n_units)
    taken = np.zeros(n_units, dtype=bool)
    for column in np.argsort(counts.sum(0), kind="stable"):
        bearing = counts[:, column] > 0
        wanted = max(1, round(share * counts[:, column].sum()))
        missing = wanted - counts[taken, column].sum()
        candidates = order[(bearing & ~taken)[order]]
        if missing <= 0 or bearing.sum() < 2:
            continue
        enough = int(np.searchsorted(counts[candidates, column].cumsum(), missing)) + 1
        taken[candidates[: min(enough, len(candidates) - 1)]] = True
    return here[taken[compact]]


def require_complete(data: FaceDataset) -> None:
    """Checks that a data set can be trained on and tested.

    Raises:
        FerBenchError: a split is empty, a class has no sample in train, or there is one class only.
    """
    if len(data.emotions) < 2:
        raise FerBenchError(
            f"{data.source} has the one class {data.emotions[0]}: expected two or more emotions"
        )
    for split in SPLITS:
        data.indices(split)
    missing = [emotion for emotion, n in data.class_counts("train").items() if not n]
    if missing:
        raise FerBenchError(
            f"{data.source} has no training image of {', '.join(missing)}: expected images of "
            "every class in train; add some, or name the classes to use (emotions)"
        )
