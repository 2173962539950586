"""What a model card says of the runs that a model goes back to: its start and its teachers."""

from __future__ import annotations

from fer_bench.markdown import code, listed, prose
from fer_bench.results.lineage import is_run, origin, same_data_only, starting_run
from fer_bench.results.record import RunRecord
from fer_bench.results.store import StoredRun
from fer_bench.specs.run import RunSpec


def starting_weights(run: StoredRun, record: RunRecord) -> str:
    """`random`, the weights' name and licence, or the run they are of."""
    source = record.model.provenance if record.model else None
    if source is None or source.weights == "none":  # an ensemble's members have theirs
        return "random" if record.pretraining == "none" else code(record.pretraining)
    start = origin(run)
    if is_run(start) and not source.licence:
        return f"those of {code(start)}"
    return f"{prose(start)}, licence: {prose(source.licence or 'not recorded')}"


def relatives(run: StoredRun, record: RunRecord) -> list[str]:
    """At most one line: which run its training went on from and which taught it.

    That no other data came in with them is said only where all their records are here and agree.
    """
    spec = record.spec
    if not isinstance(spec, RunSpec):
        return []
    start = _start(run, record)
    names = [code(teacher) for teacher in spec.teachers]
    if not start:
        return [f"- **Teachers**, whose answers it learned too: {listed(names)}"] if names else []
    line = f"- **Start**: training went on from {start}"
    if names:
        line += f" and was taught by {'runs' if len(names) > 1 else 'run'} {listed(names)}"
    if same_data_only(run):
        line += ", with no data beyond the training split"
    return [line]


def _start(run: StoredRun, record: RunRecord) -> str:
    """The run that it went on from, and what is to be known of it; empty where it is no run."""
    start = starting_run(run)
    if start is None:
        return code(origin(run)) if is_run(origin(run)) else ""
    about = f"itself {code(f'pretraining: {origin(start)}')}"
    data = start.require_record().dataset
    if data.name != record.dataset.name:
        about += f", trained on {code(data.name)}"
    return f"run {code(start.name)} ({about})"
