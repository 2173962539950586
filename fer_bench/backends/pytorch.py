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


def eager(prepared: PreparedModel) -> Forward:
    """The model as it is, in fp32: what all others are compared with."""
    if isinstance(prepared.model.backbone, OnnxNetwork):
        raise Unavailable(NO_MODULES)
    return by_torch(prepared, prepared.model, torch.float32, torch.contiguous_format)


def channels_last(prepared: PreparedModel) -> Forward:
    """fp32 with the channels of a pixel side by side in memory."""
    _require_modules(prepared)
    network = copy.deepcopy(prepared.model).to(memory_format=torch.channels_last)
    return by_torch(prepared, network, torch.float32, torch.channels_last)


def bf16(prepared: PreparedModel) -> Forward:
    """Weights and activations in bf16, channels last."""
    _require_modules(prepared)
    require_bf16(prepared.device.type)
    network = in_bf16(prepared.model)
    return by_torch(prepared, network, torch.bfloat16, torch.channels_last)


def compiled(prepared: PreparedModel) -> Forward:
    """fp32 through torch.compile."""
    _require_modules(prepared)
    return _compiled(prepared, prepared.model, torch.float32)


def compiled_bf16(prepared: PreparedModel) -> Forward:
    """bf16 through torch.compile."""
    _require_modules(prepared)
    require_bf16(prepared.device.type)
    return _compiled(prepared, in_bf16(prepared.model), torch.bfloat16)


def _require_modules(prepared: PreparedModel) -> None:
    """Raises Unavailable for a network that is not all of PyTorch's modules."""
    if holds_onnx(prepared.model):
        raise Unavailable(NO_MODULES)


def in_bf16(model: nn.Module) -> nn.Module:
    """A copy whose weights are bf16, channels last."""
    network = copy.deepcopy(model).to(torch.bfloat16)
    return network.to(memory_format=torch.channels_last)


def by_torch(
    prepared: PreparedModel,
    network: Callable[[Tensor], Tensor],
    dtype: torch.dtype,
    layout: torch.memory_format,
) -> Forward:
    """A network called by PyTorch on its device, in this precision and layout of its input."""
    threads, device = prepared.threads, prepared.device

    def forward(x: Tensor) -> Tensor:
        with torch.inference_mode(), torch_threads(threads):
            return network(x.to(device, dtype, memory_format=layout)).float().cpu()

    return forward


def _compiled(prepared: PreparedModel, network: nn.Module, dtype: torch.dtype) -> Forward:
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
    forward = by_torch(prepared, faster, dtype, torch.contiguous_format)
    try:
        forward(prepared.checking[:1])
    except RuntimeError as error:
        hint = "; install one, such as g++" if "C++ compiler" in str(error) else ""
        raise Unavailable(f"torch.compile failed: {first_line(error)}{hint}") from error
    return forward
