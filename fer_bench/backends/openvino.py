"""Back ends of OpenVINO: fp32, bf16, and int8 by NNCF."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from fer_bench.backends.base import Forward
from fer_bench.backends.openvino_ir import compile_for_cpu, lacks_bf16, require_bf16
from fer_bench.backends.prepared import PreparedModel

#: Mean cosine with eager fp32 below which it is not rounding that makes the difference.
GARBAGE = 0.9


def fp32(prepared: PreparedModel) -> Forward:
    """Computed in fp32."""
    prepared.require_cpu("OpenVINO")
    return _Runner(prepared.openvino, bf16=False, threads=prepared.threads)


def bf16(prepared: PreparedModel) -> Forward:
    """Computed in bf16."""
    prepared.require_cpu("OpenVINO")
    require_bf16("cpu")
    return _Runner(prepared.openvino, bf16=True, threads=prepared.threads)


def int8(prepared: PreparedModel) -> Forward:
    """Quantised to int8; what is left of it is computed in bf16 where the CPU can, else in fp32."""
    prepared.require_cpu("OpenVINO")
    model, bf16, threads = prepared.openvino_int8, not lacks_bf16(), prepared.threads
    runner = _Runner(model, bf16=bf16, threads=threads)
    # OpenVINO 2026.4 fuses two small int8 products in a row, the first without a bias, into one
    # kernel whose results are garbage, at a fixed shape only.
    faces = prepared.checking[:4]
    logits = torch.cat([runner(face[None]) for face in faces])
    with torch.inference_mode():
        expected = prepared.model(faces)
    if not F.cosine_similarity(logits, expected).mean() >= GARBAGE:  # nor is it for NaN
        return _Runner(model, bf16=bf16, threads=threads, fixed=False)
    return runner


class _Runner:
    """A `Forward` of a model of any batch size.

    One face at a time, the usual case, has a network of its own: with a fixed shape OpenVINO plans
    faster kernels. The one for several faces is made when they first come.

    Args:
        fixed: False leaves one face to the network for several.
    """

    def __init__(self, model: Any, *, bf16: bool, threads: int, fixed: bool = True) -> None:
        self._model = model
        self._compile: Callable[[Any], Any] = lambda network: compile_for_cpu(
            network, hint="LATENCY", bf16=bf16, threads=threads
        )
        self._single: Any = self._for_one() if fixed else None
        self._many: Any = None
        self._making = threading.Lock()
        self._requests = threading.local()  # a request serves one call at a time

    def __call__(self, x: Tensor) -> Tensor:
        outputs = self._request(len(x)).infer([x.contiguous().numpy()], share_inputs=True)
        return torch.from_numpy(outputs[0].copy())

    def _request(self, batch: int) -> Any:
        single = batch == 1 and self._single is not None
        kind = "single" if single else "many"
        if not hasattr(self._requests, kind):
            compiled = self._single if single else self._for_many()
            setattr(self._requests, kind, compiled.create_infer_request())
        return getattr(self._requests, kind)

    def _for_one(self) -> Any:
        network = self._model.clone()
        _, *shape = self._model.input(0).partial_shape
        network.reshape([1, *(side.get_length() for side in shape)])
        return self._compile(network)

    def _for_many(self) -> Any:
        with self._making:
            if self._many is None:
                self._many = self._compile(self._model)
            return self._many
