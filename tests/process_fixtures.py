"""Small trainings whose outcome does not depend on how many processes share them, or hardly."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from frozen_fixtures import tiny_classifier, tiny_dataset
from torch import nn

from fer_bench.config import Recipe
from fer_bench.data.base import FaceDataset
from fer_bench.evaluation.predicting import evaluate, predict_probabilities
from fer_bench.models.base import Classifier
from fer_bench.specs import RunSpec
from fer_bench.training.finetune import finetune
from fer_bench.training.frozen import train_frozen
from fer_bench.types import Mode, Progress, silent

#: Faces to predict, 16 at a time: an uneven end, one batch more for the first process, one batch.
SIZES = (50, 33, 10)
#: The command line of `whole` runs, but for the data and the results folder.
RECIPE = """
name: shared
epochs: 3
batch_size: 33
precision: fp32
optimizer: {name: adam, lr: 1.0e-3}
augmentation: {flip: true, rotate: 10}
ema_decay: 0.9
"""
NAME = "resnet18-full-shared-scratch-tiny-32px-s0"


@dataclass(frozen=True, kw_only=True)
class Training:
    """A network, its data and what is done with it."""

    model: Classifier
    dataset: FaceDataset
    spec: RunSpec


def _training(
    dataset: FaceDataset, mode: Mode = "full", batch_norm: bool = True, **recipe: Any
) -> Training:
    model = tiny_classifier()
    if not batch_norm:
        assert isinstance(model.backbone, nn.Sequential)
        model.backbone[1] = nn.Identity()
    values = {"name": "shared", "precision": "fp32"} | recipe
    spec = RunSpec(
        model="resnet18",
        mode=mode,
        recipe=Recipe.model_validate(values),
        pretraining="none",
        model_options={"tiny": True, "input_size": 32},
        seed=3,
    )
    return Training(model=model, dataset=dataset, spec=spec)


def plain() -> Training:
    """Nothing that depends on the other faces of a batch but the mean; shares of 8 and 7 faces."""
    return _training(
        tiny_dataset(),
        batch_norm=False,
        epochs=2,
        batch_size=15,
        optimizer={"name": "sgd", "lr": 0.1, "momentum": 0.9},
        schedule={"name": "cosine"},
        class_weights=True,
        clip_grad=0.5,
        ema_decay=0.9,
    )


def still() -> Training:
    """One step that changes batch norm's statistics alone."""
    slow = {"name": "sgd", "lr": 1e-30, "momentum": 0.0}
    return _training(tiny_dataset(), epochs=1, batch_size=90, optimizer=slow)


def usual() -> Training:
    """Batch norm, augmentation and average: as runs are."""
    return _training(
        tiny_dataset(train=200, val=60, test=200),
        epochs=4,
        batch_size=20,
        optimizer={"name": "adam", "lr": 0.01},
        augmentation={"brightness": 0.2, "erase": 0.25},
        ema_decay=0.9,
    )


def frozen() -> Training:
    """A head on cached features, mirrored ones too."""
    fast = {"name": "adam", "lr": 0.01}
    flip = {"flip": True}
    dataset = tiny_dataset(train=200)  # four batches of the extractor
    return _training(dataset, "frozen", epochs=3, batch_size=20, optimizer=fast, augmentation=flip)


def trained(
    training: Training, folder: Path, progress: Progress = silent, *, resume: bool = False
) -> dict[str, Any]:
    """`weights`, `history` without what is measured, `processes`, and `metrics` on test."""
    model, dataset, spec = training.model, training.dataset, training.spec
    if spec.mode == "frozen":
        outcome = train_frozen(
            model, dataset, spec, work_dir=folder, extractor="torch-fp32", resume=resume
        )
    else:
        outcome = finetune(model, dataset, spec, work_dir=folder, progress=progress, resume=resume)
    history = outcome.history.drop(columns=["images_per_second", "seconds"])
    return {
        "weights": {name: value.clone() for name, value in model.state_dict().items()},
        "history": history.to_dict("list"),
        "processes": outcome.info.processes,
        "metrics": evaluate(model, dataset, splits=("test",)).metrics["test"].model_dump(),
    }


def predicted(size: int) -> torch.Tensor:
    """Probabilities for so many faces, in an order of their own."""
    images = np.random.default_rng(size).integers(0, 255, (80, 16, 16), dtype=np.uint8)
    rows = np.random.default_rng(1).permutation(80)[:size]
    found = predict_probabilities(tiny_classifier(), images, rows, tta="flip", batch_size=16)
    return torch.from_numpy(found)


def evaluated() -> dict[str, Any]:
    """Metrics and predictions of a data set of which one class is unknown to the model."""
    dataset = tiny_dataset(test=75)
    other = replace(dataset, emotions=("happy", "fear", "neutral"))
    found = evaluate(tiny_classifier(), other, batch_size=16)
    metrics = {name: metric.model_dump() for name, metric in found.metrics.items()}
    return {"metrics": metrics, "predictions": found.predictions.to_dict("list")}


def train_words(folder: Path) -> list[str]:
    """`train ...`; writes the recipe into the folder, beside the results."""
    folder.mkdir(parents=True, exist_ok=True)
    recipe = folder / "shared.yaml"
    recipe.write_text(RECIPE)
    words = ["train", "--model", "resnet18", "--recipe", str(recipe), "--pretraining", "none"]
    words += ["--option", "tiny=true", "--option", "input_size=32", "--device", "cpu"]
    return [*words, "--results", str(folder / "results")]
