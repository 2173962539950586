"""The back ends by name. Listing them imports no torch."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, cast

from fer_bench.registry import Entry, Registry

if TYPE_CHECKING:
    from fer_bench.backends.base import Backend
    from fer_bench.backends.prepared import PreparedModel
    from fer_bench.models.classifier import Classifier
    from fer_bench.results.reports.latency import Precision

#: The name that stands for the fastest faithful one, measured here.
AUTO = "auto"

_PYTORCH = "fer_bench.backends.pytorch"
_ONNXRUNTIME = "fer_bench.backends.onnxruntime"
_OPENVINO = "fer_bench.backends.openvino"

BACKENDS = Registry(
    "back end",
    {
        "torch-fp32": Entry(f"{_PYTORCH}:eager", "PyTorch, eager"),
        "torch-channels-last": Entry(f"{_PYTORCH}:channels_last", "PyTorch, channels last"),
        "torch-bf16": Entry(f"{_PYTORCH}:bf16", "PyTorch, weights in bf16"),
        "torch-compile": Entry(f"{_PYTORCH}:compiled", "torch.compile"),
        "torch-compile-bf16": Entry(f"{_PYTORCH}:compiled_bf16", "torch.compile in bf16"),
        "onnxruntime-fp32": Entry(f"{_ONNXRUNTIME}:fp32", "ONNX Runtime"),
        "onnxruntime-int8": Entry(f"{_ONNXRUNTIME}:int8", "ONNX Runtime, int8 by NNCF"),
        "openvino-fp32": Entry(f"{_OPENVINO}:fp32", "OpenVINO"),
        "openvino-bf16": Entry(f"{_OPENVINO}:bf16", "OpenVINO in bf16"),
        "openvino-int8": Entry(f"{_OPENVINO}:int8", "OpenVINO, int8 by NNCF"),
    },
)


def reference_of(model: Classifier) -> str:
    """The back end that a network's others are compared with: PyTorch's, or ONNX Runtime's own."""
    from fer_bench.models.external.onnx_network import OnnxNetwork
    from fer_bench.results.reports.latency import REFERENCE

    return "onnxruntime-fp32" if isinstance(model.backbone, OnnxNetwork) else REFERENCE


def precision_of(name: str) -> Precision:
    """What a back end of this name computes in; int8 ones compute some layers in bf16 or fp32."""
    last = name.rpartition("-")[2]
    return cast("Precision", last) if last in ("bf16", "int8") else "fp32"


def open_prepared(name: str, prepared: PreparedModel) -> Backend:
    """The back end of this name, none of whose shared conversions is made twice.

    Raises:
        Unavailable: as `open_backend`.
    """
    from fer_bench.backends.base import Backend, Unavailable, first_line

    start = time.perf_counter()
    try:
        forward = BACKENDS.load(name)(prepared)
        forward(prepared.checking[:1])
    except RuntimeError as error:
        raise Unavailable(f"{name} cannot run it: {first_line(error)}") from error
    return Backend(
        name=name,
        forward=forward,
        precision=precision_of(name),
        threads=prepared.threads,
        open_seconds=time.perf_counter() - start,
    )
