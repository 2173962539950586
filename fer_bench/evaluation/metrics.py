"""Every number that a record says about a model, from labels and probabilities."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fer_bench.errors import FerBenchError
from fer_bench.evaluation.calibration import expected_calibration_error
from fer_bench.evaluation.intervals import Rate
from fer_bench.results.parse import SUM_TOLERANCE
from fer_bench.results.record import ClassMetrics, Metrics

N_RESAMPLES = 2000


def align(
    labels: NDArray[np.int64], dataset_emotions: Sequence[str], model_emotions: Sequence[str]
) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Renumbers a data set's labels as the model's; classes unknown to the model are left out.

    Args:
        labels: int64 `(N,)`, indices into `dataset_emotions`; -1 (no label) is left out too.

    Returns:
        bool `(N,)`, which samples stay, and int64 `(known,)`, their indices into `model_emotions`.

    Raises:
        FerBenchError: the two have no class in common.
    """
    if not set(dataset_emotions) & set(model_emotions):
        raise FerBenchError(
            f"the data have the classes {', '.join(dataset_emotions)} and the model knows "
            f"{', '.join(model_emotions)}: evaluate on data that share a class with the model"
        )
    position = {emotion: number for number, emotion in enumerate(model_emotions)}
    # The last entry serves label -1.
    renumber = np.array([position.get(e, -1) for e in dataset_emotions] + [-1], dtype=np.int64)
    renumbered = renumber[labels]
    known: NDArray[np.bool_] = renumbered >= 0
    return known, renumbered[known]


def require_known(
    known: NDArray[np.bool_], split: str, source: str, model_emotions: Sequence[str]
) -> None:
    """Refuses a split of which `align` leaves nothing.

    Raises:
        FerBenchError: the split has no image of a class that the model knows.
    """
    if not known.any():
        raise FerBenchError(
            f"the {split} split of {source} has no image of the classes that the model knows "
            f"({', '.join(model_emotions)}): choose another split or data set"
        )


def accuracy_interval(n_right: int, n: int) -> tuple[float, float]:
    """The 95 % percentile bootstrap interval of an accuracy, in [0, 1].

    Drawing `n` images with replacement draws a binomial number of right ones, so the resamples
    need no images at all: exact and fast. Where all or none are right every draw is alike, and the
    interval is Wilson's, which keeps a width.
    """
    if n_right in (0, n):
        return Rate(hits=n_right, n=n).ci95
    draws = np.random.default_rng(0).binomial(n, n_right / n, N_RESAMPLES) / n
    low, high = np.percentile(draws, [2.5, 97.5])
    return float(low), float(high)


def macro_roc_auc(labels: NDArray[np.int64], probabilities: NDArray[np.float64]) -> float | None:
    """Mean one-vs-rest ROC-AUC over the classes; None where a class has no image.

    Class by class, because scikit-learn's `multi_class="ovr"` refuses two-class models.
    """
    from sklearn.metrics import roc_auc_score  # slow to import, and who reads records needs none

    n_classes = probabilities.shape[1]
    if np.unique(labels).size < n_classes:
        return None
    return float(
        np.mean([roc_auc_score(labels == c, probabilities[:, c]) for c in range(n_classes)])
    )


def _check(
    labels: NDArray[np.int64], probabilities: NDArray[np.floating], emotions: Sequence[str]
) -> None:
    expected = (len(labels), len(emotions))
    if probabilities.shape != expected or labels.ndim != 1:
        raise FerBenchError(
            f"expected probabilities of shape {expected}, one row per label and one column per "
            f"emotion, got {probabilities.shape}: pass the labels and emotions they were made for"
        )
    if not len(labels):
        raise FerBenchError("expected at least one image to measure on, got none: check the split")
    if labels.min() < 0 or labels.max() >= len(emotions):
        raise FerBenchError(
            f"expected labels from 0 to {len(emotions) - 1}, got {labels.min()} to "
            f"{labels.max()}: align the data set's classes with the model's first"
        )
    if not np.isfinite(probabilities).all():
        raise FerBenchError(
            "expected finite probabilities, got NaN or infinite ones: the model's weights are "
            "broken or its training diverged"
        )
    sums = probabilities.sum(1)
    worst = int(np.abs(sums - 1).argmax())
    if abs(sums[worst] - 1) > SUM_TOLERANCE or probabilities.min() < 0:
        raise FerBenchError(
            f"expected probabilities of 0 or more that sum to 1 in each row, got a sum of "
            f"{sums[worst]:.4g} and a minimum of {probabilities.min():.4g}: pass softmax outputs, "
            "not logits"
        )


def compute_metrics(
    labels: NDArray[np.int64],
    probabilities: NDArray[np.floating],
    emotions: Sequence[str],
    *,
    n_left_out: int = 0,
) -> Metrics:
    """All metrics of one set of images.

    Macro averages run over the classes that the images hold: a class without an image has no
    recall to average. Macro recall therefore equals balanced accuracy.

    Args:
        labels: int64 `(N,)`, indices into `emotions`, as `align` gives them.
        probabilities: float `(N, C)`, rows sum to 1.
        emotions: the C class names, in column order.
        n_left_out: images of classes that the model does not know, for the record.

    Raises:
        FerBenchError: no images, shapes that do not fit, or rows that are no probabilities.
    """
    from sklearn.metrics import confusion_matrix, log_loss, precision_recall_fscore_support

    _check(labels, probabilities, emotions)
    # As they are stored: what is equal but for float64's last digits is a tie, and stays one.
    given: NDArray[np.float64] = probabilities.astype(np.float32).astype(np.float64)
    predicted = given.argmax(1)
    classes = np.arange(len(emotions))
    precision, recall, f1, support = precision_recall_fscore_support(
        labels, predicted, labels=classes, zero_division=0
    )
    present = support > 0
    n_right = int((predicted == labels).sum())
    return Metrics(
        n=len(labels),
        n_left_out=n_left_out,
        accuracy=n_right / len(labels),
        accuracy_ci95=accuracy_interval(n_right, len(labels)),
        macro_precision=float(precision[present].mean()),
        macro_recall=float(recall[present].mean()),
        macro_f1=float(f1[present].mean()),
        balanced_accuracy=float(recall[present].mean()),
        roc_auc=macro_roc_auc(labels, given),
        ece=expected_calibration_error(labels, given),
        log_loss=float(log_loss(labels, given / given.sum(1, keepdims=True), labels=classes)),
        per_class={
            emotion: ClassMetrics(
                precision=float(precision[c]),
                recall=float(recall[c]),
                f1=float(f1[c]),
                support=int(support[c]),
            )
            for c, emotion in enumerate(emotions)
        },
        confusion=confusion_matrix(labels, predicted, labels=classes).tolist(),
    )
