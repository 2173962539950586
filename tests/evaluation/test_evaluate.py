"""From faces to probabilities: views, classes left out, and one forward per view."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from fer_bench.data.dataset import FaceDataset
from fer_bench.data.preprocess import to_input
from fer_bench.errors import FerBenchError, RunFailed
from fer_bench.evaluation.evaluate import evaluate, predict_probabilities
from fer_bench.evaluation.metrics import compute_metrics
from fer_bench.evaluation.tta import CROPS, PLAIN, VIEWS, View, see, views_of
from fer_bench.models.classifier import Classifier, ModelRequest
from fer_bench.specs.recipe import Recipe
from fer_bench.types import InputSpec, Provenance

EMOTIONS = ("angry", "happy", "sad")
SPEC = InputSpec(size=12, channels=3, mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4))


class Counting(nn.Module):
    """Flattens faces and counts how many it has seen."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = 0
        self.dropout = nn.Dropout(0.5)

    def forward(self, x: Tensor) -> Tensor:
        self.seen += len(x)
        return self.dropout(x.flatten(1))


def make_model(emotions: Sequence[str] = EMOTIONS, spec: InputSpec = SPEC) -> Classifier:
    torch.manual_seed(0)
    size = spec.channels * spec.size**2
    return Classifier(
        backbone=Counting(),
        head=nn.Linear(size, len(emotions)),
        feature_size=size,
        input_spec=spec,
        request=ModelRequest(name="counting", emotions=tuple(emotions)),
        provenance=Provenance(architecture="linear"),
    )


def make_dataset(emotions: Sequence[str] = EMOTIONS) -> FaceDataset:
    """20 train, 10 val, 20 test; five test images stand in train, one of them in two copies."""
    rng = np.random.default_rng(0)
    images = rng.integers(256, size=(50, 12, 12), dtype=np.uint8)
    images[30:35] = images[:5]
    return FaceDataset(
        name="made",
        source="made.zip",
        protocol="official",
        images=images,
        labels=np.arange(50) % len(emotions),
        ids=np.array([f"{i}.png" for i in range(50)]),
        hashes=np.concatenate([np.arange(30), np.arange(5), np.arange(100, 115)]).astype(np.uint64),
        splits=np.repeat([0, 1, 2], [20, 10, 20]).astype(np.int8),
        emotions=tuple(emotions),
    )


def expected(model: Classifier, x: Tensor) -> np.ndarray:
    with torch.no_grad():
        return model.eval()(x).softmax(1).double().numpy()


def test_every_tta_of_a_recipe_has_its_views() -> None:
    assert set(VIEWS) == set(get_args(Recipe.model_fields["tta"].annotation))
    assert {tta: len(views) for tta, views in VIEWS.items()} == {
        "none": 1, "flip": 2, "five-crop": 5, "ten-crop": 10,
    }  # fmt: skip
    assert all(len(set(views)) == len(views) for views in VIEWS.values())


def test_unknown_tta_suggests() -> None:
    with pytest.raises(FerBenchError, match="did you mean 'five-crop'"):
        views_of("fivecrop")


def test_plain_and_flipped_views() -> None:
    x = torch.rand(2, 3, 6, 6)
    assert torch.equal(see(x, PLAIN), x)
    assert torch.equal(see(x, View(flip=True))[0, 0, 0], x[0, 0, 0].flip(0))


@pytest.mark.parametrize(
    ("place", "top", "left"),
    zip(CROPS, (0, 0, 8, 8, 4), (0, 8, 0, 8, 4), strict=True),
)
def test_crops_take_40_of_48_pixels_and_keep_the_size(place: str, top: int, left: int) -> None:
    x = torch.rand(2, 1, 48, 48)
    crop = x[..., top : top + 40, left : left + 40]
    resized = nn.functional.interpolate(crop, size=(48, 48), mode="bilinear", align_corners=False)
    assert torch.equal(see(x, View(region=place)), resized)
    assert torch.equal(see(x, View(region=place, flip=True)), resized.flip(-1))


@pytest.mark.parametrize("tta", VIEWS)
def test_probabilities_are_the_mean_over_the_views(tta: str) -> None:
    model, images = make_model(), make_dataset().images
    x = to_input(images, SPEC)
    mean = np.mean([expected(model, see(x, view)) for view in VIEWS[tta]], axis=0)
    found = predict_probabilities(model, images, tta=tta, batch_size=7)
    assert found.dtype == np.float64
    assert found == pytest.approx(mean, abs=1e-6)
    assert found.sum(1) == pytest.approx(np.ones(50))


@pytest.mark.parametrize("training", [True, False])
def test_the_training_mode_is_put_back(training: bool) -> None:
    model = make_model().train(training)
    first = predict_probabilities(model, make_dataset().images)
    assert model.training is training
    assert np.array_equal(first, predict_probabilities(model, make_dataset().images))  # no dropout


def test_the_training_mode_is_put_back_after_a_failure() -> None:
    model = make_model().train()
    nn.init.constant_(model.head.weight, float("nan"))
    with pytest.raises(RunFailed, match="model counting gave logits that are not finite"):
        predict_probabilities(model, make_dataset().images)
    assert model.training


def test_colour_faces_and_gray_models_fit_together() -> None:
    spec = InputSpec(size=8, channels=1, mean=(0.5,), std=(0.5,))
    images = np.random.default_rng(0).integers(256, size=(4, 12, 12, 3), dtype=np.uint8)
    model = make_model(spec=spec)
    found = predict_probabilities(model, images)
    assert found == pytest.approx(expected(model, to_input(images, spec)), abs=1e-6)


def test_bf16_gives_nearly_the_same_probabilities() -> None:
    model, images = make_model(), make_dataset().images
    exact = predict_probabilities(model, images)
    rough = predict_probabilities(model, images, precision="bf16")
    assert 0 < np.abs(rough - exact).max() < 0.05


@pytest.mark.parametrize(
    "images",
    [
        np.zeros((2, 12, 12), np.float32),
        np.zeros((2, 3, 12, 12), np.uint8),
        np.zeros((12, 12), "u1"),
    ],
)
def test_other_arrays_than_8_bit_faces_are_refused(images: np.ndarray) -> None:
    with pytest.raises(FerBenchError, match=r"expected uint8 images of shape \(N, H, W\)"):
        predict_probabilities(make_model(), images)


def test_progress_reaches_the_number_of_images() -> None:
    reports: list[tuple[str, int, int, list[str]]] = []
    predict_probabilities(
        make_model(),
        make_dataset().images,
        batch_size=20,
        progress=lambda stage, done, total, figures: reports.append(
            (stage, done, total, list(figures))
        ),
    )
    assert reports == [("evaluating", n, 50, ["images_per_second"]) for n in (20, 40, 50)]


def test_evaluation_is_the_metrics_of_its_predictions() -> None:
    model, dataset = make_model(), make_dataset()
    found = evaluate(model, dataset)
    assert set(found.metrics) == {
        "val", "test", "test_clean", "val_tta", "test_tta", "test_clean_tta",
    }  # fmt: skip
    test = dataset.images[30:]
    for key, tta in (("test", "none"), ("test_tta", "flip")):
        probabilities = predict_probabilities(model, test, tta=tta)
        alone = compute_metrics(dataset.labels[30:], probabilities, EMOTIONS)
        assert found.metrics[key] == alone
        clean = compute_metrics(dataset.labels[35:], probabilities[5:], EMOTIONS)
        assert found.metrics[key.replace("test", "test_clean")] == clean
    assert [found.metrics[k].n for k in ("val", "test", "test_clean")] == [10, 20, 15]


def test_predictions_have_a_row_per_image_and_a_column_per_emotion() -> None:
    model, dataset = make_model(), make_dataset()
    table = evaluate(model, dataset).predictions
    plain = ["id", "split", "label", "clean", "p_angry", "p_happy", "p_sad"]
    assert list(table.columns) == [*plain, "tta_angry", "tta_happy", "tta_sad"]
    assert list(evaluate(model, dataset, tta="none").predictions.columns) == plain
    flipped = predict_probabilities(model, dataset.images[20:], tta="flip")
    assert table.filter(like="tta_").to_numpy() == pytest.approx(flipped, abs=1e-6)
    assert table["id"].tolist() == [f"{i}.png" for i in range(20, 50)]
    assert table["split"].tolist() == ["val"] * 10 + ["test"] * 20
    assert table["label"].tolist() == dataset.labels[20:].tolist()
    assert table["clean"].tolist() == [False] * 15 + [True] * 15
    plain = predict_probabilities(model, dataset.images[20:])
    assert table.filter(like="p_").to_numpy() == pytest.approx(plain, abs=1e-6)
    assert (table.dtypes["p_sad"], table.dtypes["clean"]) == (np.float32, bool)


@pytest.mark.parametrize(("tta", "forwards"), [("none", 1), ("flip", 2), ("five-crop", 6)])
def test_each_image_is_forwarded_once_per_view(tta: str, forwards: int) -> None:
    model = make_model()
    found = evaluate(model, make_dataset(), splits=("test",), tta=tta)
    assert model.backbone.seen == 20 * forwards
    assert ("test_tta" in found.metrics) == (tta != "none")
    assert "val" not in found.metrics


def test_classes_unknown_to_the_model_are_left_out_and_counted() -> None:
    dataset = make_dataset(("happy", "fear", "angry", "neutral"))
    model = make_model()
    found = evaluate(model, dataset, splits=("test",))
    known = np.isin(dataset.labels[30:], [0, 2])
    assert (found.metrics["test"].n, found.metrics["test"].n_left_out) == (10, 10)
    assert found.metrics["test_clean"].n == known[5:].sum()
    assert found.metrics["test_clean"].n_left_out == (~known[5:]).sum()
    assert model.backbone.seen == 10 * 2  # what is left out costs nothing
    assert found.predictions["id"].tolist() == dataset.ids[30:][known].tolist()
    in_model_order = [EMOTIONS.index(dataset.emotions[y]) for y in dataset.labels[30:][known]]
    assert found.predictions["label"].tolist() == in_model_order


def test_a_split_without_any_known_class_is_refused() -> None:
    dataset = make_dataset(("happy", "fear"))
    dataset.labels[20:] = 1
    with pytest.raises(
        FerBenchError, match=r"the val split of made\.zip has no image of the classes"
    ):
        evaluate(make_model(), dataset)


def test_no_clean_image_means_no_clean_metrics() -> None:
    dataset = make_dataset()
    dataset.hashes[30:] = np.arange(20)
    assert "test_clean" not in evaluate(make_model(), dataset).metrics
