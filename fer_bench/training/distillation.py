"""Learning from teachers: a student also imitates the mean answer of trained networks."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from fer_bench.errors import FerBenchError
from fer_bench.models.classifier import Classifier
from fer_bench.specs.recipe import Distillation
from fer_bench.training.precision import autocast, layout
from fer_bench.types import InputSpec, Precision


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
