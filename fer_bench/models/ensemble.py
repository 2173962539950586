"""Several networks that answer together: the weighted mean of their calibrated probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from fer_bench.errors import FerBenchError
from fer_bench.models.classifier import Classifier, ModelRequest
from fer_bench.types import LUMA, InputSpec, Provenance

#: Keeps the logarithm of a probability finite.
TINY = 1e-12


@dataclass(frozen=True, kw_only=True)
class EnsembleMember:
    """A network in an ensemble: its share, and what its logits are divided by before."""

    model: Classifier
    weight: float
    temperature: float


class _Member(nn.Module):
    """Faces in [0, 1] to one network's calibrated probabilities `(B, C)`."""

    mean: Tensor
    std: Tensor
    luma: Tensor

    def __init__(self, member: EnsembleMember) -> None:
        super().__init__()
        self.model = member.model
        self.temperature = member.temperature
        spec = member.model.input_spec
        self.channels = spec.channels
        self.register_buffer("mean", torch.tensor(spec.mean).view(1, -1, 1, 1))
        self.register_buffer("std", torch.tensor(spec.std).view(1, -1, 1, 1))
        self.register_buffer("luma", torch.tensor(LUMA).view(1, 3, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[1] > self.channels:
            x = (x * self.luma).sum(1, keepdim=True)
        logits: Tensor = self.model((x - self.mean) / self.std)
        return (logits.float() / self.temperature).softmax(1)


class _Together(nn.Module):
    """`(B, channels, S, S)` in [0, 1] to every network's probabilities, `(B, M, C)`."""

    def __init__(self, members: Sequence[EnsembleMember]) -> None:
        super().__init__()
        self.members = nn.ModuleList(_Member(member) for member in members)

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([member(x) for member in self.members], 1)


class _LogMean(nn.Module):
    """Probabilities `(B, M, C)` to the logarithm of their weighted mean, `(B, C)`."""

    weights: Tensor

    def __init__(self, weights: Sequence[float]) -> None:
        super().__init__()
        self.register_buffer("weights", torch.tensor(weights).view(1, -1, 1))

    def forward(self, probabilities: Tensor) -> Tensor:
        return (probabilities * self.weights).sum(1).clamp_min(TINY).log()


def make_ensemble(members: Sequence[EnsembleMember]) -> Classifier:
    """One classifier of several; the softmax of its logits is the weighted mean.

    Its faces come in [0, 1]: each network normalises them as it was trained to. Its features are
    the networks' probabilities, `(B, M, C)`.

    Raises:
        FerBenchError: they know other emotions, or want faces of other sizes.
    """
    models = [member.model for member in members]
    for what, values in (
        ("emotions", {model.emotions for model in models}),
        ("input sizes", {model.input_spec.size for model in models}),
        ("interpolations", {model.input_spec.interpolation for model in models}),
    ):
        if len(values) > 1:
            raise FerBenchError(
                f"an ensemble's members want the same {what}, got "
                f"{' and '.join(map(str, sorted(values)))}: choose others"
            )
    channels = max(model.input_spec.channels for model in models)
    return Classifier(
        backbone=_Together(members),
        head=_LogMean([member.weight for member in members]),
        feature_size=len(models) * len(models[0].emotions),
        input_spec=InputSpec(
            size=models[0].input_spec.size,
            channels=channels,
            mean=(0.0,) * channels,
            std=(1.0,) * channels,
            interpolation=models[0].input_spec.interpolation,
            face_margin=max(model.input_spec.face_margin for model in models),
        ),
        request=ModelRequest(name="ensemble", emotions=models[0].emotions),
        provenance=Provenance(architecture=f"weighted mean of {len(models)} networks"),
    ).eval()
