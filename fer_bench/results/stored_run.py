"""A run's folder: its files, and what its record says of it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from fer_bench.errors import FerBenchError
from fer_bench.hubs.address import parse_repository
from fer_bench.results.location import is_stored, mirror_of
from fer_bench.results.locks import is_carried_out
from fer_bench.results.parse import read_record
from fer_bench.results.record import RunRecord

RECORD, HISTORY, PREDICTIONS = "record.json", "history.csv", "predictions.parquet"
#: The trained network of a run, where it was stored.
WEIGHTS = "model.safetensors"
#: Next to them: uint64 hashes of the images that they were trained on or chosen by.
SEEN = "seen.npy"
#: Next to them: what was made of the network and measured of its copies.
OF_NETWORK = ("exports.json", "latency.json")
#: All that a run's folder may hold, and a repository of the hub with it.
RUN_FILES = (
    RECORD, HISTORY, PREDICTIONS, WEIGHTS, SEEN, "model.json", *OF_NETWORK, "robustness.json",
    "transfer.json",
)  # fmt: skip
#: What happened to a run whose record says `running` though no process carries it out.
ENDED_FROM_OUTSIDE = (
    "its process was ended before it was done: train it again with `--resume` to go on after the "
    "last finished epoch"
)


@dataclass(frozen=True, kw_only=True)
class StoredRun:
    """A run's folder and what its record says, or why the record cannot be read.

    Attributes:
        own: it lies in the first of several results folders, the one that new runs are written to.

    The record is shared by everyone who reads it in this process: copy it before changing it.
    """

    dataset: str
    name: str
    folder: Path
    record: RunRecord | None = field(hash=False)
    problem: str | None
    own: bool = False

    @property
    def id(self) -> str:
        """`dataset/run`: what commands, addresses of pages and tables call it."""
        return f"{self.dataset}/{self.name}"

    @property
    def weight_files(self) -> tuple[Path, ...]:
        """Where its trained network lies, if it was stored; of an ensemble, each member's."""
        members = self.record.members if self.record else ()
        folders = [self.folder.parent / m.run for m in members] or [self.folder]
        return tuple(folder / WEIGHTS for folder in folders)

    @property
    def has_weights(self) -> bool:
        """Whether all of `weight_files` are there, or at the results' URL (`location.fetch`)."""
        return all(map(is_stored, self.weight_files))

    @property
    def weights_written(self) -> tuple[int, ...]:
        """When each of `weight_files` was last written, nanoseconds; 0 for one not on this disk.

        Part of the key of everything that is cached about its network.
        """
        return tuple(f.stat().st_mtime_ns if f.is_file() else 0 for f in self.weight_files)

    def require_record(self) -> RunRecord:
        """The record.

        Raises:
            FerBenchError: it cannot be read.
        """
        if self.record is None:
            raise FerBenchError(f"run {self.id} is unreadable: {self.problem}", code="bad_results")
        return self.record


def read_run(folder: Path) -> StoredRun:
    """What lies in a run's folder, readable or not.

    A record that says `running`, though no process has locked the run, is given as `interrupted`:
    its process was killed, or the machine went down.
    """
    parsed = read_record(folder / RECORD)
    record, problem = (None, parsed) if isinstance(parsed, str) else (parsed, None)
    if record is not None and record.status == "running" and _is_abandoned(folder):
        changes = {"status": "interrupted", "error": ENDED_FROM_OUTSIDE}
        record = record.model_copy(update=changes)
    dataset, name = folder.parent.name, folder.name
    return StoredRun(dataset=dataset, name=name, folder=folder, record=record, problem=problem)


def fetched_run(name: str) -> StoredRun:
    """A run of the hub, called as its record calls it.

    Raises:
        FerBenchError: as `hubs.huggingface.fetch_files`, or a repository that holds no run.
    """
    from fer_bench.hubs.huggingface import fetch_files  # its client takes a while to import
    from fer_bench.hubs.network import endpoint

    folder = fetch_files(parse_repository(name), RUN_FILES, endpoint())
    if not holds_record(folder):
        raise FerBenchError(
            f"{name} holds no run of FER Bench: expected {RECORD} and {WEIGHTS} there, as "
            "`python -m fer_bench push` writes them"
        )
    run = read_run(folder)
    if run.record is None:
        return replace(run, dataset="hub", name=name.partition(":")[2])
    return replace(run, dataset=run.record.dataset.name, name=run.record.name)


def _is_abandoned(folder: Path) -> bool:
    """Whether nobody carries out an unfinished run; of a URL's, another machine may."""
    return mirror_of(folder) is None and not is_carried_out(folder)


def holds_record(folder: Path) -> bool:
    """Whether a run lies in a folder; one cut off while it was first saved does not count."""
    try:
        (folder / RECORD).stat()
    except PermissionError:
        return True  # it may be there, and reading it will say what is wrong
    except (OSError, ValueError):  # ValueError: the name holds a null byte
        return False
    return True
