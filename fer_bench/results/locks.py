"""A run is carried out by one process at a time; the next one waits for it, or is refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from fer_bench.errors import FerBenchError, RunFailed

#: The folder of a results folder in which runs at work have their scratch and their locks.
WORK = ".work"
#: Seconds that a run's lock is tried before another process counts as its owner: a page that looks
#: whether the run is at work holds it for a moment.
LOOKING = 0.5


def lock_file(folder: Path) -> Path:
    """The lock of the run whose folder this is; held by the process that carries it out."""
    return folder.parent.parent / WORK / folder.parent.name / f".{folder.name}.lock"


def is_carried_out(folder: Path) -> bool:
    """Whether a process, this one too, holds the lock of the run in `folder` now."""
    lock = lock_file(folder)
    if not lock.exists():
        return False
    try:
        with FileLock(lock, blocking=False):
            return False
    except OSError:  # a Timeout, or a lock of another user
        return True


def carried_out(root: Path) -> frozenset[str]:
    """The runs of a results folder that some process has locked now, as `dataset/run`."""
    locks = root.glob(f"{WORK}/*/.*.lock")
    runs = (f"{lock.parent.name}/{lock.name[1:-5]}" for lock in locks)
    return frozenset(run for run in runs if is_carried_out(root / run))


@contextmanager
def run_lock(run: Path, *, wait: Callable[[], None] | None = None) -> Iterator[None]:
    """Locks a run for this process while the block lasts; the lock of a killed one is free.

    May be nested within a thread.

    Args:
        run: its folder, as `ResultsStore.folder` names it; need not exist.
        wait: hears that another process has it, which is then waited for; None for no waiting.

    Raises:
        RunFailed: another process has it, and `wait` is None.
        FerBenchError: a results folder that cannot be written.
    """
    path = lock_file(run)
    folder = path.parent
    # One object for a file in the whole process: that makes it reentrant.
    lock = FileLock(path, is_singleton=True)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=LOOKING)
        except Timeout:
            if wait is None:
                raise RunFailed(
                    f"run {run.name} is being carried out by another process: wait until it is "
                    "done, or choose another results folder"
                ) from None
            wait()
            lock.acquire()
    except OSError as error:
        raise FerBenchError(
            f"cannot work on {run.name} in {folder}: {error.strerror or error}; free some space or "
            "choose another results folder, then run it again"
        ) from None
    try:
        yield
    finally:
        lock.release()
