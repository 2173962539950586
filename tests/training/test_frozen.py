"""Mode `frozen`: the head learns from the cache, exactly, whether interrupted or not."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from frozen_fixtures import tiny_classifier, tiny_dataset, without_test
from torch import Tensor, nn

from fer_bench.data.preprocess import to_input
from fer_bench.errors import FerBenchError, RunFailed
from fer_bench.models.classifier import Classifier
from fer_bench.specs.recipe import Augmentation, Optimizer, Recipe, Schedule
from fer_bench.specs.run import RunSpec
from fer_bench.training.frozen import train_frozen
from fer_bench.training.job import TrainingJob, TrainingOutcome


@pytest.fixture(autouse=True)
def _empty_feature_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FER_BENCH_CACHE", str(tmp_path / "cache"))


def make_spec(**changes: Any) -> RunSpec:
    recipe = {
        "name": "test",
        "epochs": 6,
        "batch_size": 16,
        "optimizer": Optimizer(lr=0.05),
        "augmentation": Augmentation(flip=True),
        **changes,
    }
    return RunSpec(model="resnet18", mode="frozen", pretraining="none", recipe=Recipe(**recipe))


def weights(model: nn.Module) -> dict[str, Tensor]:
    return {k: v.clone() for k, v in model.state_dict().items()}


def assert_same(left: dict[str, Tensor], right: dict[str, Tensor]) -> None:
    assert left.keys() == right.keys()
    for name in left:
        assert torch.equal(left[name], right[name]), name


def timeless(outcome: TrainingOutcome) -> pd.DataFrame:
    return outcome.history.drop(columns=["seconds", "images_per_second"])


def train(folder: Path, spec: RunSpec, **rest: Any) -> tuple[Classifier, TrainingOutcome]:
    model = tiny_classifier(dropout=0.2)
    extractor = rest.pop("extractor", "torch-fp32")
    return model, train_frozen(TrainingJob(model, tiny_dataset(), spec, folder, **rest), extractor)


def test_the_head_learns_and_the_backbone_stays(tmp_path: Path) -> None:
    before = weights(tiny_classifier(dropout=0.2).backbone)
    model, outcome = train(tmp_path, make_spec(augmentation=Augmentation(), epochs=15))
    assert_same(weights(model.backbone), before)
    assert outcome.history["val_accuracy"].max() > 0.8
    assert not model.training


def test_history_and_info_say_what_was_done_and_the_best_epochs_weights_are_kept(
    tmp_path: Path,
) -> None:
    model, outcome = train(tmp_path, make_spec())
    assert list(outcome.history["epoch"]) == [1, 2, 3, 4, 5, 6]
    assert set(outcome.history) == {
        "epoch", "train_loss", "train_accuracy", "val_loss", "val_accuracy", "lr",
        "images_per_second", "seconds",
    }  # fmt: skip
    info = outcome.info
    assert (info.epochs_run, info.batch_size, info.device) == (6, 16, "cpu")
    assert (info.extractor, info.precision) == ("torch-fp32", "fp32")
    assert info.precision_reason == "set by the user"
    assert info.best_epoch == 1 + int(np.argmax(outcome.history["val_accuracy"]))
    assert not info.stopped_early

    dataset, best = tiny_dataset(), outcome.history["val_accuracy"].max()
    val = dataset.indices("val")
    with torch.no_grad():
        predicted = model(to_input(dataset.images[val], model.input_spec)).argmax(1)
    assert float((predicted.numpy() == dataset.labels[val]).mean()) == pytest.approx(best)


def test_the_same_seed_gives_the_same_head_and_another_seed_another(tmp_path: Path) -> None:
    spec = make_spec()
    first, outcome = train(tmp_path / "a", spec)
    second, again = train(tmp_path / "b", spec)
    assert_same(weights(first), weights(second))
    pd.testing.assert_frame_equal(timeless(outcome), timeless(again))
    _, other = train(tmp_path / "c", spec.model_copy(update={"seed": 1}))
    assert not timeless(outcome).equals(timeless(other))


SCHEDULES = [
    {"schedule": Schedule(name="plateau", patience=0)},
    {"schedule": Schedule(name="one-cycle")},
    {"schedule": Schedule(name="cosine"), "ema_decay": 0.9, "clip_grad": 1.0},
    {"early_stopping": 2, "checkpoint": "last", "class_weights": True, "label_smoothing": 0.1},
]


@pytest.mark.parametrize("changes", SCHEDULES)
def test_a_killed_run_resumes_to_exactly_the_same_result(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    spec = make_spec(**changes)
    whole, expected = train(tmp_path / "whole", spec)

    def killed(stage: str, done: int, total: int, figures: Mapping[str, float]) -> None:
        if stage == "epochs" and done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "work", spec, progress=killed)
    stages = []
    model, outcome = train(
        tmp_path / "work", spec, resume=True, progress=lambda *event: stages.append(event[:2])
    )
    assert stages == [("epochs", n) for n in range(3, outcome.info.epochs_run + 1)]
    pd.testing.assert_frame_equal(timeless(outcome), timeless(expected))
    assert_same(weights(model), weights(whole))
    assert outcome.info.best_epoch == expected.info.best_epoch


def test_a_resumed_head_does_not_change_to_other_features(tmp_path: Path) -> None:
    train(tmp_path, make_spec(epochs=1), extractor="openvino-fp32")
    with pytest.raises(FerBenchError, match="were trained with openvino-fp32, got torch-fp32: go"):
        train(tmp_path, make_spec(epochs=1), extractor="torch-fp32", resume=True)


def test_without_resume_an_old_checkpoint_is_not_used(tmp_path: Path) -> None:
    train(tmp_path, make_spec(epochs=1))
    _, outcome = train(tmp_path, make_spec())
    assert list(outcome.history["epoch"]) == [1, 2, 3, 4, 5, 6]


def test_early_stopping_ends_the_run(tmp_path: Path) -> None:
    spec = make_spec(epochs=40, early_stopping=2, optimizer=Optimizer(lr=1e-9))
    _, outcome = train(tmp_path, spec)
    assert (outcome.info.epochs_run, outcome.info.best_epoch) == (3, 1)
    assert outcome.info.stopped_early


def test_recipes_with_flip_alone_learn_from_mirrored_faces(tmp_path: Path) -> None:
    stages: dict[str, int] = {}

    def listen(stage: str, done: int, total: int, figures: Mapping[str, float]) -> None:
        stages[stage] = done

    _, plain = train(tmp_path / "a", make_spec(augmentation=Augmentation()), progress=listen)
    one_view = sum(p.stat().st_size for p in (tmp_path / "cache").rglob("*.npy"))
    _, flipping = train(tmp_path / "b", make_spec(), progress=listen)
    both = sum(p.stat().st_size for p in (tmp_path / "cache").rglob("*.npy"))
    row = 16 * 4
    assert both - one_view == 2 * 90 * row + 128
    assert stages == {
        "features of train (torch-fp32)": 90, "features of val (torch-fp32)": 30, "epochs": 6
    }  # fmt: skip
    assert plain.history["train_accuracy"].iloc[-1] > flipping.history["train_accuracy"].iloc[-1]


def test_the_test_split_is_never_read(tmp_path: Path) -> None:
    spec = make_spec()
    first = tiny_classifier()
    train_frozen(TrainingJob(first, tiny_dataset(), spec, tmp_path / "a"), "torch-fp32")
    second, without = tiny_classifier(), without_test(tiny_dataset())
    train_frozen(TrainingJob(second, without, spec, tmp_path / "b"), "torch-fp32")
    assert without.split_sizes()["test"] == 0
    assert_same(weights(first), weights(second))


def test_auto_records_its_reason_and_holds_for_later_runs(tmp_path: Path) -> None:
    spec = make_spec(epochs=2)
    _, first = train(tmp_path / "a", spec, extractor="auto")
    _, second = train(tmp_path / "b", spec, extractor="auto")
    assert first.info.extractor == "torch-fp32"
    assert "only 180 images ahead" in first.info.precision_reason
    assert "images/s" in first.info.precision_reason
    assert second.info.precision_reason == first.info.precision_reason


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"augmentation": Augmentation(flip=True, rotate=10, scale=(0.9, 1.1))}, "rotate, scale"),
        ({"mixup": 0.2}, "mixup"),
        ({"cutmix": 1.0}, "cutmix"),
    ],
)
def test_augmentation_that_a_cache_cannot_give_is_refused(
    tmp_path: Path, changes: dict[str, Any], named: str
) -> None:
    with pytest.raises(FerBenchError, match=rf"recipe 'test' asks for {named}, which features"):
        train(tmp_path, make_spec(**changes))


def test_a_head_that_diverges_in_the_epochs_last_step_fails_the_run(tmp_path: Path) -> None:
    """The loss of the training is fine to the end; that of the validation is not."""
    spec = make_spec(batch_size=90, optimizer=Optimizer(name="sgd", lr=1e38, momentum=0.0))
    with pytest.raises(
        RunFailed, match=r"diverged: the validation loss became (inf|nan) in epoch 1"
    ):
        train(tmp_path, spec)


def test_a_loss_that_is_not_finite_fails_the_run(tmp_path: Path) -> None:
    model = tiny_classifier()
    nn.init.constant_(model.head[1].weight, torch.inf)  # type: ignore[index]
    with pytest.raises(RunFailed, match="the loss became nan in epoch 1"):
        train_frozen(TrainingJob(model, tiny_dataset(), make_spec(), tmp_path), "torch-fp32")
