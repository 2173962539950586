"""The one error type users see: what was expected, what came, what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class FerBenchError(Exception):
    """Something the user can mend; shown as one sentence, never as a traceback."""

    exit_code = 2
    #: Whether every process of a run raises it (`fer_bench.distributed`).
    shared = False


class RunFailed(FerBenchError):
    """The work itself failed (not its input): exit code 1."""

    exit_code = 1


def one_line(text: str) -> str:
    """A text that came from a file, without its line breaks, for the middle of a sentence."""
    return " ".join(text.split())


def suggest(name: str, known: Iterable[str]) -> str:
    """A tail for "unknown name" errors: the near names, or all of them when none is near."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.6)
    if near:
        return f"did you mean {' or '.join(repr(n) for n in near)}?"
    return f"known: {', '.join(names)}"
