"""Networks in OpenVINO's form, for whatever runs them faster than eager PyTorch."""

from __future__ import annotations

import ctypes
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from fer_bench.backends.base import Unavailable


def refuse_telemetry() -> None:
    """Keeps `openvino` and `nncf`, before they are imported, from reporting to their makers.

    They report every import and conversion to Google Analytics, from a forked process that hangs
    servers with threads. Without their telemetry package they have nothing to report with.
    """
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]


def load_openvino() -> Any:
    """The package `openvino`, which must not be imported in any other way.

    Raises:
        Unavailable: it is not installed.
    """
    refuse_telemetry()
    try:
        import openvino
    except ImportError as error:
        raise Unavailable(
            f"OpenVINO is not installed ({error}): pip install openvino nncf "
            "(or 'fer-bench[fast]')",
            code="missing_extra",
        ) from error
    return openvino


@cache
def lacks_bf16() -> bool:
    """Whether this CPU has no bf16 instructions, as OpenVINO sees it; False where it is missing.

    Without them bf16 is emulated: training took ten times as long as in fp32.
    """
    try:
        core = load_openvino().Core()
    except Unavailable:
        return False
    with keep_signal_stack():
        return "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def require_bf16(device: str) -> None:
    """Refuses a CPU without bf16 instructions; other devices have them.

    Raises:
        Unavailable: it has none.
    """
    if device == "cpu" and lacks_bf16():
        raise Unavailable("this CPU has no bf16 instructions")


def convert(module: nn.Module, sample: Tensor) -> Any:
    """An `openvino.Model` of a module, moved to the CPU and set to eval mode.

    Args:
        sample: float32 `(B, C, S, S)`, what the module takes; the batch size stays dynamic.

    Raises:
        Unavailable: OpenVINO cannot convert it.
    """
    openvino = load_openvino()
    frontend = openvino.frontend
    # None of these derives from RuntimeError, which the tracer raises.
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
            example = sample[:2].cpu()
            # Traced here, once: OpenVINO would have PyTorch trace it again to compare.
            trace: Any = torch.jit.trace  # it has no types
            traced = trace(module.cpu().eval(), example, strict=False, check_trace=False)
            return openvino.convert_model(traced, example_input=example)
    except (*failures, RuntimeError, TypeError, ValueError, KeyError) as error:
        last = (str(error).strip() or type(error).__name__).splitlines()[-1]
        raise Unavailable(f"OpenVINO cannot convert it: {last}") from error


def convert_onnx(content: bytes) -> Any:
    """An `openvino.Model` of an ONNX file.

    Raises:
        Unavailable: OpenVINO cannot read it, or it takes one face at a time.
    """
    core = load_openvino().Core()
    try:
        model = core.read_model(content)
    except RuntimeError as error:
        last = (str(error).strip() or type(error).__name__).splitlines()[-1]
        raise Unavailable(f"OpenVINO cannot convert it: {last}") from error
    if model.input(0).partial_shape[0].is_static:
        raise Unavailable("the ONNX file takes one face at a time, OpenVINO is given several")
    return model


def compile_for_cpu(model: Any, *, hint: str, bf16: bool, threads: int) -> Any:
    """An `openvino.CompiledModel`.

    Args:
        hint: `LATENCY` for one call at a time, `THROUGHPUT` for many at once.
        bf16: whether to compute so; OpenVINO does by itself where the CPU can, so fp32 must be
            said.

    Raises:
        Unavailable: OpenVINO cannot run it.
    """
    settings = {
        "INFERENCE_PRECISION_HINT": "bf16" if bf16 else "f32",
        "PERFORMANCE_HINT": hint,
        "INFERENCE_NUM_THREADS": threads,
    }
    try:
        with keep_signal_stack():
            return load_openvino().compile_model(model, "CPU", settings)
    except RuntimeError as error:
        raise Unavailable(f"OpenVINO cannot run it: {error}") from error


class _Stack(ctypes.Structure):
    """`stack_t` of Linux."""

    _fields_ = (
        ("address", ctypes.c_void_p),
        ("flags", ctypes.c_int),
        ("size", ctypes.c_size_t),
    )


@contextmanager
def keep_signal_stack() -> Iterator[None]:
    """The thread leaves the block with the alternate signal stack that it came with.

    Every OpenVINO core that loads its CPU plugin (2026.4) sets one of its own and puts back the one
    before when it is deleted. Two that do not end in reverse order leave a freed one behind, and
    the next Ctrl-C or SIGTERM kills the process: Python's handlers run on that stack. So nothing of
    OpenVINO or NNCF that loads the plugin runs outside of such a block. What is deleted later finds
    another stack than its own and leaves it alone.
    """
    if sys.platform != "linux":
        yield
        return
    libc, before = ctypes.CDLL(None), _Stack()
    libc.sigaltstack(None, ctypes.byref(before))
    try:
        yield
    finally:
        libc.sigaltstack(ctypes.byref(before), None)
