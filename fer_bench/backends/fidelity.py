"""How close a back end comes to eager fp32, and whether that is close enough to stand in for it."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from fer_bench.backends.base import Unavailable
from fer_bench.results.reports.latency import Fidelity

#: Least share of faces that must be given the same emotion; of a few faces, one may always differ,
#: because emotions that are equally likely trade places at the slightest rounding.
TOP1 = 0.98
#: While no probability differs by more, any face may: it had two emotions about equally likely.
#: There is no bound beyond that, as the largest difference grows with the number of faces.
TIE = 0.1
#: Least mean cosine of the logits. bf16 reaches 0.9999, int8 0.999 where it does no harm, and plain
#: int8 of attention 0.92.
COSINE = 0.99


def compare(logits: Tensor, reference: Tensor, faces: str) -> Fidelity:
    """Logits float `(B, C)` against those of eager fp32 for the same faces.

    Args:
        faces: where these are from: a data set's name, or `synthetic`.

    Raises:
        Unavailable: logits that are not finite.
    """
    logits, reference = logits.double(), reference.double()
    if not torch.isfinite(logits).all():
        raise Unavailable("its logits are not finite")
    cosine = F.cosine_similarity(logits, reference)
    return Fidelity(
        n=len(logits),
        faces=faces,
        max_logit_difference=float((logits - reference).abs().max()),
        max_probability_difference=float((logits.softmax(1) - reference.softmax(1)).abs().max()),
        min_cosine=float(cosine.min()),
        mean_cosine=float(cosine.mean()),
        top1_agreement=float((logits.argmax(1) == reference.argmax(1)).double().mean()),
    )


def why_unfaithful(agreement: Fidelity) -> str:
    """What is too far from eager fp32, in words; empty where nothing is."""
    others = round((1 - agreement.top1_agreement) * agreement.n)
    allowed = max(1, int((1 - TOP1) * agreement.n))
    if others > allowed and agreement.max_probability_difference > TIE:
        return f"{others} of {agreement.n} faces get another emotion"
    if not agreement.mean_cosine >= COSINE:  # nor is NaN, where fp32's own logits are not finite
        return f"cosine with fp32 only {agreement.mean_cosine:.3f}"
    return ""
