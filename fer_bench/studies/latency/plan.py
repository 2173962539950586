"""What is to be measured: back ends, threads, batch sizes, and for how long."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fer_bench.backends.registry import AUTO, BACKENDS
from fer_bench.environment import capture
from fer_bench.errors import FerBenchError, unknown_name

ALL = "all"
#: Not measured unless asked for: they take 3 to 23 s to open (torch.compile) or minutes to quantise
#: a large network a second time, and are hardly ever the fastest.
SLOW_TO_OPEN = ("torch-compile", "torch-compile-bf16", "onnxruntime-int8")
#: More threads than any back end can start.
TOO_MANY_THREADS = 1025


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What to measure.

    Attributes:
        backends: names, as `plan_backends` gives them; with `auto` its choice is among them.
        threads: CPU threads, each a round of its own.
        batches: faces per call, likewise.
        seconds: for each back end at each batch and number of threads; opening them comes on top.
        memory: also the peak memory of each, in a process of its own: takes seconds for each.

    Raises:
        FerBenchError: numbers out of range.
    """

    backends: tuple[str, ...]
    threads: tuple[int, ...]
    batches: tuple[int, ...] = (1,)
    seconds: float = 1.0
    memory: bool = False

    def __post_init__(self) -> None:
        for what, values in (("threads", self.threads), ("faces per batch", self.batches)):
            if not values or min(values) < 1:
                shown = ", ".join(map(str, values)) or "none"
                raise FerBenchError(f"expected numbers of {what} from 1, got {shown}")
        if max(self.threads) >= TOO_MANY_THREADS:
            raise FerBenchError(
                f"expected fewer than {TOO_MANY_THREADS} threads, got {max(self.threads)}: this "
                f"machine has {capture().cpu_cores} cores"
            )
        if not 0 < self.seconds < float("inf"):
            raise FerBenchError(f"expected seconds above 0, got {self.seconds}")


def plan_backends(names: Sequence[str]) -> tuple[str, ...]:
    """Names as `Plan` takes them; `all` stands for all, none for those that open quickly.

    Raises:
        FerBenchError: an unknown name (near ones suggested).
    """
    known = (ALL, AUTO, *BACKENDS)
    for name in names:
        if name not in known:
            raise unknown_name("back end", name, known)
    if ALL in names:
        return (*BACKENDS, AUTO)
    quick = (*(name for name in BACKENDS if name not in SLOW_TO_OPEN), AUTO)
    return tuple(dict.fromkeys(names)) or quick
