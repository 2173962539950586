"""Training the network itself (modes `full` and `lora`): one loop, read from top to bottom."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from typing import get_args

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from fer_bench import distributed
from fer_bench.data.preprocess import normalise, resize, to_unit
from fer_bench.errors import RunFailed
from fer_bench.evaluation.evaluate import predict_probabilities
from fer_bench.models.classifier import Classifier
from fer_bench.results.record import TrainingInfo
from fer_bench.training.augment import augment, mix
from fer_bench.training.degrade import degrade
from fer_bench.training.job import TrainingJob, TrainingOutcome
from fer_bench.training.loss import Loss, Teachers, make_loss, soft_targets
from fer_bench.training.memory import kept_memory
from fer_bench.training.parallel import (
    average_statistics,
    rank_generator,
    require_enough,
    shard_batch,
    sync_batch_norm,
)
from fer_bench.training.precision import autocast, choose_precision, layout, settled_choice
from fer_bench.training.state import TrainingState, load_checkpoint, save_checkpoint, seed_epoch
from fer_bench.types import EPOCHS, Precision

#: Steps between two looks at the loss.
REPORT_STEPS = 20


@kept_memory()
def finetune(job: TrainingJob, teachers: Sequence[Classifier] = ()) -> TrainingOutcome:
    """Trains the model in place on the train split and leaves it with the chosen epoch's weights.

    The chosen epoch is the best on `spec.selection_split` (or the last, as the recipe says); the
    test split is not read. After each epoch everything goes to a checkpoint in `work_dir`; with
    `resume`, a killed run ends with the same weights as an uninterrupted one, since every epoch
    draws its random numbers from the seed and its own number.

    Several processes (`fer_bench.distributed`) share each batch and end with the same weights; the
    main one writes.

    Args:
        teachers: trained networks to learn from too, as the recipe's `distillation` says.

    Raises:
        RunFailed: the loss is not finite, or a checkpoint cannot be written.
        FerBenchError: too few training images, or a damaged checkpoint to resume from.
    """
    model, recipe, device, train = job.model, job.recipe, job.device, job.train
    with distributed.raise_together():
        require_enough(len(train), recipe.batch_size)
    saved = distributed.on_main(lambda: load_checkpoint(job.work_dir) if job.resume else None)
    model.to(device)

    def measured() -> tuple[Precision, str]:
        x = resize(_faces(job, train[: recipe.batch_size]), model.input_spec)
        x, ahead = normalise(x, model.input_spec), recipe.epochs * len(train)
        return choose_precision(recipe, model, x, device, images=ahead)

    allowed = get_args(Precision) if recipe.precision == "auto" else (recipe.precision,)
    precision, reason = distributed.on_main(
        lambda: settled_choice(job.work_dir, job.resume, measured, allowed)
    )
    layout(model, precision)
    with sync_batch_norm(model, device):
        steps = max(len(train) // recipe.batch_size, 1)
        state = TrainingState(model, recipe, job.spec.model, steps, device, precision)
        with distributed.raise_together():
            if saved:
                state.restore(saved)
            taught = Teachers(teachers, recipe.distillation, model.input_spec, device, precision)
        _train(job, state, taught)
    info = TrainingInfo(
        epochs_run=state.epoch,
        best_epoch=state.best_epoch,
        seconds=sum(row["seconds"] for row in state.history),
        images_per_second=float(np.median([row["images_per_second"] for row in state.history])),
        device=device,
        precision=precision,
        precision_reason=reason,
        stopped_early=state.epoch < recipe.epochs,
        batch_size=recipe.batch_size,
        processes=distributed.count(),
        momentum=state.rate.momentum,
    )
    return TrainingOutcome(history=pd.DataFrame(state.history), info=info)


def _train(job: TrainingJob, state: TrainingState[Classifier], teachers: Teachers) -> None:
    """The epochs that are left, and the chosen one's weights into the model."""
    recipe, val = job.recipe, job.val
    loss = make_loss(recipe, job.dataset.class_counts("train"), job.device, job.spec.votes)
    targets = torch.from_numpy(soft_targets(job.dataset)).to(job.device)
    while state.epoch < recipe.epochs and not state.out_of_patience():
        started = time.perf_counter()
        row = _train_epoch(job, state, targets, loss, teachers)
        average_statistics(state.model, state.selected)
        val_accuracy, val_loss = _validate(job, state, val)
        seconds = time.perf_counter() - started
        row |= {"val_loss": val_loss, "val_accuracy": val_accuracy, "seconds": seconds}
        state.finish_epoch(row)
        distributed.on_main(lambda: save_checkpoint(job.work_dir, state.checkpoint()))
        job.progress(EPOCHS, state.epoch, recipe.epochs, row)
    state.keep_best()


def _train_epoch(
    job: TrainingJob,
    state: TrainingState[Classifier],
    targets: Tensor,
    loss_of: Loss,
    teachers: Teachers,
) -> dict[str, float]:
    """One pass over the train split; returns the epoch's row of the history, without val."""
    recipe, epoch, train = job.recipe, state.epoch + 1, job.train
    device = targets.device.type
    generator = seed_epoch(job.spec.seed, epoch)
    order = train[torch.randperm(len(train), generator=generator).numpy()]
    generator = rank_generator(job.spec.seed, epoch, generator)
    state.network.train()
    # On the device: reading a number from a GPU makes it wait for the step, so few steps do.
    total_loss = torch.zeros((), dtype=torch.float64, device=device)
    correct = torch.zeros((), dtype=torch.int64, device=device)
    seen, started = 0, time.perf_counter()
    for step, batch in enumerate(_batches(order, recipe.batch_size), 1):
        rows, weight = shard_batch(batch)
        x, whole, y = _training_batch(job, targets, rows, generator)
        if state.precision == "bf16":
            x = x.contiguous(memory_format=torch.channels_last)
        with autocast(device, state.precision):
            logits = state.network(x)
            loss = teachers.blend(loss_of(logits, y), logits, whole)
        state.step(loss * weight)
        total_loss += loss.detach() * len(rows)
        correct += (logits.argmax(1) == y.argmax(1)).sum()
        seen += len(batch)
        if step % REPORT_STEPS == 0 or step == state.steps_per_epoch:
            _require_finite(total_loss, epoch)
            speed = seen / (time.perf_counter() - started)
            stage = f"epoch {epoch}/{recipe.epochs}"
            job.progress(stage, step, state.steps_per_epoch, {"images_per_second": speed})
    return {
        "epoch": epoch,
        "train_loss": float(distributed.total(total_loss)) / seen,
        "train_accuracy": int(distributed.total(correct)) / seen,
        "lr": state.rate.value,
        "images_per_second": seen / (time.perf_counter() - started),
    }


def _batches(order: NDArray[np.int64], size: int) -> Iterator[NDArray[np.int64]]:
    """Full batches in this order; the few left over wait for another epoch (batch norm wants many).

    The same for every process: each takes its share of them.
    """
    for start in range(0, max(len(order) - size, 0) + 1, size):
        yield order[start : start + size]


def _faces(job: TrainingJob, rows: NDArray[np.int64]) -> Tensor:
    faces = torch.as_tensor(job.dataset.images[rows]).to(job.device)
    return to_unit(faces, job.model.input_spec.channels)


def _training_batch(
    job: TrainingJob, targets: Tensor, rows: NDArray[np.int64], generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Model input `(B, C, S, S)`, the same before it was degraded, for teachers, and soft targets.

    Moved and lit at the faces' own, smaller size. All on the device of `targets`.
    """
    recipe, spec = job.recipe, job.model.input_spec
    faces = _faces(job, rows)
    x = resize(augment(faces, recipe.augmentation, generator), spec)
    x, y = mix(x, targets[rows], mixup=recipe.mixup, cutmix=recipe.cutmix, generator=generator)
    whole = normalise(x, spec)
    degraded = degrade(x, recipe.augmentation, generator)
    return (whole if degraded is x else normalise(degraded, spec)), whole, y


def _validate(
    job: TrainingJob, state: TrainingState[Classifier], rows: NDArray[np.int64]
) -> tuple[float, float]:
    """Accuracy and log loss of the weights that would be stored, on `rows`."""
    probabilities = predict_probabilities(
        state.selected, job.dataset.images, rows, device=job.device, precision=state.precision
    )
    labels = job.dataset.labels[rows]
    of_truth = np.clip(probabilities[np.arange(len(rows)), labels], 1e-12, 1)
    return float((probabilities.argmax(1) == labels).mean()), float(-np.log(of_truth).mean())


def _require_finite(loss: Tensor, epoch: int) -> None:
    value = float(distributed.total(loss))
    with distributed.raise_together():
        if not math.isfinite(value):
            raise RunFailed(f"the loss became {value} in epoch {epoch}: lower the learning rate")
