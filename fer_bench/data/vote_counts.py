"""How FER+'s annotators voted on the faces of a source: all votes, before any rule of FER+."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fer_bench.emotions import FERPLUS
from fer_bench.types import Progress, silent

#: What each column of the counts stands for.
CHOICES = (*FERPLUS, "unknown", "no face")


@dataclass(frozen=True, kw_only=True)
class VoteCounts:
    """ids: str `(N,)`, as in `SourceData`; counts: int64 `(N, 10)`, votes for each of `CHOICES`.

    A face that FER+ does not know has no votes: its row is all 0.
    """

    ids: NDArray[np.str_]
    counts: NDArray[np.int64]


def find_vote_counts(
    source: str | Path,
    *,
    votes_file: Path | None = None,
    rows_file: Path | None = None,
    progress: Progress = silent,
) -> VoteCounts | None:
    """The votes on FER2013's faces; None for other data, or where no votes lie next to them.

    Args:
        votes_file, rows_file: as in `load_dataset`; both are also found next to the source.

    Raises:
        FerBenchError: a source that cannot be read, votes that do not belong to it, or Kaggle's
            files without a table of their rows.
    """
    # They bring OpenCV, which whoever only names these votes can spare.
    from fer_bench.data.load import Source, find_sibling_file
    from fer_bench.data.readers.fer2013_rows import rows_of
    from fer_bench.data.readers.ferplus import ROWS_FILE, VOTES_FILE, apply_votes, read_votes

    loaded = Source(data=str(source)).read(progress=progress)
    data = loaded.data
    if loaded.path is None or (data.name != "fer2013" and votes_file is None):
        return None
    votes_file = votes_file or find_sibling_file(loaded, VOTES_FILE)
    if votes_file is None:
        return None
    rows_file = rows_file or find_sibling_file(loaded, ROWS_FILE)
    apply_votes(data, "majority", votes_file=votes_file, rows_file=rows_file)  # checks they belong
    voted, rows = read_votes(votes_file), rows_of(data, rows_file)
    counts = np.zeros((len(rows), len(CHOICES)), dtype=np.int64)
    known = rows >= 0
    counts[known] = voted.counts[rows[known]]
    counts[known] *= (voted.images[rows[known]] != "")[:, None]
    return VoteCounts(ids=data.ids, counts=counts)
