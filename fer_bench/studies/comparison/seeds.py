"""Runs that differ in their seed alone, as one row: mean and spread."""

from __future__ import annotations

import re
from typing import get_args

import pandas as pd

from fer_bench.types import Mode

#: What makes two runs the same experiment; `experiment` is a run's name without its seed, which
#: tells epochs, options, labels and teachers apart.
EXPERIMENT = [
    "experiment", "dataset", "data", "protocol", "emotions", "model", "mode", "recipe",
    "pretraining", "input_size", "parameters", "comparable", "why_not_comparable",
]  # fmt: skip
AVERAGED = [
    "test_accuracy", "test_accuracy_tta", "test_clean_accuracy", "test_macro_f1",
    "test_balanced_accuracy", "roc_auc", "ece", "calibrated_ece", "val_accuracy", "train_seconds",
]  # fmt: skip
#: Taken from an experiment's first seed.
FIRST = [
    "run", "title", "flops", "epochs", "budget", "hardware", "can_be_tried", "ci_low", "ci_high",
]  # fmt: skip


def experiment_of(run: str, mode: str) -> str:
    """A run's id or title without its seed.

    Args:
        mode: as in `specs.run.Labels`; ensembles and other systems (`vit-s16`) have no seed.
    """
    return re.sub(r"-s\d+$|, seed \d+", "", run) if mode in get_args(Mode) else run


def over_seeds(table: pd.DataFrame) -> pd.DataFrame:
    """One row per experiment, best mean test accuracy first.

    Args:
        table: as `results.summary.summary_table` gives it; only finished runs count.

    Returns:
        the experiment's columns, `seeds` (how many runs), the means of the metrics under
        their own names, and `test_accuracy_sd`, the sample standard deviation (NaN for one run).
        `run` and what does not differ are those of the first seed, `title` names none; `ci_low`
        and `ci_high` are the mean ± sd, or the interval of the only run.
    """
    done = table[(table["status"] == "done") & table["test_accuracy"].notna()]
    for column, of in (("experiment", "run"), ("title", "title")):
        named = [experiment_of(*one) for one in zip(done[of], done["mode"], strict=True)]
        done = done.assign(**{column: named})
    done = done.sort_values("seed", kind="stable")
    groups = done.groupby(EXPERIMENT, dropna=False, sort=False, observed=True)
    rows = groups[AVERAGED].mean()
    rows.insert(0, "seeds", groups.size())
    rows.insert(2, "test_accuracy_sd", groups["test_accuracy"].std(ddof=1))
    rows = rows.join(groups[FIRST].first())
    several = rows["test_accuracy_sd"].notna()
    for bound, sign in (("ci_low", -1), ("ci_high", 1)):
        spread = rows["test_accuracy"] + sign * rows["test_accuracy_sd"]
        rows[bound] = rows[bound].where(~several, spread)
    return rows.reset_index().sort_values(
        "test_accuracy", ascending=False, kind="stable", ignore_index=True
    )
