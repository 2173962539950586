"""A run is carried out by one process at a time; the next one waits for it, or is told."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from filelock import FileLock, Timeout

from fer_bench.errors import FerBenchError, RunFailed
from fer_bench.results.store import ResultsStore


@contextmanager
def claimed(
    store: ResultsStore, dataset: str, name: str, *, wait: Callable[[], None] | None = None
) -> Iterator[None]:
    """Keeps a run to this process while the block lasts; one that is killed lets go of it.

    May be nested within a thread.

    wait: hears that another process has it, which is then waited for; None for no waiting.

    Raises:
        RunFailed: another process has it, and `wait` is None.
        FerBenchError: a name that is none, or a results folder that cannot be written.
    """
    folder = store.work_folder(dataset, name).parent
    # One object for a file in the whole process: that makes it reentrant.
    lock = FileLock(folder / f".{name}.lock", is_singleton=True)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(blocking=False)
        except Timeout:
            if wait is None:
                raise RunFailed(
                    f"run {name} is being carried out by another process: wait until it is done, "
                    "or choose another results folder"
                ) from None
            wait()
            lock.acquire()
    except OSError as error:
        raise FerBenchError(
            f"cannot work on {name} in {folder}: {error.strerror or error}; free some space or "
            "choose another results folder, then run it again"
        ) from None
    try:
        yield
    finally:
        lock.release()
