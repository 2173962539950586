"""The answers of several runs to the same images, joined by the images' ids."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fer_bench.errors import FerBenchError
from fer_bench.evaluation.confusion import of_set, scores
from fer_bench.results.leaderboard.rankings import answered_fingerprint
from fer_bench.results.record import RunRecord
from fer_bench.results.stored_run import PREDICTIONS, StoredRun
from fer_bench.types import ImageSet

IMAGE_SETS: tuple[ImageSet, ...] = get_args(ImageSet)
#: As many as there are letters to call them by.
MOST_RUNS = 26
SET_WORDS = {"test": "test", "test_clean": "clean test", "val": "validation"}


@dataclass(frozen=True, kw_only=True)
class SharedAnswers:
    """K runs' answers to the N images that all of them answered, in the order of the ids.

    Attributes:
        names: what the runs are called side by side, best accuracy first, as `runs`.
        ids: str `(N,)`.
        labels: int64 `(N,)`, indices into `emotions`.
        answers: int64 `(K, N)`, likewise.
        confidence: float64 `(K, N)`, in [0, 1].
        left_out: for each run, its images that another run did not answer.
    """

    images: ImageSet
    names: tuple[str, ...]
    runs: tuple[StoredRun, ...]
    emotions: tuple[str, ...]
    ids: NDArray[np.object_]
    labels: NDArray[np.int64]
    answers: NDArray[np.int64]
    confidence: NDArray[np.float64]
    left_out: tuple[int, ...]

    @property
    def records(self) -> tuple[RunRecord, ...]:
        """The runs' records."""
        return tuple(run.require_record() for run in self.runs)


def join(
    runs: Sequence[StoredRun],
    predictions: Sequence[pd.DataFrame],
    images: ImageSet,
    names: Sequence[str] | None = None,
) -> SharedAnswers:
    """Puts the runs' predictions side by side, best accuracy first.

    Args:
        predictions: each run's, as `ResultsStore.predictions` gives them.
        names: what to call the runs, each another way; `display_names` without.

    Raises:
        FerBenchError: fewer than two runs, one given twice or unfinished, runs that were not
            measured on the same images, or predictions that do not fit together.
    """
    records = _finished(runs)
    _require_same_data(runs, records)
    emotions = records[0].dataset.emotions
    tables = [
        _rows(run, of_set(table, images), images)
        for run, table in zip(runs, predictions, strict=True)
    ]
    shared = set(tables[0].index).intersection(*(table.index for table in tables[1:]))
    if not shared:
        raise FerBenchError(
            f"the predictions of {_listed(runs)} have no {SET_WORDS[images]} image in common: "
            "evaluate them on the same data again"
        )
    ids = sorted(shared)
    parts = [scores(table.loc[ids], emotions) for table in tables]
    labels = parts[0][0]
    for run, (own, _) in zip(runs, parts, strict=True):
        if (own != labels).any():
            raise FerBenchError(
                f"{runs[0].name} and {run.name} name another true emotion for image "
                f"{ids[int((own != labels).argmax())]}: evaluate both on the same data again"
            )
    answers = np.stack([probabilities.argmax(axis=1) for _, probabilities in parts])
    confidence = np.stack([probabilities.max(axis=1) for _, probabilities in parts])
    order = np.argsort(-(answers == labels).sum(axis=1), kind="stable")
    names = display_names(runs) if names is None else names
    return SharedAnswers(
        images=images,
        names=tuple(names[i] for i in order),
        runs=tuple(runs[i] for i in order),
        emotions=emotions,
        ids=np.asarray(ids, dtype=object),
        labels=labels,
        answers=answers[order],
        confidence=confidence[order],
        left_out=tuple(len(tables[i]) - len(ids) for i in order),
    )


def display_names(runs: Sequence[StoredRun]) -> list[str]:
    """The runs' names; with their data set's, or their folders, where names repeat."""
    short, full = [run.name for run in runs], [run.id for run in runs]
    if len(set(short)) == len(runs):
        return short
    return full if len(set(full)) == len(runs) else [str(run.folder) for run in runs]


def _finished(runs: Sequence[StoredRun]) -> list[RunRecord]:
    if not 2 <= len(runs) <= MOST_RUNS:
        raise FerBenchError(
            f"expected two to {MOST_RUNS} runs to compare, got {len(runs)}: name "
            f"{'fewer' if runs[2:] else 'another'}"
        )
    seen: set[Path] = set()
    for run in runs:
        folder = run.folder.resolve()
        if folder in seen:
            raise FerBenchError(f"run {run.name} is given twice: name each run once")
        seen.add(folder)
        status = run.require_record().status
        if status != "done":
            raise FerBenchError(f"run {run.name} is {status}: only finished runs can be compared")
    return [run.require_record() for run in runs]


def why_not_together(a: RunRecord, b: RunRecord) -> str | None:
    """Why two records' numbers are about different images, in half a sentence; None if they fit."""
    first, second = a.dataset, b.dataset
    if first.emotions != second.emotions:
        return (
            f"their classes differ ({', '.join(first.emotions)} and {', '.join(second.emotions)})"
        )
    if first.protocol != second.protocol:
        return f"their protocols differ ({first.protocol} and {second.protocol})"
    one, other = answered_fingerprint(a), answered_fingerprint(b)
    if one != other:
        return (
            f"their data differ (fingerprints {one[:12]} of {first.name} and {other[:12]} of "
            f"{second.name})"
        )
    return None


def _require_same_data(runs: Sequence[StoredRun], records: Sequence[RunRecord]) -> None:
    for run, record in zip(runs[1:], records[1:], strict=True):
        reason = why_not_together(records[0], record)
        if reason:
            raise FerBenchError(
                f"{runs[0].name} and {run.name} cannot be compared: {reason}; choose runs that "
                "were measured on the same images"
            )


def _rows(run: StoredRun, table: pd.DataFrame, images: ImageSet) -> pd.DataFrame:
    """A set's predictions by id."""
    if table.empty:
        raise FerBenchError(
            f"run {run.name} has no predictions on {SET_WORDS[images]} images: choose other images "
            "or evaluate the run again"
        )
    rows = table.set_index(table["id"].astype(str))
    if not rows.index.is_unique:
        twice = rows.index[rows.index.duplicated()][0]
        raise FerBenchError(
            f"{run.folder / PREDICTIONS} is damaged (image {twice} stands in it twice): run the "
            "training again to replace it"
        )
    return rows


def _listed(runs: Sequence[StoredRun]) -> str:
    *first, last = (run.name for run in runs)
    return f"{', '.join(first)} and {last}"
