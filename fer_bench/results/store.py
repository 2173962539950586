"""Runs on disk: `results/<dataset>/<run>/` with record.json, history.csv, predictions.parquet."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from fer_bench.environment import dashboard_folder
from fer_bench.errors import FerBenchError, unknown_name
from fer_bench.hubs.address import is_on_hub
from fer_bench.results.location import (
    address_of,
    discard,
    local_folders,
    saving_results,
    shown_location,
    write_results,
)
from fer_bench.results.locks import WORK
from fer_bench.results.parse import parse_record, read_history, read_predictions
from fer_bench.results.record import RunRecord
from fer_bench.results.stored_run import (
    HISTORY,
    OF_NETWORK,
    PREDICTIONS,
    RECORD,
    SEEN,
    WEIGHTS,
    StoredRun,
    fetched_run,
    holds_record,
    read_run,
)
from fer_bench.settings import Settings, cache_dir
from fer_bench.storage import remove_leftovers

if TYPE_CHECKING:
    import pandas as pd

#: The name that stands for the shipped model, and the file in the root that says `dataset/run`.
DEFAULT, DEFAULT_FILE = "default", "default.txt"
#: Where runs are unless something else is given: in the current folder.
DEFAULT_ROOT = "results"
NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")


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
        remove_leftovers(self.folder(dataset, name))

    def _folders(self) -> list[Path]:
        """Run folders; one without a record (cut off while it was first saved) is no run."""
        runs: dict[tuple[str, str], Path] = {}
        for root in self.roots:
            for dataset in _subfolders(root):
                for run in filter(holds_record, _subfolders(dataset)):
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
            return fetched_run(name)
        folders = self._folders()
        matches = [f for f in folders if name in (f.name, f"{f.parent.name}/{f.name}")]
        if len(matches) > 1:
            full = " or ".join(f"{f.parent.name}/{f.name}" for f in matches)
            raise FerBenchError(f"several runs are named {name!r}: say {full}")
        if matches:
            return self._read(matches[0])
        if holds_record(Path(name)):
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
        self.require_here(run)
        with saving_results(f"{run.id} as default", self.root):
            write_results({self.root / DEFAULT_FILE: f"{run.id}\n".encode()})

    def require_here(self, run: StoredRun) -> None:
        """Raises FerBenchError for a run of another results folder."""
        if run.folder.resolve() not in {folder.resolve() for folder in self._folders()}:
            raise FerBenchError(
                f"run {run.name} lies in {run.folder}, expected one in {self.location}: name that "
                "results folder, or copy the run here"
            )

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
        name, as `models.weights.model_files` gives them; empty where none is stored. An
        earlier network's weights, exports and latency, which would pass for its own, go then.

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
        with saving_results(record.name, folder):
            write_results(files)
            if network is not None:
                for name in {WEIGHTS, SEEN, *OF_NETWORK} - {*network}:
                    discard(folder / name)
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


def _checked(kind: str, name: str) -> str:
    if not NAME.fullmatch(name):
        raise FerBenchError(
            f"expected a {kind} name of lower-case letters, digits, '.', '_' and '-' that starts "
            f"with a letter or digit, got {name!r}: rename it"
        )
    return name


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
