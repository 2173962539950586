"""Soft targets and the loss over them."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from pydantic import ValidationError
from table_fixtures import table

from fer_bench.data.load import load_dataset
from fer_bench.specs.recipe import Recipe
from fer_bench.specs.run import RunSpec
from fer_bench.training.loss import make_loss, soft_targets


def test_labels_become_one_hot_rows():
    dataset = load_dataset("synthetic", emotions="happy,sad")
    targets = soft_targets(dataset)
    known = dataset.labels >= 0
    assert (targets[known].argmax(1) == dataset.labels[known]).all()
    assert (targets[known].sum(1) == 1).all()
    assert (targets[~known] == 0).all()


def test_without_extras_the_loss_is_cross_entropy():
    logits = torch.randn(5, 3)
    labels = torch.tensor([0, 1, 2, 1, 0])
    loss = make_loss(Recipe(name="r", epochs=1), {"a": 1, "b": 1, "c": 1})
    assert loss(logits, F.one_hot(labels).float()) == pytest.approx(
        float(F.cross_entropy(logits, labels))
    )


def test_class_weights_are_inverse_to_frequency_and_average_one_over_the_samples():
    counts = {"rare": 10, "common": 90}
    recipe = Recipe(name="r", epochs=1, class_weights=True)
    loss = make_loss(recipe, counts)
    plain = make_loss(Recipe(name="r", epochs=1), counts)
    zeros, eye = torch.zeros(1, 2), torch.eye(2)
    of_rare = float(loss(zeros, eye[:1]) / plain(zeros, eye[:1]))
    of_common = float(loss(zeros, eye[1:]) / plain(zeros, eye[1:]))
    assert of_rare / of_common == pytest.approx(9)
    assert 0.1 * of_rare + 0.9 * of_common == pytest.approx(1)


def test_a_class_without_images_weighs_nothing():
    """As scikit-learn's `balanced` weighs the classes that there are."""
    recipe = Recipe(name="r", epochs=1, class_weights=True, label_smoothing=0.1)
    loss = make_loss(recipe, {"rare": 10, "common": 90, "missing": 0})
    logits, of_rare = torch.zeros(1, 3), torch.tensor([[1.0, 0.0, 0.0]])
    rare, common = 100 / (2 * 10), 100 / (2 * 90)
    expected = (rare * (0.9 + 0.1 / 3) + common * 0.1 / 3) * np.log(3)
    assert float(loss(logits, of_rare)) == pytest.approx(expected)


def test_label_smoothing_moves_its_share_to_all_classes():
    logits = torch.tensor([[2.0, 0.0]])
    target = torch.tensor([[1.0, 0.0]])
    smooth = make_loss(Recipe(name="r", epochs=1, label_smoothing=0.2), {"a": 1, "b": 1})
    log_p = logits.log_softmax(1)[0].numpy()
    expected = -(0.9 * log_p[0] + 0.1 * log_p[1])
    assert float(smooth(logits, target)) == pytest.approx(float(np.float32(expected)), rel=1e-6)


def test_multi_target_accepts_any_emotion_that_kept_votes():
    loss = make_loss(Recipe(name="r", epochs=1), {"a": 1, "b": 1, "c": 1}, votes="multi-target")
    p = torch.tensor([[0.2, 0.7, 0.1], [0.5, 0.2, 0.3]])
    targets = torch.tensor([[0.6, 0.4, 0.0], [0.0, 0.0, 1.0]])
    assert float(loss(p.log(), targets)) == pytest.approx(
        -(np.log(0.7) + np.log(0.3)) / 2, rel=1e-6
    )


@table("ignored", ["label_smoothing", "mixup", "cutmix"])
@table("mode", ["full", "lora", "frozen"])
def test_multi_target_refuses_what_its_loss_does_not_know(mode: str, ignored: str):
    recipe = Recipe(name="r", epochs=1, **{ignored: 0.1})
    with pytest.raises(ValidationError, match=f"multi-target votes knows no {ignored}"):
        RunSpec(model="resnet18", mode=mode, recipe=recipe, votes="multi-target")
    assert RunSpec(model="resnet18", mode=mode, recipe=recipe, votes="probability").recipe == recipe
