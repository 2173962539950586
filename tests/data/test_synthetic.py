"""Drawn faces: the same for a seed, split 80/10/10, and with an expression that can be learnt."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from sklearn.linear_model import RidgeClassifier
from table_fixtures import table

from fer_bench.data.dataset import SourceData
from fer_bench.data.synthetic import EXPRESSIONS, draw_face, read_synthetic
from fer_bench.emotions import FER2013
from fer_bench.errors import FerBenchError


@pytest.fixture(scope="module")
def faces() -> SourceData:
    return read_synthetic(n_per_class=60, seed=3)


def test_arrays_have_the_shapes_and_types_of_a_source(faces: SourceData) -> None:
    assert (faces.images.shape, faces.images.dtype) == ((420, 48, 48), np.uint8)
    assert (faces.labels.shape, faces.labels.dtype) == ((420,), np.int64)
    assert (faces.hashes.shape, faces.hashes.dtype) == ((420,), np.uint64)
    assert (faces.name, faces.source) == ("synthetic", "synthetic:3")
    assert (faces.emotions, faces.comparable) == (FER2013, False)
    assert np.bincount(faces.labels).tolist() == [60] * 7


def test_ids_name_emotion_and_number(faces: SourceData) -> None:
    assert len(set(faces.ids)) == 420
    assert faces.ids[3 * 60 + 12] == "synthetic/happy/00012"
    assert FER2013[faces.labels[3 * 60 + 12]] == "happy"


def test_every_class_is_split_80_10_10(faces: SourceData) -> None:
    for label in range(7):
        parts, counts = np.unique(faces.parts[faces.labels == label], return_counts=True)
        assert dict(zip(parts.tolist(), counts.tolist(), strict=True)) == {
            "Training": 48,
            "PublicTest": 6,
            "PrivateTest": 6,
        }


def test_the_smallest_source_still_has_every_part() -> None:
    tiny = read_synthetic(n_per_class=3)
    assert tiny.parts.tolist() == ["Training", "PublicTest", "PrivateTest"] * 7


def test_same_seed_same_bytes_other_seed_other_faces(faces: SourceData) -> None:
    again = read_synthetic(n_per_class=60, seed=3)
    assert again.images.tobytes() == faces.images.tobytes()
    assert not np.isin(read_synthetic(n_per_class=5, seed=4).hashes, faces.hashes).any()


def test_more_faces_begin_with_the_same_ones(faces: SourceData) -> None:
    fewer = read_synthetic(n_per_class=3, seed=3)
    assert np.array_equal(fewer.images[:3], faces.images[:3])


def test_hashes_are_of_the_pixels_and_no_two_faces_are_the_same(faces: SourceData) -> None:
    digest = hashlib.blake2b(faces.images[7].tobytes(), digest_size=8).digest()
    assert int(faces.hashes[7]) == int.from_bytes(digest, "little")
    assert len(np.unique(faces.hashes)) == 420


@table("emotion", FER2013)
@table("size", [16, 48, 96])
def test_a_face_is_drawn_at_any_size(emotion: str, size: int) -> None:
    face = draw_face(emotion, size=size, rng=np.random.default_rng(0))
    assert (face.shape, face.dtype) == ((size, size), np.uint8)
    assert face.std() > 8


def test_every_fer2013_emotion_has_an_expression_of_its_own() -> None:
    assert set(EXPRESSIONS) == set(FER2013)
    assert len(set(EXPRESSIONS.values())) == 7


def test_the_expression_can_be_learnt_but_not_from_single_pixels_alone(faces: SourceData) -> None:
    """A linear model is far above chance (1/7) and far from right, so there is work for a CNN."""
    x = faces.images.reshape(420, -1) / 255.0
    train = faces.parts == "Training"
    fitted = RidgeClassifier(alpha=300.0).fit(x[train], faces.labels[train])
    accuracy = fitted.score(x[~train], faces.labels[~train])
    assert 0.35 < accuracy < 0.95


@pytest.mark.parametrize(("n_per_class", "size"), [(2, 48), (40, 8)])
def test_too_few_or_too_small_is_refused(n_per_class: int, size: int) -> None:
    with pytest.raises(FerBenchError, match=f"at least 3 faces .* got {n_per_class} of {size}"):
        read_synthetic(n_per_class=n_per_class, size=size)


def test_an_unknown_emotion_suggests_the_near_one() -> None:
    with pytest.raises(FerBenchError, match="cannot draw 'hapy': did you mean 'happy'"):
        draw_face("hapy", size=48, rng=np.random.default_rng(0))
