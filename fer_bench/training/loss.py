"""Labels as training wants them: soft targets, class weights, and the loss over both."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from fer_bench.data.dataset import FaceDataset
from fer_bench.specs.recipe import Recipe
from fer_bench.specs.run import VoteMode

Loss = Callable[[Tensor, Tensor], Tensor]


def soft_targets(dataset: FaceDataset) -> NDArray[np.float32]:
    """float32 `(N, C)`: the votes where there are any, one-hot labels otherwise.

    Rows of unlabelled samples (label -1) are zero; no split holds them.
    """
    if dataset.votes is not None:
        return dataset.votes
    targets = np.zeros((len(dataset), len(dataset.emotions)), dtype=np.float32)
    known = np.flatnonzero(dataset.labels >= 0)
    targets[known, dataset.labels[known]] = 1
    return targets


def make_loss(
    recipe: Recipe,
    class_counts: dict[str, int],
    device: str = "cpu",
    votes: VoteMode | None = None,
) -> Loss:
    """The loss between logits `(B, C)` and soft targets `(B, C)`, as the recipe weighs it.

    Cross-entropy; for FER+'s `multi-target` labels the loss of Barsoum et al. 2016 (arXiv
    1608.01041, equation 5), in which any emotion that kept its votes is a right answer.
    Class weights are inverse to the frequency in train, with mean 1 over the samples.
    """
    weight = None
    if recipe.class_weights:
        counts = torch.tensor(list(class_counts.values()), dtype=torch.float32, device=device)
        weight = counts.sum() / (len(counts) * counts.clamp(min=1))

    def cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
        # PyTorch drops the weights' normalisation for soft targets; weight 1 on average keeps it.
        return F.cross_entropy(
            logits.float(), targets, weight=weight, label_smoothing=recipe.label_smoothing
        )

    def best_accepted(logits: Tensor, targets: Tensor) -> Tensor:
        log_p = logits.float().log_softmax(1)
        best, emotion = log_p.masked_fill(targets <= 0, -torch.inf).max(1)
        return -(best if weight is None else best * weight[emotion]).mean()

    return best_accepted if votes == "multi-target" else cross_entropy
