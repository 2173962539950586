"""A training run and a sweep killed with SIGKILL at random moments, then resumed: the same numbers?

Both run undisturbed once, on drawn faces with tiny networks. Then, `--times` times each, in a fresh
results folder and with a fresh cache: the command starts, is killed at a moment drawn from a seed
between its start and its usual end, every record and every file next to one is read, and the
command runs again with `--resume` (a sweep resumes by itself) until it ends. Its metrics,
predictions and weights must equal those of the undisturbed run, and no temporary file may be left.

The commands are those of the command line, in processes forked from one that has imported PyTorch
already. Prints one JSON line; exit code 1 if anything differs. Run it from the repository's root:
`python -m benchmarks.training.kill_and_resume --times 20`.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import os
import platform
import random
import sys
import time
import traceback
from collections import Counter
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from tempfile import TemporaryDirectory

from fer_bench.models.weights import load_model
from fer_bench.results.store import ResultsStore
from fer_bench.results.stored_run import HISTORY, PREDICTIONS, WEIGHTS

RECIPE = """
name: killable
modes: [full, frozen]
epochs: 8
batch_size: 32
precision: fp32
optimizer: {name: adam, lr: 1.0e-3}
augmentation: {flip: true}
ema_decay: 0.9
"""
SWEEP = """
name: killable
data: synthetic
pretraining: none
runs:
  - {models: clip_vit_b_32, modes: full, recipes: RECIPE, seeds: [0, 1],
     model_options: {tiny: true}}
  - {models: clip_vit_b_32, modes: frozen, recipes: RECIPE, model_options: {tiny: true}}
ensembles:
  - {ensemble: [clip_vit_b_32-full-killable-scratch-tiny-s0,
                clip_vit_b_32-full-killable-scratch-tiny-s1]}
"""
#: What a command printed.
SAID = "said.txt"
_PROCESSES = multiprocessing.get_context("forkserver")


@dataclass(frozen=True, kw_only=True)
class Command:
    """Words for `python -m fer_bench`, whose results go into the folder that is put behind."""

    name: str
    words: tuple[str, ...]

    def start(self, folder: Path) -> ForkServerProcess:
        words = [*self.words, "--results", str(folder / "results")]
        process = _PROCESSES.Process(target=_carry_out, args=(words, folder))
        process.start()
        return process


def _carry_out(words: list[str], folder: Path) -> None:
    """The command line, as `python -m fer_bench` calls it."""
    os.environ["FER_BENCH_CACHE"] = str(folder / "cache")
    from fer_bench.cli.main import main

    sys.argv = ["fer_bench", *words]
    with (folder / SAID).open("w") as said, redirect_stdout(said), redirect_stderr(said):
        try:
            main()
        except Exception:
            traceback.print_exc()
            raise


def finish(command: Command, folder: Path) -> float:
    """Runs a command to its end; gives the seconds it took.

    Raises:
        RuntimeError: it failed.
    """
    started = time.perf_counter()
    process = command.start(folder)
    process.join()
    if process.exitcode:
        said = (folder / SAID).read_text(encoding="utf-8") if (folder / SAID).exists() else ""
        raise RuntimeError(f"{command.name}: exit code {process.exitcode}: {said[-2000:]}")
    return time.perf_counter() - started


def kill_at(command: Command, folder: Path, seconds: float) -> bool:
    """Whether the command was still at work when it was killed."""
    process = command.start(folder)
    process.join(seconds)
    process.kill()
    process.join()
    return process.exitcode == -9


def numbers(folder: Path) -> dict[str, object]:
    """What must be the same each time: of each run its metrics, predictions and weights."""
    store = ResultsStore(folder / "results")
    found: dict[str, object] = {}
    for run in store.runs():
        record = run.require_record()
        answers = store.predictions(run).to_csv(index=False).encode()
        weights = run.folder / WEIGHTS
        found[run.name] = (
            record.status,
            record.model_dump(mode="json")["metrics"],
            record.temperature,
            hashlib.sha256(answers).hexdigest(),
            hashlib.sha256(weights.read_bytes()).hexdigest() if weights.exists() else None,
        )
    return found


def read_everything(folder: Path) -> Counter[str]:
    """The runs' statuses after a kill; whatever has its name must be whole.

    Raises:
        FerBenchError: a record or a file next to it that cannot be read.
    """
    store = ResultsStore(folder / "results")
    statuses: Counter[str] = Counter()
    for run in store.runs():
        statuses[run.require_record().status] += 1
        for name, read in ((HISTORY, store.history), (PREDICTIONS, store.predictions)):
            if (run.folder / name).exists():
                read(run)
        if (run.folder / WEIGHTS).exists() and (run.folder / "model.json").exists():
            load_model(run.folder)
    return statuses or Counter({"no record": 1})


def left_over(folder: Path) -> list[str]:
    """Temporary files in a results folder."""
    files = (folder / "results").rglob("*")
    return [str(file) for file in files if ".tmp" in file.name or ".pt" in file.name]


def measure(command: Command, times: int, rng: random.Random) -> dict[str, object]:
    """Kills and resumes a command so many times."""
    for _ in range(2):  # the first waits for PyTorch's import
        with TemporaryDirectory() as name:
            seconds = finish(command, Path(name))
            expected = numbers(Path(name))
    statuses: Counter[str] = Counter()
    same, too_late = 0, 0
    for _ in range(times):
        with TemporaryDirectory() as name:
            folder = Path(name)
            while not kill_at(command, folder, rng.uniform(0, seconds)):
                too_late += 1  # it had ended: the machine was faster than the first time
                (folder / "results").rename(folder / f"ended-{too_late}")
            left = read_everything(folder)
            statuses += left
            if left != {"done": len(expected)}:  # `train` refuses a run that was just finished
                finish(command, folder)
            equal = numbers(folder) == expected and not left_over(folder)
            same += equal
            print(f"{command.name}: {same} the same", file=sys.stderr, flush=True)
    return {
        "runs": len(expected),
        "kills": times,
        "same_after_resume": same,
        "records_at_the_kill": dict(statuses),
        "ended_before_the_kill": too_late,
        "undisturbed_s": round(seconds, 1),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    _PROCESSES.set_forkserver_preload(["fer_bench.benchmark", "fer_bench.models.zoo.clip"])
    started, rng = time.perf_counter(), random.Random(chosen.seed)
    with TemporaryDirectory() as name:
        recipe, sweep = Path(name) / "killable.yaml", Path(name) / "sweep.yaml"
        recipe.write_text(RECIPE, encoding="utf-8")
        sweep.write_text(SWEEP.replace("RECIPE", str(recipe)), encoding="utf-8")
        words = ["train", "--model", "clip_vit_b_32", "--recipe", str(recipe), "--resume"]
        words += ["--data", "synthetic", "--pretraining", "none", "--option", "tiny=true"]
        commands = (
            Command(name="train", words=tuple(words)),
            Command(name="sweep", words=("run", str(sweep))),
        )
        found = {one.name: measure(one, chosen.times, rng) for one in commands}
    line = {
        **found,
        "seed": chosen.seed,
        "seconds": round(time.perf_counter() - started, 1),
        "python": platform.python_version(),
    }
    print(json.dumps(line))
    return int(any(one["same_after_resume"] != one["kills"] for one in found.values()))


if __name__ == "__main__":
    sys.exit(main())
