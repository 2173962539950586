"""Runs on disk: `results/<dataset>/<run>/` with record.json, history.csv, predictions.parquet."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from fer_bench.environment import dashboard_folder
from fer_bench.errors import FerBenchError, unknown_name
from fer_bench.hubs.address import is_on_hub, parse_repository
from fer_bench.results.location import (
    address_of,
    discard,
    is_stored,
    local_folders,
    mirror_of,
    saving,
    shown_location,
    write_results,
)
from fer_bench.results.locks import WORK, is_carried_out
from fer_bench.results.parse import parse_record, read_history, read_predictions, read_record
from fer_bench.results.record import RunRecord
from fer_bench.settings import Settings
from fer_bench.storage import cache_dir

if TYPE_CHECKING:
    import pandas as pd

RECORD, HISTORY, PREDICTIONS = "record.json", "history.csv", "predictions.parquet"
#: The trained network of a run, where it was stored.
WEIGHTS = "model.safetensors"
#: Next to them: uint64 hashes of the images that they were trained on or chosen by.
SEEN = "seen.npy"
#: All that a run's folder may hold, and a repository of the hub with it.
RUN_FILES = (
    RECORD, HISTORY, PREDICTIONS, WEIGHTS, SEEN, "model.json", "exports.json", "latency.json",
    "robustness.json", "transfer.json",
)  # fmt: skip
#: What happened to a run whose record says `running` though no process carries it out.
ENDED_FROM_OUTSIDE = (
    "its process was ended before it was done: train it again with `--resume` to go on after the "
    "last finished epoch"
)
#: The name that stands for the shipped model, and the file in the root that says `dataset/run`.
DEFAULT, DEFAULT_FILE = "default", "default.txt"
#: Where runs are unless something else is given: in the current folder.
DEFAULT_ROOT = "results"
NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")


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


class ResultsStore:
    """All runs under one root folder, or several, which need not exist yet.

    New runs are written to the first root. Of two runs with the same data set and name, the one of
    the earlier root counts.
    """

    def __init__(self, root: Path, *others: Path) -> None:
        self.root = root
        self.roots = tuple(dict.fromkeys((root, *others)))

    @property
    def location(self) -> str:
        """What messages and commands call it: its folders, or the URLs that these follow."""
        return os.pathsep.join(map(shown_location, self.roots))

    @property
    def address(self) -> str:
        """What opens it from anywhere on this machine: absolute paths and whole URLs."""
        return os.pathsep.join(map(address_of, self.roots))

    def folder(self, dataset: str, name: str) -> Path:
        """Where a new run is written to.

        Raises:
            FerBenchError: an invalid name (path separators, upper case, ...).
        """
        return self.root / _checked("data set", dataset) / _checked("run", name)

    def work_folder(self, dataset: str, name: str) -> Path:
        """Scratch for a run that is not finished; `runs` never looks there.

        Raises:
            FerBenchError: as `folder`.
        """
        return self.root / WORK / self.folder(dataset, name).relative_to(self.root)

    def tidy(self, dataset: str, name: str) -> None:
        """Removes what a process that was killed while it saved this run left half written.

        Raises:
            FerBenchError: as `folder`.
        """
        for leftover in self.folder(dataset, name).glob(".*.tmp"):
            leftover.unlink(missing_ok=True)

    def _folders(self) -> list[Path]:
        """Run folders; one without a record (cut off while it was first saved) is no run."""
        runs: dict[tuple[str, str], Path] = {}
        for root in self.roots:
            for dataset in _subfolders(root):
                for run in filter(_holds_record, _subfolders(dataset)):
                    runs.setdefault((dataset.name, run.name), run)
        return list(runs.values())

    def runs(self) -> list[StoredRun]:
        """Every run, by root, data set and name; an unreadable one says so in `problem`.

        Raises:
            FerBenchError: the root itself cannot be listed.
        """
        return [self._read(folder) for folder in self._folders()]

    def _read(self, folder: Path) -> StoredRun:
        own = len(self.roots) > 1 and folder.is_relative_to(self.root)
        return replace(read_run(folder), own=own)

    def find(self, name: str) -> StoredRun:
        """A run by its name, by `dataset/name`, by its folder, or the `default` one.

        Where no folder was named and the usual one marks none, `default` is the shipped run.
        `hub:ORG/NAME` is one that was pushed to the Hugging Face hub, fetched into the cache.

        Raises:
            FerBenchError: no such run (near names suggested), or several of that name.
        """
        if name == DEFAULT:
            return self._default()
        if is_on_hub(name):
            return _fetched_run(name)
        folders = self._folders()
        matches = [f for f in folders if name in (f.name, f"{f.parent.name}/{f.name}")]
        if len(matches) > 1:
            full = " or ".join(f"{f.parent.name}/{f.name}" for f in matches)
            raise FerBenchError(f"several runs are named {name!r}: say {full}")
        if matches:
            return self._read(matches[0])
        if _holds_record(Path(name)):
            return read_run(Path(name).resolve())
        if not folders:
            raise FerBenchError(
                f"unknown run {name!r:.160}: {self.location} holds no runs yet; "
                "train one with `python -m fer_bench train`",
                code="unknown_name",
            )
        known = {DEFAULT, *(f.name for f in folders)}
        raise unknown_name("run", name, known)

    def or_shipped(self) -> ResultsStore:
        """The shipped runs where this is the usual folder and it is not there; else itself."""
        missing = self.roots == (Path(DEFAULT_ROOT),) and not self.root.exists()
        return ResultsStore(shipped_results()) if missing else self

    def _default(self) -> StoredRun:
        marked = (root / DEFAULT_FILE for root in self.roots)
        path = next((file for file in marked if file.exists()), self.root / DEFAULT_FILE)
        shipped = shipped_results()
        if self.roots == (Path(DEFAULT_ROOT),) and not path.exists() and shipped.is_dir():
            return ResultsStore(shipped).find(DEFAULT)  # anywhere after `pip install`
        try:
            name = path.read_text(encoding="utf-8").strip()
        except FileNotFoundError:
            raise FerBenchError(
                f"no run is marked as default: name a run, or write `dataset/run` into {path}"
            ) from None
        except (OSError, UnicodeDecodeError) as error:
            raise FerBenchError(f"cannot read {path}: {error}", code="missing_file") from None
        for run in self.runs():
            if name == run.id:
                return run
        raise FerBenchError(f"{path} names {name!r}, which is no run: write `dataset/run` into it")

    def mark_default(self, run: StoredRun) -> None:
        """Makes a run the one that `find("default")` gives.

        Raises:
            FerBenchError: a run that is not finished or of another results folder, or a disk that
                is full or not writable.
        """
        status = run.require_record().status
        if status != "done":
            raise FerBenchError(
                f"run {run.name} is {status}: only a finished run can be the default"
            )
        if run.folder.resolve() not in {folder.resolve() for folder in self._folders()}:
            raise FerBenchError(
                f"run {run.name} lies in {run.folder}, expected one in {self.location}: name that "
                "results folder, or copy the run here"
            )
        with saving(f"{run.id} as default", self.root):
            write_results({self.root / DEFAULT_FILE: f"{run.id}\n".encode()})

    def exists_done(self, dataset: str, name: str) -> bool:
        """Whether a finished, readable record of this run is there."""
        record = read_run(self.folder(dataset, name)).record
        return record is not None and record.status == "done"

    def history(self, run: StoredRun) -> pd.DataFrame:
        """A run's epochs, as `training.job.TrainingOutcome` describes them.

        Raises:
            FerBenchError: no such file, or one that is damaged.
        """
        return read_history(run.folder / HISTORY)

    def predictions(self, run: StoredRun) -> pd.DataFrame:
        """A run's predictions, as `evaluation.evaluate.Evaluation` describes them.

        Raises:
            FerBenchError: no such file, or one that is damaged.
        """
        return read_predictions(run.folder / PREDICTIONS)

    def save(
        self,
        record: RunRecord,
        *,
        history: pd.DataFrame | None = None,
        predictions: pd.DataFrame | None = None,
        network: Mapping[str, bytes] | None = None,
    ) -> Path:
        """Writes a run; the record comes last, so a record always has its files next to it.

        Files whose table is None stay as they are. `network` is its trained network's files, by
        name, as `models.weights.model_files` gives them; empty where none is stored, and an earlier
        run's weights would pass for its own.

        Returns:
            The run's folder.

        Raises:
            FerBenchError: an invalid name, a record that could not be read again, or a disk
                that is full or not writable; what was there before is intact.
        """
        folder = self.folder(record.dataset.name, record.name)
        text = record.model_dump_json(indent=2).encode() + b"\n"
        problem = parse_record(text)
        if isinstance(problem, str):
            raise FerBenchError(f"run {record.name} cannot be saved: {problem}")
        files = {folder / name: content for name, content in (network or {}).items()}
        if history is not None:
            files[folder / HISTORY] = history.to_csv(index=False).encode()
        if predictions is not None:
            buffer = BytesIO()
            predictions.to_parquet(buffer, index=False)
            files[folder / PREDICTIONS] = buffer.getvalue()
        files[folder / RECORD] = text
        with saving(record.name, folder):
            folder.mkdir(parents=True, exist_ok=True)
            write_results(files)
            if network is not None and SEEN not in network:
                discard(folder / SEEN)
            if network is not None and not network:
                discard(folder / WEIGHTS)
        return folder


def shipped_results() -> Path:
    """The folder of the results that come with FER Bench."""
    return dashboard_folder() / DEFAULT_ROOT


def open_results(place: str | Path | None = None, *, every: float = 0) -> ResultsStore:
    """The runs in a results folder, or at a URL such as `s3://bucket/lab`; or in several.

    Args:
        place: None for `$FER_BENCH_RESULTS`, or `results` in the current folder. It need not exist.
            Several have `os.pathsep` between them, as in `mine:results`: new runs go to the first.
        every: a URL is not asked again for what is new within so many seconds.

    Raises:
        FerBenchError: a URL that cannot be opened or read.
    """
    place = place or Settings().results or DEFAULT_ROOT
    return ResultsStore(*local_folders(str(place), cache_dir() / "results", every=every))


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


def _fetched_run(name: str) -> StoredRun:
    """A run of the hub, called as its record calls it."""
    from fer_bench.hubs.huggingface import fetch_files  # its client takes a while to import
    from fer_bench.hubs.network import endpoint

    folder = fetch_files(parse_repository(name), RUN_FILES, endpoint())
    if not _holds_record(folder):
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


def _checked(kind: str, name: str) -> str:
    if not NAME.fullmatch(name):
        raise FerBenchError(
            f"expected a {kind} name of lower-case letters, digits, '.', '_' and '-' that starts "
            f"with a letter or digit, got {name!r}: rename it"
        )
    return name


def _holds_record(folder: Path) -> bool:
    try:
        (folder / RECORD).stat()
    except PermissionError:
        return True  # it may be there, and reading it will say what is wrong
    except (OSError, ValueError):  # ValueError: the name holds a null byte
        return False
    return True


def _subfolders(folder: Path) -> Iterator[Path]:
    """Folders in a folder, by name, without hidden ones (`.work` is the running jobs' scratch)."""
    try:
        with os.scandir(folder) as entries:
            names = [e.name for e in entries if e.is_dir() and not e.name.startswith(".")]
    except FileNotFoundError:
        return
    except OSError as error:
        raise FerBenchError(f"cannot list {folder}: {error.strerror}") from None
    yield from (folder / name for name in sorted(names))
