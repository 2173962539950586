"""How much each of several models should count in their mean."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

#: Keeps the logarithm of a probability finite.
TINY = 1e-12


def fit_weights(
    labels: NDArray[np.int64], probabilities: Sequence[NDArray[np.floating]]
) -> NDArray[np.float64]:
    """The weights of the mean of models' probabilities that has the least log loss.

    Fit them on validation data. The loss is convex in the weights, so the answer does not depend
    on where the search starts.

    Args:
        labels: int64 `(N,)`, class numbers.
        probabilities: per model float `(N, C)`, rows sum to 1.

    Returns:
        float64 `(M,)`, none below 0, sum 1.
    """
    n_models = len(probabilities)
    rows = np.arange(len(labels))
    of_truth = np.stack([p[rows, labels].astype(np.float64) for p in probabilities], 1)

    def loss(weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        mean = np.clip(of_truth @ weights, TINY, None)
        return float(-np.log(mean).mean()), -(of_truth / mean[:, None]).mean(0)

    optimum = minimize(
        loss,
        np.full(n_models, 1 / n_models),
        jac=True,
        method="SLSQP",
        bounds=[(0, 1)] * n_models,
        constraints={"type": "eq", "fun": lambda weights: weights.sum() - 1},
        options={"ftol": 1e-10},
    )
    weights = np.clip(optimum.x, 0, None)
    normalised: NDArray[np.float64] = weights / weights.sum()
    return normalised
