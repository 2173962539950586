"""Back ends of ONNX Runtime: the network as `export` writes it, in fp32 or int8."""

from __future__ import annotations

import torch
from torch import Tensor

from fer_bench.backends.base import Forward, first_line
from fer_bench.backends.export.metadata import INPUT
from fer_bench.backends.onnx import open_session
from fer_bench.backends.prepared import PreparedModel
from fer_bench.backends.quantize import has_attention, quantise_onnx


def fp32(candidate: PreparedModel) -> Forward:
    """Computed in fp32."""
    candidate.require_cpu("ONNX Runtime")
    return _forward(candidate.onnx, candidate.threads)


def int8(candidate: PreparedModel) -> Forward:
    """Quantised by NNCF: ONNX Runtime's own tool ruins attention."""
    candidate.require_cpu("ONNX Runtime")
    faces = candidate.require_calibrating()
    quantised = quantise_onnx(candidate.onnx, faces, attends=has_attention(candidate.model))
    return _forward(quantised, candidate.threads)


def _forward(onnx: bytes, threads: int) -> Forward:
    from onnxruntime.capi import onnxruntime_pybind11_state as failures

    session = open_session(onnx, threads)

    def forward(x: Tensor) -> Tensor:
        try:
            found = session.run(None, {INPUT: x.contiguous().numpy()})
        except (failures.Fail, failures.RuntimeException) as error:  # such as want of memory
            raise RuntimeError(first_line(error)) from error
        return torch.from_numpy(found[0])

    return forward
