"""Seconds of PyTorch's work on cores that others use too: threads that sleep or spin while waiting.

Each side is a process of its own, as PyTorch reads `OMP_WAIT_POLICY` when it loads; the sides take
turns and the medians count.

    python -m benchmarks.training.shared_cores                    a busy process on every core
    python -m benchmarks.training.shared_cores --neighbours 0     an idle machine

Prints one JSON line; `ratio` is how many times longer the spinning threads take.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median

from fer_bench.environment import capture

POLICIES = {"sleeping": {"OMP_WAIT_POLICY": "PASSIVE"}, "spinning": {}}
BATCH = 64
#: Steps that are timed, after one that is not.
STEPS = {"face": 5, "training": 3}


def seconds_of_steps() -> dict[str, float]:
    """Median seconds of a gradient for one face and of one for a training batch, by kind."""
    import torch

    from fer_bench.emotions import FER2013
    from fer_bench.models.build import build_model
    from fer_bench.models.classifier import ModelRequest

    torch.manual_seed(0)
    network = build_model(ModelRequest(name="compact_resnet", emotions=FER2013)).eval()
    channels, side = network.input_spec.channels, network.input_spec.size
    seconds = {}
    for kind, batch in (("face", 1), ("training", BATCH)):
        faces = torch.randn(batch, channels, side, side)
        taken = []
        for _ in range(STEPS[kind] + 1):
            started = time.perf_counter()
            network(faces).sum().backward()
            taken.append(time.perf_counter() - started)
        seconds[kind] = median(taken[1:])
    return seconds


@contextmanager
def neighbours(number: int) -> Iterator[None]:
    """Other processes, each of which wants a core all the time."""
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(number)]
    try:
        yield
    finally:
        for process in busy:
            process.kill()
            process.wait()


def measured_apart(policy: str) -> dict[str, float]:
    """`seconds_of_steps` in a process whose threads wait in this way."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("OMP_", "MKL_"))}
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.training.shared_cores", "--one-side"],
        env=inherited | POLICIES[policy],
        capture_output=True,
        text=True,
        check=True,
    )
    seconds: dict[str, float] = json.loads(done.stdout)
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description="Threads that sleep against threads that spin.")
    parser.add_argument("--neighbours", type=int, default=os.cpu_count())
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--one-side", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one_side:
        print(json.dumps(seconds_of_steps()))
        return
    sides: dict[str, list[dict[str, float]]] = {policy: [] for policy in POLICIES}
    with neighbours(asked.neighbours):
        for _ in range(asked.rounds):
            for policy, runs in sides.items():
                runs.append(measured_apart(policy))
    result: dict[str, object] = {"neighbours": asked.neighbours}
    for kind in STEPS:
        side = {policy: median(run[kind] for run in runs) for policy, runs in sides.items()}
        ratio = round(side["spinning"] / side["sleeping"], 2)
        result[kind] = {policy: round(s, 3) for policy, s in side.items()} | {"ratio": ratio}
    print(json.dumps(result | {"cpu": capture().processor}))


if __name__ == "__main__":
    main()
