"""Which part of a classifier learns: frozen, full, lora and zero-shot."""

from __future__ import annotations

from fer_bench.models.classifier import Classifier
from fer_bench.models.options import DEFAULT_LORA_RANK


def apply_mode(model: Classifier) -> None:
    """Sets up, in place, what the mode of the model's request trains.

    frozen: the head alone; the backbone also stays in eval mode (`Classifier.train`).
    full: everything. lora: low-rank updates of the backbone, and the head.
    zero-shot: nothing.
    """
    mode = model.request.mode
    model.requires_grad_(mode != "zero-shot")
    if mode == "frozen":
        model.backbone.requires_grad_(False)
    if mode == "lora":
        from fer_bench.models.lora import inject_lora

        inject_lora(model, rank=int(model.request.options.get("lora_rank", DEFAULT_LORA_RANK)))
