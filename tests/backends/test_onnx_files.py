"""ONNX files and packages that the fast back ends cannot work with are said so, and passed over."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from external_fixtures import write_onnx
from frozen_fixtures import tiny_classifier

from fer_bench.backends.base import Unavailable
from fer_bench.backends.openvino_ir import convert_onnx
from fer_bench.backends.quantize import quantise_onnx
from fer_bench.backends.select import open_backend


def test_what_is_no_onnx_file_cannot_be_converted() -> None:
    with pytest.raises(Unavailable, match="OpenVINO cannot convert it: ") as caught:
        convert_onnx(b"no network at all")
    assert "\n" not in str(caught.value)


def test_a_file_for_one_face_at_a_time_is_left_to_onnx_runtime(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="takes one face at a time"):
        convert_onnx(write_onnx(tmp_path / "one.onnx", batch=1).read_bytes())
    several = convert_onnx(write_onnx(tmp_path / "several.onnx").read_bytes())
    assert several.input(0).partial_shape[0].is_dynamic


def test_quantising_an_onnx_file_needs_onnx(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(Unavailable, match=r"onnx is not installed .*: pip") as caught:
        quantise_onnx(b"", torch.zeros(2, 1, 16, 16), attends=False)
    assert caught.value.code == "missing_extra"


def test_onnx_runtime_s_failure_is_one_line() -> None:
    backend = open_backend("onnxruntime-fp32", tiny_classifier())
    with pytest.raises(RuntimeError, match="ONNX Runtime could not run") as caught:
        backend.forward(torch.zeros(1, 1, 16, 17))
    assert "\n" not in str(caught.value)
