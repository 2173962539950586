"""What commands print while they work and when they end."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path

import pytest
from command_fixtures import Fer
from comparison_fixtures import save_seeds
from rich.console import Console
from rich.progress import Progress
from table_fixtures import table

from fer_bench.cli.console import ConsoleProgress, say_next
from fer_bench.results.store import ResultsStore

GOOD, POOR = "fer2013/vgg16-full-finetune-5-s0", "fer2013/resnet18-full-finetune-5-s0"


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
        "epoch 1/4  val 50.0\N{NO-BREAK SPACE}%  3 min left",
        "epoch 2/4  val 60.0\N{NO-BREAK SPACE}%  2 h 0 min left",
        "epoch 4/4  val 70.0\N{NO-BREAK SPACE}%",
    ]


@pytest.fixture(scope="module")
def two_runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A results folder of two finished runs with their answers."""
    root = tmp_path_factory.mktemp("results")
    save_seeds(root, "vgg16", 0.9, [0])
    save_seeds(root, "resnet18", 0.4, [0])
    return root


@table(
    ("words", "then"),
    [
        ("list models", "train --model compact_resnet --data YOUR_DATA"),
        ("list datasets", "data check YOUR_DATA"),
        ("list detectors", "predict default YOUR_PHOTO --detector yunet"),
        ("list corruptions", "robustness default --data YOUR_DATA"),
        ("list recipes", "train --model compact_resnet --recipe strong --data YOUR_DATA"),
        ("list emotions", "train --model compact_resnet --emotions happy,sad --data YOUR_DATA"),
        ("list published", "results"),
        ("data check synthetic", "data audit synthetic"),
        ("data audit synthetic", "train --model compact_resnet --data synthetic"),
        ("summary keras_cnn", "train --model keras_cnn --data YOUR_DATA"),
    ],
)
def test_a_command_ends_with_the_next_one(fer: Fer, words: str, then: str) -> None:
    code, _, err = fer(*words.split())
    assert (code, err.splitlines()[-1]) == (0, f"next: python -m fer_bench {then}")
    code, out, err = fer(*words.split(), "--json")
    assert json.loads(out)
    assert "next:" not in err


@table(
    ("words", "then"),
    [
        ("results", f"compare {GOOD} {POOR}"),
        (f"data labels {GOOD}", "app"),
        (f"compare {GOOD} {POOR}", "report --out report.html --tables paper"),
        (f"submit {GOOD} --out FOLDER/run.zip", None),
        ("report --out FOLDER/report.html", None),
    ],
)
def test_the_next_command_is_about_the_same_results(
    fer: Fer, two_runs: Path, tmp_path: Path, words: str, then: str | None
) -> None:
    named = words.replace("FOLDER", str(tmp_path)).split()
    code, _, err = fer(*named, "--results", str(two_runs))
    last = err.splitlines()[-1]
    assert (code, last[:6]) == (0, "next: ")
    if then is not None:
        assert last == f"next: python -m fer_bench {then} --results {two_runs}"


def test_the_next_step_names_a_folder_that_is_not_the_usual_one(
    capsys: pytest.CaptureFixture[str],
) -> None:
    say_next("results", ResultsStore(Path("results")))
    say_next("results", ResultsStore(Path("mine")))
    assert capsys.readouterr().err.splitlines() == [
        "next: python -m fer_bench results",
        "next: python -m fer_bench results --results mine",
    ]
