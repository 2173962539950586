"""The feature cache: keyed by content, whole or absent, taken up again, and repaired."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from frozen_fixtures import FEATURE_SIZE, tiny_classifier, tiny_dataset, without_test
from torch import Tensor, nn

from fer_bench.data.dataset import FaceDataset
from fer_bench.data.preprocess import to_input
from fer_bench.errors import FerBenchError, RunFailed
from fer_bench.features.cache import (
    BATCH_SIZE,
    Features,
    NamedExtractor,
    extract_features,
)
from fer_bench.features.extractors import make_extractor
from fer_bench.models.classifier import Classifier


class Counting:
    """Eager fp32 that counts the images it was given."""

    def __init__(self, model: Classifier, name: str = "torch-fp32") -> None:
        self.images = 0
        self.run = make_extractor("torch-fp32", model, torch.zeros(2, 1, 16, 16))
        self.named = NamedExtractor(name=name, make=lambda: self)

    def __call__(self, x: Tensor) -> Tensor:
        self.images += len(x)
        return self.run(x)


def extract(
    folder: Path, dataset: FaceDataset, model: Classifier, counting: Counting | None = None
) -> tuple[Features, int]:
    """Features of train and val, and how many images the backbone saw for them."""
    counting = counting or Counting(model)
    found = extract_features(
        model, dataset, splits=("train", "val"), extractor=counting.named, cache_dir=folder
    )
    return found, counting.images


def test_features_are_those_of_the_backbone_for_both_views(tmp_path: Path) -> None:
    dataset, model = tiny_dataset(), tiny_classifier()
    found, seen = extract(tmp_path, dataset, model)
    assert found["train"].shape == (90, 2, FEATURE_SIZE)
    assert found["val"].shape == (30, 1, FEATURE_SIZE)
    assert found["train"].dtype == np.float32
    assert isinstance(found["train"], np.memmap)
    assert seen == 2 * 90 + 30
    x = to_input(dataset.images[:90], model.input_spec)
    with torch.no_grad():
        for view, expected in enumerate((model.features(x), model.features(x.flip(-1)))):
            np.testing.assert_allclose(found["train"][:, view], expected, rtol=1e-5, atol=1e-6)


def test_a_second_request_computes_nothing_and_does_not_even_make_the_extractor(
    tmp_path: Path,
) -> None:
    dataset, model = tiny_dataset(), tiny_classifier()
    first, _ = extract(tmp_path, dataset, model)

    def unwanted() -> Counting:
        raise AssertionError("the cache has it")

    again = extract_features(
        model,
        dataset,
        splits=("train", "val"),
        extractor=NamedExtractor(name="torch-fp32", make=unwanted),
        cache_dir=tmp_path,
    )
    np.testing.assert_array_equal(again["train"], first["train"])


def test_the_test_split_is_not_needed(tmp_path: Path) -> None:
    extract(tmp_path, tiny_dataset(), tiny_classifier())
    _, seen = extract(tmp_path, without_test(tiny_dataset()), tiny_classifier())
    assert seen == 0


def other_weights(dataset: FaceDataset, model: Classifier) -> tuple[FaceDataset, Classifier]:
    return dataset, tiny_classifier(seed=1)


def other_running_statistics(
    dataset: FaceDataset, model: Classifier
) -> tuple[FaceDataset, Classifier]:
    assert isinstance(model.backbone, nn.Sequential)
    torch.nn.init.constant_(model.backbone[1].running_mean, 0.5)
    return dataset, model


def other_size(dataset: FaceDataset, model: Classifier) -> tuple[FaceDataset, Classifier]:
    model.input_spec = model.input_spec.model_copy(update={"size": 20})
    return dataset, model


def other_images(dataset: FaceDataset, model: Classifier) -> tuple[FaceDataset, Classifier]:
    return tiny_dataset(seed=1), model


@pytest.mark.parametrize(
    "change", [other_weights, other_running_statistics, other_size, other_images]
)
def test_whatever_changes_the_features_changes_the_key(tmp_path: Path, change) -> None:  # type: ignore[no-untyped-def]
    extract(tmp_path, tiny_dataset(), tiny_classifier())
    _, seen = extract(tmp_path, *change(tiny_dataset(), tiny_classifier()))
    assert seen == 2 * 90 + 30


def test_each_extractor_has_its_own_features(tmp_path: Path) -> None:
    dataset, model = tiny_dataset(), tiny_classifier()
    extract(tmp_path, dataset, model)
    _, seen = extract(tmp_path, dataset, model, Counting(model, "torch-bf16"))
    assert seen == 2 * 90 + 30


def test_labels_and_head_are_no_part_of_the_key(tmp_path: Path) -> None:
    dataset, model = tiny_dataset(), tiny_classifier()
    extract(tmp_path, dataset, model)
    model.head = nn.Linear(FEATURE_SIZE, 3)
    _, seen = extract(tmp_path, replace(dataset, labels=dataset.labels[::-1].copy()), model)
    assert seen == 0


@pytest.mark.parametrize("damage", ["flipped byte", "cut off", "no checksum", "empty"])
def test_a_damaged_entry_is_computed_again(tmp_path: Path, damage: str) -> None:
    dataset, model = tiny_dataset(), tiny_classifier()
    first, _ = extract(tmp_path, dataset, model)
    good = np.array(first["train"])
    path = max(tmp_path.glob("*.npy"), key=lambda p: p.stat().st_size)
    content = bytearray(path.read_bytes())
    if damage == "flipped byte":
        content[-1] ^= 1
        path.write_bytes(content)
    elif damage == "no checksum":
        path.with_suffix(".json").unlink()
    else:
        path.write_bytes(content[:-5] if damage == "cut off" else b"")
    again, seen = extract(tmp_path, dataset, model)
    assert seen == 2 * 90
    np.testing.assert_array_equal(again["train"], good)


@pytest.mark.parametrize("torn_bytes", [0, 7, 4 * 2 * FEATURE_SIZE + 3])
def test_a_killed_extraction_leaves_no_entry_and_is_taken_up_again(
    tmp_path: Path, torn_bytes: int
) -> None:
    dataset, model = tiny_dataset(train=2 * BATCH_SIZE + 10), tiny_classifier()

    def killed(stage: str, done: int, total: int, figures: Mapping[str, float]) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        extract_features(
            model,
            dataset,
            splits=("train",),
            extractor=Counting(model).named,
            cache_dir=tmp_path,
            progress=killed,
        )
    assert not list(tmp_path.glob("*.npy"))
    with next(tmp_path.glob("*.part")).open("ab") as file:
        file.write(b"x" * torn_bytes)

    counting = Counting(model)
    resumed = extract_features(
        model, dataset, splits=("train",), extractor=counting.named, cache_dir=tmp_path
    )
    assert counting.images == 2 * (BATCH_SIZE + 10)
    fresh, _ = extract(tmp_path / "fresh", dataset, model)
    np.testing.assert_array_equal(resumed["train"], fresh["train"])
    assert not list(tmp_path.glob("*.part"))


def test_progress_counts_images_and_speed(tmp_path: Path) -> None:
    heard: list[tuple[str, int, int, set[str]]] = []

    def listen(stage: str, done: int, total: int, figures: Mapping[str, float]) -> None:
        heard.append((stage, done, total, set(figures)))

    model = tiny_classifier()
    extract_features(
        model,
        tiny_dataset(),
        splits=("train",),
        extractor=Counting(model).named,
        cache_dir=tmp_path,
        progress=listen,
    )
    stage, speed = "features of train (torch-fp32)", {"images_per_second"}
    assert heard == [(stage, 64, 90, speed), (stage, 90, 90, speed)]


def test_features_that_are_not_finite_fail_the_run_and_are_not_kept(tmp_path: Path) -> None:
    model = tiny_classifier()
    assert isinstance(model.backbone, nn.Sequential)
    torch.nn.init.constant_(model.backbone[0].bias, torch.nan)
    with pytest.raises(RunFailed, match="the backbone of resnet18 gave features that are not fin"):
        extract(tmp_path, tiny_dataset(), model)
    assert not list(tmp_path.glob("*.npy"))


def test_a_cache_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(FerBenchError, match=r"cannot save features in .*; free some space"):
        extract(tmp_path / "file" / "cache", tiny_dataset(), tiny_classifier())
