"""Back ends of ONNX Runtime: the network as `export` writes it, in fp32 or int8."""

from __future__ import annotations

from torch import Tensor

from fer_bench.backends.base import Forward, first_line
from fer_bench.backends.onnx import open_session
from fer_bench.backends.prepared import PreparedModel
from fer_bench.backends.quantize import has_attention, quantise_onnx
from fer_bench.errors import RunFailed
from fer_bench.models.external.onnx_network import run


def fp32(prepared: PreparedModel) -> Forward:
    """Computed in fp32."""
    prepared.require_cpu("ONNX Runtime")
    return _forward(prepared.onnx, prepared.threads)


def int8(prepared: PreparedModel) -> Forward:
    """Quantised by NNCF: ONNX Runtime's own tool ruins attention."""
    prepared.require_cpu("ONNX Runtime")
    faces = prepared.require_calibrating()
    quantised = quantise_onnx(prepared.onnx, faces, attends=has_attention(prepared.model))
    return _forward(quantised, prepared.threads)


def _forward(onnx: bytes, threads: int) -> Forward:
    session = open_session(onnx, threads)

    def forward(x: Tensor) -> Tensor:
        try:
            return run(session, x)
        except RunFailed as error:  # such as want of memory
            raise RuntimeError(first_line(error)) from error

    return forward
