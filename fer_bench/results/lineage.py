"""Runs that go on from another run's weights: which, and what that one started from."""

from __future__ import annotations

from graphlib import CycleError, TopologicalSorter
from pathlib import Path

from fer_bench.results.leaderboard.rankings import answered_fingerprint
from fer_bench.results.store import NAME
from fer_bench.results.stored_run import RECORD, WEIGHTS, StoredRun, read_run
from fer_bench.specs.run import ExternalSpec, RunSpec

#: What a provenance calls weights that came from a path.
LOCAL = "local file"


def run_at(path: str) -> StoredRun | None:
    """The run whose folder, or whose weights file, is at a path; None where there is none."""
    try:
        folder = _folder(Path(path).expanduser())
    except RuntimeError:  # the home of a user that does not exist
        return None
    return read_run(folder.resolve()) if (folder / RECORD).is_file() else None


def _folder(path: Path) -> Path:
    return path.parent if path.name == WEIGHTS else path


def starting_run(run: StoredRun) -> StoredRun | None:
    """The run of the same results folder that this one went on from, if it is known there."""
    spec = run.require_record().spec
    if not isinstance(spec, RunSpec):
        return None
    return _sibling_run(run, _folder(Path(spec.pretraining)))


def teachers(run: StoredRun) -> list[StoredRun | None]:
    """The runs that it learned from too; None for one that is not in its results folder."""
    spec = run.require_record().spec
    names = spec.teachers if isinstance(spec, RunSpec) else ()
    return [_sibling_run(run, Path(run.dataset, name)) for name in names]


def _sibling_run(run: StoredRun, path: Path) -> StoredRun | None:
    """The run at the end of a path, `…/dataset/name`, where it is in the folder of `run`."""
    *_, dataset, name = "", "", *path.parts
    if not (NAME.fullmatch(dataset) and NAME.fullmatch(name)):
        return None
    sibling = read_run(run.folder.parent.parent / dataset / name)
    return None if sibling.record is None else sibling


def foreign_licences(run: StoredRun) -> tuple[str, ...]:
    """What the weights from elsewhere that are in a run may be used under; none for our own.

    Those of networks measured as they came, and those that a training started from; of every
    member. `not recorded` for one whose licence nobody has said.
    """
    members = run.require_record().members
    runs = [read_run(run.folder.parent / member.run) for member in members] or [run]
    licences = [_foreign_licence(one) for one in runs if one.record]
    return tuple(dict.fromkeys(licence for licence in licences if licence))


def _foreign_licence(run: StoredRun) -> str:
    record = run.require_record()
    if isinstance(record.spec, ExternalSpec):
        return record.spec.licence or "not recorded"
    begun = origin(run).rstrip(")").rpartition("pretraining: ")[2]  # behind the runs before it
    licence = record.model.provenance.licence if record.model else ""
    return licence or ("" if begun == "none" else "not recorded")


def origin(run: StoredRun) -> str:
    """What a run started from: `none`, the weights' name, or `run A (pretraining: none)`."""
    return _origin(run, frozenset())


def described(start: StoredRun) -> str:
    """A run as what another one starts from: `run A (pretraining: none)`."""
    return _described(start, frozenset())


def starts(run: StoredRun) -> str:
    """What a run, or each member of an ensemble, started from; runs as `described` says them."""
    record = run.require_record()
    words = set()
    for given in {member.pretraining for member in record.members} or {record.pretraining}:
        start = _sibling_run(run, _folder(Path(given)))
        words.add(described(start) if start else given)
    return " + ".join(sorted(words))


def is_run(origin: str) -> bool:
    """Whether what `origin` gave names a run."""
    return origin.startswith("run ")


def _origin(run: StoredRun, seen: frozenset[Path]) -> str:
    record = run.require_record()
    weights = record.model.provenance.weights if record.model else record.pretraining
    start = starting_run(run) if weights == LOCAL else None
    if start is None or start.folder in seen:
        return weights
    return _described(start, seen | {run.folder})


def _described(start: StoredRun, seen: frozenset[Path]) -> str:
    return f"run {start.name} (pretraining: {_origin(start, seen)})"


def same_data_only(run: StoredRun) -> bool:
    """Whether it began at random and no other data are in it, by whatever runs it goes back to.

    True only where the records of all of them are here and say so.
    """
    fingerprint = answered_fingerprint(run.require_record())
    waiting: list[StoredRun | None] = [run]
    behind: dict[Path, list[Path]] = {}
    while waiting:
        one = waiting.pop()
        if one is None or answered_fingerprint(one.require_record()) != fingerprint:
            return False
        if one.folder in behind:
            continue
        before = teachers(one)
        if one.require_record().pretraining != "none":
            before.append(starting_run(one))
        behind[one.folder] = [other.folder for other in before if other]
        waiting += before
    try:
        TopologicalSorter(behind).prepare()
    except CycleError:  # one of them was trained again, from what it had led to
        return False
    return True
