"""What commands print: progress and remarks on stderr, results on stdout."""

from __future__ import annotations

import json
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from fer_bench import distributed
from fer_bench.errors import RunFailed
from fer_bench.formatting import interval, percent, three_decimals, time_left

if TYPE_CHECKING:
    from fer_bench.results.record import Metrics, RunRecord
    from fer_bench.results.store import ResultsStore

#: Columns; no table of ours needs as many.
WIDEST = 1000
#: A shell's exit code of what a signal has ended is this and the signal's number.
SIGNALLED = 128

Item = TypeVar("Item")

err = Console(stderr=True, highlight=False, soft_wrap=True)
out = Console(highlight=False, soft_wrap=True)


def print_json(document: Any) -> None:
    """One JSON document on stdout; NaN is written as null, which JSON knows."""
    sys.stdout.write(json.dumps(_plain(document), indent=2, allow_nan=False) + "\n")


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if isinstance(value, float) and value != value:
        return None
    return value


def print_table(console: Console, table: Table) -> None:
    """A table as wide as it has to be: a narrow terminal breaks its lines, and nothing is cut."""
    needed = console.measure(table, options=console.options.update(max_width=WIDEST)).maximum
    wide = Console(file=console.file, width=max(console.width, needed), highlight=False)
    wide.print(table, crop=False)


class ConsoleProgress:
    """Draws a `fer_bench.types.Progress`: a bar for the stage at work, a line per epoch.

    An epoch's line ends with the time left of the whole training, by that epoch's own time.
    """

    def __init__(self, bars: Progress, clock: Callable[[], float] = time.monotonic) -> None:
        self._bars, self._clock = bars, clock
        self._stage = ""
        self._task: TaskID | None = None
        self._epoch_began: float | None = None

    def __call__(self, stage: str, done: int, total: int, figures: Mapping[str, float]) -> None:
        from fer_bench.types import EPOCHS  # pydantic takes a while, which `--help` can spare

        now = self._clock()
        if stage == EPOCHS:
            line = f"epoch {done}/{total}  {_epoch_line(figures)}"
            if self._epoch_began is not None and done < total:
                line += f"  {time_left((now - self._epoch_began) * (total - done))} left"
            self._bars.console.print(line, markup=False)
            self._epoch_began = None
            return
        if self._epoch_began is None:
            self._epoch_began = now
        if stage != self._stage or self._task is None:
            if self._task is not None:
                self._bars.remove_task(self._task)
            self._stage, self._task = stage, self._bars.add_task(stage, total=total, speed="")
        speed = figures.get("images_per_second")
        text = f"{speed:,.0f} images/s" if speed else ""
        self._bars.update(self._task, completed=done, total=total, speed=text)


def say_next(words: str, store: ResultsStore | None = None) -> None:
    """The command of FER Bench that comes after one, as a line to copy.

    Args:
        words: the command without `python -m fer_bench`, its values quoted for a shell.
        store: the results that it is about, named where they are not the usual ones.
    """
    from fer_bench.results.store import DEFAULT_ROOT
    from fer_bench.results.usage import fer_bench_command

    usual = store is None or store.roots == (Path(DEFAULT_ROOT),)
    say_step(fer_bench_command(words, None if usual or store is None else store.location))


def say_step(line: str) -> None:
    """What to do after a command, on stderr: every command that ends says it last."""
    err.print(f"next: {line}", markup=False, soft_wrap=True)


def print_scores(title: str, metrics: Metrics, clean: float | None) -> None:
    """Metrics of some images; `clean` is the accuracy on those that stand in no other split."""
    out.print(title, markup=False)
    out.print(
        f"accuracy          {percent(metrics.accuracy)}  (95 %: {interval(*metrics.accuracy_ci95)})"
    )
    if clean is not None:
        out.print(f"on clean images   {percent(clean)}")
    out.print(f"macro F1          {percent(metrics.macro_f1)}")
    out.print(f"balanced accuracy {percent(metrics.balanced_accuracy)}")
    out.print(f"calibration error {three_decimals(metrics.ece)}")


def print_reasons(record: RunRecord) -> None:
    """Why a record stands in no ranking, on stderr."""
    for reason in record.not_comparable_because:
        err.print(f"note: it stands in no ranking: {reason}", markup=False)


def _epoch_line(figures: Mapping[str, float]) -> str:
    shown: list[tuple[str, str, Callable[[float], str]]] = [
        ("train loss", "train_loss", "{:.3f}".format),
        ("train", "train_accuracy", percent),
        ("val", "val_accuracy", percent),
        ("", "images_per_second", "{:,.0f} images/s".format),
    ]
    return "  ".join(
        f"{name} {form(figures[key])}".strip() for name, key, form in shown if key in figures
    )


class Interrupts:
    """Handles Ctrl-C, SIGTERM and a closed terminal: each is a KeyboardInterrupt, but not always.

    What the first one tidies up, a second one does not break off.

    Attributes:
        number: of the signal that came, if one did.
        answered: whether what comes now changes nothing any more.
    """

    def __init__(self) -> None:
        self.number: int | None = None
        self.answered = False
        self._held = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Python's handler of signals."""
        self.number = self.number or number
        if not (self.answered or self._held or _is_being_answered(sys.exception())):
            raise KeyboardInterrupt

    @contextmanager
    def held(self) -> Iterator[None]:
        """A block that no signal ends, but where `each` gets its next item."""
        self._held = True
        try:
            yield
        finally:
            self._held = False

    def each(self, items: Iterable[Item]) -> Iterator[Item]:
        """The items; a signal that comes while one is used ends the block before the next."""
        iterator = iter(items)
        while True:
            self._held = False
            try:
                if self.number is not None:
                    raise KeyboardInterrupt
                item = next(iterator)
            except StopIteration:
                return
            finally:
                self._held = True
            yield item


def _is_being_answered(error: BaseException | None) -> bool:
    """Whether an error that is handled now came of an interrupt."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__context__
    return error is not None


def _is_usual(handler: object) -> bool:
    """Whether a signal is handled as when Python began, or by a command that has ended."""
    is_pythons = handler in (signal.SIG_DFL, signal.default_int_handler)
    return is_pythons or (isinstance(handler, Interrupts) and handler.answered)


@contextmanager
def interruptible(way_on: str) -> Iterator[Interrupts]:
    """Ctrl-C, SIGTERM and a closed terminal end the block alike, and with a sentence.

    Args:
        way_on: the end of that sentence: how to go on.

    Raises:
        RunFailed: the block was interrupted; its exit code is the shells' for that signal.
    """
    interrupts = Interrupts()
    # A launcher ends the processes of a run in its own way; `nohup` has its reason, too.
    ours = distributed.world_size() == 1 and threading.current_thread() is threading.main_thread()
    names = ("SIGINT", "SIGTERM", "SIGHUP") if ours else ()
    numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
    free = [number for number in numbers if _is_usual(signal.getsignal(number))]
    before = {n: signal.default_int_handler if n == signal.SIGINT else signal.SIG_DFL for n in free}
    for number in before:
        signal.signal(number, interrupts)
    try:
        yield interrupts
    except KeyboardInterrupt:
        interrupts.answered = True  # the command is about to end
        before = {}
        interrupted = RunFailed(f"interrupted: {way_on}")
        interrupted.exit_code = SIGNALLED + (interrupts.number or signal.SIGINT)
        raise interrupted from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def progress_bars() -> Iterator[ConsoleProgress]:
    """Progress bars with the time left, on stderr; gone when the work is done."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[speed]}"),
    )
    with Progress(*columns, console=err, transient=True) as bars:
        yield ConsoleProgress(bars)
