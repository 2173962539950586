"""Networks in int8: post-training quantisation with NNCF, calibrated on real faces.

Attention quantises badly as it is, because a few channels are much larger than the rest; there
SmoothQuant moves their scale into the weights (Xiao et al. 2023, arXiv 2211.10438). Activations
range from the least to the largest value of all the faces: NNCF's default, the mean over faces of
each one's extremes, cuts off those of unusual faces, such as very bright ones.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from fer_bench.backends.base import Unavailable, first_line
from fer_bench.backends.openvino_ir import keep_signal_stack, refuse_telemetry

#: Faces of the training split for int8; NNCF gains nothing from more. `auto` compares on half.
CALIBRATING = 300


def has_attention(module: nn.Module) -> bool:
    """Whether any part of a network attends: then it wants SmoothQuant."""
    return any("attention" in type(m).__name__.lower() for m in module.modules())


def quantise_openvino(model: Any, faces: Tensor, *, attends: bool) -> Any:
    """An `openvino.Model` in int8; the one given, of any batch size, is left as it is.

    Args:
        faces: float32 `(N, channels, S, S)`, model input of real faces; a few hundred are enough.
        attends: as `has_attention` says of the network.

    Raises:
        Unavailable: NNCF is not installed, or cannot quantise this network.
    """
    return _quantise(model, [face[None].numpy() for face in faces.cpu()], attends)


def quantise_onnx(onnx: bytes, faces: Tensor, *, attends: bool) -> bytes:
    """An ONNX file of ours in int8 (quantise and dequantise nodes), its metadata kept.

    Args:
        faces, attends: as for `quantise_openvino`.

    Raises:
        Unavailable: a package is not installed, or NNCF cannot quantise this network.
    """
    try:
        import onnx as package
    except ImportError as error:
        raise Unavailable(
            f"onnx is not installed ({error}): pip install onnx (or 'fer-bench[fast]')",
            code="missing_extra",
        ) from error
    from fer_bench.models.export_metadata import INPUT

    model = package.load_from_string(onnx)
    quantised = _quantise(model, [{INPUT: face[None].numpy()} for face in faces.cpu()], attends)
    return bytes(quantised.SerializeToString())


def _quantise(model: Any, items: Sequence[Any], attends: bool) -> Any:
    refuse_telemetry()
    try:
        import nncf
        from nncf.errors import InternalError, UnsupportedModelError, ValidationError
        from nncf.quantization.range_estimator import RangeEstimatorParametersSet
    except ImportError as error:
        raise Unavailable(
            f"NNCF is not installed ({error}): pip install nncf (or 'fer-bench[fast]')",
            code="missing_extra",
        ) from error
    try:
        with keep_signal_stack(), contextlib.redirect_stdout(io.StringIO()):  # its progress bars
            return nncf.quantize(
                model,
                nncf.Dataset(items),
                subset_size=len(items),
                model_type=nncf.ModelType.TRANSFORMER if attends else None,
                advanced_parameters=nncf.AdvancedQuantizationParameters(
                    activations_range_estimator_params=RangeEstimatorParametersSet.MINMAX
                ),
            )
    except (
        InternalError,
        UnsupportedModelError,
        ValidationError,
        RuntimeError,
        TypeError,
        ValueError,
        KeyError,
    ) as error:
        raise Unavailable(f"NNCF cannot quantise it: {first_line(error)}") from error
