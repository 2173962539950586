"""Runs as the leaderboard and `python -m fer_bench results` show them."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING

import fer_bench
from fer_bench.errors import one_line
from fer_bench.formatting import how_many, time_left
from fer_bench.results.leaderboard.rankings import short_fingerprint
from fer_bench.results.lineage import described, starting_run
from fer_bench.results.record import RunRecord
from fer_bench.results.stored_run import StoredRun
from fer_bench.results.titles import run_titles
from fer_bench.specs.recipe import load_recipe, recipe_names
from fer_bench.specs.run import EnsembleSpec, ExternalSpec, RunSpec

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


def three_digits(value: float) -> str:
    """A measured number of 0 or more: `0.732`, `7.3`, `131`, `1,180`."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _identity(run: StoredRun, record: RunRecord) -> dict[str, object]:
    start = starting_run(run)
    return {
        "run": run.name,
        "dataset": run.dataset,
        "data": short_fingerprint(record),
        "protocol": record.dataset.protocol,
        **record.spec.labels._asdict(),
        "pretraining": described(start) if start else record.pretraining,
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


def _recipe_words(spec: RunSpec, path: str) -> list[str]:
    """`--recipe NAME`, or the record itself where its recipe is no shipped one of that name."""
    recipe, epochs = spec.recipe.only_for(spec.model), spec.epochs
    is_shipped = recipe.name in recipe_names() and (
        load_recipe(recipe.name)
        .only_for(spec.model)
        .model_copy(
            update={"epochs": recipe.epochs} | ({"tta": recipe.tta} if spec.tta_views else {})
        )
        == recipe
    )
    words = ["--recipe", recipe.name if is_shipped else path]
    if is_shipped and load_recipe(recipe.name).epochs != recipe.epochs:
        epochs = recipe.epochs
    return [*words, "--epochs", str(epochs)] if epochs else words


def _measured_words(record: RunRecord, spec: RunSpec) -> list[str]:
    """What a stopwatch chose; measured again it might come out differently."""
    if record.training is None or spec.mode == "zero-shot":
        return []
    if record.training.extractor:
        return ["--extractor", record.training.extractor]
    return ["--precision", record.training.precision] if spec.recipe.precision == "auto" else []


def _external_words(spec: ExternalSpec, data: list[str]) -> list[str]:
    words = ["evaluate", "--model", spec.model] if spec.model else ["score", "PREDICTIONS"]
    words += [*data, "--name", spec.external]
    words += ["--protocol", spec.protocol, "--trained-on", spec.trained_on]
    if not spec.model:
        return words
    for key, value in spec.model_options.items():
        words += ["--option", f"{key}={value}"]
    if spec.emotions:
        words += ["--emotions", ",".join(spec.emotions)]
    words += ["--votes", spec.votes] if spec.votes else []
    return [*words, "--limit", str(spec.limit)] if spec.limit else words


def reproduce_command(record: RunRecord) -> str:
    """The command line that runs this record's spec again, on data that the user has."""
    spec, data = record.spec, ["--data", record.dataset.source]
    if isinstance(spec, EnsembleSpec):
        words = ["ensemble", *spec.ensemble, *data, "--weighting", spec.weighting]
        words += ["--tta", spec.tta, *(["--title", spec.title] if spec.title else [])]
        return shlex.join(["python", "-m", "fer_bench", *words])
    if isinstance(spec, ExternalSpec):
        return shlex.join(["python", "-m", "fer_bench", *_external_words(spec, data)])
    words = ["train", "--model", spec.model, "--mode", spec.mode]
    words += _recipe_words(spec, f"results/{record.id}/record.json")
    words += [*data, "--protocol", spec.protocol]
    words += ["--pretraining", spec.pretraining, "--seed", str(spec.seed)]
    if spec.emotions:
        words += ["--emotions", ",".join(spec.emotions)]
    if spec.votes:
        words += ["--votes", spec.votes]
    for key, value in spec.model_options.items():
        text = str(value).lower() if isinstance(value, bool) else str(value)
        words += ["--option", f"{key}={text}"]
    for teacher in spec.teachers:
        words += ["--teacher", teacher]
    if spec.prompts:
        words += ["--prompts", f"results/{record.id}/record.json"]
    overrides = {
        "--val-share": spec.val_share,
        "--image-size": spec.image_size,
        "--tta-views": spec.tta_views,
        "--limit": spec.limit,
    }
    for option, given in overrides.items():
        words += [option, str(given)] if given else []
    words += _measured_words(record, spec)
    if record.model and record.model.weights_dtype != "float32":
        words += ["--weights", record.model.weights_dtype]
    return shlex.join(["python", "-m", "fer_bench", *words])


def training_progress(record: RunRecord, history: pd.DataFrame) -> str:
    """How far a training is: `Epoch 8 of 30 is done, 12 min left`, by what the last ones took."""
    assert isinstance(record.spec, RunSpec)  # nosec B101  # nothing else is trained
    done, total = len(history), record.spec.recipe.epochs
    words = f"Epoch {done:,} of {total:,} is done"
    if done >= total:
        return f"{words}; the test images are next"
    left = time_left(history["seconds"].tail(LAST_EPOCHS).mean() * (total - done))
    return f"{words}, {'at most ' if record.spec.recipe.early_stopping else ''}{left} left"


def figure_facts(
    title: str, runs: Sequence[StoredRun], command: str = "", *, n: str = "", protocol: str = ""
) -> dict[str, str]:
    """What a figure's file says of it: `Title`, `n`, `Protocol`, `Run` and commands.

    Args:
        runs: with readable records, those that the figure shows.
        command: the one that makes the figure.
        n, protocol: how much it shows and how it is split, in words; without them the runs' test
            images and protocols.
    """
    records = [run.require_record() for run in runs]
    tests = sorted({r.metrics["test"].n for r in records if "test" in r.metrics})
    facts = {
        "Title": title,
        "n": n or ", ".join(how_many(count, "test image") for count in tests),
        "Protocol": protocol or ", ".join(dict.fromkeys(r.dataset.protocol for r in records)),
        "Run": ", ".join(run.id for run in runs),
        "Command": command,
        "Run command": reproduce_command(records[0]) if len(records) == 1 else "",
        "Software": f"FER Bench {fer_bench.__version__}",
    }
    return {key: one_line(text) for key, text in facts.items() if text}
