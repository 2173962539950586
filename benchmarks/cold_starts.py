"""Seconds of whole commands in fresh processes, from the start to the prompt.

The cache is a folder of its own; each command first fills it. Measure on an idle machine, or read
the processor's seconds, which other work changes little.

    python -m benchmarks.cold_starts [--checkout FOLDER] [--runs 3]

Prints one JSON line per command: medians of `seconds` to the prompt, `first_line` (seconds until
anything is said, or `/healthz` answers), `cpu` (processor's seconds, of all its processes), and
`tail` (seconds from the last line to the prompt), and `empty` (seconds of the run that filled the
cache).
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median

from benchmarks.harness.dashboard import ROOT, free_port

Times = dict[str, float]


def commands(root: Path, results: Path) -> dict[str, list[str]]:
    """What is measured, by what the rows call it."""
    fer = ["-m", "fer_bench"]
    data = ["--data", "synthetic", "--limit", "200", "--results", str(results)]
    small = ["--epochs", "1", "--pretraining", "none"]
    return {
        "import torch": ["-c", "import torch"],
        "import fer_bench": ["-c", "import fer_bench"],
        "--help": [*fer, "--help"],
        "list models": [*fer, "list", "models"],
        "predict default PICTURE": [
            *fer, "predict", "default", str(root / "assets" / "samples" / "astronaut.jpg"),
        ],
        "train compact_resnet --limit 200 --epochs 1": [
            *fer, "train", "--model", "compact_resnet", *data, *small, "--force",
        ],
    }  # fmt: skip


def measure(words: Sequence[str], root: Path, environment: Mapping[str, str]) -> Times:
    """One process, whose lines are read as they come."""
    before, started = os.times(), time.perf_counter()
    with subprocess.Popen(
        [sys.executable, *words],
        cwd=root,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as process:
        assert process.stdout is not None
        said = [time.perf_counter() - started for _ in process.stdout]
    seconds = time.perf_counter() - started
    if process.returncode:
        raise SystemExit(f"{' '.join(words)} ended with {process.returncode}")
    first, last = (said[0], said[-1]) if said else (seconds, seconds)
    return {
        "seconds": seconds,
        "first_line": first,
        "tail": seconds - last,
        "cpu": _children_cpu() - before.children_user - before.children_system,
    }


def measure_serve(root: Path, environment: Mapping[str, str]) -> Times:
    """Until `/healthz` says that the model is ready."""
    port, before, started = free_port(), os.times(), time.perf_counter()
    words = [sys.executable, "-m", "fer_bench", "serve", "--port", str(port)]
    with subprocess.Popen(
        words, cwd=root, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT
    ) as server:
        while not _is_ready(f"http://127.0.0.1:{port}/healthz"):
            if server.poll() is not None:
                raise SystemExit(f"serve ended with {server.returncode}")
            time.sleep(0.02)
        seconds = time.perf_counter() - started
        server.send_signal(signal.SIGINT)
    cpu = _children_cpu() - before.children_user - before.children_system
    return {"seconds": seconds, "first_line": seconds, "cpu": cpu}


def _is_ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=1) as answer:
            return bool(json.load(answer)["status"] == "ready")
    except (OSError, urllib.error.URLError, ValueError, KeyError):
        return False


def _children_cpu() -> float:
    times = os.times()
    return times.children_user + times.children_system


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--checkout", type=Path, default=ROOT, help="another version's folder")
    parser.add_argument("--runs", type=int, default=3, help="so many count, beside the first")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "FER_BENCH_CACHE": f"{folder}/cache"}
        environment.pop("PYTHONPATH", None)
        rows = commands(asked.checkout, Path(folder) / "results")
        for name in [*rows, "serve to /healthz"]:
            runs = [
                measure(rows[name], asked.checkout, environment)
                if name in rows
                else measure_serve(asked.checkout, environment)
                for _ in range(asked.runs + 1)
            ]
            empty, *filled = runs
            row = {key: round(median(run[key] for run in filled), 2) for key in empty}
            print(json.dumps({"command": name, **row, "empty": round(empty["seconds"], 2)}))
            sys.stdout.flush()


if __name__ == "__main__":
    main()
