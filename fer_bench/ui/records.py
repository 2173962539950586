"""The stored runs, cached between reruns, and the box to pick one."""

from __future__ import annotations

import gc
import hashlib
import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import pandas as pd
import streamlit as st

from fer_bench import settings
from fer_bench.errors import FerBenchError
from fer_bench.formatting import escape
from fer_bench.results.locks import carried_out
from fer_bench.results.parse import read_history, read_predictions
from fer_bench.results.record import RunRecord
from fer_bench.results.reports.human_line import HumanLine
from fer_bench.results.reports.human_line import human_line as find_human_line
from fer_bench.results.reports.latency_files import LATENCY, NETWORKS, StoredLatency, list_latencies
from fer_bench.results.store import (
    DEFAULT,
    DEFAULT_FILE,
    ResultsStore,
    open_results,
    shipped_results,
)
from fer_bench.results.stored_run import HISTORY, PREDICTIONS, RECORD, StoredRun
from fer_bench.results.summary import mark_own, run_ids, summary_table
from fer_bench.results.titles import model_title
from fer_bench.results.usage import fer_bench_command
from fer_bench.settings import Settings
from fer_bench.studies.latency.tables import MeasuredNetwork, measured_networks
from fer_bench.types import ImageSet

#: How a record's metrics are called on the pages, in reading order.
SET_NAMES: dict[ImageSet, str] = {"test": "Test", "test_clean": "Clean test", "val": "Validation"}
_Stored = tuple[list[StoredRun], pd.DataFrame, dict[str, str]]
_T = TypeVar("_T")
#: Where a visit keeps what the page's script has looked up since it began.
SEEN = "records-seen"
#: Seconds between two looks at results that lie at a URL.
LOOK_EVERY = 60.0


def look_again() -> None:
    """Call first in the app's script: what an earlier run of it has seen may have changed."""
    st.session_state[SEEN] = {}


def _cached_per_rerun(what: str, look_up: Callable[[], _T]) -> _T:
    """Looked up once in a run of the app's script: a page asks for names a hundred times."""
    seen: dict[str, _T] | None = st.session_state.get(SEEN)
    if seen is None:  # outside the app
        return look_up()
    if what not in seen:
        seen[what] = look_up()
    return seen[what]


def results_store() -> ResultsStore:
    """The records: those of `FER_BENCH_RESULTS`, or of `results/` next to `app.py`.

    A URL is asked for what is new, at most so often that no page waits for it twice; one that
    cannot be read ends the page with a sentence.
    """
    return _cached_per_rerun("store", _open_store)


def _open_store() -> ResultsStore:
    given = own_results()
    if not given:
        return ResultsStore(shipped_results())
    try:
        return open_results(given, every=LOOK_EVERY)
    except FerBenchError as error:
        st.error(escape(str(error)), icon=":material/error:")
        st.stop()


def own_results() -> str | None:
    """The results folders or URLs that this dashboard was given; None for the shipped one."""
    return Settings().results


def _state(roots: Sequence[Path], file: str) -> str:
    """A digest that changes as soon as any run's file of this name is added, changed or removed.

    It is made anew on every rerun of a page, hence no `Path.glob`, which takes five times as long.
    """
    digest = hashlib.sha256()
    for dataset in (dataset for root in roots for dataset in _subfolders(root)):
        for run in _subfolders(dataset):
            try:
                stat = os.stat(f"{run}/{file}")  # noqa: PTH116
            except OSError:
                continue
            digest.update(f"{run}{stat.st_mtime_ns}{stat.st_size}".encode())
    return digest.hexdigest()


def _runs_state(roots: Sequence[Path]) -> str:
    """As `_state` of the records, and of which runs are at work: one that was killed is not."""
    return " ".join((_state(roots, RECORD), *sorted(carried_out(roots[0]))))


def _subfolders(folder: Path | str) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entry.path for entry in entries if entry.is_dir())
    except OSError:
        return []


@contextmanager
def _uncollected() -> Iterator[None]:
    """What is made in this block is no garbage: Python's collector shall not look for any in it.

    Parsing 1,000 records makes so many objects that walking through them takes twice as long as
    making them, and 0.14 s more after each rerun, when Streamlit collects.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if enabled:
            gc.enable()


@st.cache_resource(max_entries=2, show_spinner="Reading the records …")
def _load(roots: tuple[Path, ...], state: str) -> _Stored:
    with _uncollected():
        stored = ResultsStore(*roots).runs()
        runs_table = mark_own(summary_table(stored))
        return stored, runs_table, dict(zip(run_ids(runs_table), runs_table["title"], strict=True))


def _stored() -> _Stored:
    return _cached_per_rerun("runs", lambda: _load(results_store().roots, _state_now()))


def _state_now() -> str:
    """`_runs_state` of the records."""
    return _cached_per_rerun("state", lambda: _runs_state(results_store().roots))


def runs() -> list[StoredRun]:
    """Every stored run; parsed once, and again when the folder changes. Not to be modified."""
    return _stored()[0]


def readable_runs() -> dict[str, StoredRun]:
    """The runs whose records can be read, by `StoredRun.id`. Not to be modified."""
    return _cached_per_rerun("readable", lambda: {run.id: run for run in runs() if run.record})


def table() -> pd.DataFrame:
    """`summary_table` of `runs()`; the caller's own copy."""
    return _stored()[1].copy()


def titles() -> dict[str, str]:
    """What people call each run, by `StoredRun.id`; unreadable runs have none. Not to be modified.

    Each title stands for one run alone.
    """
    return _stored()[2]


def called(name: str) -> str:
    """What people call the run or bare network `dataset/run`; its id where it has no title."""
    folder, _, network = name.partition("/")
    if folder == NETWORKS and (size := re.fullmatch(r"(.+)-(\d+)px", network)):
        return f"{model_title(size[1])}, {size[2]} px"
    return titles().get(name, name)


def latencies() -> list[StoredLatency]:
    """Every `latency.json`, of runs and of bare networks; read again when one changes."""
    roots = results_store().roots
    return _load_latencies(roots, _state(roots, LATENCY))


@st.cache_resource(max_entries=2, show_spinner=False)
def _load_latencies(roots: tuple[Path, ...], state: str) -> list[StoredLatency]:
    return list_latencies(*roots)


def measured() -> list[MeasuredNetwork]:
    """Every readable latency report: runs first, then bare networks. Not to be modified."""
    models = {run.id: run.record.spec.labels.model for run in runs() if run.record}
    networks = measured_networks(latencies(), models)
    return sorted(networks, key=lambda one: one.name not in models)


def record_of(row: pd.Series[str]) -> RunRecord:
    """The record behind a row of `table()`."""
    wanted = f"{row['dataset']}/{row['run']}"
    return next(run for run in runs() if run.id == wanted).require_record()


def human_line(record: RunRecord) -> HumanLine | None:
    """What people give on a run's test images, where it is stored.

    A damaged file ends in a sentence, and the page goes on.
    """
    try:
        return find_human_line(results_store().roots, record)
    except FerBenchError as error:
        st.error(escape(str(error)), icon=":material/error:")
        return None


def history(run: StoredRun) -> pd.DataFrame | None:
    """A run's epochs so far, or None where it has none.

    Raises:
        FerBenchError: the file is damaged.
    """
    return _part(run, HISTORY)


def predictions(run: StoredRun) -> pd.DataFrame | None:
    """A run's predictions, or None where it has none.

    Raises:
        FerBenchError: the file is damaged.
    """
    return _part(run, PREDICTIONS)


def _part(run: StoredRun, file: str) -> pd.DataFrame | None:
    path = run.folder / file
    if not path.exists():
        return None
    return _read_part(run, file, path.stat().st_mtime_ns)


@st.cache_data(max_entries=16, show_spinner=False, hash_funcs={StoredRun: lambda r: str(r.folder)})
def _read_part(run: StoredRun, file: str, changed: int) -> pd.DataFrame:
    read = read_history if file == HISTORY else read_predictions
    return read(run.folder / file)


def default_id() -> str | None:
    """The `dataset/run` marked as default; None where there is none."""
    return _cached_per_rerun("default", _look_up_default)


def _look_up_default() -> str | None:
    roots, changed = results_store().roots, 0
    for root in roots:
        try:
            changed += (root / DEFAULT_FILE).stat().st_mtime_ns
        except OSError:
            continue
    return _default(roots, changed, _state_now()) if changed else None


@st.cache_data(max_entries=2, show_spinner=False)
def _default(roots: tuple[Path, ...], changed: int, state: str) -> str | None:
    try:
        return ResultsStore(*roots).find(DEFAULT).id
    except FerBenchError:
        return None


def command(words: str) -> str:
    """A command to copy: `RUN` in it becomes a run that is here, and own results are named."""
    if "RUN" in words.split():
        done = [run for run in runs() if run.record and run.record.status == "done"]
        best = max(done, key=merit).id if done else "RUN"
        name = DEFAULT if default_id() else best
        words = " ".join(name if word == "RUN" else word for word in words.split())
    return fer_bench_command(words, own_results())


def merit(run: StoredRun) -> tuple[bool, float]:
    """Orders runs: comparable ones by test accuracy, then the others."""
    test = run.record.metrics.get("test") if run.record else None
    return (bool(run.record and run.record.comparable), test.accuracy if test else -1.0)


def status_line() -> None:
    """How many runs there are and whether data are at hand: the app's one line of state."""
    stored = runs()
    failed = sum(run.record is None or run.record.status == "failed" for run in stored)
    parts = [f"{len(stored):,} run{'' if len(stored) == 1 else 's'}"]
    if failed:
        parts.append(f"{failed} failed")
    parts.append("data set connected" if settings.data_source() else "no data set connected")
    st.caption(" · ".join(parts))
