"""A model on corrupted faces: accuracy under each corruption and severity, and their mean."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import f1_score

from fer_bench.data.dataset import FaceDataset
from fer_bench.environment import capture
from fer_bench.errors import FerBenchError
from fer_bench.evaluation.evaluate import predict_probabilities
from fer_bench.evaluation.intervals import Rate
from fer_bench.evaluation.metrics import N_RESAMPLES, accuracy_interval, align, require_known
from fer_bench.models.classifier import Classifier
from fer_bench.results.reports.robustness import CorruptedScore, RobustnessReport, Score, TestedOn
from fer_bench.studies.robustness.corruptions import CORRUPTIONS, SEVERITIES, Corruption, corrupt
from fer_bench.types import Progress, Split, silent

#: Images that are corrupted and classified at a time.
CHUNK = 512


@dataclass(frozen=True, kw_only=True)
class KnownImages:
    """The images of a split that a model has classes for.

    Attributes:
        indices: int64 `(n,)`, positions in the data set, ascending.
        labels: int64 `(n,)`, indices into the model's emotions.
        n_left_out: images of classes that the model does not know.
    """

    indices: NDArray[np.int64]
    labels: NDArray[np.int64]
    n_left_out: int


def labelled_images(
    dataset: FaceDataset, split: Split, emotions: Sequence[str], limit: int | None = None
) -> KnownImages:
    """A split's images with labels as the model numbers them.

    Args:
        limit: at most so many images, see `FaceDataset.spread`.

    Raises:
        FerBenchError: an empty split, or one without any class that the model knows.
    """
    indices = dataset.spread(split, emotions, limit).indices(split)
    known, labels = align(dataset.labels[indices], dataset.emotions, emotions)
    require_known(known, split, dataset.source, emotions)
    return KnownImages(indices=indices[known], labels=labels, n_left_out=int((~known).sum()))


def describe_test(
    dataset: FaceDataset, split: Split, limit: int | None, n: int, n_left_out: int
) -> TestedOn:
    """The images as in a report; the fingerprint is that of the whole data."""
    return TestedOn(
        name=dataset.name,
        source=dataset.source,
        fingerprint=dataset.fingerprint,
        protocol=dataset.protocol,
        split=split,
        limit=limit,
        n=n,
        n_left_out=n_left_out,
    )


def chosen_corruptions(names: Sequence[str] | None) -> tuple[str, ...]:
    """The corruptions of these names, each once; all of them for None.

    Raises:
        FerBenchError: an unknown name; near ones are suggested.
    """
    if names is None:
        return tuple(CORRUPTIONS)
    if not names:
        raise FerBenchError(
            f"expected corruptions, got none: name some of {', '.join(CORRUPTIONS)}"
        )
    for name in names:
        CORRUPTIONS.entry(name)
    return tuple(dict.fromkeys(names))


def measure_robustness(
    model: Classifier,
    dataset: FaceDataset,
    *,
    corruptions: Sequence[str] | None = None,
    split: Split = "test",
    seed: int = 0,
    limit: int | None = None,
    device: str = "cpu",
    run_finished_at: datetime | None = None,
    progress: Progress = silent,
) -> RobustnessReport:
    """Accuracy on a split's images, clean and under each corruption and severity.

    For reporting: nothing may be selected by it, so that the test split is the right one. The mean
    corruption accuracy is over corruptions and severities, and no mean corruption *error* as
    Hendrycks & Dietterich 2019 (arXiv 1903.12261) define it: they divide by AlexNet's, which knows
    no emotions. Plain probabilities, without test-time augmentation.

    Args:
        corruptions: names; all by default.
        seed: of the corruptions; a seed gives the same pixels whatever the limit, device or batch.
        limit: see `labelled_images`.
        run_finished_at: when the model's training ended, for the report.

    Raises:
        FerBenchError: an unknown corruption, or a split without any class that the model knows.
        RunFailed: the model's logits are not finite.
    """
    names = chosen_corruptions(corruptions)
    images = labelled_images(dataset, split, model.emotions, limit)
    conditions = [(name, severity) for name in names for severity in SEVERITIES]
    pass_over = _Passes(model, dataset, images, seed, device, 1 + len(conditions), progress)
    clean, _ = pass_over(names[0], 0)
    scores, times_right = [], np.zeros(len(images.labels))
    for name, severity in conditions:
        score, right = pass_over(name, severity)
        corruption: Corruption = CORRUPTIONS.load(name)
        scores.append(
            CorruptedScore(
                corruption=name,
                severity=severity,
                level=corruption.levels[severity - 1],
                **score.model_dump(),
            )
        )
        times_right += right  # counted: summed shares would miss 1, or pass it
    return RobustnessReport(
        measured_at=datetime.now(UTC),
        run_finished_at=run_finished_at,
        environment=capture(),
        seed=seed,
        tested_on=describe_test(dataset, split, limit, len(images.labels), images.n_left_out),
        clean=clean,
        corrupted=scores,
        mean_corruption_accuracy=float(np.mean([score.accuracy for score in scores])),
        mean_corruption_accuracy_ci95=mean_interval(times_right / len(conditions)),
    )


def mean_interval(values: NDArray[np.float64]) -> tuple[float, float]:
    """The 95 % percentile bootstrap interval of a mean over images; values: float `(n,)`, 0 to 1.

    Where all are 0 or all are 1 it is Wilson's, as that of an accuracy.
    """
    rng = np.random.default_rng(0)
    n = len(values)
    if values.min() == values.max() and values[0] in (0, 1):
        return Rate(hits=int(values.sum()), n=n).ci95
    means = [values[rng.integers(n, size=n)].mean() for _ in range(N_RESAMPLES)]
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)


class _Passes:
    """One pass over the images for each condition, a chunk at a time: data may be large."""

    def __init__(
        self,
        model: Classifier,
        dataset: FaceDataset,
        images: KnownImages,
        seed: int,
        device: str,
        passes: int,
        progress: Progress,
    ) -> None:
        self._model, self._dataset, self._images = model, dataset, images
        self._seed, self._device, self._progress = seed, device, progress
        self._total, self._done = passes * len(images.labels), 0
        self._started = time.perf_counter()

    def __call__(self, name: str, severity: int) -> tuple[Score, NDArray[np.bool_]]:
        """The score under a condition, and bool `(n,)`, which images were named rightly."""
        predicted = np.empty_like(self._images.labels)
        for start in range(0, len(self._images.indices), CHUNK):
            chosen = self._images.indices[start : start + CHUNK]
            faces = corrupt(self._dataset.images[chosen], name, severity, self._seed)
            probabilities = predict_probabilities(self._model, faces, device=self._device)
            predicted[start : start + CHUNK] = probabilities.argmax(1)
            self._done += len(chosen)
            speed = self._done / (time.perf_counter() - self._started)
            figures = {"images_per_second": speed}
            self._progress("evaluating", self._done, self._total, figures)
        right: NDArray[np.bool_] = predicted == self._images.labels
        return _score(self._images.labels, predicted, right), right


def _score(
    labels: NDArray[np.int64], predicted: NDArray[np.int64], right: NDArray[np.bool_]
) -> Score:
    """The three of `evaluation.metrics.compute_metrics`'s numbers that are stored."""
    n_right, n = int(right.sum()), len(right)
    present = np.unique(labels)
    return Score(
        accuracy=n_right / n,
        accuracy_ci95=accuracy_interval(n_right, n),
        macro_f1=float(
            f1_score(labels, predicted, labels=present, average="macro", zero_division=0)
        ),
    )
