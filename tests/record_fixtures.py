"""Made-up runs for tests: a valid record whose metrics are those of its predictions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd

from fer_bench.config import Recipe
from fer_bench.emotions import FER2013
from fer_bench.environment import Environment
from fer_bench.evaluation.metrics import compute_metrics
from fer_bench.results.record import (
    DatasetInfo,
    Metrics,
    ModelInfo,
    RunRecord,
    Status,
    TrainingInfo,
)
from fer_bench.specs import RunSpec
from fer_bench.types import InputSpec, Mode, Provenance

STARTED = datetime(2025, 1, 2, 3, 4, 5, tzinfo=UTC)


def make_predictions(
    *,
    emotions: Sequence[str] = FER2013,
    n_val: int = 70,
    n_test: int = 140,
    accuracy: float = 0.65,
    seed: int = 0,
) -> pd.DataFrame:
    """Predictions as `results/*/*/predictions.parquet` holds them; every class occurs."""
    rng = np.random.default_rng(seed)
    n, n_classes = n_val + n_test, len(emotions)
    labels = np.arange(n) % n_classes
    noise = rng.random((n, n_classes))
    right = rng.random(n) < accuracy
    noise[np.arange(n), np.where(right, labels, rng.integers(n_classes, size=n))] += 1
    probabilities = (noise**3 / (noise**3).sum(1, keepdims=True)).astype(np.float32)
    splits = np.repeat(["val", "test"], [n_val, n_test])
    table = pd.DataFrame(
        {
            "id": [f"{split}/{i:05d}.png" for i, split in enumerate(splits)],
            "split": splits,
            "label": labels,
            "clean": (splits == "test") & (rng.random(n) < 0.85),
        }
    )
    return table.assign(**{f"p_{e}": probabilities[:, c] for c, e in enumerate(emotions)})


def make_history(*, epochs: int = 5, accuracy: float = 0.65, seed: int = 0) -> pd.DataFrame:
    """One row per epoch, with the columns of `training.outcome.TrainingOutcome`."""
    rng = np.random.default_rng(seed)
    epoch = np.arange(1, epochs + 1)
    rise = 1 - np.exp(-2 * epoch / epochs)
    return pd.DataFrame(
        {
            "epoch": epoch,
            "train_loss": 2 - rise,
            "train_accuracy": np.minimum(accuracy * rise * 1.2, 1),
            "val_loss": 2 - 0.8 * rise + rng.normal(0, 0.01, epochs),
            "val_accuracy": accuracy * rise,
            "lr": np.full(epochs, 1e-4),
            "images_per_second": rng.uniform(400, 500, epochs),
            "seconds": rng.uniform(50, 60, epochs),
        }
    )


def make_metrics(predictions: pd.DataFrame, emotions: Sequence[str]) -> dict[str, Metrics]:
    """The metrics of a table of predictions under a record's six keys."""
    sets = {
        "val": predictions[predictions["split"] == "val"],
        "test": predictions[predictions["split"] == "test"],
        "test_clean": predictions[predictions["clean"]],
    }
    columns = [f"p_{e}" for e in emotions]
    plain = {
        key: compute_metrics(rows["label"].to_numpy(), rows[columns].to_numpy(), emotions)
        for key, rows in sets.items()
    }
    return plain | {f"{key}_tta": metrics for key, metrics in plain.items()}


def make_recipe(*, name: str = "finetune-5", epochs: int = 5) -> Recipe:
    return Recipe(name=name, epochs=epochs)


def make_environment(*, gpu: str | None = None) -> Environment:
    return Environment(
        fer_bench="0.1.0",
        git_commit="0" * 40,
        python="3.11.0",
        system="Linux x86_64",
        cpu="Test CPU",
        cpu_cores=2,
        cpu_flags=["avx2"],
        memory_gib=8.0,
        gpu=gpu,
        packages={"torch": "2.8.0"},
    )


def make_dataset_info(
    *, name: str, protocol: str, emotions: Sequence[str], predictions: pd.DataFrame
) -> DatasetInfo:
    counts = {
        split: {
            e: int(((predictions["split"] == split) & (predictions["label"] == c)).sum())
            for c, e in enumerate(emotions)
        }
        for split in ("val", "test")
    }
    counts = {"train": dict.fromkeys(emotions, 100), **counts}
    return DatasetInfo(
        name=name,
        source="fer2013.zip",
        fingerprint="ab" * 32,
        protocol=protocol,
        emotions=tuple(emotions),
        split_sizes={split: sum(per_class.values()) for split, per_class in counts.items()},
        clean_test_size=int(predictions["clean"].sum()),
        class_counts=counts,
        n_left_out=0,
    )


def make_record(
    *,
    name: str | None = None,
    dataset: str = "fer2013",
    model: str = "resnet18",
    mode: Mode = "full",
    recipe: Recipe | None = None,
    protocol: str = "official",
    emotions: Sequence[str] = FER2013,
    pretraining: str = "imagenet",
    model_options: Mapping[str, int | float | str | bool] | None = None,
    seed: int = 0,
    limit: int | None = None,
    accuracy: float = 0.65,
    n_val: int = 70,
    n_test: int = 140,
    parameters: int = 11_180_103,
    flops: int | None = 3_640_000_000,
    input_size: int = 224,
    gpu: str | None = None,
    status: Status = "done",
    error: str | None = None,
    not_comparable_because: Sequence[str] = (),
    started_at: datetime = STARTED,
) -> RunRecord:
    """A valid record; `name` is the spec's own unless given.

    Its metrics are those of `make_predictions` with the same emotions, sizes, accuracy and seed.
    A record that is not `done` has no model, training or metrics.
    """
    recipe = recipe or make_recipe()
    spec = RunSpec(
        model=model,
        mode=mode,
        recipe=recipe,
        protocol=protocol,
        emotions=None if tuple(emotions) == FER2013 else tuple(emotions),
        pretraining=pretraining,
        model_options=dict(model_options or {}),
        seed=seed,
        limit=limit,
    )
    predictions = make_predictions(
        emotions=emotions, n_val=n_val, n_test=n_test, accuracy=accuracy, seed=seed
    )
    done = status == "done"
    mean = (0.485, 0.456, 0.406)
    return RunRecord(
        name=name or spec.name,
        status=status,
        error=error if error or status != "failed" else "out of memory",
        started_at=started_at,
        finished_at=None if status == "running" else started_at + timedelta(minutes=10),
        spec=spec,
        environment=make_environment(gpu=gpu),
        dataset=make_dataset_info(
            name=dataset, protocol=protocol, emotions=emotions, predictions=predictions
        ),
        model=ModelInfo(
            parameters=parameters,
            trainable_parameters=parameters if mode == "full" else parameters // 100,
            flops=flops,
            input_spec=InputSpec(size=input_size, channels=3, mean=mean, std=(0.229, 0.224, 0.225)),
            provenance=Provenance(architecture="ResNet-18", paper="arXiv 1512.03385"),
        )
        if done
        else None,
        training=TrainingInfo(
            epochs_run=recipe.epochs,
            best_epoch=recipe.epochs,
            seconds=60.0 * recipe.epochs,
            images_per_second=450.0,
            device="cuda" if gpu else "cpu",
            precision="fp32",
            batch_size=recipe.batch_size,
        )
        if done
        else None,
        metrics=make_metrics(predictions, emotions) if done else {},
        not_comparable_because=list(not_comparable_because),
    )
