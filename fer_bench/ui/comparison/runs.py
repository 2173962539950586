"""Runs side by side: picked, compared once, and the images that they do not name alike."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import streamlit as st

from fer_bench.formatting import escape
from fer_bench.results.leaderboard.rankings import answered_fingerprint
from fer_bench.results.parse import read_predictions
from fer_bench.results.stored_run import PREDICTIONS, RECORD, StoredRun, read_run
from fer_bench.studies.comparison.compare import Comparison, compare
from fer_bench.types import ImageSet
from fer_bench.ui.pickers import has_moved, keep_address, shown
from fer_bench.ui.records import called, runs

#: What stands in the address: `?runs=<dataset>/<run>,<dataset>/<run>`.
RUNS_PARAMETER = "runs"
#: The box's.
KEY = "compared-runs"
MOST_RUNS = 8


def comparable_groups() -> list[list[StoredRun]]:
    """Finished runs with predictions by what they were measured on, best accuracy first in each.

    The group of the most comparable runs comes first; comparable runs stand before others.
    """
    groups: dict[tuple[object, ...], list[StoredRun]] = {}
    for run in runs():
        if run.record and run.record.status == "done" and (run.folder / PREDICTIONS).exists():
            groups.setdefault(_measured_on(run), []).append(run)
    ordered = [sorted(group, key=_rank) for group in groups.values()]
    return sorted(ordered, key=lambda group: (-sum(map(_comparable, group)), -len(group)))


def _measured_on(run: StoredRun) -> tuple[object, ...]:
    record = run.require_record()
    return (answered_fingerprint(record), record.dataset.protocol, record.dataset.emotions)


def on_the_same_images(chosen: Sequence[StoredRun]) -> list[StoredRun]:
    """The runs that can be compared with the first one; a notice names those that are left out."""
    same = [run for run in chosen if _measured_on(run) == _measured_on(chosen[0])]
    if left_out := [run for run in chosen if run not in same]:
        names = ", ".join(escape(called(run.id)) for run in left_out)
        st.warning(f"Left out, as they were measured on other images: {names}.")
    return same


def _comparable(run: StoredRun) -> bool:
    return run.require_record().comparable


def _rank(run: StoredRun) -> tuple[bool, float]:
    test = run.require_record().metrics.get("test")
    return (not _comparable(run), -test.accuracy if test else 0.0)


def pick_runs(groups: Sequence[Sequence[StoredRun]]) -> list[StoredRun]:
    """A box of several runs that follows, and keeps up, the address's `?runs=`.

    Args:
        groups: as `comparable_groups` gives them; without the address, the first group's two best.
    """
    by_id = {run.id: run for group in groups for run in group}
    given = st.query_params.get_all(RUNS_PARAMETER)
    wanted = [name for name in ",".join(given).split(",") if name]
    unknown = [name for name in wanted if name not in by_id]
    if unknown:
        listed = escape(", ".join(map(shown, unknown)))
        st.warning(f"Nothing to compare of {listed}: no finished run here.")
    known = list(dict.fromkeys(name for name in wanted if name in by_id))[:MOST_RUNS]
    usual = [run.id for run in groups[0][:2]]
    if KEY not in st.session_state or has_moved(RUNS_PARAMETER, KEY):
        st.session_state[KEY] = known or usual
    names = st.multiselect(
        "Runs",
        list(by_id),
        format_func=called,
        max_selections=MOST_RUNS,
        key=KEY,
        help=f"Two to {MOST_RUNS} runs that were measured on the same images.",
    )
    keep_address(RUNS_PARAMETER, [",".join(names)], KEY, [",".join(usual)])
    return [by_id[name] for name in names]


def compared(chosen: Sequence[StoredRun], images: ImageSet) -> Comparison:
    """`compare` of stored runs, cached between visits: not to be modified.

    Raises:
        FerBenchError: as `studies.comparison.compare.compare`.
    """
    changed = tuple(_changed(run.folder / file) for run in chosen for file in (RECORD, PREDICTIONS))
    names = tuple(called(run.id) for run in chosen)
    return _compare(tuple(str(run.folder) for run in chosen), names, changed, images)


def _changed(file: Path) -> int:
    try:
        return file.stat().st_mtime_ns
    except OSError:
        return 0


@st.cache_resource(max_entries=16, show_spinner="Comparing the runs …")
def _compare(
    folders: tuple[str, ...], names: tuple[str, ...], changed: tuple[int, ...], images: ImageSet
) -> Comparison:
    stored = [read_run(Path(folder)) for folder in folders]
    predictions = [read_predictions(run.folder / PREDICTIONS) for run in stored]
    return compare(stored, predictions, images, names=names)
