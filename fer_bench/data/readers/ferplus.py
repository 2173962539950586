"""FER+ (Barsoum et al. 2016, arXiv 1608.01041): ten votes per FER2013 face, as soft labels.

The rules are those of Microsoft's reader (github.com/microsoft/FERPlus, `src/ferplus.py`,
`_process_data`), so the majority mode keeps 25,060 / 3,199 / 3,153 faces of the original CSV.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fer_bench.data.dataset import UNASSIGNED, LeftOut, SourceData
from fer_bench.data.files import csv_table
from fer_bench.data.files.archive import is_tree, open_tree
from fer_bench.data.readers.fer2013 import ROW_ID, Fer2013CsvReader, KaggleReader
from fer_bench.data.readers.fer2013_rows import is_from_csv, rows_of
from fer_bench.data.readers.registry import Reader, Reading
from fer_bench.emotions import FERPLUS
from fer_bench.errors import FerBenchError
from fer_bench.specs.run import VoteMode

VOTES_FILE = "fer2013new.csv"
ROWS_FILE = "kaggle_rows.csv"
VOTE_COLUMNS = (
    "neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt",
    "unknown", "NF",
)  # fmt: skip
#: Votes from here on are "unknown" and "no face".
N_EMOTIONS = len(FERPLUS)
MULTI_TARGET_SHARE = 0.3
#: Labels of shifted rows agree by chance, a seventh; of so few faces in a row nobody can tell.
#: Of 200, 51 to 74 % agree in FER2013, and 10 to 28 % where rows are one off.
LEAST_AGREEMENT, LEAST_FACES = 0.4, 200


@dataclass(frozen=True, kw_only=True)
class VoteTable:
    """counts: int64 `(R, 10)` votes; usages, images: str `(R,)`; row i is row i of fer2013.csv."""

    counts: NDArray[np.int64]
    usages: NDArray[np.str_]
    images: NDArray[np.str_]


@dataclass(frozen=True, kw_only=True)
class VotedLabels:
    """FER+'s labels of a source's samples.

    Attributes:
        labels: int64 `(N,)`, indices into `FERPLUS`; -1 where FER+ gives none.
        votes: float32 `(N, 8)`, rows sum to 1; zero where FER+ gives none.
        left_out: the samples without a label, and why.
    """

    labels: NDArray[np.int64]
    votes: NDArray[np.float32]
    left_out: tuple[LeftOut, ...]


def read_votes(path: Path) -> VoteTable:
    """Reads `fer2013new.csv`.

    Raises:
        FerBenchError: no such file, other columns, or a row whose votes are no numbers.
    """
    if not path.is_file():
        raise FerBenchError(
            f"the FER+ votes {path} do not exist: expected {VOTES_FILE} from "
            "github.com/microsoft/FERPlus"
        )
    rows = csv_table.rows(path)
    columns = [c.strip() for c in next(rows, [])]
    wanted = ["Usage", "Image name", *VOTE_COLUMNS]
    if columns != wanted:
        raise FerBenchError(
            f"{path.name} holds no FER+ votes: expected the columns {','.join(wanted)}, "
            f"got {','.join(columns)[:80] or 'an empty file'}"
        )
    usages, images, counts = [], [], []
    for number, row in enumerate(rows):
        if len(row) != len(wanted) or not all(csv_table.is_count(v.strip()) for v in row[2:]):
            raise FerBenchError(
                f"row {number} of {path.name} is damaged: expected a usage, an image name and "
                f"{len(VOTE_COLUMNS)} whole numbers; download the file again"
            )
        usages.append(row[0])
        images.append(row[1].strip())
        counts.append([int(v) for v in row[2:]])
    return VoteTable(
        counts=np.array(counts, dtype=np.int64).reshape(-1, len(VOTE_COLUMNS)),
        usages=np.array(usages),
        images=np.array(images),
    )


def targets(counts: NDArray[np.int64], mode: VoteMode) -> NDArray[np.float32]:
    """float32 `(R, 8)` from votes int64 `(R, 10)`: rows sum to 1, or are zero where discarded.

    In all modes an emotion with a single vote counts as an outlier, and a face is discarded whose
    strongest counted vote is "unknown" or "no face".
    majority: all on the emotion with more than half of the votes.
    soft-majority: the same faces and labels, but the targets keep all emotions' shares.
    probability: the strongest emotions up to three quarters of the votes, at most three.
    multi-target: the emotions with 30 % or more of the votes, which share more than half. Kept in
        proportion; the paper's loss then treats all above zero as equal.
    """
    rule = _RULES[mode]
    distinct, which = np.unique(counts, axis=0, return_inverse=True)
    distributions = np.array(
        [_target(row, rule(row)) for row in np.where(distinct > 1, distinct, 0)]
    )
    result: NDArray[np.float32] = distributions.reshape(-1, N_EMOTIONS)[which.reshape(-1)].astype(
        np.float32
    )
    return result


def _target(votes: NDArray[np.int64], counted: NDArray[np.int64] | None) -> NDArray[np.float64]:
    """The counted votes as shares; zero where the face is discarded."""
    if counted is None or counted.argmax() >= N_EMOTIONS:
        return np.zeros(N_EMOTIONS)
    shares: NDArray[np.float64] = counted[:N_EMOTIONS] / counted[:N_EMOTIONS].sum()
    return shares


def _majority(votes: NDArray[np.int64]) -> NDArray[np.int64] | None:
    peak = votes.max()
    if peak <= 0.5 * votes.sum():
        return None
    counted = np.zeros_like(votes)
    counted[votes.argmax()] = peak
    return counted


def _soft_majority(votes: NDArray[np.int64]) -> NDArray[np.int64] | None:
    return None if _majority(votes) is None else votes


def _probability(votes: NDArray[np.int64]) -> NDArray[np.int64] | None:
    total, left = votes.sum(), votes.copy()
    counted = np.zeros_like(votes)
    integrated = count = 0
    emotions_only = True
    while integrated < 0.75 * total and count < 3 and emotions_only:
        peak = left.max()
        for i in np.flatnonzero(left == peak):
            counted[i], left[i] = peak, 0
            integrated += peak
            count += 1
            if i >= N_EMOTIONS:  # unknown or no face ends it, and counts only where it leads alone
                emotions_only = False
                if counted.sum() > peak:
                    counted[i] = 0
                    count -= 1
                break
    return None if counted.sum() <= 0.5 * total or count > 3 else counted


def _multi_target(votes: NDArray[np.int64]) -> NDArray[np.int64] | None:
    counted = np.where(votes >= MULTI_TARGET_SHARE * votes.sum(), votes, 0)
    return None if counted.sum() <= 0.5 * votes.sum() else counted


_RULES: dict[VoteMode, Callable[[NDArray[np.int64]], NDArray[np.int64] | None]] = {
    "majority": _majority,
    "soft-majority": _soft_majority,
    "probability": _probability,
    "multi-target": _multi_target,
}


def apply_votes(
    data: SourceData, mode: VoteMode, *, votes_file: Path, rows_file: Path | None = None
) -> VotedLabels:
    """FER+'s labels for FER2013, read from the original CSV or from Kaggle's files.

    Args:
        rows_file: for Kaggle's files only: which row each is, as a `row,file` CSV or as the
            original `fer2013.csv`, whose pixels are then compared.

    Raises:
        FerBenchError: files missing or damaged, or votes that do not belong to this source.
    """
    if data.name != "fer2013":
        raise FerBenchError(
            f"FER+ votes are for FER2013, but {data.source} is {data.name}: "
            "give fer2013.csv or Kaggle's FER2013, or leave the votes out"
        )
    voted = read_votes(votes_file)
    rows = rows_of(data, rows_file)
    _require_match(data, voted, rows, votes_file)
    _require_agreement(data, voted, rows, votes_file)
    votes = np.zeros((len(rows), N_EMOTIONS), dtype=np.float32)
    matched = rows >= 0
    votes[matched] = targets(voted.counts[rows[matched]], mode)
    votes[matched] *= (voted.images[rows[matched]] != "")[:, None]
    labels = np.where(votes.any(1), votes.argmax(1), UNASSIGNED)
    left_out = [
        LeftOut(id=str(data.ids[i]), reason=_why(int(rows[i]), voted, mode))
        for i in np.flatnonzero(labels < 0)
    ]
    return VotedLabels(labels=labels, votes=votes, left_out=tuple(left_out))


def _why(row: int, voted: VoteTable, mode: VoteMode) -> str:
    if row < 0:
        return "its row in fer2013.csv is unknown, so its FER+ votes are"
    if not voted.images[row]:
        return "FER+ names no image: not a face"
    return f"FER+ votes give no {mode} label"


def _require_agreement(
    data: SourceData, voted: VoteTable, rows: NDArray[np.int64], votes_file: Path
) -> None:
    """FER2013's labels agree with the votes of their own rows in about two thirds of the faces.

    Raises:
        FerBenchError: somewhere they agree as often as those of other rows would.
    """
    known = np.flatnonzero((rows >= 0) & (data.labels >= 0))
    known = known[np.argsort(rows[known], kind="stable")]
    strongest = voted.counts[rows[known], :N_EMOTIONS].argmax(1)
    agree = np.array(data.emotions)[data.labels[known]] == np.array(FERPLUS)[strongest]
    if len(known) < LEAST_FACES:
        return
    sums = np.concatenate([[0], agree.cumsum()])
    shares = (sums[LEAST_FACES:] - sums[:-LEAST_FACES]) / LEAST_FACES
    worst = int(shares.argmin())
    if shares[worst] < LEAST_AGREEMENT:
        raise FerBenchError(
            f"the votes of {votes_file.name} agree with {shares[worst]:.0%} of the labels of "
            f"{data.source} from row {rows[known[worst]]:,} on, expected about two thirds: the "
            "rows do not belong together (one was dropped, or they were sorted); give both files "
            "as they were published"
        )


def _require_match(
    data: SourceData, voted: VoteTable, rows: NDArray[np.int64], votes_file: Path
) -> None:
    """The votes repeat each row's usage: it must be the source's."""
    known = rows >= 0
    if is_from_csv(data):
        own = sum(row.id.startswith(ROW_ID.format("")) for row in data.left_out)
        if (count := len(data.ids) + own) != len(voted.usages):
            raise FerBenchError(
                f"{votes_file.name} does not belong to {data.source}: it has "
                f"{len(voted.usages):,} rows, and the source {count:,}; FER+ needs the whole "
                "original fer2013.csv"
            )
    if rows.max(initial=-1) < len(voted.usages):
        differs = voted.usages[rows[known]] != data.parts[known]
        if not (differs & (data.parts[known] != "")).any():
            return
    raise FerBenchError(
        f"{votes_file.name} does not belong to {data.source}: its {len(voted.usages):,} rows do "
        "not follow the source's; FER+ needs the whole original fer2013.csv or its Kaggle files"
    )


class FerPlusReader(Reader):
    """A folder that holds the votes next to FER2013; read as FER2013, labelled by the votes."""

    def recognises(self, source: Path, names: Sequence[str]) -> bool:
        if VOTES_FILE not in names or not source.is_dir():
            return False
        return find_faces(source, names) is not None

    def read(self, source: Path, how: Reading) -> SourceData:
        faces = find_faces(source, open_tree(source).names)
        if faces is None:
            raise FerBenchError(
                f"{source.name} holds no FER2013: expected fer2013.csv, fer2013.csv.gz, "
                f"fer2013.zip or train/ and test/ next to {VOTES_FILE}"
            )
        names = open_tree(faces).names if is_tree(faces) else []
        kaggle = KaggleReader()
        reader = kaggle if kaggle.recognises(faces, names) else Fer2013CsvReader()
        return reader.read(faces, how)


def find_faces(source: Path, names: Sequence[str]) -> Path | None:
    """FER2013 in a folder: the original CSV before Kaggle's zip before Kaggle's folder."""
    for name in ("fer2013.csv", "fer2013.csv.gz", "fer2013.zip"):
        if name in names:
            return source / name
    return source if KaggleReader().recognises(source, names) else None
