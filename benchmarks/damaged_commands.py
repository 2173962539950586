"""A sample of the damaged inputs through the real command line, each in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.damage_examples import ROOT
from benchmarks.damaged_kinds import KINDS

#: The words that read such an input in the folder where they are run.
WORDS = {
    "image": [
        "predict",
        "default",
        ".",
        "--detector",
        "whole",
        "--backend",
        "torch-fp32",
        "--json",
    ],
    "zip": ["data", "check", "fer2013.zip"],
    "record": ["results", "--results", "results"],
    "recipe": [
        "train",
        "--model",
        "compact_resnet",
        "--recipe",
        "recipe.yaml",
        "--data",
        "none.zip",
    ],
    "sweep": ["run", "sweep.yaml", "--data", "none.zip"],
}


def faults_of_commands(count: int, seed: int) -> tuple[int, list[str]]:
    """How many commands ran, `count` of each kind, and what was wrong with their ends.

    Right is exit code 0, or 1 or 2 with exactly one line that begins with `error: `.
    """
    number, faults = 0, []
    for kind, words in WORDS.items():
        for label, files in KINDS[kind].drawn(count, seed):
            with TemporaryDirectory(prefix="fer-bench-damaged-") as name:
                for file, content in files.items():
                    (Path(name) / file).parent.mkdir(parents=True, exist_ok=True)
                    (Path(name) / file).write_bytes(content)
                if kind == "image":
                    words = [*WORDS[kind], "--results", str(ROOT / "results")]
                problem = _problem(words, Path(name))
            number += 1
            if problem:
                faults.append(f"{kind} ({label}): {problem}")
    return number, faults


def _problem(words: list[str], folder: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "fer_bench", *words],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": str(ROOT), "FER_BENCH_CACHE": str(folder / "cache")},
    )
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    right = done.returncode == 0 or (done.returncode in (1, 2) and len(errors) == 1)
    if right and "Traceback" not in done.stderr:
        return ""
    return f"exit code {done.returncode}: {done.stderr[-500:]}"
