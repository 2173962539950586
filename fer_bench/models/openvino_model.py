"""Networks in OpenVINO's form, for every place that runs them faster than eager PyTorch."""

from __future__ import annotations

import sys
import warnings
from typing import Any

import torch
from torch import Tensor, nn

from fer_bench.errors import FerBenchError


class Unavailable(FerBenchError):
    """This way of running a network does not work for it, or not on this machine."""


def load_openvino() -> Any:
    """The package `openvino`, which must not be imported in any other way.

    By itself it reports every import and conversion to Google Analytics, from a forked process that
    hangs servers with threads. Without its telemetry package it has nothing to report with.

    Raises:
        Unavailable: it is not installed.
    """
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    try:
        import openvino
    except ImportError as error:
        raise Unavailable(f"OpenVINO is not installed: {error}") from error
    return openvino


def bf16_is_native() -> bool:
    """Whether this CPU has bf16 instructions, as OpenVINO sees it.

    Raises:
        Unavailable: OpenVINO is not installed.
    """
    openvino = load_openvino()
    return "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def convert(module: nn.Module, sample: Tensor) -> Any:
    """An `openvino.Model` of a module, moved to the CPU and set to eval mode.

    sample: float32 `(B, C, S, S)`, what the module takes; the batch size stays dynamic.

    Raises:
        Unavailable: OpenVINO cannot convert it.
    """
    openvino = load_openvino()
    frontend = openvino.frontend
    # None of these derives from RuntimeError.
    failures = (
        frontend.GeneralFailure,
        frontend.InitializationFailure,
        frontend.NotImplementedFailure,
        frontend.OpConversionFailure,
        frontend.OpValidationFailure,
    )
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # the tracer's notes on constants and deprecation
            return openvino.convert_model(module.cpu().eval(), example_input=sample[:2].cpu())
    except failures as error:
        last = str(error).strip().splitlines()[-1]
        raise Unavailable(f"OpenVINO cannot convert it: {last}") from error
