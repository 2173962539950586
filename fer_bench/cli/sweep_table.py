"""What many runs at once are at: a table that keeps up, or plain lines where none can be."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.live import Live
from rich.table import Table
from rich.text import Text

from fer_bench.cli.console import err
from fer_bench.formatting import percent

if TYPE_CHECKING:
    from fer_bench.benchmark.cluster.ray_task import RunEvent

#: Rows: the runs at work, and the last that ended where these are fewer.
MOST_ROWS = 20
ENDED = ("done", "skipped", "failed")


@dataclass(kw_only=True)
class _Row:
    """A run that was heard of.

    Attributes:
        starts: how often it began; more than once where its process was lost.
    """

    event: RunEvent
    starts: int = 0
    since: float = 0.0
    seconds: float | None = None


class SweepTable:
    """Hears `benchmark.cluster.ray_task.RunEvent` and shows it.

    Args:
        names: of all runs, in order.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._names = list(names)
        self._rows: dict[str, _Row] = {}

    def __call__(self, event: RunEvent) -> None:
        """Takes note. Failures are printed, and where no table can be, so is the rest."""
        row = self._rows.setdefault(event.run, _Row(event=event))
        row.event = event
        if event.state == "started":
            row.starts, row.since = row.starts + 1, time.monotonic()
        if event.state in ENDED:
            row.seconds = time.monotonic() - row.since if row.starts else None
            self._rows[event.run] = self._rows.pop(event.run)  # the last that ended, last
        if event.state == "failed" or (event.state != "working" and not err.is_terminal):
            self._print(row)

    def _print(self, row: _Row) -> None:
        event = row.event
        number = self._names.index(event.run) + 1
        node = f" on {event.node}" if event.state == "started" else ""
        again = f", start {row.starts}" if event.state == "started" and row.starts > 1 else ""
        line = f"[{number}/{len(self._names)}] {event.run}: {event.words}{node}{again}"
        err.print(line, markup=False)

    def __rich__(self) -> Table:
        """The table as it is now."""
        ended = [row for row in self._rows.values() if row.event.state in ENDED]
        at_work = [row for row in self._rows.values() if row.event.state not in ENDED]
        counts = {name: sum(row.event.state == name for row in ended) for name in ENDED}
        counts["at work"] = len(at_work)
        counts["to come"] = len(self._names) - len(self._rows)
        caption = ", ".join(f"{count:,} {name}" for name, count in counts.items() if count)
        table = Table(box=None, pad_edge=False, caption=caption, caption_justify="left")
        table.add_column("run", overflow="ellipsis", no_wrap=True, ratio=1)
        table.add_column("machine", overflow="ellipsis", no_wrap=True, max_width=20)
        table.add_column("state", overflow="ellipsis", no_wrap=True, max_width=24)
        for name in ("epoch", "val", "time"):
            table.add_column(name, justify="right", no_wrap=True)
        shown = at_work[:MOST_ROWS]
        for row in [*ended[len(ended) - max(MOST_ROWS - len(shown), 0) :], *shown][-MOST_ROWS:]:
            table.add_row(*map(Text, _cells(row)))
        return table


def _cells(row: _Row) -> tuple[str, ...]:
    event = row.event
    state = {"started": "training", "working": event.words}.get(event.state, event.state)
    again = f" ({row.starts})" if row.starts > 1 else ""
    seconds = row.seconds
    if seconds is None and row.starts:
        seconds = time.monotonic() - row.since
    return (
        event.run,
        event.node,
        state + again,
        f"{event.epoch}/{event.epochs}" if event.epochs else "",
        percent(event.val_accuracy) if event.val_accuracy is not None else "",
        "" if seconds is None else f"{seconds // 60:.0f}:{seconds % 60:02.0f}",
    )


@contextmanager
def sweep_table(names: Sequence[str]) -> Iterator[SweepTable]:
    """A table on stderr for as long as the block lasts; its last state stays."""
    table = SweepTable(names)
    if not err.is_terminal:
        yield table
        return
    with Live(table, console=err, refresh_per_second=4):
        yield table
