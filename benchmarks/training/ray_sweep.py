"""A benchmark on Ray: one run at a time against two, and against `run` without Ray.

All three carry out the same runs from scratch, each with folders of its own, on one CPU thread per
run and in fp32: which precision is faster is not asked, as its answer depends on the load. Whole
commands are timed, the starts of Ray and of Python included, and every metric is compared to the
last digit. Measure on an idle machine with two cores or more.

    python -m benchmarks.training.ray_sweep
    python -m benchmarks.training.ray_sweep --spec my.yaml --rounds 3

Prints one JSON line last.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import yaml

from fer_bench.config import load_yaml
from fer_bench.environment import capture
from fer_bench.errors import RunFailed
from fer_bench.specs.recipe import load_recipe
from fer_bench.specs.sweep import Sweep

ROOT = Path(__file__).parents[2]
SIDES = {
    "plain": (),
    "one_worker": ("--ray", "local", "--workers", "1"),
    "two_workers": ("--ray", "local", "--workers", "2"),
}


def in_fp32(spec: Path, folder: Path) -> Path:
    """The benchmark with recipes that leave nothing to be measured."""
    sweep = load_yaml(Sweep, spec).model_dump(mode="json")
    for entry in sweep["runs"]:
        for number, name in enumerate(entry["recipes"]):
            recipe = load_recipe(name).model_dump(mode="json") | {"precision": "fp32"}
            path = folder / f"{recipe['name']}.yaml"
            path.write_text(yaml.safe_dump(recipe), encoding="utf-8")
            entry["recipes"][number] = str(path)
    path = folder / "sweep.yaml"
    path.write_text(yaml.safe_dump(sweep), encoding="utf-8")
    return path


def carry_out(sweep: Path, data: str | None, words: tuple[str, ...]) -> tuple[float, Any]:
    """Seconds of the whole command, and its runs' metrics by name."""
    with tempfile.TemporaryDirectory() as folder:
        own = {"OMP_NUM_THREADS": "1", "FER_BENCH_CACHE": f"{folder}/cache"}
        command = [sys.executable, "-m", "fer_bench", "run", str(sweep), "--json", *words]
        command += ["--results", f"{folder}/results", "--device", "cpu"]
        command += ["--extractor", "torch-fp32", *(("--data", data) if data else ())]
        started = time.perf_counter()
        done = subprocess.run(command, cwd=ROOT, env=os.environ | own, capture_output=True)
        seconds = time.perf_counter() - started
    if done.returncode:
        raise RunFailed(f"{' '.join(words) or 'run'}: {done.stderr.decode()[-2000:]}")
    return seconds, {record["name"]: record["metrics"] for record in json.loads(done.stdout)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--spec", type=Path, default=ROOT / "benchmarks" / "specs" / "demo.yaml")
    parser.add_argument("--data", help="instead of the benchmark's own")
    parser.add_argument("--rounds", type=int, default=1)
    chosen = parser.parse_args()
    seconds: dict[str, list[float]] = {side: [] for side in SIDES}
    metrics: list[Any] = []
    with tempfile.TemporaryDirectory() as folder:
        sweep = in_fp32(chosen.spec, Path(folder))
        for number in range(chosen.rounds):
            for side, words in SIDES.items():
                took, found = carry_out(sweep, chosen.data, words)
                seconds[side].append(took)
                metrics.append(found)
                print(f"round {number + 1}, {side}: {took:.1f} s", file=sys.stderr, flush=True)
    typical = {side: median(times) for side, times in seconds.items()}
    same = all(one == metrics[0] for one in metrics)
    environment = capture()
    line = {
        "runs": len(metrics[0]),
        "seconds": {side: round(value, 1) for side, value in typical.items()},
        "two_workers_times_one": round(typical["one_worker"] / typical["two_workers"], 2),
        "two_workers_times_plain": round(typical["plain"] / typical["two_workers"], 2),
        "same_metrics": same,
        "rounds": chosen.rounds,
        "cpu": f"{environment.cpu}, {environment.cpu_cores} cores",
    }
    print(json.dumps(line))
    return int(not same)


if __name__ == "__main__":
    sys.exit(main())
