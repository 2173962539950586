"""Losses: soft targets and class weights, and the imitation of trained networks."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from fer_bench.data.dataset import FaceDataset
from fer_bench.errors import FerBenchError
from fer_bench.models.classifier import Classifier
from fer_bench.specs.recipe import Distillation, Recipe
from fer_bench.specs.run import VoteMode
from fer_bench.training.precision import autocast, layout
from fer_bench.types import InputSpec, Precision

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
    Class weights are inverse to the frequency in train, with mean 1 over the samples; a class
    without any weighs nothing, or its part of smoothed labels would outweigh all others.
    """
    weight = None
    if recipe.class_weights:
        counts = torch.tensor(list(class_counts.values()), dtype=torch.float32, device=device)
        weight = counts.sum() / ((counts > 0).sum() * counts)
        weight = weight.where(counts > 0, 0.0)

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


class Teachers:
    """Trained networks that see the very batches that the student sees, before they are degraded.

    Hinton et al. 2015, arXiv 1503.02531; the same view for both, as Beyer et al. 2021, arXiv
    2106.05237. A teacher that has never seen noise would teach its mistakes, so noise is not its.
    """

    def __init__(
        self,
        models: Sequence[Classifier],
        how: Distillation,
        student: InputSpec,
        device: str,
        precision: Precision,
    ) -> None:
        """
        Raises:
            FerBenchError: a teacher that wants other faces than the student.
        """
        for model in models:
            if model.input_spec != student:
                raise FerBenchError(
                    f"teacher {model.request.name} wants faces of {model.input_spec.size} px and "
                    f"{model.input_spec.channels} channels, prepared otherwise than the student's "
                    f"of {student.size} px and {student.channels}: choose teachers of its kind"
                )
        self._models = [layout(model.to(device).eval(), precision) for model in models]
        self._how = how
        self._device = device
        self._precision = precision

    def blend(self, loss: Tensor, logits: Tensor, x: Tensor) -> Tensor:
        """The loss on labels mixed with the distance from the teachers' mean answer.

        Args:
            loss: scalar.
            logits: the student's `(B, C)`.
            x: the batch `(B, channels, S, S)` before it

        was degraded.
        """
        if not self._models:
            return loss
        temperature = self._how.temperature
        with torch.no_grad(), autocast(self._device, self._precision):
            answers = [model(x).float().div(temperature).softmax(1) for model in self._models]
        answer = torch.stack(answers).mean(0)
        student = logits.float().div(temperature).log_softmax(1)
        # Squared, it keeps the gradient's size whatever the temperature (section 2 of the paper).
        distance = F.kl_div(student, answer, reduction="batchmean") * temperature**2
        return torch.lerp(loss.float(), distance, self._how.weight)
