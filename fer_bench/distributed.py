"""The processes that share one run: one as a rule, several under `accelerate launch` or torchrun.

Each process goes through the same program. They meet in the functions below, which all of them must
call alike; a process that is alone passes through them untouched.
"""

from __future__ import annotations

import atexit
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from fer_bench.errors import FerBenchError, RunFailed

if TYPE_CHECKING:
    from torch import Tensor

T = TypeVar("T")

#: How long a process waits for the others: one may decode a data set or train a head meanwhile. A
#: process that ends is noticed at once, by the launcher.
PATIENCE = timedelta(days=1)
#: Seconds in which the launcher ends the others of a process that failed; ending takes torch a few.
GRACE = 60


@dataclass(frozen=True, kw_only=True)
class _Rank:
    """This process among those of the run."""

    rank: int = 0
    count: int = 1


_here = _Rank()


def world_size() -> int:
    """How many processes the launcher started, by the variables that it sets; 1 without any."""
    return int(os.environ.get("WORLD_SIZE", 1)) if "LOCAL_RANK" in os.environ else 1


def _launched_rank() -> int:
    return int(os.environ.get("RANK", 0)) if world_size() > 1 else 0


def cpu_wanted() -> bool:
    """Whether `accelerate launch --cpu`, or its configuration, started this process."""
    return os.environ.get("ACCELERATE_USE_CPU", "").lower() == "true"


def choose_device(device: str) -> str:
    """`auto` becomes the GPU where there is one and the launch has not asked for the CPU.

    Raises:
        FerBenchError: an unknown device, or a GPU that is not there.
    """
    import torch

    if device == "auto":
        device = "cuda" if torch.cuda.is_available() and not cpu_wanted() else "cpu"
    if device not in ("cpu", "cuda"):
        raise FerBenchError(f"expected device auto, cpu or cuda, got {device!r}")
    if device == "cuda" and not torch.cuda.is_available():
        raise FerBenchError("PyTorch sees no GPU here: use device cpu")
    return device


def join(device: str) -> None:
    """Joins the processes of a launch, before their first common work; alone, does nothing.

    Args:
        device: `cpu` or `cuda`, where `cuda` means one GPU for each process from here on.

    Raises:
        FerBenchError: more processes on this machine than it has GPUs.
        RunFailed: the processes do not find each other.
    """
    global _here
    if world_size() == 1 or _here.count > 1:
        return
    import torch
    from accelerate import PartialState

    here = int(os.environ.get("LOCAL_WORLD_SIZE", 1))
    if device == "cuda" and here > torch.cuda.device_count():
        raise FerBenchError(
            f"expected a GPU for each of the {here} processes on this machine, got "
            f"{torch.cuda.device_count()}: start fewer, or use --device cpu"
        )
    try:
        state = PartialState(cpu=device == "cpu", timeout=PATIENCE)
    except RuntimeError as error:
        reason = (str(error).splitlines() or [""])[0]
        raise RunFailed(
            f"the {world_size()} processes of this launch cannot meet ({reason:.160}): see that "
            "all hosts reach the first one, and give torchrun --standalone or --rdzv-backend c10d"
        ) from None
    atexit.register(state.destroy_process_group)
    _here = _Rank(rank=state.process_index, count=state.num_processes)


def count() -> int:
    """How many processes share the work."""
    return _here.count


def rank() -> int:
    """This process's number, from 0."""
    return _here.rank


def is_main() -> bool:
    """Whether this process is the one that writes records and speaks."""
    return _here.rank == 0


def gather(value: T) -> list[T]:
    """Every process's value, by rank."""
    if _here.count == 1:
        return [value]
    from accelerate.utils import gather_object

    values: list[T] = gather_object([value])
    return values


def all_ranks(work: Callable[[], T]) -> list[T]:
    """What `work` gives on every process, by rank; no meeting may stand in it.

    Raises:
        FerBenchError: what one of the processes raised; all raise it.
    """
    if _here.count == 1:
        return [work()]
    outcomes = gather(_attempt(work))
    _raise_first([problem for _, problem in outcomes])
    return [value for value, _ in outcomes]  # type: ignore[misc]  # None only with a problem


@contextmanager
def raise_together() -> Iterator[None]:
    """A block that fails everywhere if it fails somewhere; no meeting may stand in it.

    Raises:
        FerBenchError: as `all_ranks`.
    """
    problem: FerBenchError | None = None
    try:
        yield
    except FerBenchError as error:
        if _here.count == 1:
            raise
        problem = error
    _raise_first(gather(problem))


def on_main(work: Callable[[], T]) -> T:
    """What `work` gives on the main process, for all of them.

    Raises:
        FerBenchError: what it raised there; all raise it.
    """
    if _here.count == 1:
        return work()
    from accelerate.utils import broadcast_object_list

    outcome: list[tuple[T | None, FerBenchError | None]] = [
        _attempt(work) if is_main() else (None, None)
    ]
    value, problem = broadcast_object_list(outcome)[0]
    _raise_first([problem])
    return value  # type: ignore[no-any-return]


def total(values: Tensor) -> Tensor:
    """The sum over the processes of a tensor that each of them has, on its device."""
    if _here.count == 1:
        return values
    from accelerate.utils import reduce

    summed: Tensor = reduce(values, "sum")
    return summed


def _attempt(work: Callable[[], T]) -> tuple[T | None, FerBenchError | None]:
    try:
        return work(), None
    except FerBenchError as error:
        return None, error


def _raise_first(problems: list[FerBenchError | None]) -> None:
    for problem in problems:
        if problem is not None:
            problem.shared = True
            raise problem


def wait_for_root_cause(error: Exception) -> None:
    """Waits where an error only tells that another process has gone.

    The launcher ends this one meanwhile, so that what is reported is the cause.
    """
    if _here.count == 1:
        return
    from torch.distributed import DistError

    if isinstance(error, DistError) or "gloo" in str(error):
        time.sleep(GRACE)


@contextmanager
def quiet_unless_main() -> Iterator[None]:
    """What processes other than the main one print goes nowhere; errors that end them do not."""
    if _launched_rank() == 0:
        yield
        return
    with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):
        yield


def error_line(error: FerBenchError) -> str:
    """How this process reports the error that ends it; empty where the main process does for all.

    Until they have joined, all processes do the same with the same input.
    """
    number = _launched_rank()
    if number == 0:
        return f"error: {error}\n"
    return f"error: process {number}: {error}\n" if count() > 1 and not error.shared else ""
