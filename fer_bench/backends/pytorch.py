"""Back ends of PyTorch itself: eager, channels last, bf16 and compiled, on the model's device."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable

import torch
from torch import Tensor, nn

from fer_bench.backends.base import Forward, Unavailable, first_line, torch_threads
from fer_bench.backends.openvino_ir import require_bf16
from fer_bench.backends.prepared import PreparedModel
from fer_bench.models.external.onnx_network import OnnxNetwork, holds_onnx

NO_MODULES = "the network is an ONNX file, which PyTorch does not compute"


def eager(candidate: PreparedModel) -> Forward:
    """The model as it is, in fp32: what all others are compared with."""
    if isinstance(candidate.model.backbone, OnnxNetwork):
        raise Unavailable(NO_MODULES)
    return _forward(candidate, candidate.model, torch.float32, torch.contiguous_format)


def channels_last(candidate: PreparedModel) -> Forward:
    """fp32 with the channels of a pixel side by side in memory."""
    _require_modules(candidate)
    network = copy.deepcopy(candidate.model).to(memory_format=torch.channels_last)
    return _forward(candidate, network, torch.float32, torch.channels_last)


def bf16(candidate: PreparedModel) -> Forward:
    """Weights and activations in bf16, channels last."""
    _require_modules(candidate)
    require_bf16(candidate.device.type)
    network = in_bf16(candidate.model)
    return _forward(candidate, network, torch.bfloat16, torch.channels_last)


def compiled(candidate: PreparedModel) -> Forward:
    """fp32 through torch.compile."""
    _require_modules(candidate)
    return _compiled(candidate, candidate.model, torch.float32)


def compiled_bf16(candidate: PreparedModel) -> Forward:
    """bf16 through torch.compile."""
    _require_modules(candidate)
    require_bf16(candidate.device.type)
    return _compiled(candidate, in_bf16(candidate.model), torch.bfloat16)


def _require_modules(candidate: PreparedModel) -> None:
    """Raises Unavailable for a network that is not all of PyTorch's modules."""
    if holds_onnx(candidate.model):
        raise Unavailable(NO_MODULES)


def in_bf16(model: nn.Module) -> nn.Module:
    """A copy whose weights are bf16, channels last."""
    network = copy.deepcopy(model).to(torch.bfloat16)
    return network.to(memory_format=torch.channels_last)


def _forward(
    candidate: PreparedModel,
    network: Callable[[Tensor], Tensor],
    dtype: torch.dtype,
    layout: torch.memory_format,
) -> Forward:
    threads, device = candidate.threads, candidate.device

    def forward(x: Tensor) -> Tensor:
        with torch.inference_mode(), torch_threads(threads):
            return network(x.to(device, dtype, memory_format=layout)).float().cpu()

    return forward


def _compiled(candidate: PreparedModel, network: nn.Module, dtype: torch.dtype) -> Forward:
    """Compiled now, for one face; for several when they first come.

    Freezing folds the weights, as they are now, into the code: batch norms into convolutions, and
    all laid out as its kernels want them.
    """
    if "isolate_recompiles" not in inspect.signature(torch.compile).parameters:
        raise Unavailable(
            f"PyTorch {torch.__version__} compiles only a few networks in one process: "
            "pip install --upgrade torch"
        )
    faster: Callable[[Tensor], Tensor] = torch.compile(  # type: ignore[call-overload]
        network, isolate_recompiles=True, options={"freezing": True}
    )
    forward = _forward(candidate, faster, dtype, torch.contiguous_format)
    try:
        forward(candidate.checking[:1])
    except RuntimeError as error:
        hint = "; install one, such as g++" if "C++ compiler" in str(error) else ""
        raise Unavailable(f"torch.compile failed: {first_line(error)}{hint}") from error
    return forward
