"""Seconds of a training step on a CPU: memory kept from step to step against glibc's usual ways.

Forward, backward and an SGD step over 64 random faces; each side in fresh processes of its own, in
turns; the medians count, and the peak memory of a process.

    python -m benchmarks.training.kept_memory                 VGG16 at 48 px, bf16, one thread
    python -m benchmarks.training.kept_memory --model resnet18 --precision fp32 --threads 2

Prints one JSON line.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from statistics import median

import torch

from fer_bench.emotions import FER2013
from fer_bench.environment import capture
from fer_bench.models.build import build_model
from fer_bench.models.classifier import ModelRequest
from fer_bench.training.memory import kept_memory
from fer_bench.training.precision import autocast, layout
from fer_bench.types import Precision

BATCH = 64
#: Steps of a process; the first two prepare.
STEPS = 7


def measure(
    model: str, size: int, precision: Precision, threads: int, *, kept: bool
) -> tuple[float, float]:
    """Median seconds of a step, and the process' peak memory in MiB."""
    torch.set_num_threads(threads)
    request = ModelRequest(name=model, emotions=FER2013, options={"input_size": size})
    network = build_model(request).train()
    layout(network, precision)
    optimiser = torch.optim.SGD(network.parameters(), lr=1e-3, momentum=0.9, fused=True)
    faces = torch.randn(BATCH, network.input_spec.channels, size, size)
    faces = faces.contiguous(memory_format=torch.channels_last)
    seconds = []
    with kept_memory() if kept else nullcontext():
        for _ in range(STEPS):
            started = time.perf_counter()
            with autocast("cpu", precision):
                loss = network(faces).float().square().mean()
            loss.backward()
            optimiser.step()
            optimiser.zero_grad()
            seconds.append(time.perf_counter() - started)
    return median(seconds[2:]), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description="A training step, its memory kept or not.")
    parser.add_argument("--model", default="vgg16")
    parser.add_argument("--size", type=int, default=48)
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="bf16")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    taken: dict[str, list[tuple[float, float]]] = {"kept": [], "usual": []}
    with ProcessPoolExecutor(
        1, mp_context=multiprocessing.get_context("spawn"), max_tasks_per_child=1
    ) as pool:
        for _ in range(asked.rounds):
            for side, figures in taken.items():
                job = (asked.model, asked.size, asked.precision, asked.threads)
                figures.append(pool.submit(measure, *job, kept=side == "kept").result())
    step = {side: median(s for s, _ in figures) for side, figures in taken.items()}
    peak = {side: round(max(mib for _, mib in figures)) for side, figures in taken.items()}
    result = vars(asked) | {side: round(s, 4) for side, s in step.items()}
    result |= {"ratio": round(step["usual"] / step["kept"], 2), "peak_mib": peak}
    print(json.dumps(result | {"cpu": capture().processor}))


if __name__ == "__main__":
    main()
