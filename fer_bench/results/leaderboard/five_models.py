"""The five backbones in the benchmark's name: frozen next to full, each at its best like terms."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

FIVE = ("resnet18", "vgg16", "densenet121", "vit_b_16", "clip_vit_b_32")
#: Which recipe stands for fully tuned, the first that every one of the five has; the recipes of a
#: row must be the same, or budgets would be compared instead of networks.
FULL_RECIPES = ("equal-terms", "tuned-30", "finetune-5")
FROZEN_RECIPES = ("frozen-20",)
#: What stands for fully tuned in the protocol that people copy, next to `FROZEN_RECIPES`.
COPIED_RECIPES = ("finetune-5",)


def five_models(table: pd.DataFrame, full: Sequence[str] = FULL_RECIPES) -> pd.DataFrame:
    """The runs that compare the five backbones, two for each at most.

    Args:
        table: finished, comparable runs of one benchmark, as `results.summary.summary_table` has
            them.
        full: the recipes that may stand for fully tuned, the first that all five have.

    Returns:
        rows of `table` in the order of `FIVE`, frozen before full; of several sizes or seeds
        the smallest size, then seed 0. Of each mode one recipe: the first that all five have, else
        the one that most of them have. Empty where none of them is there.
    """
    rows = []
    for mode, recipes in (("frozen", FROZEN_RECIPES), ("full", full)):
        runs = table[(table["mode"] == mode) & table["model"].isin(FIVE)]
        covered = {r: runs.loc[runs["recipe"] == r, "model"].nunique() for r in recipes}
        recipe = max(recipes, key=lambda name: covered[name])  # the first of equals
        rows.append(runs[runs["recipe"] == recipe])
    chosen = pd.concat(rows).sort_values(["input_size", "seed"], kind="stable")
    chosen = chosen.drop_duplicates(["model", "mode"])
    chosen["model"] = pd.Categorical(chosen["model"], FIVE)
    ordered = chosen.sort_values(["model", "mode"], kind="stable", ignore_index=True)
    return ordered.astype({"model": str})
