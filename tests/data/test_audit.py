"""The audit of a source with planted copies, conflicts and leaks finds exactly these."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from fer_bench.data.audit import Duplicates, Group, Leak, audit
from fer_bench.data.dataset import SourceData
from fer_bench.data.synthetic import draw_face

Face = NDArray[np.uint8]


def face(number: int, emotion: str = "happy") -> Face:
    return draw_face(emotion, size=48, rng=np.random.default_rng(number))


def source(*samples: tuple[str, Face, str, str]) -> SourceData:
    """A source of `(id, image, emotion, part)` rows; emotion "" stands for votes only."""
    ids, images, emotions, parts = zip(*samples, strict=True)
    known = ("happy", "sad", "fear")
    return SourceData(
        name="planted",
        source="planted",
        images=np.stack(images),
        labels=np.array([known.index(e) if e else -1 for e in emotions], dtype=np.int64),
        ids=np.array(ids),
        parts=np.array(parts),
        hashes=np.array([hash(i.tobytes()) % 2**64 for i in images], dtype=np.uint64),
        emotions=known,
    )


def brighter(image: Face) -> Face:
    return np.clip(image * 1.15 + 8, 0, 255).astype(np.uint8)


def recompressed(image: Face) -> Face:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=40)
    return np.asarray(Image.open(buffer))


def shifted(image: Face) -> Face:
    return np.pad(image, 1, mode="edge")[2:, 2:]


def stamped(image: Face) -> Face:
    marked = image.copy()
    marked[40:43, 4:20] = 255
    return marked


CHANGES = {
    "brighter": brighter,
    "recompressed": recompressed,
    "shifted": shifted,
    "stamped": stamped,
}


def test_a_source_without_faults_has_no_findings() -> None:
    found = audit(source(*((f"{i}.jpg", face(i), "happy", "Training") for i in range(8))))
    nothing = Duplicates(groups=(), held_out_in_train=(), test_in_val=())
    assert (found.n, found.n_distinct) == (8, 8)
    assert found.exact == nothing
    assert found.near == nothing


def test_exact_duplicates_conflicts_and_leaks_are_found_and_named() -> None:
    found = audit(
        source(
            ("train/a.jpg", face(1), "happy", "Training"),
            ("train/b.jpg", face(1), "happy", "Training"),
            ("test/a.jpg", face(1), "sad", "PrivateTest"),
            ("train/c.jpg", face(2), "fear", "Training"),
            ("val/c.jpg", face(2), "fear", "PublicTest"),
            ("val/d.jpg", face(3), "sad", "PublicTest"),
            ("test/d.jpg", face(3), "sad", "PrivateTest"),
            ("test/e.jpg", face(4), "sad", "PrivateTest"),
        )
    )
    assert (found.n, found.n_distinct) == (8, 4)
    assert found.exact.groups[0] == Group(
        ids=("train/a.jpg", "train/b.jpg", "test/a.jpg"),
        emotions=("happy", "happy", "sad"),
        parts=("Training", "Training", "PrivateTest"),
    )
    assert [g.ids for g in found.exact.groups[1:]] == [
        ("train/c.jpg", "val/c.jpg"),
        ("val/d.jpg", "test/d.jpg"),
    ]
    assert [g.conflicting for g in found.exact.groups] == [True, False, False]
    assert found.exact.held_out_in_train == (
        Leak(
            id="test/a.jpg",
            part="PrivateTest",
            emotion="sad",
            twin_id="train/a.jpg",
            twin_emotion="happy",
        ),
        Leak(
            id="val/c.jpg",
            part="PublicTest",
            emotion="fear",
            twin_id="train/c.jpg",
            twin_emotion="fear",
        ),
    )
    assert [(leak.id, leak.twin_id) for leak in found.exact.test_in_val] == [
        ("test/d.jpg", "val/d.jpg")
    ]
    assert found.near.n_groups == 0


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_a_changed_copy_is_a_near_duplicate(change: Callable[[Face], Face]) -> None:
    others = [(f"{i}.jpg", face(i), "happy", "Training") for i in range(10, 18)]
    copy = change(face(1))
    found = audit(
        source(
            ("train/a.jpg", face(1), "happy", "Training"),
            *others,
            ("test/a.jpg", copy, "sad", "PrivateTest"),
        )
    )
    assert found.exact.n_groups == 0
    assert [g.ids for g in found.near.groups] == [("train/a.jpg", "test/a.jpg")]
    assert found.near.n_conflicting == 1
    assert [leak.id for leak in found.near.held_out_in_train] == ["test/a.jpg"]


def test_exact_copies_join_near_groups_but_are_not_counted_as_near_leaks() -> None:
    found = audit(
        source(
            ("train/a.jpg", face(1), "happy", "train"),
            ("val/exact.jpg", face(1), "happy", "val"),
            ("val/near.jpg", brighter(face(1)), "happy", "val"),
        )
    )
    assert [g.ids for g in found.near.groups] == [("train/a.jpg", "val/exact.jpg", "val/near.jpg")]
    assert [leak.id for leak in found.exact.held_out_in_train] == ["val/exact.jpg"]
    assert [leak.id for leak in found.near.held_out_in_train] == ["val/near.jpg"]


def test_near_duplicates_of_near_duplicates_fall_into_one_group() -> None:
    once = shifted(face(1))
    twice = shifted(once)
    rows = [(f"{i}.jpg", image, "happy", "") for i, image in enumerate([face(1), once, twice])]
    assert [g.ids for g in audit(source(*rows)).near.groups] == [("0.jpg", "1.jpg", "2.jpg")]


def test_images_of_one_shade_resemble_nothing() -> None:
    flat = [np.full((48, 48), shade, np.uint8) for shade in (0, 100, 255)]
    rows = [(f"{i}.jpg", image, "sad", "Training") for i, image in enumerate(flat)]
    assert audit(source(*rows)).near.n_groups == 0


def test_missing_labels_conflict_with_nothing() -> None:
    found = audit(
        source(
            ("a.jpg", face(1), "happy", "Training"),
            ("b.jpg", face(1), "", "Training"),
        )
    )
    assert found.exact.groups[0].emotions == ("happy", "")
    assert (found.exact.n_groups, found.exact.n_conflicting) == (1, 0)


def test_rgb_images_of_another_size_are_compared_too() -> None:
    def colour(image: Face) -> Face:
        return np.asarray(Image.fromarray(image).resize((96, 96)).convert("RGB"))

    found = audit(
        source(
            ("a.jpg", colour(face(1)), "happy", "Training"),
            ("b.jpg", colour(brighter(face(1))), "happy", "Training"),
            ("c.jpg", colour(face(2)), "happy", "Training"),
        )
    )
    assert [g.ids for g in found.near.groups] == [("a.jpg", "b.jpg")]


def test_the_counts_are_part_of_the_json() -> None:
    found = audit(
        source(
            ("a.jpg", face(1), "happy", "Training"),
            ("b.jpg", face(1), "sad", "PrivateTest"),
        )
    ).model_dump()
    exact = {key: value for key, value in found["exact"].items() if key.startswith("n_")}
    assert exact == {
        "n_groups": 1,
        "n_conflicting": 1,
        "n_held_out_in_train": 1,
        "n_test_in_val": 0,
    }


def test_progress_ends_at_the_number_of_distinct_images() -> None:
    seen: list[tuple[int, int]] = []
    rows = [(f"{i}.jpg", face(i // 2), "happy", "Training") for i in range(6)]
    audit(source(*rows), lambda stage, done, total, figures: seen.append((done, total)))
    assert seen[-1] == (3, 3)
