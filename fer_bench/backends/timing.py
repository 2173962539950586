"""Calls timed against each other fairly, on a machine that others use as well."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

#: Seconds that one call is repeated before the next one's turn.
TURN = 0.02
#: The leader is clear when the next one takes this many times as long.
CLEAR = 1.3


def interleaved(
    calls: Mapping[str, Callable[[], object]],
    *,
    seconds: float,
    warmup: int = 1,
    clear_after: float | None = None,
) -> dict[str, list[float]]:
    """Milliseconds of every timed call, by name, each at least once.

    The calls take turns, so that a busy moment hits them all alike. The first call of a turn is
    not counted: the threads of the one before may still be spinning, and its weights fill the
    caches, where in use nothing else comes between.

    Args:
        calls: must return only when their work is done (a GPU's result must be back).
        seconds: for all of them together; a call that takes longer is made nevertheless.
        warmup: turns of each that are not counted.
        clear_after: seconds from which it is enough that one call is clearly the fastest; None to
            measure to the end.
    """
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(warmup):
        for call in calls.values():
            call()
    begin = time.perf_counter()
    while True:
        for name, call in calls.items():
            call()
            taken[name] += _turn(call)
        elapsed = time.perf_counter() - begin
        if elapsed >= seconds:
            return taken
        if clear_after is not None and elapsed >= clear_after and _has_clear_leader(taken):
            return taken


def _has_clear_leader(taken: Mapping[str, list[float]]) -> bool:
    first, *others = sorted(map(min, taken.values()))
    return not others or others[0] >= CLEAR * first


def _turn(call: Callable[[], object]) -> list[float]:
    """Milliseconds of calls made in a row."""
    taken: list[float] = []
    begin = before = time.perf_counter()
    while before - begin < TURN or not taken:
        call()
        now = time.perf_counter()
        taken.append((now - before) * 1000)
        before = now
    return taken
