"""The protocols: which sample is trained on, chosen by and tested on."""

from __future__ import annotations

import numpy as np
import pytest
from table_fixtures import table

from fer_bench.data.dataset import SourceData
from fer_bench.data.splits import TEST, TRAIN, VAL, assign, require_use
from fer_bench.errors import FerBenchError
from fer_bench.specs.run import Protocol

PROTOCOLS: tuple[Protocol, ...] = ("official", "kaggle")


def source(parts: list[str], *, n_classes: int = 4, hashes: list[int] | None = None) -> SourceData:
    """One-pixel images with labels in turn."""
    n = len(parts)
    return SourceData(
        name="made",
        source="made",
        images=np.zeros((n, 1, 1), dtype=np.uint8),
        labels=np.arange(n) % n_classes,
        ids=np.array([f"{i}" for i in range(n)]),
        parts=np.array(parts),
        hashes=np.array(hashes or range(n), dtype=np.uint64),
        emotions=("angry", "happy", "sad", "fear")[:n_classes],
    )


def sizes(splits: np.ndarray) -> tuple[int, int, int]:  # type: ignore[type-arg]
    return tuple(int((splits == s).sum()) for s in (TRAIN, VAL, TEST))  # type: ignore[return-value]


FER2013_PARTS = ["Training"] * 400 + ["PublicTest"] * 40 + ["PrivateTest"] * 60


@table(
    ("protocol", "parts", "expected"),
    [
        ("official", FER2013_PARTS, (400, 40, 60)),
        ("kaggle", FER2013_PARTS, (360, 40, 100)),
        ("official", ["train"] * 400 + ["val"] * 40 + ["test"] * 60, (400, 40, 60)),
        ("kaggle", ["train"] * 400 + ["val"] * 40 + ["test"] * 60, (360, 40, 100)),
        ("official", ["train"] * 400 + ["test"] * 60, (360, 40, 60)),
        ("kaggle", ["train"] * 400 + ["test"] * 60, (360, 40, 60)),
        ("official", ["train"] * 400 + ["val"] * 60, (360, 40, 60)),
        ("kaggle", ["train"] * 400 + ["val"] * 60, (360, 40, 60)),
        ("official", [""] * 400, (320, 40, 40)),
        ("kaggle", [""] * 400, (320, 40, 40)),
        ("official", ["train"] * 400, (320, 40, 40)),
        ("official", ["test"] * 40, (0, 0, 40)),
    ],
)
def test_split_sizes(protocol: Protocol, parts: list[str], expected: tuple[int, int, int]) -> None:
    assert sizes(assign(source(parts), protocol)) == expected


@pytest.mark.parametrize(
    ("protocol", "parts", "expected"),
    [
        ("kaggle", FER2013_PARTS, (300, 100, 100)),
        ("official", ["train"] * 400 + ["test"] * 60, (300, 100, 60)),
        ("official", [""] * 400, (260, 100, 40)),
    ],
)
def test_another_share_is_held_out_as_val(
    protocol: Protocol, parts: list[str], expected: tuple[int, int, int]
) -> None:
    assert sizes(assign(source(parts), protocol, val_share=0.25)) == expected


def test_a_share_for_val_is_refused_where_the_source_has_one() -> None:
    with pytest.raises(FerBenchError, match=r"val part of its own, .* leave --val-share out, or"):
        require_use(source(FER2013_PARTS), "official", 0.25)
    # A finished run's share asks nothing of other data that it is evaluated on.
    assert sizes(assign(source(FER2013_PARTS), "official", val_share=0.25)) == (400, 40, 60)
    require_use(source(["train", "val"]), "official", 0.25)  # whose val is the test
    require_use(source(FER2013_PARTS), "kaggle", 0.25)


def test_official_keeps_every_sample_in_its_part() -> None:
    splits = assign(source(FER2013_PARTS), "official")
    assert splits.tolist() == [TRAIN] * 400 + [VAL] * 40 + [TEST] * 60
    assert splits.dtype == np.int8


def test_kaggle_holds_out_of_train_alone() -> None:
    splits = assign(source(FER2013_PARTS), "kaggle")
    assert set(splits[:400].tolist()) == {TRAIN, VAL}
    assert set(splits[400:].tolist()) == {TEST}


@pytest.mark.parametrize("parts", [FER2013_PARTS, [""] * 500])
def test_what_is_held_out_is_stratified_by_label(parts: list[str]) -> None:
    data = source(parts)
    splits = assign(data, "kaggle")
    assert len(set(np.bincount(data.labels[splits == VAL]).tolist())) == 1


def test_the_seed_alone_decides() -> None:
    data = source([""] * 400)
    first, again, other = (assign(data, "official", seed) for seed in (0, 0, 1))
    assert np.array_equal(first, again) and not np.array_equal(first, other)
    assert sizes(first) == sizes(other)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_exact_duplicates_stay_on_one_side(protocol: Protocol) -> None:
    # Every image stands twice, under two labels.
    hashes = [i // 2 for i in range(800)]
    data = source(["train"] * 800 + ["test"] * 4, hashes=[*hashes, 9001, 9002, 9003, 9004])
    splits = assign(data, protocol)
    assert np.array_equal(splits[0:800:2], splits[1:800:2])
    assert 76 <= int((splits == VAL).sum()) <= 88


def test_groups_stay_on_one_side_and_every_class_is_held_out() -> None:
    data = source([""] * 600)
    groups = np.arange(600) // 12
    splits = assign(data, "official", 0, groups)
    for person in range(50):
        assert len(set(splits[groups == person].tolist())) == 1
    for split in (TRAIN, VAL, TEST):
        assert set(data.labels[splits == split].tolist()) == {0, 1, 2, 3}
    assert sizes(splits) == (480, 60, 60)


def test_a_class_of_one_image_stays_in_train() -> None:
    data = source(["train"] * 101 + ["test"] * 4)
    data.labels[:101] = [0] * 50 + [1] * 50 + [2]
    splits = assign(data, "official")
    assert splits[100] == TRAIN
    assert np.bincount(data.labels[splits == VAL]).tolist() == [5, 5]


def test_a_small_class_still_has_one_image_held_out() -> None:
    data = source([""] * 103)
    data.labels[:] = [0] * 100 + [1] * 3
    splits = assign(data, "official")
    assert sorted(splits[100:].tolist()) == [TRAIN, VAL, TEST]
