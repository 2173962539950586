"""Seconds of attention in a bf16 training step on a CPU: ours against PyTorch's default.

Forward and backward of one layer of 12 heads over 64 faces, in turns; the medians count. 5 tokens
are CLIP ViT-B/32's at 64 px, 10 are ViT-B/16's at 48 px, 50 and 197 theirs at 224 px.

    python -m benchmarks.training.attention_step
    python -m benchmarks.training.attention_step --threads 2 --rounds 10

Prints one JSON line.
"""

from __future__ import annotations

import argparse
import json
import time
from contextlib import AbstractContextManager, nullcontext
from statistics import median

import torch
import torch.nn.functional as F

from fer_bench.environment import capture
from fer_bench.training.precision import autocast

TOKENS = (5, 10, 50, 197)


def seconds_of_a_step(tokens: int, context: AbstractContextManager[None]) -> float:
    """One forward and backward pass over random faces, its forward part in `context`."""
    q, k, v = torch.randn(3, 64, 12, tokens, 64, dtype=torch.bfloat16).requires_grad_()
    started = time.perf_counter()
    with context:
        loss = F.scaled_dot_product_attention(q, k, v).sum()
    torch.autograd.backward(loss)
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description="Attention in a bf16 step, ours against default.")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    result: dict[str, object] = {"threads": asked.threads}
    for tokens in TOKENS:
        ours, theirs = [], []
        for turn in range(asked.rounds + 1):
            pair = (
                seconds_of_a_step(tokens, autocast("cpu", "bf16")),
                seconds_of_a_step(tokens, nullcontext()),
            )
            if turn:  # the first prepares
                ours.append(pair[0])
                theirs.append(pair[1])
        step = {"ours": median(ours), "theirs": median(theirs)}
        ratio = round(step["theirs"] / step["ours"], 1)
        result[f"{tokens} tokens"] = {k: round(s, 4) for k, s in step.items()} | {"ratio": ratio}
    print(json.dumps(result | {"cpu": capture().processor}))


if __name__ == "__main__":
    main()
