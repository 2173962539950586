"""Heads: what turns a backbone's features into one logit per emotion."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from fer_bench.models.classifier import Classifier, ModelRequest
from fer_bench.models.pretrained import starting_state
from fer_bench.models.state_dict import State, load_weights
from fer_bench.types import InputSpec, Provenance


def make_head(
    feature_size: int, n_classes: int, hidden: Sequence[int] = (), dropout: float = 0.0
) -> nn.Module:
    """Features `(B, feature_size)` to logits `(B, n_classes)`.

    Without hidden layers one linear layer, after dropout where there is any; each hidden layer is
    Linear, BatchNorm1d, ReLU, Dropout.
    """
    if not hidden:
        linear = nn.Linear(feature_size, n_classes)
        return nn.Sequential(nn.Dropout(dropout), linear) if dropout else linear
    layers: list[nn.Module] = []
    width = feature_size
    for next_width in hidden:
        layers += [
            nn.Linear(width, next_width),
            nn.BatchNorm1d(next_width),
            nn.ReLU(inplace=True),
            nn.Dropout(dropout),
        ]
        width = next_width
    return nn.Sequential(*layers, nn.Linear(width, n_classes))


class CosineHead(nn.Module):
    """CLIP's zero-shot head: cosine similarity with one text embedding per emotion, scaled.

    weight: `(C, D)`, unit text embeddings times CLIP's logit scale (arXiv 2103.00020).
    """

    def __init__(self, feature_size: int, n_classes: int) -> None:
        super().__init__()
        self.linear = nn.Linear(feature_size, n_classes, bias=False)

    def forward(self, features: Tensor) -> Tensor:
        """`(B, D)` to `(B, C)` logits."""
        out: Tensor = self.linear(F.normalize(features, dim=-1))
        return out


def with_head(
    backbone: nn.Module,
    feature_size: int,
    *,
    input_spec: InputSpec,
    request: ModelRequest,
    provenance: Provenance,
) -> Classifier:
    """A classifier of this backbone and the head that the request asks for."""
    head = make_head(feature_size, len(request.emotions), request.head, request.head_dropout)
    return Classifier(
        backbone=backbone,
        head=head,
        feature_size=feature_size,
        input_spec=input_spec,
        request=request,
        provenance=provenance,
    )


def without_published_weights(
    net: nn.Module,
    feature_size: int,
    *,
    input_spec: InputSpec,
    request: ModelRequest,
    architecture: str,
    paper: str = "",
    fit: Callable[[State], State] = lambda state: state,
) -> Classifier:
    """A classifier of a network that starts from random or from local weights.

    Args:
        fit: makes a local file's tensors fit `net`, where they can be those of a relative.

    Raises:
        FerBenchError: weights that cannot be had or do not fit.
    """
    state, origin = starting_state(request)
    if state is not None:
        load_weights(net, fit(state), source=request.pretraining)
    return with_head(
        net,
        feature_size,
        input_spec=input_spec,
        request=request,
        provenance=Provenance(architecture=architecture, paper=paper, weights=origin),
    )
