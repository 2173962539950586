"""How fast a network trains and answers here and now, on drawn faces."""

from __future__ import annotations

import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fer_bench.benchmark.estimate.rates import TRAINING, Rates
from fer_bench.benchmark.runner import request_for
from fer_bench.data.dataset import FaceDataset
from fer_bench.data.synthetic import draw_face
from fer_bench.emotions import FER2013
from fer_bench.evaluation.evaluate import predict_probabilities
from fer_bench.models.build import build_model
from fer_bench.models.classifier import Classifier
from fer_bench.models.lora import merge_lora
from fer_bench.specs.recipe import Schedule
from fer_bench.specs.run import RunSpec
from fer_bench.training.finetune import finetune
from fer_bench.training.job import TrainingJob
from fer_bench.types import SPLITS, Mode

#: Images in a measured training step on a CPU, where larger ones gain nothing, and steps on a GPU.
CPU_BATCH, GPU_STEPS = 16, 8
#: The first epoch of a measurement warms up; the median of three leaves it out.
EPOCHS = 3


def measure(spec: RunSpec, side: int, device: str) -> Rates:
    """A few training steps and forward passes on drawn faces, now; writes nothing that stays.

    A second or two for small networks, longer for large ones on a CPU. Weights are random,
    which takes no download and no other time. Teachers are counted by FLOPs.

    Args:
        side: of the faces, pixels.

    Raises:
        FerBenchError: a network that cannot be built.
    """
    size = min(spec.recipe.batch_size, CPU_BATCH) if device == "cpu" else spec.recipe.batch_size
    dataset = _drawn(size if device == "cpu" else size * GPU_STEPS, side)
    changed = {
        "batch_size": size,
        "epochs": EPOCHS,
        "early_stopping": 0,
        "schedule": Schedule(),
    }
    recipe = spec.recipe.model_copy(update=changed)
    changes = {"recipe": recipe, "teachers": (), "votes": None, "emotions": None, "limit": None}
    mode: Mode = "lora" if spec.mode == "lora" else "full"
    model = build_model(replace(request_for(spec, dataset.emotions), mode=mode, pretraining="none"))
    with tempfile.TemporaryDirectory() as scratch:
        changed_spec = spec.model_copy(update=changes)
        outcome = finetune(TrainingJob(model, dataset, changed_spec, Path(scratch), device=device))
    if spec.mode == "lora":
        merge_lora(model)
    training = outcome.info.images_per_second
    return Rates(
        training=training * TRAINING / (TRAINING + len(spec.teachers)),
        evaluation=_forward_rate(model, dataset.images[:size], device),
        features=training * TRAINING,
        kind="measured",
        source=f"measured on {device}",
    )


def _forward_rate(model: Classifier, images: NDArray[np.uint8], device: str) -> float:
    predict_probabilities(model, images, device=device)
    started = time.perf_counter()
    predict_probabilities(model, images, device=device)
    return len(images) / (time.perf_counter() - started)


def _drawn(n_train: int, side: int) -> FaceDataset:
    """Faces of all emotions in turn: `n_train` to train on and seven in each other split."""
    splits = np.repeat(np.arange(len(SPLITS)), [n_train, len(FER2013), len(FER2013)])
    labels = np.arange(len(splits)) % len(FER2013)
    rng = np.random.default_rng(0)
    return FaceDataset(
        name="synthetic",
        source="drawn faces",
        protocol="official",
        images=np.stack([draw_face(FER2013[label], size=side, rng=rng) for label in labels]),
        labels=labels.astype(np.int64),
        ids=np.array([str(i) for i in range(len(splits))]),
        hashes=np.arange(len(splits), dtype=np.uint64),
        splits=splits.astype(np.int8),
        emotions=FER2013,
        comparable=False,
    )
