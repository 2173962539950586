"""Low-rank adaptation of a backbone with peft (Hu et al. 2021, arXiv 2106.09685)."""

from __future__ import annotations

from torch import nn

from fer_bench.errors import FerBenchError
from fer_bench.models.base import Classifier

#: A layer thinner than this many ranks gains nothing from a low-rank update.
_THINNEST = 4


def _is_wide(layer: nn.Module, rank: int) -> bool:
    if isinstance(layer, nn.Linear):
        return min(layer.in_features, layer.out_features) >= _THINNEST * rank
    if isinstance(layer, nn.Conv2d):
        channels = min(layer.in_channels, layer.out_channels)
        return layer.groups == 1 and channels >= _THINNEST * rank
    return isinstance(layer, nn.MultiheadAttention) and layer.embed_dim >= _THINNEST * rank


def lora_targets(backbone: nn.Module, rank: int) -> list[str]:
    """Names of the layers that get updates.

    In transformers (told by their layer norms) attention and linear layers, elsewhere convolutions
    and linear layers; none that is thin beside the rank.
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
        # peft adapts torch's attention as one piece, its output projection included.
        and name.rpartition(".")[0] not in attention
    ]


def inject_lora(model: Classifier, rank: int) -> None:
    """Gives the backbone low-rank updates, in place; they and the head are what trains.

    Raises:
        FerBenchError: no layer is wide enough for this rank.
    """
    from peft import LoraConfig, inject_adapter_in_model  # takes seconds, which few runs need

    targets = lora_targets(model.backbone, rank)
    if not targets:
        raise FerBenchError(
            f"{model.request.name} has no layer for LoRA at rank {rank}: expected layers at least "
            f"{_THINNEST * rank} wide; lower lora_rank or choose another mode"
        )
    config = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=targets, lora_dropout=0.0)
    inject_adapter_in_model(config, model.backbone)
    model.head.requires_grad_(True)


def merge_lora(model: Classifier) -> None:
    """Adds the updates into the weights they belong to, in place; leaves the plain network.

    Logits stay the same to rounding. Does nothing to a model without updates.
    """
    from peft.tuners.tuners_utils import BaseTunerLayer

    adapted = {
        name: module
        for name, module in model.backbone.named_modules()
        if isinstance(module, BaseTunerLayer)
    }
    for name, module in adapted.items():
        if any(name.startswith(f"{outer}.") for outer in adapted):
            continue  # torch's attention takes the updates of its output projection along
        # Attention keeps its weights apart from `merge`, so peft gives it a method of its own.
        unload = getattr(module, "unload_and_optionally_merge_module", None)
        if unload is not None:
            plain = unload(merge=True, safe_merge=False, adapter_names=None)
        else:
            module.merge()
            plain = module.get_base_layer()
        parent, _, child = name.rpartition(".")
        setattr(model.backbone.get_submodule(parent), child, plain)
