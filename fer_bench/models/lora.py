"""Low-rank adaptation of a backbone with peft (Hu et al. 2021, arXiv 2106.09685)."""

from __future__ import annotations

import math
import re

from torch import Tensor, nn
from torch.nn.utils import parametrize

from fer_bench.errors import FerBenchError
from fer_bench.models.classifier import Classifier

#: A layer thinner than this many ranks gains nothing from a low-rank update.
_THINNEST = 4


def _is_wide(layer: nn.Module, rank: int) -> bool:
    if isinstance(layer, nn.Linear):
        return min(layer.in_features, layer.out_features) >= _THINNEST * rank
    if isinstance(layer, nn.Conv2d):
        channels = min(layer.in_channels, layer.out_channels)
        return layer.groups == 1 and channels >= _THINNEST * rank
    return isinstance(layer, nn.MultiheadAttention) and layer.embed_dim >= _THINNEST * rank


class _LowRank(nn.Module):
    """`W + alpha / rank * B @ A` instead of a weight `W`; B starts at zero."""

    def __init__(self, weight: Tensor, rank: int, alpha: float) -> None:
        super().__init__()
        rows, columns = weight.shape
        self.lora_A = nn.Parameter(weight.new_empty(rank, columns))
        self.lora_B = nn.Parameter(weight.new_zeros(rows, rank))
        self.scaling = alpha / rank
        nn.init.kaiming_uniform_(self.lora_A, a=math.sqrt(5))

    def forward(self, weight: Tensor) -> Tensor:
        return weight + self.scaling * self.lora_B @ self.lora_A


def _attention_weights(attention: nn.MultiheadAttention) -> list[tuple[nn.Module, str]]:
    """The two matrices that torch's attention multiplies with, and where they are."""
    return [(attention, "in_proj_weight"), (attention.out_proj, "weight")]


def lora_targets(backbone: nn.Module, rank: int) -> list[str]:
    """Names of the layers that get updates.

    In transformers (known by their layer norms) attention and linear layers, elsewhere convolutions
    and linear layers; none that is thin compared with the rank.
    """
    modules = dict(backbone.named_modules())
    attention = {n for n, m in modules.items() if isinstance(m, nn.MultiheadAttention)}
    is_transformer = any(isinstance(m, nn.LayerNorm) for m in modules.values())
    kinds: tuple[type[nn.Module], ...] = (nn.Linear, nn.MultiheadAttention)
    if not is_transformer:
        kinds = (*kinds, nn.Conv2d)
    return [
        name
        for name, module in modules.items()
        if isinstance(module, kinds)
        and _is_wide(module, rank)
        # torch's attention is adapted as one piece, its output projection included.
        and name.rpartition(".")[0] not in attention
    ]


def inject_lora(model: Classifier, rank: int) -> None:
    """Gives the backbone low-rank updates, in place; they and the head are what trains.

    peft adapts linear layers and convolutions. Torch's attention, whose output projection peft
    0.21 counts twice, has its weights parametrised instead.

    Raises:
        FerBenchError: no layer is wide enough for this rank.
    """
    from peft import LoraConfig, inject_adapter_in_model  # takes seconds, which few runs need

    backbone, alpha = model.backbone, 2 * rank
    targets = lora_targets(backbone, rank)
    if not targets:
        raise FerBenchError(
            f"{model.request.name} has no layer for LoRA at rank {rank}: expected layers at least "
            f"{_THINNEST * rank} wide; lower lora_rank or choose another mode"
        )
    backbone.requires_grad_(False)
    layers = {name: backbone.get_submodule(name) for name in targets}
    attention = [m for m in layers.values() if isinstance(m, nn.MultiheadAttention)]
    plain = [n for n, m in layers.items() if not isinstance(m, nn.MultiheadAttention)]
    if plain:
        config = LoraConfig(
            r=rank,
            lora_alpha=alpha,
            # A list would match the ends of other layers' names too.
            target_modules="|".join(map(re.escape, plain)),
            lora_dropout=0.0,
        )
        inject_adapter_in_model(config, backbone)
    for layer in attention:
        for module, name in _attention_weights(layer):
            update = _LowRank(getattr(module, name), rank, alpha)
            parametrize.register_parametrization(module, name, update)


def has_lora(model: Classifier) -> bool:
    """Whether the backbone has updates that are not merged."""
    return any(".lora_A" in name for name, _ in model.backbone.named_parameters())


def merge_lora(model: Classifier) -> None:
    """Adds the updates into the weights they belong to, in place; leaves the plain network.

    Logits stay the same to rounding. Does nothing to a model without updates.
    """
    from peft.tuners.tuners_utils import BaseTunerLayer

    for name, module in list(model.backbone.named_modules()):
        if isinstance(module, BaseTunerLayer):
            module.merge()
            parent, _, child = name.rpartition(".")
            setattr(model.backbone.get_submodule(parent), child, module.get_base_layer())
        elif isinstance(module, nn.MultiheadAttention):
            for owner, weight in _attention_weights(module):
                if parametrize.is_parametrized(owner, weight):
                    parametrize.remove_parametrizations(owner, weight)
