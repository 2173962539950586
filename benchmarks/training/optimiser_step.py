"""Seconds of one optimiser step over a network's weights: ours, fused, against PyTorch's default.

Both step over the same random gradients, in turns, and the medians count.

    python -m benchmarks.training.optimiser_step                  VGG16, one thread
    python -m benchmarks.training.optimiser_step --model resnet18 --threads 2

Prints one JSON line.
"""

from __future__ import annotations

import argparse
import json
import time
from statistics import median

import torch

from fer_bench.emotions import FER2013
from fer_bench.environment import capture
from fer_bench.models.build import build_model
from fer_bench.models.classifier import ModelRequest
from fer_bench.specs.recipe import Optimizer, Recipe
from fer_bench.training.optim import make_optimizer

OPTIMISERS = ("sgd", "adam", "adamw")


def seconds_of_steps(model: str, name: str, rounds: int) -> dict[str, float]:
    """Median seconds of a step by side, `ours` and `theirs`."""
    network = build_model(ModelRequest(name=model, emotions=FER2013))
    for weights in network.parameters():
        weights.grad = torch.randn_like(weights)
    settings = Optimizer(name=name, lr=1e-4, momentum=0.9, weight_decay=1e-4)
    recipe = Recipe(name="step", epochs=1, optimizer=settings)
    ours = make_optimizer(network.parameters(), recipe, model)
    theirs = make_optimizer(network.parameters(), recipe, model)
    theirs.param_groups[0]["fused"] = None  # as PyTorch's own default has it
    taken: dict[str, list[float]] = {"ours": [], "theirs": []}
    for turn in range(rounds + 1):
        for side, optimiser in (("ours", ours), ("theirs", theirs)):
            started = time.perf_counter()
            optimiser.step()
            if turn:  # the first makes the optimiser's own state
                taken[side].append(time.perf_counter() - started)
    return {side: median(seconds) for side, seconds in taken.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description="One optimiser step, fused against not.")
    parser.add_argument("--model", default="vgg16")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    result: dict[str, object] = {"model": asked.model, "threads": asked.threads}
    for name in OPTIMISERS:
        step = seconds_of_steps(asked.model, name, asked.rounds)
        ratio = step["theirs"] / step["ours"]
        result[name] = {side: round(s, 4) for side, s in step.items()} | {"ratio": round(ratio, 1)}
    print(json.dumps(result | {"cpu": capture().processor}))


if __name__ == "__main__":
    main()
