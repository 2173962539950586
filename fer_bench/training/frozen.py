"""Training the head alone (mode `frozen`): features once, then epochs that take a second."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fer_bench import distributed
from fer_bench.backends.base import Backend
from fer_bench.backends.cache import Choice, choice_key, load_choice, save_choice
from fer_bench.data.dataset import FaceDataset
from fer_bench.data.preprocess import to_input
from fer_bench.errors import FerBenchError, RunFailed
from fer_bench.features.cache import (
    MIRRORED,
    Features,
    NamedExtractor,
    extract_features,
    feature_cache,
)
from fer_bench.features.extractors import (
    EAGER,
    EXTRACTORS,
    Extractor,
    check_extractor,
    choose_extractor,
    make_extractor,
)
from fer_bench.models.classifier import Classifier
from fer_bench.models.fingerprint import fingerprint
from fer_bench.results.record import TrainingInfo
from fer_bench.specs.recipe import Augmentation, Recipe
from fer_bench.specs.run import RunSpec
from fer_bench.storage import digest_of
from fer_bench.training.job import TrainingJob, TrainingOutcome
from fer_bench.training.loss import Loss, make_loss, soft_targets
from fer_bench.training.precision import settled_choice
from fer_bench.training.state import TrainingState, load_checkpoint, save_checkpoint, seed_epoch
from fer_bench.types import EPOCHS

#: Faces on which extractors are compared, and on which int8 is calibrated.
SAMPLE_SIZE = 64


@dataclass(frozen=True, kw_only=True)
class CachedSplits:
    """Everything that head epochs read, on the training device.

    Attributes:
        x: float32 `(n, V, D)` features of train, V views.
        y: float32 `(n, C)` soft targets.
        val_x: float32 `(m, D)`.
        val_labels: int64 `(m,)`.
    """

    x: Tensor
    y: Tensor
    val_x: Tensor
    val_labels: Tensor


def train_frozen(job: TrainingJob, extractor: str = "auto") -> TrainingOutcome:
    """Trains the head in place on cached features and leaves it with the chosen epoch's weights.

    With flips in the recipe each image draws its view, original or mirrored, every epoch. The
    test split is not read. After each epoch the head's state goes to a checkpoint in `work_dir`;
    with `resume`, a killed run ends with the same weights as an uninterrupted one.

    Several processes (`fer_bench.distributed`) share the extraction; the main one trains the head,
    which takes it seconds, and gives it to the others.

    Args:
        extractor: one of `EXTRACTORS`, or `auto` for the fastest faithful one on this machine.

    Raises:
        FerBenchError: a recipe that cached features cannot serve, an unknown extractor or one
            that cannot run here, a damaged checkpoint, or a cache that cannot be written.
        RunFailed: features or loss are not finite, or a checkpoint cannot be written.
    """
    model, recipe, started = job.model, job.recipe, time.perf_counter()
    with distributed.raise_together():
        _refuse_other_augmentation(recipe)
    model.to(job.device).eval()
    chosen, reason = _extractor(job, extractor)
    features = split_features(job, chosen)
    extraction_seconds = time.perf_counter() - started

    def train_head() -> tuple[dict[str, Tensor], list[dict[str, float]], int, tuple[float, float]]:
        state = _train_head(job, load_splits(job, features))
        return state.best, state.history, state.best_epoch, state.rate.momentum

    best, history, best_epoch, momentum = distributed.on_main(train_head)
    model.head.load_state_dict(best)
    model.eval()

    seconds = extraction_seconds + sum(row["seconds"] for row in history)
    info = TrainingInfo(
        epochs_run=len(history),
        best_epoch=best_epoch,
        seconds=seconds,
        images_per_second=len(job.train) * len(history) / seconds,
        device=job.device,
        precision=chosen.name.partition("-")[2],
        precision_reason=reason,
        stopped_early=len(history) < recipe.epochs,
        batch_size=recipe.batch_size,
        processes=distributed.count(),
        extractor=chosen.name,
        momentum=momentum,
    )
    return TrainingOutcome(history=pd.DataFrame(history), info=info)


def _train_head(job: TrainingJob, data: CachedSplits) -> TrainingState[nn.Module]:
    """The epochs that are left, and a checkpoint after each."""
    recipe, spec = job.recipe, job.spec
    state = head_state(job.model, spec, len(data.x), job.device)
    if job.resume and (saved := load_checkpoint(job.work_dir)):
        state.restore(saved)
    loss = make_loss(recipe, job.dataset.class_counts("train"), job.device, spec.votes)
    while state.epoch < recipe.epochs and not state.out_of_patience():
        state.finish_epoch(train_epoch(state, data, spec.seed, loss))
        save_checkpoint(job.work_dir, state.checkpoint())
        job.progress(EPOCHS, state.epoch, recipe.epochs, state.history[-1])
    return state


def _refuse_other_augmentation(recipe: Recipe) -> None:
    """Cached features know two views of an image; other changes would be lost silently."""
    plain = Augmentation(flip=recipe.augmentation.flip)
    changed = [k for k, v in recipe.augmentation if v != getattr(plain, k)]
    changed += [name for name in ("mixup", "cutmix") if getattr(recipe, name)]
    if changed:
        raise FerBenchError(
            f"recipe {recipe.name!r} asks for {', '.join(changed)}, which features computed once "
            "cannot give: choose mode full, or a recipe whose only augmentation is flip"
        )


def sample_input(model: Classifier, dataset: FaceDataset, device: str = "cpu") -> Tensor:
    """Model input `(B, C, S, S)` of faces spread over train: what extractors are judged on."""
    train = dataset.indices("train")
    spread = np.linspace(0, len(train) - 1, min(SAMPLE_SIZE, len(train)), dtype=np.int64)
    faces = torch.as_tensor(dataset.images[train[spread]]).to(device)
    return to_input(faces, model.input_spec)


def _extractor(job: TrainingJob, name: str) -> tuple[NamedExtractor, str]:
    """The extractor to use, and why; chosen on the main process for all."""
    sample = sample_input(job.model, job.dataset, job.device)
    precise = [e for e in EXTRACTORS if job.recipe.precision in ("auto", e.partition("-")[2])]
    # Eager fp32 is what there is where none of these works.
    allowed = [*precise, EAGER] if name == "auto" else [name]
    measured: list[Extractor] = []

    def choose() -> tuple[str, str]:
        if name != "auto":
            return name, "set by the user"
        chosen = _choice(job, sample, precise)
        if isinstance(chosen, Backend):
            measured.append(chosen.forward)
        return chosen.name, chosen.reason

    def settle() -> tuple[str, str]:
        if name != "auto":
            check_extractor(name)
        return settled_choice(job.work_dir, job.resume, choose, allowed)

    chosen, reason = distributed.on_main(settle)

    def make() -> Extractor:
        return measured.pop() if measured else make_extractor(chosen, job.model, sample)

    return NamedExtractor(name=chosen, make=make, device=job.device), reason


def _choice(job: TrainingJob, sample: Tensor, allow: list[str]) -> Choice | Backend:
    """The fastest faithful extractor, as remembered or measured just now.

    Measured once for these weights and faces on this machine: resuming and other seeds must find
    the same features, although no two measurements are alike.
    """
    recipe, backbone = job.recipe, fingerprint(job.model.backbone, job.model.input_spec)
    images = len(job.train) * (2 if recipe.augmentation.flip else 1)
    facts = backbone, digest_of(sample.cpu().numpy()), allow, images
    key = choice_key(job.device, torch.get_num_threads(), *facts)
    remembered = load_choice(key)
    if remembered and remembered.name in EXTRACTORS:
        return remembered
    chosen = choose_extractor(job.model, sample, allow=allow, images=images)
    save_choice(key, chosen)
    return chosen


def split_features(job: TrainingJob, extractor: NamedExtractor) -> Features:
    """Features of train and of the selection split, as `extract_features` gives them."""
    return extract_features(
        job.model,
        job.dataset,
        splits=dict.fromkeys(("train", job.spec.selection_split)),
        extractor=extractor,
        cache_dir=feature_cache(),
        mirrored=MIRRORED if job.recipe.augmentation.flip else (),
        progress=job.progress,
    )


def load_splits(job: TrainingJob, features: Features) -> CachedSplits:
    """Features and targets of train and of the selection split, on the training device."""
    dataset, device = job.dataset, job.device
    return CachedSplits(
        x=torch.tensor(features["train"], device=device),
        y=torch.tensor(soft_targets(dataset)[job.train], device=device),
        val_x=torch.tensor(features[job.spec.selection_split][:, 0], device=device),
        val_labels=torch.tensor(dataset.labels[job.val], device=device),
    )


def head_state(
    model: Classifier, spec: RunSpec, n_train: int, device: str
) -> TrainingState[nn.Module]:
    """The head and its optimiser, ready for `train_epoch`. Features are fixed, so fp32 is cheap."""
    steps = max(n_train // spec.recipe.batch_size, 1)
    return TrainingState(model.head, spec.recipe, spec.model, steps, device, "fp32", alone=True)


@contextmanager
def _one_thread() -> Iterator[None]:
    """A head's batches are so small that threads mostly wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@_one_thread()
def train_epoch(
    state: TrainingState[nn.Module], data: CachedSplits, seed: int, loss_of: Loss
) -> dict[str, float]:
    """One shuffled pass over the cache, then validation; returns the epoch's history row.

    All random numbers come from the seed and the epoch's number.
    """
    epoch, size, started = state.epoch + 1, state.recipe.batch_size, time.perf_counter()
    seed_epoch(seed, epoch)
    n, views = data.x.shape[:2]
    order, view = torch.randperm(n).to(data.x.device), torch.randint(views, (n,)).to(data.x.device)
    state.network.train()
    seen, total_loss, correct = 0, data.x.new_zeros(()), data.x.new_zeros(())
    # Full batches only, as batch norm wants; the few left over wait for another epoch.
    for start in range(0, max(n // size, 1) * size, size):
        rows = order[start : start + size]
        x, y = data.x[rows, view[rows]], data.y[rows]
        logits = state.network(x)
        loss = loss_of(logits, y)
        state.step(loss)
        seen += len(rows)
        total_loss += loss.detach() * len(rows)
        correct += (logits.argmax(1) == y.argmax(1)).sum()
    if not math.isfinite(float(total_loss)):
        raise RunFailed(f"the loss became {float(total_loss)} in epoch {epoch}: lower the rate")
    trained = time.perf_counter() - started
    val_loss, val_accuracy = _validate(state, data)
    return {
        "epoch": epoch,
        "train_loss": float(total_loss) / seen,
        "train_accuracy": float(correct) / seen,
        "val_loss": val_loss,
        "val_accuracy": val_accuracy,
        "lr": state.rate.value,
        "images_per_second": seen / trained,
        "seconds": time.perf_counter() - started,
    }


def _validate(state: TrainingState[nn.Module], data: CachedSplits) -> tuple[float, float]:
    """Log loss and accuracy of the head that would be stored."""
    state.selected.eval()
    with torch.no_grad():
        logits = state.selected(data.val_x).float()
    loss = F.cross_entropy(logits, data.val_labels)
    accuracy = (logits.argmax(1) == data.val_labels).double().mean()
    return float(loss), float(accuracy)
