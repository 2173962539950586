"""The interface of every classifier, and what a model file must provide."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol, Self

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from fer_bench.types import EmotionName, InputSpec, Mode, Provenance

Option = int | float | str | bool


@dataclass(frozen=True, kw_only=True)
class ModelRequest:
    """What `build_model` asks of a model's builder.

    Attributes:
        name: as the user wrote it (`resnet18`, `timm:convnext_tiny`).
        pretraining: `none`, `imagenet`, a hub id, or the path of a weights file or folder.
        options: the builder's own (`input_size`, `tiny`, ...); unknown ones are refused.
        head, head_dropout: hidden widths between features and logits (usually none).
        architecture: the network's own configuration where its name alone does not tell it
            (`clip:...`); the builder fills it in, so that a saved model opens without the hub.
        prompts: zero-shot's texts by emotion; empty for the built-in ones.
    """

    name: str
    emotions: tuple[EmotionName, ...]
    mode: Mode = "full"
    pretraining: str = "none"
    options: dict[str, Option] = field(default_factory=dict)
    head: tuple[int, ...] = ()
    head_dropout: float = 0.0
    architecture: dict[str, Any] = field(default_factory=dict)
    prompts: dict[str, tuple[str, ...]] = field(default_factory=dict)


class Classifier(nn.Module):
    """A backbone that yields features and a head that yields one logit per emotion.

    Args:
        backbone: `(B, channels, size, size)` float to `(B, D)` features.
        head: `(B, D)` to `(B, C)` logits.
    """

    def __init__(
        self,
        *,
        backbone: nn.Module,
        head: nn.Module,
        feature_size: int,
        input_spec: InputSpec,
        request: ModelRequest,
        provenance: Provenance,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head
        self.feature_size = feature_size
        self.input_spec = input_spec
        self.request = request
        self.provenance = provenance

    @property
    def emotions(self) -> tuple[str, ...]:
        """Class names in logit order."""
        return self.request.emotions

    def train(self, mode: bool = True) -> Self:
        """As in torch, but what is fixed stays as it is.

        Under `frozen` and `zero-shot` the backbone stays in eval mode: its dropout would blur the
        features. Under `lora` its batch norms do: else they would go on learning the data's
        statistics, while all but the low-rank updates is meant to be fixed.
        """
        super().train(mode)
        if self.request.mode in ("frozen", "zero-shot"):
            self.backbone.eval()
        if self.request.mode == "lora":
            for module in self.backbone.modules():
                if isinstance(module, _BatchNorm):
                    module.eval()
        return self

    def features(self, x: Tensor) -> Tensor:
        """`(B, channels, size, size)` to `(B, D)`."""
        out: Tensor = self.backbone(x)
        return out

    def without_head(self) -> Classifier:
        """The same backbone, shared and in eval mode, with its features in the logits' place."""
        alone = Classifier(
            backbone=self.backbone,
            head=nn.Identity(),
            feature_size=self.feature_size,
            input_spec=self.input_spec,
            request=self.request,
            provenance=self.provenance,
        )
        return alone.eval()

    def forward(self, x: Tensor) -> Tensor:
        """`(B, channels, size, size)`, as `data.preprocess.to_input` gives, to `(B, C)` logits."""
        out: Tensor = self.head(self.features(x))
        return out


class Builder(Protocol):
    """A model file's entry point, named in the registry."""

    def __call__(self, request: ModelRequest) -> Classifier: ...
