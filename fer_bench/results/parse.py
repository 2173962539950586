"""A run's files, read with care: each fault becomes one sentence."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from fer_bench.errors import FerBenchError, coded, one_line
from fer_bench.results.documents import Newer, parse_document, parse_file
from fer_bench.results.record import SPEC_KINDS, RunRecord
from fer_bench.types import SPLITS

if TYPE_CHECKING:
    import pandas as pd  # takes a third of a second, and most readers of records need no table

HISTORY_COLUMNS = (
    "epoch", "train_loss", "train_accuracy", "val_loss", "val_accuracy", "lr",
    "images_per_second", "seconds",
)  # fmt: skip
PREDICTION_COLUMNS = ("id", "split", "label", "clean")
#: How far a row of probabilities may be from 1 (float32 softmax stays well within).
SUM_TOLERANCE = 1e-3


def parse_record(text: bytes) -> RunRecord | str:
    """A record from its JSON, or one sentence that says why it is none."""
    try:
        return parse_document(RunRecord, text)
    except (Newer, ValidationError) as error:
        return _why_none(error)


def read_record(path: Path) -> RunRecord | str:
    """A record from its file, or one sentence that says why it is none; parsed once a process.

    The record is shared by everyone who reads it: copy it before changing it.
    """
    try:
        return parse_file(path, RunRecord)
    except OSError as error:
        return f"record.json cannot be read: {error.strerror}"
    except (Newer, ValidationError) as error:
        return _why_none(error)


def _why_none(error: Newer | ValidationError) -> str:
    if isinstance(error, Newer):
        return str(error)
    first = error.errors()[0]
    if first["type"] == "json_invalid":
        return f"record.json is not valid JSON: {first['msg'].removeprefix('Invalid JSON: ')}"
    steps = [str(step) for step in first["loc"] if step not in SPEC_KINDS]
    key = one_line(".".join(steps)) or "the document"
    if first["type"] == "extra_forbidden":
        return f"record.json has the unknown key {key!r}"
    return f"record.json: {key}: {first['msg'].removeprefix('Value error, ')}"


def _damaged(path: Path, reason: str) -> FerBenchError:
    return FerBenchError(
        f"{path} is damaged ({one_line(reason)}): run the training again to replace it"
    )


def _check(path: Path, table: pd.DataFrame, columns: tuple[str, ...]) -> None:
    missing = [c for c in columns if c not in table.columns]
    if missing:
        raise _damaged(path, f"it has no column {', '.join(missing)}")


def _require(path: Path) -> None:
    if not path.exists():
        raise FerBenchError(
            f"run {path.parent.name} has no {path.name}: run the training again to get it"
        )


@coded("bad_results")
def read_history(path: Path) -> pd.DataFrame:
    """A run's epochs, as `training.job.TrainingOutcome` describes them.

    Raises:
        FerBenchError: no such file, or one that is damaged.
    """
    import pandas as pd

    _require(path)
    try:
        table = pd.read_csv(path)
    except (OSError, ValueError) as error:  # pandas' parser errors and Unicode's are ValueErrors
        raise _damaged(path, str(error)) from None
    _check(path, table, HISTORY_COLUMNS)
    letters = table[list(HISTORY_COLUMNS)].select_dtypes(exclude="number").columns
    if len(table) and len(letters):
        raise _damaged(path, f"{letters[0]} is not a number in every row")
    return table


@coded("bad_results")
def read_predictions(path: Path) -> pd.DataFrame:
    """A run's predictions, as `evaluation.evaluate.Evaluation` describes them.

    Raises:
        FerBenchError: no such file, or one that is damaged.
    """
    import pandas as pd
    import pyarrow as pa

    _require(path)
    try:
        table = pd.read_parquet(path)
    except (OSError, ValueError, pa.ArrowException) as error:
        raise _damaged(path, str(error)) from None
    _check(path, table, PREDICTION_COLUMNS)
    wrong = _wrong_predictions(table)
    if wrong:
        raise _damaged(path, wrong)
    return table


def _wrong_predictions(table: pd.DataFrame) -> str | None:
    """What is wrong with the values of a predictions table, in a few words; None for nothing."""
    import pandas as pd

    if not table.columns.is_unique:
        return "two of its columns have one name"
    if not pd.api.types.is_string_dtype(table["id"]):
        return "id is not a text in every row"
    if not table["split"].isin(SPLITS).all():
        return "split is not train, val or test in every row"
    if not pd.api.types.is_bool_dtype(table["clean"]):
        return "clean is not true or false in every row"
    scores = table[[column for column in table if str(column).startswith("p_")]]
    for rates in (scores, table[[c for c in table if str(c).startswith("tta_")]]):
        if not all(map(pd.api.types.is_float_dtype, rates.dtypes)) or not (
            rates.ge(0) & rates.le(1)  # neither holds for NaN
        ).all(axis=None):
            return "a probability is not a number from 0 to 1"
        if ((rates.sum(axis=1) - 1).abs() > SUM_TOLERANCE).any() and not rates.empty:
            return "the probabilities of an image do not sum to 1"
    labels, last = table["label"], scores.shape[1] - 1
    if not pd.api.types.is_integer_dtype(labels) or not labels.between(0, last).all():
        return "label is not the number of an emotion in every row"
    return None
