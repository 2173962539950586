"""Which runs may stand in one ranking: those that are measured on the same data."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import pandas as pd

from fer_bench.results.record import RunRecord

#: Data sets have so many emotions or more; fewer are a selection.
WHOLE_SET = 7
#: Digits of a fingerprint that stand for it in tables.
SHORT = 8
FIVE = ("resnet18", "vgg16", "densenet121", "vit_b_16", "clip_vit_b_32")
#: Which recipe stands for fully tuned, the first that every one of the five has; the recipes of a
#: row must be the same, or budgets would be compared instead of networks.
FULL_RECIPES = ("equal-terms", "tuned-30", "finetune-5")
FROZEN_RECIPES = ("frozen-20",)


def data_fingerprint(record: RunRecord) -> str:
    """The fingerprint of the whole data that a run is about, however much of it a limit took."""
    return record.dataset.whole_fingerprint or record.dataset.fingerprint


def short_fingerprint(record: RunRecord) -> str:
    """`data_fingerprint` as tables show it."""
    return data_fingerprint(record)[:SHORT]


def _votes(record: RunRecord) -> str:
    """FER+'s rule; soft-majority has the faces and labels of majority."""
    return (record.spec.votes or "majority").removeprefix("soft-")


def ranking_key(record: RunRecord) -> Hashable:
    """Equal for records of one ranking: the same pixels, labels and splits, whatever their name."""
    emotions = tuple(sorted(record.dataset.emotions))  # fewer emotions are easier
    return data_fingerprint(record), record.spec.protocol, _votes(record), emotions


def ranking_names(records: Sequence[RunRecord]) -> list[str]:
    """The name of each record's ranking; different for different rankings.

    The newest record of a ranking names its data, and whose splits they are.
    """
    newest: dict[Hashable, RunRecord] = {}
    for record in sorted(records, key=lambda r: r.started_at):
        newest[ranking_key(record)] = record
    return [_name(newest[ranking_key(record)]) for record in records]


def _name(record: RunRecord) -> str:
    data, emotions = record.dataset, record.dataset.emotions
    words = [data.name, data.protocol]
    if data.name == "ferplus":
        words.append(f"{_votes(record)} votes")
    whole = len(emotions) >= WHOLE_SET
    words.append(f"{len(emotions)} emotions" if whole else ", ".join(sorted(emotions)))
    return " · ".join([*words, f"data {short_fingerprint(record)}"])


def five_models(table: pd.DataFrame) -> pd.DataFrame:
    """The runs that compare the five backbones, two for each at most.

    Args:
        table: finished, comparable runs of one benchmark, as `results.summary.summary_table` has
            them.

    Returns:
        rows of `table` in the order of `FIVE`, frozen before full; of several sizes or seeds
        the smallest size, then seed 0. Of each mode one recipe: the first that all five have, else
        the one that most of them have. Empty where none of them is there.
    """
    rows = []
    for mode, recipes in (("frozen", FROZEN_RECIPES), ("full", FULL_RECIPES)):
        runs = table[(table["mode"] == mode) & table["model"].isin(FIVE)]
        covered = {r: runs.loc[runs["recipe"] == r, "model"].nunique() for r in recipes}
        recipe = max(recipes, key=lambda name: covered[name])  # the first of equals
        rows.append(runs[runs["recipe"] == recipe])
    chosen = pd.concat(rows).sort_values(["input_size", "seed"], kind="stable")
    chosen = chosen.drop_duplicates(["model", "mode"])
    chosen["model"] = pd.Categorical(chosen["model"], FIVE)
    ordered = chosen.sort_values(["model", "mode"], kind="stable", ignore_index=True)
    return ordered.astype({"model": str})
