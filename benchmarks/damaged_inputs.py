"""What FER Bench makes of damaged and hostile inputs of every kind: a sentence, or a valid value.

Each input is read as the commands read it. It counts as *refused* where that ends in one sentence
(`FerBenchError`), as *accepted* where there is a valid value nevertheless, and as a *fault* where
anything else comes of it: another exception, several lines, a crash of the process, or more than
half a minute. `--commands 4` reads four of each of five kinds by the real command line too.

Every kind runs in a process of its own. Prints one JSON line, and the faults on stderr; exit code 1
if there are any. Run it from the repository's root: `python -m benchmarks.damaged_inputs`. The
same seed makes the same inputs; `--kind image --only 17` reads one of them again.
"""

from __future__ import annotations

import argparse
import json
import logging
import multiprocessing
import platform
import resource
import signal
import sys
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType
from typing import Literal

from benchmarks.damaged_commands import faults_of_commands
from benchmarks.damaged_kinds import KINDS, Files, Kind
from benchmarks.damaged_readers import own_cache
from fer_bench.errors import FerBenchError

SECONDS = 30
LONGEST_SENTENCE = 1000


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of an input; `words` are the sentence or the fault."""

    what: Literal["accepted", "refused", "fault"]
    words: str = ""


class _TooLong(BaseException):
    """No exception that a reader could take for its own."""


def judge(kind: Kind, files: Files) -> Outcome:
    """Reads an input from a folder of its own, with a cache of its own."""
    with TemporaryDirectory(prefix="fer-bench-damaged-") as name:
        folder = Path(name) / "input"
        for file, content in files.items():
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            (folder / file).write_bytes(content)
        cache = folder if (folder / "cache").exists() else Path(name)
        try:
            with own_cache(cache), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                kind.read(folder)
        except FerBenchError as error:
            return _sentence(str(error))
        except (Exception, _TooLong) as error:  # noqa: BLE001  # whatever it is, it is a fault
            last = traceback.extract_tb(error.__traceback__)[-1]
            where = f"{Path(last.filename).name}:{last.lineno}"
            return Outcome(what="fault", words=f"{type(error).__name__} at {where}: {error!s:.300}")
    return Outcome(what="accepted")


def _sentence(text: str) -> Outcome:
    if not text or len(text.splitlines()) > 1 or len(text) > LONGEST_SENTENCE:
        return Outcome(what="fault", words=f"not one sentence: {text!r:.300}")
    try:
        text.encode()
    except UnicodeEncodeError:
        return Outcome(what="fault", words=f"a sentence that cannot be written: {text!r:.300}")
    return Outcome(what="refused", words=text)


def _stop(number: int, frame: FrameType | None) -> None:
    raise _TooLong(f"more than {SECONDS} s")


def _read_all(kind: Kind, count: int, seed: int, after: int, pipe: Connection) -> None:
    """Tells the number of each input, and then what came of it."""
    signal.signal(signal.SIGALRM, _stop)
    logging.disable(logging.CRITICAL)
    for number, (label, files) in enumerate(kind.inputs(count, seed)):
        if number < after:
            continue
        pipe.send((number, label, None))
        signal.alarm(SECONDS)
        outcome = judge(kind, files)
        signal.alarm(0)
        pipe.send((number, label, outcome))
    pipe.send((None, "", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10))


def run_kind(kind: Kind, count: int, seed: int) -> tuple[list[tuple[int, str, Outcome]], int]:
    """What came of each input, with its number and label, and the memory it took at most, MiB."""
    context = multiprocessing.get_context("fork")
    found: list[tuple[int, str, Outcome]] = []
    after = 0
    while True:
        ours, theirs = context.Pipe(duplex=False)
        child = context.Process(target=_read_all, args=(kind, count, seed, after, theirs))
        child.start()
        theirs.close()
        number, label = after, "before the first"
        try:
            while True:
                number, label, what = ours.recv()
                if number is None:
                    child.join()
                    return found, what
                if what is not None:
                    found.append((number, label, what))
        except EOFError:
            child.join()
            died = Outcome(what="fault", words=f"the process died: exit code {child.exitcode}")
            found.append((number, label, died))
            after = number + 1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=100, help="inputs of each kind, or more")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kind", choices=list(KINDS), action="append")
    parser.add_argument("--only", type=int, help="the number of one input, to read it again")
    parser.add_argument("--commands", type=int, default=0, help="real processes of five kinds")
    chosen = parser.parse_args()
    kinds = [KINDS[name] for name in chosen.kind or KINDS]
    if chosen.only is not None:
        return _read_one(kinds[0], chosen.count, chosen.seed, chosen.only)
    started, total = time.perf_counter(), Counter[str]()
    by_kind = {}
    for kind in kinds:
        found, peak = run_kind(kind, chosen.count, chosen.seed)
        counts = Counter(outcome.what for _, _, outcome in found)
        by_kind[kind.name] = dict(counts) | {"peak_mib": peak}
        total += counts
        _tell(kind, found)
    commands, faults = faults_of_commands(chosen.commands, chosen.seed)
    total["fault"] += len(faults)
    for fault in faults:
        print(f"command: {fault}", file=sys.stderr, flush=True)
    line = {
        "kinds": len(kinds),
        "inputs": total.total() - len(faults),
        "commands": commands,
        "refused": total["refused"],
        "accepted": total["accepted"],
        "faults": total["fault"],
        "by_kind": by_kind,
        "seed": chosen.seed,
        "seconds": round(time.perf_counter() - started, 1),
        "python": platform.python_version(),
    }
    print(json.dumps(line))
    return int(total["fault"] > 0)


def _tell(kind: Kind, found: Iterable[tuple[int, str, Outcome]]) -> None:
    for number, label, outcome in found:
        if outcome.what == "fault":
            print(f"{kind.name} {number} ({label}): {outcome.words}", file=sys.stderr, flush=True)


def _read_one(kind: Kind, count: int, seed: int, only: int) -> int:
    for number, (label, files) in enumerate(kind.inputs(count, seed)):
        if number == only:
            print(f"{label}\n{judge(kind, files)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
