"""How close an exported file comes to the network that it was made of, and whether it may stay."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fer_bench.backends.base import Forward, Unavailable
from fer_bench.backends.fidelity import COSINE, TOP1, compare
from fer_bench.data.preprocess import to_input
from fer_bench.errors import RunFailed
from fer_bench.models.classifier import Classifier
from fer_bench.models.export_metadata import ExportPrecision
from fer_bench.results.reports.exports import Accuracies
from fer_bench.results.reports.latency import Fidelity
from fer_bench.types import Progress, silent

#: Largest difference of any probability that fp32 may have: rounding stays far below.
FP32_PROBABILITY = 1e-3
#: Accuracy that int8 may lose. Its largest single difference says little: of 1,000 faces one or
#: two always come out 0.2 apart, and a good network loses nothing by it.
INT8_LOSS = 0.01
BATCH = 32


@dataclass(frozen=True, kw_only=True)
class Faces:
    """Faces to calibrate or to compare on.

    Attributes:
        images: uint8 `(N, H, W)` gray or `(N, H, W, 3)` RGB.
        source: where they are from: a data set's name and split, or `synthetic`.
        labels: int64 `(N,)`, indices into the model's emotions; None where they say nothing.
    """

    images: NDArray[np.uint8]
    source: str
    labels: NDArray[np.int64] | None = None


def compare_file(
    model: Classifier,
    forward: Forward,
    precision: ExportPrecision,
    faces: Faces,
    progress: Progress = silent,
) -> tuple[Fidelity, Accuracies | None]:
    """How close a file comes to the model that it was made of.

    Args:
        model: in eval mode, on the CPU.
        forward: of the file, as it was read again from disk.

    Raises:
        RunFailed: not close enough.
    """
    outputs, reference = [], []
    for start in range(0, len(faces.images), BATCH):
        x = to_input(faces.images[start : start + BATCH], model.input_spec)
        with torch.inference_mode():
            reference.append(model(x))
        outputs.append(forward(x))
        progress("comparing", start + len(x), len(faces.images), {})
    logits, expected = torch.cat(outputs), torch.cat(reference)
    agreement = _agreement(logits, expected, faces.source)
    accuracies = _accuracies(logits, expected, faces.labels)
    if precision == "int8":
        why = _why_refused_int8(agreement, accuracies)
    else:
        why = _why_refused_fp32(agreement)
    if why:
        raise RunFailed(
            f"the exported file differs too much from PyTorch and was not kept: {why} "
            f"(largest logit difference {agreement.max_logit_difference:.3g}, same emotion on "
            f"{agreement.top1_agreement:.2%} of {agreement.n:,} faces of {faces.source})"
        )
    return agreement, accuracies


def _agreement(logits: Tensor, expected: Tensor, source: str) -> Fidelity:
    try:
        return compare(logits, expected, source)
    except Unavailable as why:
        raise RunFailed(f"the exported file was not kept: {why}") from None


def _why_refused_fp32(agreement: Fidelity) -> str:
    """What is too far from PyTorch, in words; empty where nothing is."""
    if agreement.max_probability_difference > FP32_PROBABILITY:
        return f"a probability differs by {agreement.max_probability_difference:.2g}"
    return ""


def _why_refused_int8(agreement: Fidelity, accuracies: Accuracies | None) -> str:
    """What is too far from PyTorch, in words; empty where nothing is."""
    others = round((1 - agreement.top1_agreement) * agreement.n)
    if others > max(1, (1 - TOP1) * agreement.n):
        return f"{others:,} faces get another emotion"
    if agreement.mean_cosine < COSINE:
        return f"the mean cosine of the logits is {agreement.mean_cosine:.3f}"
    if accuracies and -accuracies.change > max(1 / accuracies.n, INT8_LOSS):
        return f"it loses {-100 * accuracies.change:.1f} points of accuracy"
    return ""


def _accuracies(
    logits: Tensor, expected: Tensor, labels: NDArray[np.int64] | None
) -> Accuracies | None:
    if labels is None:
        return None
    right = torch.from_numpy(labels)
    rates = [float((given.argmax(1) == right).double().mean()) for given in (expected, logits)]
    return Accuracies(n=len(labels), pytorch=rates[0], exported=rates[1])
