"""What the Labels page computes once and keeps: suspects, votes, and each run's leak."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd
import streamlit as st

from fer_bench import settings
from fer_bench.errors import FerBenchError
from fer_bench.results.parse import read_predictions
from fer_bench.results.record import RunRecord
from fer_bench.results.stored_run import PREDICTIONS, StoredRun
from fer_bench.studies.labels.label_errors import likely_errors
from fer_bench.studies.labels.leakage import Leakage, leakage
from fer_bench.ui.data import SYNTHETIC, data_state

#: How Streamlit tells runs apart.
BY_FOLDER: dict[str | type[Any], Callable[[Any], str]] = {StoredRun: lambda run: str(run.folder)}


@st.cache_data(max_entries=16, show_spinner="Looking for label errors …", hash_funcs=BY_FOLDER)
def _suspects(run: StoredRun, emotions: tuple[str, ...], changed: int) -> pd.DataFrame:
    return likely_errors(read_predictions(run.folder / PREDICTIONS), emotions)


def suspects(run: StoredRun) -> pd.DataFrame:
    """`studies.labels.label_errors.likely_errors` of a run that has predictions.

    Raises:
        FerBenchError: its predictions are damaged or hold no test images.
    """
    changed = (run.folder / PREDICTIONS).stat().st_mtime_ns
    return _suspects(run, run.require_record().dataset.emotions, changed)


@st.cache_resource(max_entries=2, show_spinner="Reading the votes …")
def _votes(source: str, state: str) -> pd.DataFrame | None:
    from fer_bench.data.vote_counts import find_vote_counts  # brings OpenCV
    from fer_bench.studies.labels.annotators import votes_table

    votes = find_vote_counts(source)
    return None if votes is None else votes_table(votes)


def connected_votes(record: RunRecord) -> pd.DataFrame | None:
    """FER+'s votes on the connected data, as `studies.labels.annotators.votes_table`.

    None for a run on drawn faces, with no data connected, or with no votes next to them.

    Raises:
        FerBenchError: the data or their votes cannot be read.
    """
    source = settings.data_source()
    if source is None or record.dataset.name == SYNTHETIC:
        return None
    return _votes(source, data_state(source))


@st.cache_data(max_entries=4096, show_spinner=False, hash_funcs=BY_FOLDER)
def _leakage(run: StoredRun, emotions: tuple[str, ...], changed: int) -> Leakage | None:
    return leakage(read_predictions(run.folder / PREDICTIONS), emotions)


def leakages(stored: Sequence[StoredRun]) -> tuple[dict[str, Leakage], list[str]]:
    """Each run's leak by its `StoredRun.id`, and a sentence for each damaged file of predictions.

    Runs without predictions on test are left out.
    """
    found, problems = {}, []
    for run in stored:
        try:
            changed = (run.folder / PREDICTIONS).stat().st_mtime_ns
            leak = _leakage(run, run.require_record().dataset.emotions, changed)
        except FileNotFoundError:
            continue
        except FerBenchError as error:
            problems.append(str(error))
            continue
        if leak:
            found[run.id] = leak
    return found, problems
