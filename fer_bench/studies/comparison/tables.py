"""A comparison as tables: for pages, figures and files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import numpy as np
import pandas as pd

from fer_bench.studies.comparison.compare import Comparison, class_scores
from fer_bench.studies.comparison.experiments import ExperimentPair, RunPair


def run_table(comparison: Comparison) -> pd.DataFrame:
    """One row per run, best first.

    Returns:
        `letter, run, dataset, model, accuracy, low, high, macro_f1, left_out,
        why_not_comparable`; rates in [0, 1], `low` and `high` the accuracy's 95 % interval.
    """
    shared = comparison.shared
    low, high = zip(*comparison.accuracy_intervals, strict=True)
    return pd.DataFrame(
        {
            "letter": [comparison.letters[name] for name in shared.names],
            "run": [run.name for run in shared.runs],
            "dataset": [run.dataset for run in shared.runs],
            "model": [record.spec.labels.model for record in shared.records],
            "accuracy": comparison.accuracy,
            "low": low,
            "high": high,
            "macro_f1": comparison.macro_f1,
            "left_out": shared.left_out,
            "why_not_comparable": ["; ".join(r.not_comparable_because) for r in shared.records],
        }
    )


def pair_table(comparison: Comparison) -> pd.DataFrame:
    """One row per pair of runs.

    Returns:
        `letters` (`A − B`), `RunPair`'s fields, with the intervals as `accuracy_low,
        accuracy_high, macro_f1_low, macro_f1_high`, and `significant`.
    """
    letters = comparison.letters
    return pd.DataFrame(
        [
            {"letters": f"{letters[pair.a]} − {letters[pair.b]}"} | _flat(pair)
            for pair in comparison.pairs
        ]
    )


def experiment_table(comparison: Comparison) -> pd.DataFrame:
    """One row per experiment, best first: `Experiment`'s fields, and `seeds` (how many) instead of
    its runs.
    """
    rows = [asdict(one) | {"seeds": len(one.runs)} for one in comparison.experiments]
    table = pd.DataFrame(rows).drop(columns="runs")
    return table.astype({"accuracy_sd": "float64", "macro_f1_sd": "float64"})


def experiment_pair_table(comparison: Comparison) -> pd.DataFrame:
    """One row per pair of experiments, if there are any: `ExperimentPair`'s fields, with the
    interval as `accuracy_low` and `accuracy_high`.
    """
    return pd.DataFrame([_flat(pair) for pair in comparison.experiment_pairs])


def _flat(pair: RunPair | ExperimentPair) -> dict[str, object]:
    """A pair's fields with two columns for each interval, and whether it is distinguishable."""
    row: dict[str, object] = {}
    for name, value in asdict(pair).items():
        if name.endswith("_interval"):
            row |= dict(zip((f"{name[:-8]}low", f"{name[:-8]}high"), value, strict=True))
        else:
            row[name] = value
    return row | {"significant": pair.significant}


def class_table(comparison: Comparison) -> pd.DataFrame:
    """Every run's recall and F1 on each emotion, and by how much the best run is ahead of it.

    Returns:
        `letter, run, model, emotion, images, recall, f1, recall_difference, f1_difference`;
        the differences are the first run's minus this run's.
    """
    shared = comparison.shared
    per_run = [
        class_scores(shared.labels, answer, len(shared.emotions)) for answer in shared.answers
    ]
    first_recall, first_f1, _ = per_run[0]
    parts = [
        pd.DataFrame(
            {
                "letter": comparison.letters[name],
                "run": name,
                "model": record.spec.labels.model,
                "emotion": shared.emotions,
                "images": images,
                "recall": recall,
                "f1": f1,
                "recall_difference": first_recall - recall,
                "f1_difference": first_f1 - f1,
            }
        )
        for name, record, (recall, f1, images) in zip(
            shared.names, shared.records, per_run, strict=True
        )
    ]
    return pd.concat(parts, ignore_index=True)


def agreement_matrix(comparison: Comparison) -> pd.DataFrame:
    """Share of images that two runs name alike, float `(K, K)`; rows and columns are the names."""
    matrix = pd.DataFrame(1.0, index=comparison.names, columns=comparison.names)
    for pair in comparison.pairs:
        matrix.loc[pair.a, pair.b] = matrix.loc[pair.b, pair.a] = pair.same_answer
    return matrix


def disagreements(comparison: Comparison, names: Sequence[str] | None = None) -> pd.DataFrame:
    """The images that runs do not name alike, the one with the surest answer first.

    Args:
        names: of runs of the comparison; all of them unless given.

    Returns:
        `id, true, right` (letters of the runs that are right, `none` without any), and for
        each run its letter's `answer_A` and `confidence_A` (in [0, 1]).
    """
    shared, letters = comparison.shared, comparison.letters
    wanted = [shared.names.index(name) for name in names or shared.names]
    answers, confidence = shared.answers[wanted], shared.confidence[wanted]
    rows = np.flatnonzero((answers != answers[0]).any(axis=0))
    rows = rows[np.argsort(-confidence[:, rows].max(axis=0), kind="stable")]
    emotions = np.asarray(shared.emotions, dtype=object)
    right = answers[:, rows] == shared.labels[rows]
    used = [letters[shared.names[i]] for i in wanted]
    columns: dict[str, object] = {
        "id": shared.ids[rows],
        "true": emotions[shared.labels[rows]],
        "right": [
            ", ".join(x for x, is_right in zip(used, column, strict=True) if is_right) or "none"
            for column in right.T
        ],
    }
    for letter, answer, sure in zip(used, answers[:, rows], confidence[:, rows], strict=True):
        columns |= {f"answer_{letter}": emotions[answer], f"confidence_{letter}": sure}
    return pd.DataFrame(columns)
