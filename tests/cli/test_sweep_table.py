"""The table of `run --ray`: each run's machine, state and epoch."""

from __future__ import annotations

from io import StringIO

from rich.console import Console

from fer_bench.benchmark.cluster.ray_task import RunEvent
from fer_bench.cli.sweep_table import SweepTable


def test_the_table_says_what_each_run_is_at() -> None:
    table = SweepTable(["a", "b", "c", "d"])
    for event in (
        RunEvent(run="a", state="started", node="north"),
        RunEvent(run="a", state="done", node="north", epoch=9, epochs=9, val_accuracy=0.5),
        RunEvent(run="b", state="started", node="south"),
        RunEvent(run="b", state="started", node="east"),
        RunEvent(
            run="b", state="working", words="training", node="east",
            epoch=3, epochs=9, val_accuracy=0.25,
        ),
        RunEvent(run="c", state="failed", words="run c failed: out of memory", node="east"),
    ):  # fmt: skip
        table(event)
    console = Console(width=80, record=True, file=StringIO())
    console.print(table)
    rows = [line.split() for line in console.export_text().splitlines()]
    assert rows[0] == ["run", "machine", "state", "epoch", "val", "time"]
    assert rows[1][:-1] == ["a", "north", "done", "9/9", "50.0", "%"]
    assert rows[2] == ["c", "east", "failed"]
    assert rows[3][:-1] == ["b", "east", "training", "(2)", "3/9", "25.0", "%"]
    assert rows[4] == ["1", "done,", "1", "failed,", "1", "at", "work,", "1", "to", "come"]
