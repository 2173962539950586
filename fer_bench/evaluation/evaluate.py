"""Probabilities of a classifier for faces, and its metrics on a data set's splits."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from fer_bench import distributed
from fer_bench.data.dataset import FaceDataset
from fer_bench.data.preprocess import check_faces, to_input
from fer_bench.errors import RunFailed
from fer_bench.evaluation.confusion import PREFIXES
from fer_bench.evaluation.metrics import align, compute_metrics, require_known
from fer_bench.evaluation.tta import PLAIN, View, see, views_of
from fer_bench.models.classifier import Classifier
from fer_bench.results.record import Metrics
from fer_bench.types import Progress, Split, silent

Precision = Literal["fp32", "bf16"]


@dataclass(frozen=True, kw_only=True)
class Forwarding:
    """How images go through a model: the same for every function here."""

    batch_size: int = 256
    device: str = "cpu"
    precision: Precision = "fp32"


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """A model's metrics and the predictions behind them.

    Attributes:
        metrics: keys are the splits, `test_clean` (where any test image is clean), and the same
            with `_tta` unless the test-time augmentation is `none`.
        predictions: `id, split, label, clean` and one float32 `p_<emotion>` per class, without
            test-time augmentation; `tta_<emotion>`, with it, unless it is `none`. `label` is an
            index into the model's emotions; `clean` marks test images that stand in no other split.
            Images of classes unknown to the model are not in it (each metric counts them in
            `n_left_out`).
    """

    metrics: dict[str, Metrics]
    predictions: pd.DataFrame


@contextmanager
def _inference(model: Classifier, device: str) -> Iterator[None]:
    """No dropout, no gradients; the model's training mode is put back afterwards.

    cuDNN may not round fp32 to TF32, as it does by default: a GPU's answers are a CPU's, to 1e-5.
    """
    was_training = model.training
    model.to(device).eval()
    exact = torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False)
    try:
        with torch.inference_mode(), exact:
            yield
    finally:
        model.train(was_training)


def _forward(
    model: Classifier,
    images: NDArray[np.uint8],
    indices: NDArray[np.int64],
    views: Sequence[View],
    forwarding: Forwarding,
    progress: Progress,
) -> dict[View, NDArray[np.float64]]:
    """Probabilities `(len(indices), C)` for each view; every view goes through the model once.

    Several processes take whole batches in turns, so that the answers are those of one process to
    the last digit; each of them gets all.
    """
    starts = range(0, len(indices), forwarding.batch_size)
    started = time.perf_counter()

    def answer() -> list[NDArray[np.float64]]:
        results = []
        for start in starts[distributed.rank() :: distributed.count()]:
            chosen = indices[start : start + forwarding.batch_size]
            results.append(_answer(model, images[chosen], views, forwarding))
            done = start + len(chosen)
            speed = done / (time.perf_counter() - started)
            progress("evaluating", done, len(indices), {"images_per_second": speed})
        return results

    by_process = distributed.all_ranks(answer)
    count = len(by_process)
    answers = [by_process[number % count][number // count] for number in range(len(starts))]
    empty = np.empty((len(views), 0, len(model.emotions)))
    together = np.concatenate([empty, *answers], axis=1)
    return dict(zip(views, together, strict=True))


def _answer(
    model: Classifier, faces: NDArray[np.uint8], views: Sequence[View], forwarding: Forwarding
) -> NDArray[np.float64]:
    """Probabilities `(V, B, C)` of one batch."""
    device = torch.device(forwarding.device)
    x = to_input(torch.as_tensor(faces).to(device), model.input_spec)
    results = []
    for view in views:
        with torch.autocast(device.type, torch.bfloat16, enabled=forwarding.precision == "bf16"):
            logits = model(see(x, view))
        if not torch.isfinite(logits).all():
            raise RunFailed(
                f"model {model.request.name} gave logits that are not finite: its training "
                "diverged or its weights are broken; train it again with a lower learning rate"
            )
        results.append(logits.double().softmax(1).cpu().numpy())
    return np.stack(results)


def predict_probabilities(
    model: Classifier,
    images: NDArray[np.uint8],
    rows: NDArray[np.int64] | None = None,
    *,
    tta: str = "none",
    batch_size: int = 256,
    device: str = "cpu",
    precision: Precision = "fp32",
    progress: Progress = silent,
) -> NDArray[np.float64]:
    """Class probabilities of faces, averaged over the views of `tta`.

    Args:
        model: moved to `device`, where it stays; its training mode is as before afterwards.
        images: uint8 `(N, H, W)` gray or `(N, H, W, 3)` RGB; may be memory-mapped: no more than a
            batch is read at once.
        rows: positions of the faces in `images`; None for all of them.
        tta: `none`, `flip`, `five-crop` or `ten-crop`.
        precision: `bf16` runs the model under autocast.

    Returns:
        float64 `(len(rows), C)` in the order of `model.emotions`; rows sum to 1.

    Raises:
        FerBenchError: an unknown `tta`, or images of another shape or type.
        RunFailed: the model's logits are not finite.
    """
    check_faces(images)
    views = views_of(tta)
    forwarding = Forwarding(batch_size=batch_size, device=device, precision=precision)
    chosen = np.arange(len(images)) if rows is None else rows
    with _inference(model, device):
        by_view = _forward(model, images, chosen, views, forwarding, progress)
    return _mean(by_view, views)


def _mean(by_view: dict[View, NDArray[np.float64]], views: Sequence[View]) -> NDArray[np.float64]:
    mean: NDArray[np.float64] = np.mean([by_view[view] for view in views], axis=0)
    return mean


def _table(
    dataset: FaceDataset,
    split: Split,
    indices: NDArray[np.int64],
    labels: NDArray[np.int64],
    probabilities: Mapping[str, NDArray[np.float64]],
    emotions: Sequence[str],
) -> pd.DataFrame:
    """A split's rows; probabilities: by suffix, as for `_metrics`."""
    columns: dict[str, object] = {
        "id": dataset.ids[indices].astype(object),
        "split": split,
        "label": labels,
        "clean": dataset.clean_test[indices],
    }
    for suffix, values in probabilities.items():
        for number, emotion in enumerate(emotions):
            columns[PREFIXES[suffix] + emotion] = values[:, number].astype(np.float32)
    return pd.DataFrame(columns)


def _metrics(
    dataset: FaceDataset,
    split: Split,
    known: NDArray[np.bool_],
    labels: NDArray[np.int64],
    probabilities: dict[str, NDArray[np.float64]],
    emotions: Sequence[str],
) -> dict[str, Metrics]:
    """A split's metrics per suffix of `probabilities` (`""`, `"_tta"`), clean test included."""
    clean = dataset.clean_test[dataset.indices(split)]
    metrics = {}
    for suffix, values in probabilities.items():
        metrics[split + suffix] = compute_metrics(
            labels, values, emotions, n_left_out=int((~known).sum())
        )
        here = clean[known]
        if split == "test" and here.any():
            metrics[f"test_clean{suffix}"] = compute_metrics(
                labels[here],
                values[here],
                emotions,
                n_left_out=int((clean & ~known).sum()),
            )
    return metrics


def measure_answers(
    dataset: FaceDataset, probabilities: Mapping[Split, NDArray[np.float64]]
) -> Evaluation:
    """The metrics of answers that are there already, as `evaluate` gives them.

    Args:
        probabilities: of each split, float `(images, C)` in the order of `dataset.indices(split)`
            and `dataset.emotions`.

    Raises:
        FerBenchError: an empty split, or rows that are no probabilities.
    """
    metrics: dict[str, Metrics] = {}
    tables = []
    for split, values in probabilities.items():
        indices = dataset.indices(split)
        known, labels = align(dataset.labels[indices], dataset.emotions, dataset.emotions)
        given = {"": values[known]}
        metrics |= _metrics(dataset, split, known, labels, given, dataset.emotions)
        tables.append(_table(dataset, split, indices[known], labels, given, dataset.emotions))
    return Evaluation(metrics=metrics, predictions=pd.concat(tables, ignore_index=True))


def evaluate(
    model: Classifier,
    dataset: FaceDataset,
    *,
    splits: Sequence[Split] = ("val", "test"),
    tta: str = "flip",
    batch_size: int = 256,
    device: str = "cpu",
    progress: Progress = silent,
) -> Evaluation:
    """Metrics with and without test-time augmentation; each view of an image is forwarded once.

    Where the model's classes differ from the data set's, labels are renumbered and images of
    classes that the model does not know are left out and counted.

    Raises:
        FerBenchError: an empty split, one without any class that the model knows, or an unknown
            `tta`.
        RunFailed: the model's logits are not finite.
    """
    with distributed.raise_together():
        views = dict.fromkeys((PLAIN, *views_of(tta)))
    forwarding = Forwarding(batch_size=batch_size, device=device)
    metrics: dict[str, Metrics] = {}
    tables = []
    for split in splits:
        with distributed.raise_together():
            indices = dataset.indices(split)
            known, labels = align(dataset.labels[indices], dataset.emotions, model.emotions)
            require_known(known, split, dataset.source, model.emotions)
        used = indices[known]
        with _inference(model, device):
            by_view = _forward(model, dataset.images, used, tuple(views), forwarding, progress)
        probabilities = {"": by_view[PLAIN]}
        if tta != "none":
            probabilities["_tta"] = _mean(by_view, views_of(tta))
        metrics |= _metrics(dataset, split, known, labels, probabilities, model.emotions)
        tables.append(_table(dataset, split, used, labels, probabilities, model.emotions))
    return Evaluation(metrics=metrics, predictions=pd.concat(tables, ignore_index=True))
