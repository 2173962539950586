"""Seconds of whole commands in fresh processes, from the start to the prompt.

The cache is a folder of its own, filled by one run of each command that does not count. Measure on
an idle machine.

    python -m benchmarks.cold_starts

Prints one JSON line per command: `{"command": ..., "seconds": the median of 3}`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median

from benchmarks.dashboard import ROOT

RUNS = 3
PICTURE = str(ROOT / "assets" / "samples" / "astronaut.jpg")


def commands(results: Path) -> dict[str, list[str]]:
    """What is measured, by what the rows call it."""
    fer = ["-m", "fer_bench"]
    data = ["--data", "synthetic", "--limit", "200", "--results", str(results)]
    small = ["--epochs", "1", "--pretraining", "none"]
    return {
        "import torch": ["-c", "import torch"],
        "--help": [*fer, "--help"],
        "list models": [*fer, "list", "models"],
        "predict default PICTURE": [*fer, "predict", "default", PICTURE],
        "train compact_resnet --limit 200 --epochs 1": [
            *fer, "train", "--model", "compact_resnet", *data, *small, "--force",
        ],
    }  # fmt: skip


def seconds(words: Sequence[str], environment: Mapping[str, str]) -> float:
    """From the start of one process to its end."""
    started = time.perf_counter()
    subprocess.run(
        [sys.executable, *words], cwd=ROOT, env=environment, capture_output=True, check=True
    )
    return time.perf_counter() - started


def main() -> None:
    """Measures and prints."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "FER_BENCH_CACHE": f"{folder}/cache"}
        for name, words in commands(Path(folder) / "results").items():
            seconds(words, environment)
            taken = median(seconds(words, environment) for _ in range(RUNS))
            print(json.dumps({"command": name, "seconds": round(taken, 2)}), flush=True)


if __name__ == "__main__":
    main()
