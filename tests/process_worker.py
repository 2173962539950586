"""What each process of `test_processes.py` does, under torchrun: `process_worker.py FOLDER`.

Its findings go to `FOLDER/RANK.pt`; it ends with a failure of the second process alone.
"""

from __future__ import annotations

import io
import sys
from contextlib import redirect_stderr
from pathlib import Path
from typing import Any

import torch
from process_fixtures import (
    SIZES,
    evaluated,
    frozen,
    plain,
    predicted,
    still,
    train_words,
    trained,
    usual,
)

from fer_bench import processes
from fer_bench.benchmark import Runner
from fer_bench.cli.main import main
from fer_bench.errors import FerBenchError, RunFailed
from fer_bench.results.store import ResultsStore
from fer_bench.training.sharing import own_draws
from fer_bench.training.state import seed_epoch


class Killed(Exception):
    """Ends a training between two epochs."""


def kill_after_two(stage: str, done: int, total: int, figures: object) -> None:
    if stage == "epochs" and done == 2:
        raise Killed


def meetings() -> dict[str, Any]:
    """What the functions of `fer_bench.processes` give here."""
    rank = processes.rank()
    found: dict[str, Any] = {
        "gather": processes.gather(rank * 10),
        "everywhere": processes.everywhere(lambda: rank * 10),
        "on_main": processes.on_main(lambda: rank + 7),
        "total": processes.total(torch.tensor([1.0 + rank])).tolist(),
    }
    try:
        with processes.in_step():
            if rank == 1:
                raise RunFailed("the second cannot")
    except FerBenchError as error:
        found["in_step"] = str(error)
    return found


def said(*words: str) -> tuple[object, str]:
    """Exit code and standard error of a command."""
    sys.argv = ["fer_bench", *words]
    with redirect_stderr(io.StringIO()) as err:
        try:
            main()
        except SystemExit as end:
            return end.code, err.getvalue()
    return 0, err.getvalue()


def work(folder: Path) -> dict[str, Any]:
    found = meetings()
    found["predicted"] = {size: predicted(size) for size in SIZES}
    found["evaluated"] = evaluated()
    for training in (plain, still, usual, frozen):
        found[training.__name__] = trained(training(), folder / training.__name__)
    try:
        trained(usual(), folder / "killed", kill_after_two)
    except Killed:
        found["resumed"] = trained(usual(), folder / "killed", resume=True)
    found["draws"] = torch.rand(3, generator=own_draws(5, 1, seed_epoch(5, 1))), torch.rand(3)
    # The second process does not find the data.
    data = "synthetic" if processes.is_main() else str(folder / "nowhere")
    found["bad_input"] = said(*train_words(folder / "bad"), "--data", data)
    found["not_shared"] = said("list", "models")
    found["whole"] = said(*train_words(folder / "whole"), "--data", "synthetic")[0]
    return found


def fail_alone(folder: Path) -> None:
    """The second process runs out of memory in the middle of an epoch."""

    def progress(stage: str, done: int, total: int, figures: object) -> None:
        if processes.rank() == 1 and stage.startswith("epoch "):
            raise MemoryError("too little memory here")

    training = usual()
    try:
        Runner(store=ResultsStore(folder / "failing"), progress=progress).run(
            training.spec, training.dataset
        )
    except FerBenchError as error:
        sys.stderr.write(processes.sentence(error))
        sys.exit(error.exit_code)


if __name__ == "__main__":
    processes.join("cpu")
    place = Path(sys.argv[1])
    torch.save(work(place), place / f"{processes.rank()}.pt")
    fail_alone(place)
