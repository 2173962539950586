"""Which images the weights of a run have seen, so that no test counts them as new.

A run that goes on from another one, learns from it or asks it (`--pretraining RUN`, `--teacher`,
an ensemble's members) takes over what that one was trained on and chosen by. Whatever data set or
protocol those came from, the pixels' hashes tell whether they stand in this run's test split:
`official`'s PublicTest, for one, is chosen by there and tested on under `kaggle`.
"""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fer_bench.data.dataset import FaceDataset
from fer_bench.errors import FerBenchError
from fer_bench.results.lineage import run_at, starting_run, teachers
from fer_bench.results.location import fetch
from fer_bench.results.store import ResultsStore
from fer_bench.results.stored_run import SEEN, StoredRun
from fer_bench.specs.run import EnsembleSpec, RunSpec
from fer_bench.types import SPLITS

Hashes = NDArray[np.uint64]


def others_of(spec: RunSpec | EnsembleSpec, store: ResultsStore, dataset: str) -> list[StoredRun]:
    """The runs whose weights or answers go into this one.

    Args:
        dataset: the data set's name.

    Raises:
        FerBenchError: a teacher or member that is not stored.
    """
    names = spec.ensemble if isinstance(spec, EnsembleSpec) else spec.teachers
    start = run_at(spec.pretraining) if isinstance(spec, RunSpec) else None
    named = [store.find(f"{dataset}/{name}") for name in names]
    return [*([start] if start else []), *named]


def seen_images(others: Sequence[StoredRun], dataset: FaceDataset) -> tuple[Hashes, list[str]]:
    """uint64 hashes of all that a run made of `others` sees of data, and who of them cannot say.

    Test images that stand in this data set's own train or val are not looked at here: `test_clean`
    leaves them out of every run alike.

    Raises:
        FerBenchError: one of them was trained on images of this test split, or chosen by them.
    """
    parts, silent = [_own(dataset)], []
    for run in others:
        seen = _seen_by(run, dataset, frozenset())
        if seen is None:
            silent.append(run.name)
            continue
        if met := _count_seen(seen, dataset):
            raise FerBenchError(
                f"run {run.name} was trained on, or chosen by, {met:,} of the "
                f"{dataset.split_sizes()['test']:,} test images of {dataset.source} (protocol "
                f"{dataset.protocol}): what it has seen cannot be tested on; choose a run of the "
                "same data and protocol"
            )
        parts.append(seen)
    return np.unique(np.concatenate(parts)), silent


def n_seen(run: StoredRun, dataset: FaceDataset) -> int:
    """How many test images of data a run was trained on or chosen by, beyond those of `test_clean`.

    0 where nobody knows.
    """
    seen = _seen_by(run, dataset, frozenset())
    return 0 if seen is None else _count_seen(seen, dataset)


def _count_seen(seen: Hashes, dataset: FaceDataset) -> int:
    return int(np.isin(dataset.hashes[dataset.clean_test], seen).sum())


def as_file(seen: Hashes) -> bytes:
    """The file that says next to a run's weights which images they have seen."""
    buffer = BytesIO()
    np.save(buffer, seen, allow_pickle=False)
    return buffer.getvalue()


def _own(dataset: FaceDataset) -> Hashes:
    used = (dataset.splits >= 0) & (dataset.splits != SPLITS.index("test"))
    hashes: Hashes = dataset.hashes[used]
    return hashes


def _seen_by(run: StoredRun, dataset: FaceDataset, behind: frozenset[Path]) -> Hashes | None:
    """By a run's own file; of older runs without one, where all of their line is of these data.

    None where that is not known.
    """
    fetch([run.folder / SEEN])
    try:
        hashes: Hashes = np.load(run.folder / SEEN, allow_pickle=False)
        return hashes.astype(np.uint64)
    except FileNotFoundError:
        pass
    except (OSError, ValueError, EOFError):
        raise FerBenchError(
            f"{run.folder / SEEN} is damaged: run the training again to replace it"
        ) from None
    record = run.require_record()
    if record.dataset.fingerprint != dataset.fingerprint or run.folder in behind:
        return None
    before: list[StoredRun | None] = list(teachers(run))
    if isinstance(record.spec, RunSpec) and "/" in record.spec.pretraining:
        start = starting_run(run)
        before += [start] if start or record.spec.pretraining.startswith("results/") else []
    parts = [_own(dataset)]
    for one in before:
        seen = None if one is None else _seen_by(one, dataset, behind | {run.folder})
        if seen is None:
            return None
        parts.append(seen)
    return np.unique(np.concatenate(parts))
