"""Answers that another system gave, read with care and put in a record's terms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from fer_bench.data.dataset import FaceDataset
from fer_bench.emotions import canonical
from fer_bench.errors import FerBenchError, cannot_read, one_line
from fer_bench.results.parse import SUM_TOLERANCE
from fer_bench.types import SPLITS, Split

ID, LABEL = "id", "label"
#: Columns of a file that say nothing about an emotion.
IGNORED = ("split",)
#: How far float32 may round beyond 0 and 1.
ROUNDING = 1e-6
#: Names of splits that a file may answer.
ANSWERED: tuple[Split, ...] = ("val", "test")


@dataclass(frozen=True, kw_only=True)
class ExternalPredictions:
    """A system's answers.

    Attributes:
        ids: str `(N,)`, each once.
        probabilities: float64 `(N, C)`, rows sum to 1; of answers without probabilities, 1 for the
            answer.
    """

    ids: NDArray[np.object_]
    probabilities: NDArray[np.float64]
    answers: Literal["probabilities", "labels"]


def template(dataset: FaceDataset, splits: Sequence[Split] = ("test",)) -> pd.DataFrame:
    """The images to answer: `id, split` and an empty column per emotion; without labels."""
    rows = [
        pd.DataFrame({ID: dataset.ids[dataset.indices(split)].astype(object), "split": split})
        for split in splits
    ]
    table = pd.concat(rows, ignore_index=True)
    return table.assign(**dict.fromkeys(dataset.emotions, ""))


def read_external(path: Path, emotions: Sequence[str]) -> ExternalPredictions:
    """A CSV or Parquet file: `id`, and a probability per emotion or one `label`.

    Emotions go by name or alias, with or without `p_` before it.

    Args:
        emotions: the data's, in whose order the probabilities come back.

    Raises:
        FerBenchError: a file that cannot be read, a column or label that is no emotion of the
            data, ids that are missing or stand twice, or rows that are no probabilities.
    """
    table = _read(path)
    if ID not in table:
        raise FerBenchError(
            f"{path} has no column `{ID}`: expected the images' ids there; "
            "`score --template DATA` writes them"
        )
    ids = _ids(path, table[ID])
    columns = [str(c) for c in table if c != ID and c not in IGNORED]
    if columns == [LABEL]:
        answer = _labels(path, table[LABEL], ids, emotions)
        return ExternalPredictions(
            ids=ids, probabilities=np.eye(len(emotions))[answer], answers="labels"
        )
    if LABEL in columns:
        others = ", ".join(column for column in columns if column != LABEL)
        raise FerBenchError(
            f"{path} has a column `{LABEL}` and others ({others:.120}): expected the label alone, "
            "or the probabilities alone; remove what is not needed"
        )
    named = _by_emotion(path, columns, emotions)
    numbers = np.stack([_numbers(path, table[named[e]], ids) for e in emotions], axis=1)
    _require_probabilities(path, numbers, ids)
    return ExternalPredictions(ids=ids, probabilities=numbers.clip(0, 1), answers="probabilities")


def _read(path: Path) -> pd.DataFrame:
    kind = path.suffix.lower()
    if kind not in (".csv", ".parquet"):
        raise FerBenchError(f"expected predictions as .csv or .parquet, got {path.name!r}")
    try:
        if kind == ".csv":  # ids such as 007 stay as they are written
            _require_commas(path)
            table = pd.read_csv(path, dtype={ID: str, LABEL: str}, keep_default_na=False)
        else:
            table = pd.read_parquet(path)
    except OSError as error:
        raise cannot_read(path, error) from None
    except UnicodeDecodeError:
        raise FerBenchError(f"cannot read {path}: it is no UTF-8 text; save it as that") from None
    except (ValueError, pa.ArrowException) as error:  # pandas' parser errors are ValueErrors
        raise FerBenchError(f"cannot read {path}: {one_line(str(error)):.200}") from None
    table.columns = [str(column).strip() for column in table.columns]
    if not table.columns.is_unique:
        raise FerBenchError(f"{path} has two columns of one name: keep one of them")
    if table.empty:
        raise FerBenchError(f"{path} holds no predictions: expected a row per image")
    return table


def _require_commas(path: Path) -> None:
    """Semicolons and tabs are what spreadsheets write in many countries, with decimal commas."""
    with path.open(encoding="utf-8-sig") as file:
        header = file.readline(10_000)
    if "," in header:
        return
    for separator, name in ((";", "semicolons"), ("\t", "tabs")):
        if separator in header:
            raise FerBenchError(
                f"{path} separates its columns by {name}: expected commas, and points in numbers"
            )


def _ids(path: Path, column: pd.Series[str]) -> NDArray[np.object_]:
    ids = column.astype(str).to_numpy(dtype=object)
    empty = column.isna().to_numpy() | (ids == "")
    if empty.any():
        raise FerBenchError(f"{path}: row {int(empty.argmax()) + 1} has no id: fill it in")
    twice = pd.Series(ids)[pd.Series(ids).duplicated()]
    if len(twice):
        more = f", and {len(twice) - 1:,} more do likewise" if len(twice) > 1 else ""
        raise FerBenchError(
            f"{path}: image {one_line(twice.iloc[0]):.160} stands in it twice{more}: expected each "
            "id once"
        )
    return ids


def _emotion(path: Path, what: str, name: str, emotions: Sequence[str]) -> str:
    """The data's emotion behind a name or alias."""
    try:
        emotion = canonical(name)
    except FerBenchError:
        number = " (data sets number emotions differently)" if name.isdecimal() else ""
        raise FerBenchError(
            f"{path}: {what} {name!r:.80} is no emotion: expected {', '.join(emotions)}, or an "
            f"alias of one{number}; rename it"
        ) from None
    if emotion not in emotions:
        raise FerBenchError(
            f"{path}: {what} {name!r:.80} is an emotion that the data do not have: expected "
            f"{', '.join(emotions)}; leave it out and let each row sum to 1 without it"
        )
    return emotion


def _labels(
    path: Path, column: pd.Series[str], ids: NDArray[np.object_], emotions: Sequence[str]
) -> NDArray[np.int64]:
    names = column.astype(object).where(column.notna(), "").astype(str).str.strip()
    if (names == "").any():
        first = ids[int((names == "").to_numpy().argmax())]
        raise FerBenchError(f"{path}: image {first} has no label: fill it in")
    known = {name: _emotion(path, "label", name, emotions) for name in names.unique()}
    return names.map(known).map(list(emotions).index).to_numpy(dtype=np.int64)


def _by_emotion(path: Path, columns: Sequence[str], emotions: Sequence[str]) -> dict[str, str]:
    """Emotion -> column."""
    named: dict[str, str] = {}
    for column in columns:
        emotion = _emotion(path, "column", column.removeprefix("p_"), emotions)
        if emotion in named:
            raise FerBenchError(
                f"{path}: columns {named[emotion]!r} and {column!r} both mean {emotion}: keep one"
            )
        named[emotion] = column
    missing = [e for e in emotions if e not in named]
    if missing:
        raise FerBenchError(
            f"{path} has no column for {', '.join(missing)}: expected a probability for each of "
            f"{', '.join(emotions)} (0 where the system never names one), or one column `{LABEL}`"
        )
    return named


def _numbers(path: Path, column: pd.Series[float], ids: NDArray[np.object_]) -> NDArray[np.float64]:
    numbers = pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64)
    wrong = ~np.isfinite(numbers)
    if wrong.any():
        row = int(wrong.argmax())
        raise FerBenchError(
            f"{path}: image {ids[row]} has {str(column.iloc[row])!r:.40} for {column.name}: "
            "expected a number from 0 to 1 in every cell"
        )
    return numbers


def _require_probabilities(
    path: Path, numbers: NDArray[np.float64], ids: NDArray[np.object_]
) -> None:
    outside = ((numbers < -ROUNDING) | (numbers > 1 + ROUNDING)).any(axis=1)
    if outside.any():
        row = int(outside.argmax())
        furthest = max(numbers[row].tolist(), key=lambda value: abs(value - 0.5))
        raise FerBenchError(
            f"{path}: image {ids[row]} has a probability of {furthest:.4g}: expected "
            "numbers from 0 to 1 (softmax outputs, neither logits nor percent)"
        )
    sums = numbers.sum(axis=1)
    off = np.abs(sums - 1) > SUM_TOLERANCE
    if off.any():
        row = int(off.argmax())
        raise FerBenchError(
            f"{path}: the probabilities of image {ids[row]} sum to {sums[row]:.4g}: expected 1; "
            "give every emotion its share"
        )


def rows_by_split(
    dataset: FaceDataset, answers: ExternalPredictions, source: str
) -> dict[Split, NDArray[np.int64]]:
    """Where each split's images, in the data set's order, stand in the predictions.

    Args:
        source: what messages call the predictions.

    Returns:
        Of `test`, and of `val` where it is answered: int64 `(images,)`, rows of `answers`.

    Raises:
        FerBenchError: ids that the data do not have, images of train, or a split whose images are
            not all answered.
    """
    row_of = {str(identity): row for row, identity in enumerate(answers.ids)}
    split_of = {
        str(identity): int(split)
        for identity, split in zip(dataset.ids, dataset.splits, strict=True)
    }
    for identity in row_of:
        number = split_of.get(identity)
        if number == SPLITS.index("train"):
            raise FerBenchError(
                f"{source}: image {identity:.160} is of the train split: expected the test images "
                "alone (and those of val, if you like)"
            )
        if number is None or number < 0:
            raise FerBenchError(
                f"{source}: {dataset.source} has no image {identity:.160} in its test: expected "
                "the ids that `score --template` writes for these data and this protocol"
            )
    positions: dict[Split, NDArray[np.int64]] = {}
    for split in ANSWERED:
        if not (dataset.splits == SPLITS.index(split)).any() and split == "val":
            continue
        ids = [str(identity) for identity in dataset.ids[dataset.indices(split)]]
        missing = [identity for identity in ids if identity not in row_of]
        if split == "val" and len(missing) == len(ids):
            continue
        if missing:
            raise FerBenchError(
                f"{source}: {len(missing):,} of the {len(ids):,} {split} images are not answered "
                f"(first: {missing[0]:.160}): expected an answer for each"
            )
        positions[split] = np.array([row_of[identity] for identity in ids], dtype=np.int64)
    return positions
