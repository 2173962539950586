"""Runs as the leaderboard and `python -m fer_bench results` show them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from fer_bench.formatting import time_left
from fer_bench.results.leaderboard.rankings import short_fingerprint
from fer_bench.results.lineage import starts
from fer_bench.results.record import RunRecord
from fer_bench.results.stored_run import StoredRun
from fer_bench.results.titles import run_titles
from fer_bench.specs.run import RunSpec

if TYPE_CHECKING:
    import pandas as pd

#: As many tell how long the next epoch takes.
LAST_EPOCHS = 3
INTEGERS = ("seed", "emotions")
NUMBERS = (
    "input_size", "parameters", "flops", "test_accuracy", "ci_low", "ci_high",
    "test_accuracy_tta", "test_clean_accuracy", "test_macro_f1", "test_balanced_accuracy",
    "roc_auc", "ece", "calibrated_ece", "val_accuracy", "train_seconds", "epochs", "budget",
)  # fmt: skip
#: Order of `summary_table`'s columns: what it is, how good, at what cost, where.
COLUMNS = (
    "run", "title", "dataset", "data", "protocol", "model", "mode", "recipe", "pretraining",
    "seed", "status", "comparable", "why_not_comparable", "emotions", "input_size", "parameters",
    "flops",
    "test_accuracy", "ci_low", "ci_high", "test_accuracy_tta", "test_clean_accuracy",
    "test_macro_f1", "test_balanced_accuracy", "roc_auc", "ece", "calibrated_ece", "val_accuracy",
    "train_seconds", "epochs", "budget", "device", "extractor", "hardware", "can_be_tried",
    "finished_at", "own",
)  # fmt: skip


def run_ids(table: pd.DataFrame) -> pd.Series[str]:
    """`StoredRun.id` of each row of a `summary_table`."""
    ids: pd.Series[str] = table["dataset"] + "/" + table["run"]
    return ids


def _identity(run: StoredRun, record: RunRecord) -> dict[str, object]:
    return {
        "run": run.name,
        "dataset": run.dataset,
        "data": short_fingerprint(record),
        "protocol": record.dataset.protocol,
        **record.spec.labels._asdict(),
        "pretraining": starts(run),
        "status": record.status,
        "comparable": record.comparable,
        "why_not_comparable": "; ".join(record.not_comparable_because),
        "emotions": len(record.dataset.emotions),
        "can_be_tried": record.status == "done" and run.has_weights,
        "finished_at": record.finished_at,
        "own": run.own,
    }


def differences(one: RunRecord, other: RunRecord) -> pd.DataFrame:
    """The settings in which two runs differ: `setting`, its key, `this` and `other`."""
    import pandas as pd

    mine, theirs = _settings(one), _settings(other)
    keys = [key for key in dict.fromkeys([*mine, *theirs]) if mine.get(key) != theirs.get(key)]
    rows = [(key, mine.get(key), theirs.get(key)) for key in keys]
    return pd.DataFrame(rows, columns=["setting", "this", "other"], dtype=object)


def _settings(record: RunRecord) -> dict[str, object]:
    """What was chosen for a run, by `outer.inner`; not what came out, nor words about it."""
    import pandas as pd

    values = record.spec.model_dump(mode="json", exclude={"recipe": {"description", "modes"}})
    data = record.dataset
    values["data"] = {"name": data.name, "fingerprint": data.fingerprint[:12]}
    return {str(key): value for key, value in pd.json_normalize(values).iloc[0].items()}


def mark_own(table: pd.DataFrame) -> pd.DataFrame:
    """`summary_table` whose titles say which runs are of the first of several folders."""
    marks = table["own"].map({True: " (yours)", False: ""}).astype(object)
    return table.assign(title=table["title"] + marks) if len(table) else table


def _quality(record: RunRecord) -> dict[str, object]:
    metrics = record.metrics
    row: dict[str, object] = {"calibrated_ece": record.calibrated_ece.get("test")}
    if test := metrics.get("test"):
        row |= {
            "test_accuracy": test.accuracy,
            "ci_low": test.accuracy_ci95[0],
            "ci_high": test.accuracy_ci95[1],
            "test_macro_f1": test.macro_f1,
            "test_balanced_accuracy": test.balanced_accuracy,
            "roc_auc": test.roc_auc,
            "ece": test.ece,
        }
    for column, key in (
        ("test_accuracy_tta", "test_tta"),
        ("test_clean_accuracy", "test_clean"),
        ("val_accuracy", "val"),
    ):
        if key in metrics:
            row[column] = metrics[key].accuracy
    return row


def _cost(record: RunRecord) -> dict[str, object]:
    row: dict[str, object] = {}
    if model := record.model:
        row |= {
            "input_size": model.input_spec.size,
            "parameters": model.parameters,
            "flops": model.flops,
        }
    if training := record.training:
        row |= {
            "train_seconds": training.seconds,
            "epochs": training.epochs_run,
            "device": training.device,
            "extractor": training.extractor or "",
            "hardware": record.hardware,
            "budget": training_flops(record),
        }
    return row


def training_flops(record: RunRecord) -> float | None:
    """Floating-point operations of a full training: three forward passes an image and epoch.

    None where the network was not trained itself, or its FLOPs are not known.
    """
    spec, model, training = record.spec, record.model, record.training
    if not (isinstance(spec, RunSpec) and spec.mode in ("full", "lora") and training):
        return None
    if not (model and model.flops):
        return None
    return 3.0 * model.flops * record.dataset.split_sizes["train"] * training.epochs_run


def summary_table(runs: Sequence[StoredRun]) -> pd.DataFrame:
    """One row per readable run, in `COLUMNS`; unreadable runs have no row.

    Rates are in [0, 1], `flops` per image, `budget` the FLOPs of the whole training,
    `train_seconds` in seconds, `finished_at` in UTC. What a run does not have (a failed one has no
    metrics) is NaN, NaT, or None in text columns.
    """
    import pandas as pd

    records = {run.id: run.record for run in runs if run.record is not None}
    titles = run_titles(records)
    rows = [
        {
            **_identity(run, run.record),
            "title": titles[run.id],
            **_quality(run.record),
            **_cost(run.record),
        }
        for run in runs
        if run.record is not None
    ]
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    kinds: dict[str, str] = {
        **dict.fromkeys(INTEGERS, "int64"),
        **dict.fromkeys(NUMBERS, "float64"),
        "comparable": "bool",
        "can_be_tried": "bool",
        "own": "bool",
    }
    table = table.astype(kinds)
    finished = pd.to_datetime(table["finished_at"], utc=True).dt.as_unit("us")
    return table.assign(finished_at=finished)


def training_progress(record: RunRecord, history: pd.DataFrame) -> str:
    """How far a training is: `Epoch 8 of 30 is done, 12 min left`, by what the last ones took."""
    assert isinstance(record.spec, RunSpec)  # nosec B101  # nothing else is trained
    done, total = len(history), record.spec.recipe.epochs
    words = f"Epoch {done:,} of {total:,} is done"
    if done >= total:
        return f"{words}; the test images are next"
    left = time_left(history["seconds"].tail(LAST_EPOCHS).mean() * (total - done))
    return f"{words}, {'at most ' if record.spec.recipe.early_stopping else ''}{left} left"
