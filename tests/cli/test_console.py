"""What commands print while they work and when they end."""

from __future__ import annotations

from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console
from rich.progress import Progress

from fer_bench.cli.console import ConsoleProgress, say_next
from fer_bench.results.store import ResultsStore


def test_an_epoch_ends_with_the_time_left_of_the_whole_training() -> None:
    times = iter([0.0, 30.0, 60.0, 60.0, 3660.0, 3661.0, 3662.0])
    said = StringIO()
    with Progress(console=Console(file=said, width=200)) as bars:
        progress = ConsoleProgress(bars, clock=lambda: next(times))
        progress("training", 1, 2, {})
        progress("training", 2, 2, {})
        progress("epochs", 1, 4, {"val_accuracy": 0.5})
        progress("training", 1, 2, {})
        progress("epochs", 2, 4, {"val_accuracy": 0.6})
        progress("training", 1, 2, {})
        progress("epochs", 4, 4, {"val_accuracy": 0.7})
    lines = [line.rstrip() for line in said.getvalue().splitlines() if line.startswith("epoch")]
    assert lines == [
        "epoch 1/4  val 50.0%  3 min left",
        "epoch 2/4  val 60.0%  2 h 0 min left",
        "epoch 4/4  val 70.0%",
    ]


def test_the_next_step_names_a_folder_that_is_not_the_usual_one(
    capsys: pytest.CaptureFixture[str],
) -> None:
    say_next("results", ResultsStore(Path("results")))
    say_next("results", ResultsStore(Path("mine")))
    assert capsys.readouterr().err.splitlines() == [
        "next: python -m fer_bench results",
        "next: python -m fer_bench results --results mine",
    ]
