"""Is one run really better than another? Runs compared on the same images, two by two."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from string import ascii_uppercase

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fer_bench.evaluation.metrics import accuracy_interval
from fer_bench.results.stored_run import StoredRun
from fer_bench.studies.comparison.experiments import (
    Experiment,
    ExperimentPair,
    RunPair,
    experiment_pairs,
    experiments,
)
from fer_bench.studies.comparison.paired import (
    N_RESAMPLES,
    Resamples,
    agreement,
    holm,
    interval95,
    mcnemar_exact,
    resample,
)
from fer_bench.studies.comparison.shared_images import SharedAnswers, join
from fer_bench.types import ImageSet


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Runs side by side, best accuracy first; everything is about the shared images alone.

    Attributes:
        accuracy, macro_f1: of each run, `(K,)`, in [0, 1].
        accuracy_intervals: `(low, high)`, 95 %, as records have them.
        pairs: every two runs.
        experiments: the runs grouped by what they differ in but the seed.
    """

    shared: SharedAnswers
    accuracy: tuple[float, ...]
    accuracy_intervals: tuple[tuple[float, float], ...]
    macro_f1: tuple[float, ...]
    pairs: tuple[RunPair, ...]
    experiments: tuple[Experiment, ...]
    experiment_pairs: tuple[ExperimentPair, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The runs' names, best accuracy first."""
        return self.shared.names

    @property
    def letters(self) -> dict[str, str]:
        """A short name for each run, for figures and narrow tables: A is the best."""
        return dict(zip(self.names, ascii_uppercase, strict=False))

    @property
    def has_seeds(self) -> bool:
        """Whether any experiment has several seeds."""
        return any(len(one.runs) > 1 for one in self.experiments)


def compare(
    runs: Sequence[StoredRun],
    predictions: Sequence[pd.DataFrame],
    images: ImageSet = "test",
    *,
    names: Sequence[str] | None = None,
    n_resamples: int = N_RESAMPLES,
) -> Comparison:
    """Compares two runs or more by their stored predictions.

    Args:
        predictions: each run's, as `ResultsStore.predictions` gives them.
        names: what to call the runs, each another way; their ids as short as they may be without.
        n_resamples: of the paired bootstrap.

    Raises:
        FerBenchError: as `shared_images.join`.
    """
    shared = join(runs, predictions, images, names)
    labels, answers, n_classes = shared.labels, shared.answers, len(shared.emotions)
    n_right = (answers == labels).sum(axis=1).tolist()
    accuracy = tuple(right / len(labels) for right in n_right)
    macro_f1 = tuple(_macro_f1(labels, answer, n_classes) for answer in answers)
    draws = resample(labels, answers, n_classes, n_resamples=n_resamples)
    pairs = _pairs(shared, macro_f1, draws)
    groups = experiments(shared, accuracy, macro_f1)
    return Comparison(
        shared=shared,
        accuracy=accuracy,
        accuracy_intervals=tuple(accuracy_interval(right, len(labels)) for right in n_right),
        macro_f1=macro_f1,
        pairs=tuple(pairs),
        experiments=tuple(groups),
        experiment_pairs=tuple(experiment_pairs(groups, shared.names, accuracy, draws, pairs)),
    )


def _pairs(shared: SharedAnswers, macro_f1: Sequence[float], draws: Resamples) -> list[RunPair]:
    right = shared.answers == shared.labels
    chosen = list(combinations(range(len(shared.names)), 2))
    only = [
        (int((right[a] & ~right[b]).sum()), int((right[b] & ~right[a]).sum())) for a, b in chosen
    ]
    p_values = [mcnemar_exact(*counts) for counts in only]
    compared = []
    for (a, b), (only_a, only_b), p, p_holm in zip(
        chosen, only, p_values, holm(p_values).tolist(), strict=True
    ):
        same_answer, kappa = agreement(shared.answers[a], shared.answers[b])
        compared.append(
            RunPair(
                a=shared.names[a],
                b=shared.names[b],
                both_right=int((right[a] & right[b]).sum()),
                only_a_right=only_a,
                only_b_right=only_b,
                both_wrong=int((~right[a] & ~right[b]).sum()),
                accuracy_difference=(only_a - only_b) / len(shared.labels),
                accuracy_interval=interval95(draws.accuracy[:, a] - draws.accuracy[:, b]),
                macro_f1_difference=macro_f1[a] - macro_f1[b],
                macro_f1_interval=interval95(draws.macro_f1[:, a] - draws.macro_f1[:, b]),
                p=p,
                p_holm=p_holm,
                same_answer=same_answer,
                kappa=kappa,
            )
        )
    return compared


def class_scores(
    labels: NDArray[np.int64], answer: NDArray[np.int64], n_classes: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """Recall, F1 and images of each class, `(C,)`, as `metrics.compute_metrics` counts them.

    A class without images has no recall and no F1: NaN.

    Args:
        labels, answer: int64 `(N,)`.
    """
    from sklearn.metrics import precision_recall_fscore_support  # the leaderboard needs none

    _, recall, f1, support = precision_recall_fscore_support(
        labels, answer, labels=np.arange(n_classes), zero_division=0
    )
    held = support > 0
    return np.where(held, recall, np.nan), np.where(held, f1, np.nan), support


def _macro_f1(labels: NDArray[np.int64], answer: NDArray[np.int64], n_classes: int) -> float:
    _, f1, support = class_scores(labels, answer, n_classes)
    return float(f1[support > 0].mean())
