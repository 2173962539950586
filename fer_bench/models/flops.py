"""A model's size in parameters, and its cost in floating-point operations and memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from fer_bench.models.classifier import Classifier
from fer_bench.models.external.onnx_network import OnnxNetwork, holds_onnx


def count_parameters(model: Classifier) -> tuple[int, int]:
    """Numbers of all parameters and of those that train."""
    parameters = list(model.parameters())
    inside = sum(m.parameters_inside for m in model.modules() if isinstance(m, OnnxNetwork))
    return (
        sum(p.numel() for p in parameters) + inside,
        sum(p.numel() for p in parameters if p.requires_grad),
    )


def count_flops(model: Classifier) -> int | None:
    """Operations of one forward pass on one image, a multiply and an add counted as two.

    Runs the model once on zeros, on its own device; on the meta device that costs nothing. None
    where an ONNX file is in it, whose operations PyTorch does not see.
    """
    if holds_onnx(model):
        return None
    spec = model.input_spec
    device = next(model.parameters()).device
    image = torch.zeros(1, spec.channels, spec.size, spec.size, device=device)
    was_training = model.training
    counter = FlopCounterMode(display=False)
    try:
        with torch.no_grad(), without_fastpath(), counter:
            model.eval()(image)
    finally:
        model.train(was_training)
    return int(counter.get_total_flops())


@torch.inference_mode()
def largest_layer(model: Classifier, image: Tensor) -> int:
    """Bytes that go into and come out of its largest layer: the least memory that an image needs.

    Args:
        model: in eval mode; of an ONNX file in it only the input and the answers are seen.
        image: model input, `(1, C, S, S)`.
    """
    sizes: list[int] = []

    def look(_: nn.Module, inputs: object, output: object) -> None:
        taken = inputs if isinstance(inputs, tuple) else ()
        sizes.append(sum(one.nbytes for one in (*taken, output) if isinstance(one, Tensor)))

    with nn.modules.module.register_module_forward_hook(look):
        model(image)
    return max(sizes)


@contextmanager
def without_fastpath() -> Iterator[None]:
    """Lets every operation of transformer layers be counted, the same on every device.

    The fused layer hides its matrix products from the counter: ViT-B/16 would count 22.5 in place
    of 35.1 GFLOP. So does a CPU's fused attention those of queries, keys and values.
    """
    had_fastpath = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(had_fastpath)
