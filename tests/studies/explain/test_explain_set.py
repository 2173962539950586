"""What a network makes of a whole set of faces: mean heat maps, neighbours, the map of features."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from frozen_fixtures import EMOTIONS, tiny_classifier, tiny_dataset
from numpy.typing import NDArray

from fer_bench.backends.select import open_backend
from fer_bench.data.cache import pixel_hashes
from fer_bench.data.dataset import FaceDataset
from fer_bench.errors import FerBenchError
from fer_bench.evaluation.evaluate import predict_probabilities
from fer_bench.features.splits import answer_table, split_features
from fer_bench.inference.classifier import FaceClassifier
from fer_bench.models.classifier import Classifier
from fer_bench.models.ensemble import EnsembleMember, make_ensemble
from fer_bench.plots import feature_scatter
from fer_bench.studies.explain import mean_heat
from fer_bench.studies.explain.feature_map import feature_map
from fer_bench.studies.explain.heat_map import explain, overlay_heat
from fer_bench.studies.explain.mean_heat import MeanHeat, mean_heats, spread_sample
from fer_bench.studies.explain.neighbours import TrainingFaces, share_of


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("FER_BENCH_CACHE", str(folder))
    return folder


def classifier_of(model: Classifier) -> FaceClassifier:
    return FaceClassifier(name="tiny", model=model, backend=open_backend("torch-fp32", model))


class Calls:
    """Counts the images that a network's backbone is given."""

    def __init__(self, model: Classifier) -> None:
        self.images = 0
        model.backbone.register_forward_pre_hook(self._note)

    def _note(self, module: object, inputs: tuple[NDArray[np.float32], ...]) -> None:
        self.images += len(inputs[0])


# --- mean heat maps ----------------------------------------------------------------------------


def test_a_mean_heat_map_is_the_mean_of_its_faces_maps() -> None:
    classifier, dataset = classifier_of(tiny_classifier()), tiny_dataset()
    found = mean_heats(classifier, dataset, n_images=12)
    assert [one.emotion for one in found] == list(EMOTIONS)
    for label, one in enumerate(found):
        of_emotion = np.flatnonzero((dataset.splits == 2) & (dataset.labels == label))
        faces = dataset.images[
            of_emotion[np.rint(np.linspace(0, len(of_emotion) - 1, 4)).astype(int)]
        ]
        heats = [explain(classifier, face, one.emotion) for face in faces]
        assert one.n == 4
        np.testing.assert_allclose(one.heat, np.mean(heats, axis=0), atol=1e-6)
        np.testing.assert_array_equal(one.face, np.rint(faces.mean(0)).astype(np.uint8))
        assert one.peak == one.heat.max() > 0


def test_a_mean_map_is_drawn_over_its_mean_face_with_all_its_colours() -> None:
    face = np.full((4, 4), 100, np.uint8)
    heat = np.linspace(0, 0.5, 16, dtype=np.float32).reshape(4, 4)
    one = MeanHeat(emotion="happy", n=2, face=face, heat=heat)
    np.testing.assert_array_equal(one.overlay(), overlay_heat(face, heat * 2))
    blank = MeanHeat(emotion="happy", n=2, face=face, heat=np.zeros((4, 4), np.float32))
    np.testing.assert_array_equal(blank.overlay(), np.repeat(face[..., None], 3, 2))


@pytest.mark.parametrize(
    ("n", "taken"), [(1, [0]), (2, [0, 9]), (4, [0, 3, 6, 9]), (10, range(10)), (99, range(10))]
)
def test_a_sample_is_evenly_spread(n: int, taken: list[int]) -> None:
    rows = np.arange(100, 110)
    assert spread_sample(rows, n).tolist() == [100 + place for place in taken]


def test_every_emotion_gets_a_face_however_few_are_asked_for() -> None:
    found = mean_heats(classifier_of(tiny_classifier()), tiny_dataset(), n_images=1)
    assert [one.n for one in found] == [1, 1, 1]


def test_only_emotions_that_both_know_have_a_map() -> None:
    classifier = classifier_of(tiny_classifier())
    others = replace(tiny_dataset(), emotions=("happy", "anger", "fear"))
    assert [one.emotion for one in mean_heats(classifier, others, n_images=1)] == ["happy"]
    strangers = replace(others, emotions=("surprise", "anger", "fear"))
    with pytest.raises(FerBenchError, match="has no image of the emotions that tiny knows"):
        mean_heats(classifier, strangers)


# --- what is kept ------------------------------------------------------------------------------


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-30])


def empty(file: Path) -> None:
    file.write_bytes(b"")


def scribble(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 0xFF
    file.write_bytes(bytes(content))


@pytest.fixture
def explained(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The emotions that `explain` is called for."""
    called: list[str] = []

    def counting(
        classifier: FaceClassifier, crop: NDArray[np.uint8], emotion: str
    ) -> NDArray[np.float32]:
        called.append(emotion)
        return explain(classifier, crop, emotion)

    monkeypatch.setattr(mean_heat, "explain", counting)
    return called


def test_mean_heat_maps_are_computed_once_per_network_and_faces(explained: list[str]) -> None:
    dataset = tiny_dataset()

    def calls(seed: int, n: int, data: FaceDataset = dataset) -> int:
        before = len(explained)
        mean_heats(classifier_of(tiny_classifier(seed=seed)), data, n_images=n)
        return len(explained) - before

    assert calls(0, 6) == 6
    assert calls(0, 6) == 0
    assert calls(1, 6) == 6  # other weights
    assert calls(0, 9) == 9  # other faces
    assert calls(0, 6, tiny_dataset(seed=1)) == 6


@pytest.mark.parametrize("damage", [cut, empty, scribble])
def test_a_damaged_file_is_computed_again(
    cache: Path, explained: list[str], damage: Callable[[Path], None]
) -> None:
    classifier, dataset = classifier_of(tiny_classifier()), tiny_dataset()
    first = mean_heats(classifier, dataset, n_images=6)
    files = sorted((cache / "explain").iterdir())
    assert [file.suffix for file in files] == [".npz"] * 3
    whole = [file.read_bytes() for file in files]
    for file in files:
        damage(file)
    again = mean_heats(classifier, dataset, n_images=6)
    assert len(explained) == 12
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one.heat, other.heat)
    assert sorted((cache / "explain").iterdir()) == files
    assert [len(file.read_bytes()) for file in files] == [len(content) for content in whole]


def test_a_cache_that_cannot_be_written_costs_time_only(cache: Path, explained: list[str]) -> None:
    cache.write_text("not a folder")
    classifier, dataset = classifier_of(tiny_classifier()), tiny_dataset()
    for _ in range(2):
        assert len(mean_heats(classifier, dataset, n_images=3)) == 3
    assert len(explained) == 6


# --- answers -----------------------------------------------------------------------------------


def ensemble() -> Classifier:
    members = [
        EnsembleMember(model=tiny_classifier(seed=seed), weight=share, temperature=1.5)
        for seed, share in ((0, 0.7), (1, 0.3))
    ]
    return make_ensemble(members)


@pytest.mark.parametrize("make", [tiny_classifier, ensemble])
def test_answers_from_features_are_those_of_the_network(make: Callable[[], Classifier]) -> None:
    model, dataset = make(), tiny_dataset()
    found = answer_table(model, dataset, split_features(model, dataset, "test"))
    rows = dataset.indices("test")
    expected = predict_probabilities(model, dataset.images[rows])
    names = np.array(EMOTIONS)
    assert found["id"].tolist() == dataset.ids[rows].tolist()
    assert found["true"].tolist() == names[dataset.labels[rows]].tolist()
    assert found["predicted"].tolist() == names[expected.argmax(1)].tolist()
    np.testing.assert_allclose(found["confidence"], expected.max(1), atol=1e-6)
    assert found["correct"].tolist() == (dataset.labels[rows] == expected.argmax(1)).tolist()


# --- neighbours --------------------------------------------------------------------------------


def test_the_copy_of_a_face_is_its_nearest_neighbour() -> None:
    dataset = tiny_dataset()
    images = dataset.images.copy()
    images[120] = images[17]  # the first test image is the 18th of train
    dataset = replace(dataset, images=images, hashes=pixel_hashes(images))
    found = TrainingFaces(tiny_classifier(), dataset).nearest(images[120], 5)
    assert found["position"][0] == 17
    assert found["id"][0] == "17"
    assert found["distance"][0] == pytest.approx(0, abs=1e-6)
    assert found["duplicate"].tolist() == [True, False, False, False, False]
    assert found["label"].tolist() == [EMOTIONS[dataset.labels[p]] for p in found["position"]]


@pytest.mark.parametrize("make", [tiny_classifier, ensemble])
def test_neighbours_are_the_nearest_by_cosine(make: Callable[[], Classifier]) -> None:
    model, dataset = make(), tiny_dataset()
    train = np.asarray(split_features(model, dataset, "train").values, np.float64)
    face = split_features(model, dataset, "test").values[3].astype(np.float64)
    distance = 1 - train @ face / np.linalg.norm(train, axis=1) / np.linalg.norm(face)
    faces = TrainingFaces(model, dataset)
    found = faces.nearest(dataset.images[dataset.indices("test")[3]], 10)
    assert found["position"].tolist() == np.argsort(distance)[:10].tolist()
    np.testing.assert_allclose(found["distance"], np.sort(distance)[:10], atol=1e-6)
    assert len(faces.nearest(dataset.images[0], 1000)) == 90


def test_neighbours_are_searched_among_features_computed_once() -> None:
    model, dataset = tiny_classifier(), tiny_dataset()
    calls = Calls(model)
    TrainingFaces(model, dataset)
    assert calls.images == 90
    TrainingFaces(model, dataset).nearest(dataset.images[0])
    assert calls.images == 91


def test_the_share_of_neighbours_with_an_emotion() -> None:
    assert share_of(["happy", "sad", "happy", "happy"], "happy") == 0.75
    assert share_of(pd.Series(["sad"]), "happy") == 0


# --- the map of features -----------------------------------------------------------------------


def test_the_map_has_every_image_and_what_was_answered() -> None:
    model, dataset = tiny_classifier(), tiny_dataset()
    found = feature_map(model, dataset)
    expected = answer_table(model, dataset, split_features(model, dataset, "test"))
    pd.testing.assert_frame_equal(found.drop(columns=["x", "y"]), expected)
    assert np.isfinite(found[["x", "y"]].to_numpy()).all()
    assert found["x"].nunique() == 30


def test_the_map_shows_at_most_so_many_evenly_spread() -> None:
    found = feature_map(tiny_classifier(), tiny_dataset(), most=4)
    assert found["id"].tolist() == ["120", "130", "139", "149"]


def test_the_map_is_the_same_each_time_and_forwards_nothing_the_second_time(cache: Path) -> None:
    model, dataset = tiny_classifier(), tiny_dataset()
    calls = Calls(model)
    first = feature_map(model, dataset)
    assert calls.images == 30
    pd.testing.assert_frame_equal(feature_map(model, dataset), first)
    assert calls.images == 30
    (kept,) = (cache / "explain").iterdir()
    kept.unlink()
    pd.testing.assert_frame_equal(feature_map(model, dataset), first)
    assert calls.images == 30
    kept.write_bytes(b"damaged")
    pd.testing.assert_frame_equal(feature_map(model, dataset), first)
    assert kept.stat().st_size > 100


def test_faces_alike_in_features_are_close_on_the_map() -> None:
    model, dataset = tiny_classifier(), tiny_dataset()
    images = dataset.images.copy()
    images[121:124] = images[120]
    dataset = replace(dataset, images=images, hashes=pixel_hashes(images))
    places = feature_map(model, dataset)[["x", "y"]].to_numpy()
    among = np.linalg.norm(places[:4] - places[0], axis=1).max()
    to_others = np.linalg.norm(places[4:] - places[0], axis=1).mean()
    assert among < to_others / 2


def test_features_that_tell_nothing_apart_share_one_place() -> None:
    dataset = tiny_dataset()
    blank = np.zeros_like(dataset.images)
    dataset = replace(dataset, images=blank, hashes=pixel_hashes(blank))
    assert (feature_map(tiny_classifier(), dataset)[["x", "y"]] == 0).all(axis=None)


def test_a_map_needs_four_images() -> None:
    with pytest.raises(FerBenchError, match=r"expected 4 images or more to map, got 3 in the test"):
        feature_map(tiny_classifier(), tiny_dataset(test=3))


# --- its figure --------------------------------------------------------------------------------

TABLE = pd.DataFrame(
    {
        "id": ["a", "b", "<b>c"],
        "x": [0.0, 1.0, 2.0],
        "y": [3.0, 4.0, 5.0],
        "true": ["happy", "sad", "happy"],
        "predicted": ["happy", "happy", "happy"],
        "confidence": [0.9, 0.6, 0.7],
        "correct": [True, False, True],
    }
)


@pytest.mark.parametrize(
    ("colour_by", "names"),
    [
        ("true", ["happy, 2", "sad, 1"]),
        ("predicted", ["happy, 3"]),
        ("correct", ["right, 2", "wrong, 1"]),
    ],
)
def test_points_are_coloured_by_label_answer_or_error(colour_by: str, names: list[str]) -> None:
    figure = feature_scatter(TABLE, colour_by)
    assert [trace.name for trace in figure.data] == names
    assert sum(len(trace.x) for trace in figure.data) == 3
    assert len({trace.marker.color for trace in figure.data}) == len(names)


def test_a_point_says_what_it_is_and_cannot_bring_html() -> None:
    right, wrong = feature_scatter(TABLE, "correct").data
    assert list(right.customdata[1]) == ["&lt;b&gt;c", "happy", "happy", 0.7]
    assert list(wrong.customdata[0]) == ["b", "sad", "happy", 0.6]
    assert wrong.zorder > right.zorder
