"""Frozen training from cached features against epochs that run the backbone each time.

Both sides train the same head for 20 epochs on all of FER2013 at 224 px: ours extracts two views
once and trains on the cache; theirs sends every image through the backbone in every epoch, once on
the same back end and once on eager fp32. Seconds per image are measured on a subset, in turns, the
medians count, and whole trainings are computed from them; head epochs are measured at full size.
What ours spends on choosing and preparing a back end is counted. Then both heads are trained on
the same images, with the same seed and order, and tested on the same fp32 features.

    python -m benchmarks.training.frozen_cache                        drawn faces
    python -m benchmarks.training.frozen_cache --data fer2013.zip     real ones

Prints one JSON line last.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from fer_bench.data.dataset import FaceDataset
from fer_bench.data.load import load_dataset
from fer_bench.data.preprocess import to_input
from fer_bench.environment import capture
from fer_bench.features.cache import BATCH_SIZE, NamedExtractor, extract_features
from fer_bench.features.extractors import EXTRACTORS, Extractor, choose_extractor, make_extractor
from fer_bench.models.build import build_model
from fer_bench.models.classifier import Classifier, ModelRequest
from fer_bench.specs.recipe import load_recipe
from fer_bench.specs.run import RunSpec
from fer_bench.training.frozen import CachedSplits, head_state, sample_input, train_epoch
from fer_bench.training.loss import make_loss, soft_targets
from fer_bench.types import Split

MODELS = ("resnet18", "clip_vit_b_32")
THREADS = 2
EPOCHS = 20
FULL_TRAIN, FULL_VAL = 28_709, 3_589


def make_spec(model: str, emotions: tuple[str, ...]) -> RunSpec:
    """The protocol people copy; the last epoch is stored, so no split is selected on."""
    recipe = load_recipe("frozen-20").model_copy(update={"checkpoint": "last", "epochs": EPOCHS})
    return RunSpec(model=model, mode="frozen", recipe=recipe, pretraining="none", emotions=emotions)


def one_view(model: Classifier, images: np.ndarray, extract: Extractor) -> float:
    """Seconds per image of what a naive epoch does: preprocess, then run the backbone."""
    start = time.perf_counter()
    for first in range(0, len(images), BATCH_SIZE):
        extract(to_input(images[first : first + BATCH_SIZE], model.input_spec))
    return (time.perf_counter() - start) / len(images)


def two_views(model: Classifier, data: FaceDataset, extractor: NamedExtractor) -> float:
    """Seconds per image of extracting both views into an empty cache."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        extract_features(
            model, data, splits=("train",), extractor=extractor, cache_dir=Path(folder)
        )
        return (time.perf_counter() - start) / len(data.indices("train"))


def full_size_head_epoch(model: Classifier, spec: RunSpec) -> float:
    """Seconds of one head epoch over as many features as FER2013 has."""
    torch.manual_seed(0)
    size, classes = model.feature_size, len(model.emotions)
    labels = torch.randint(classes, (FULL_TRAIN,))
    data = CachedSplits(
        x=torch.randn(FULL_TRAIN, 2, size),
        y=torch.eye(classes)[labels],
        val_x=torch.randn(FULL_VAL, size),
        val_labels=torch.randint(classes, (FULL_VAL,)),
    )
    state = head_state(model, spec, FULL_TRAIN, "cpu")
    return train_epoch(state, data, 0, make_loss(spec.recipe, {}))["seconds"]


def _same(extractor: Extractor) -> Extractor:
    return extractor


def test_accuracy(
    model: Classifier, spec: RunSpec, data: FaceDataset, train_with: Extractor, eager: Extractor
) -> float:
    """Accuracy of a head trained on one extractor's features; test features are eager fp32's.

    Eager fp32 features are the same in every epoch, so they are computed once for both sides.
    """
    with tempfile.TemporaryDirectory() as folder:
        found: dict[Split, NDArray[np.float32]] = {}
        sides: tuple[tuple[Split, Extractor], ...] = (("train", train_with), ("test", eager))
        for split, run in sides:
            named = NamedExtractor(name="measured", make=partial(_same, run))
            found |= extract_features(
                model, data, splits=(split,), extractor=named, cache_dir=Path(folder)
            )
        train, test = data.indices("train"), data.indices("test")
        cached = CachedSplits(
            x=torch.tensor(found["train"]),
            y=torch.tensor(soft_targets(data)[train]),
            val_x=torch.tensor(found["test"][:, 0]),  # measured on, never selected on
            val_labels=torch.tensor(data.labels[test]),
        )
    state = head_state(model, spec, len(train), "cpu")
    loss = make_loss(spec.recipe, data.class_counts("train"))
    for _ in range(EPOCHS):
        state.finish_epoch(train_epoch(state, cached, spec.seed, loss))
    return state.history[-1]["val_accuracy"]


def measure(
    name: str, data: FaceDataset, accuracy_data: FaceDataset, rounds: int
) -> dict[str, Any]:
    """Both sides of one model, in turns, and the ratios."""
    request = ModelRequest(name=name, emotions=data.emotions, mode="frozen")
    torch.manual_seed(0)
    model, spec = build_model(request), make_spec(name, data.emotions)
    start = time.perf_counter()
    sample = sample_input(model, data)
    choice = choose_extractor(model, sample, allow=EXTRACTORS)
    preparation = time.perf_counter() - start
    eager = make_extractor("torch-fp32", model, sample)
    best = NamedExtractor(name=choice.name, make=lambda: choice.forward)

    times: dict[str, list[float]] = {"eager": [], "same": [], "both_views": [], "head_epoch": []}
    images = data.images[data.indices("train")]
    for _ in range(rounds):
        times["eager"].append(one_view(model, images, eager))
        times["same"].append(one_view(model, images, choice.forward))
        times["both_views"].append(two_views(model, data, best))
        times["head_epoch"].append(full_size_head_epoch(build_model(request), spec))
        print(f"{name}: { {k: round(v[-1], 5) for k, v in times.items()} }", file=sys.stderr)
    middle = {k: median(v) for k, v in times.items()}
    heads = EPOCHS * middle["head_epoch"]
    cached = preparation + FULL_TRAIN * middle["both_views"] + heads
    same = preparation + EPOCHS * FULL_TRAIN * middle["same"] + heads
    fp32 = EPOCHS * FULL_TRAIN * middle["eager"] + heads
    # The same initial head on both sides.
    accuracies = []
    for extract in (choice.forward, eager):
        torch.manual_seed(0)
        fresh = build_model(request)
        accuracies.append(test_accuracy(fresh, spec, accuracy_data, extract, eager))
    return {
        "extractor": choice.name,
        "reason": choice.reason,
        "images_per_s": {k: round(1000 / ms, 1) for k, ms in choice.milliseconds.items()},
        "cosine_with_fp32": {
            k: {"min": round(a.min_cosine, 5), "mean": round(a.mean_cosine, 5)}
            for k, a in choice.fidelity.items()
        },
        "preparation_s": round(preparation, 1),
        "head_epoch_s": round(middle["head_epoch"], 3),
        "cached_20_epochs_s": round(cached, 1),
        "same_back_end_20_epochs_s": round(same, 1),
        "eager_fp32_20_epochs_s": round(fp32, 1),
        "ratio_same_back_end": round(same / cached, 2),
        "ratio_eager_fp32": round(fp32 / cached, 2),
        "test_accuracy_cached": accuracies[0],
        "test_accuracy_eager_fp32": accuracies[1],
        "accuracy_difference_points": round(100 * (accuracies[0] - accuracies[1]), 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", default="synthetic", help="a data set's folder or zip")
    parser.add_argument("--images", type=int, default=384, help="timed images per side")
    parser.add_argument("--accuracy-images", type=int, default=1024, help="train and test images")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--models", nargs="+", default=MODELS)
    asked = parser.parse_args()
    torch.set_num_threads(THREADS)
    data = load_dataset(asked.data, limit=asked.images)
    accuracy_data = load_dataset(asked.data, limit=asked.accuracy_images)
    models = {name: measure(name, data, accuracy_data, asked.rounds) for name in asked.models}
    seen = capture()
    print(
        json.dumps(
            {
                "benchmark": "frozen_cache",
                "data": Path(asked.data).name,
                "timed_images": len(data.indices("train")),
                "accuracy_images": accuracy_data.split_sizes(),
                "scaled_to_images": FULL_TRAIN,
                "epochs": EPOCHS,
                "rounds": asked.rounds,
                "threads": THREADS,
                **models,
                "cpu": seen.processor,
                "cpu_cores": seen.cpu_cores,
                "cpu_flags": seen.cpu_flags,
                "packages": seen.packages,
            }
        )
    )


if __name__ == "__main__":
    main()
