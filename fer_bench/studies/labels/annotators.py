"""What FER+'s annotators say of an image, next to its label and a run's answer."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fer_bench.data.vote_counts import CHOICES, VoteCounts
from fer_bench.evaluation.confusion import scores
from fer_bench.evaluation.intervals import Rate

#: Upper edges of the bins of agreement; with ten voters one bin per vote from five on.
EDGES = (0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
#: What `with_votes` adds to a table.
VOTE_COLUMNS = [
    "favourite", "agreement", "voters", "votes_for_label", "votes_for_answer", "sides_with",
]  # fmt: skip
#: With whom the voters side, in reading order.
SIDES = ("label", "model", "neither")


def votes_table(votes: VoteCounts) -> pd.DataFrame:
    """The voted faces by `id`, as index: each of `CHOICES`' votes, their sum and their favourite.

    Returns:
        Columns `CHOICES` (votes), `voters` (all votes), `favourite` (the choice with most votes;
        "" where two have as many) and `agreement` (the most votes of all votes, in (0, 1]).
    """
    voters = votes.counts.sum(1)
    known = voters > 0
    counts, voters = votes.counts[known], voters[known]
    most = counts.max(1, initial=0)
    alone = (counts == most[:, None]).sum(1) == 1
    names = np.array(CHOICES, dtype=object)
    table = pd.DataFrame(counts, columns=list(CHOICES), index=votes.ids[known].astype(object))
    return table.rename_axis("id").assign(
        voters=voters,
        favourite=np.where(alone, names[counts.argmax(1)], ""),
        agreement=most / voters,
    )


def _votes_for(
    votes: pd.DataFrame, ids: pd.Series[str], names: pd.Series[str]
) -> NDArray[np.int64]:
    """int64 `(N,)`: how many voted for this name on this image; 0 for a name FER+ does not have."""
    column = pd.Index(CHOICES).get_indexer(pd.Index(names))
    counts = votes.loc[ids.tolist(), list(CHOICES)].to_numpy(dtype=np.int64)
    chosen: NDArray[np.int64] = counts[np.arange(len(counts)), column]
    return np.where(column >= 0, chosen, 0)


def with_votes(table: pd.DataFrame, votes: pd.DataFrame) -> pd.DataFrame:
    """The images of a table that were voted on, with the votes next to their label and answer.

    Args:
        table: columns `id, label, answer`, names of emotions.
        votes: as `votes_table` gives them.

    Returns:
        The table's columns and order, and `VOTE_COLUMNS`; `sides_with` is one of `SIDES`, by the
        favourite.
    """
    voted = table[table["id"].isin(votes.index)]
    counts = votes.loc[voted["id"]]
    favourite = counts["favourite"].to_numpy()
    label, answer = (favourite == voted[c].to_numpy() for c in ("label", "answer"))
    return voted.assign(
        favourite=favourite,
        agreement=counts["agreement"].to_numpy(),
        voters=counts["voters"].to_numpy(),
        votes_for_label=_votes_for(votes, voted["id"], voted["label"]),
        votes_for_answer=_votes_for(votes, voted["id"], voted["answer"]),
        sides_with=np.select([label, answer], SIDES[:2], SIDES[2]),
    )


def sides(table: pd.DataFrame) -> dict[str, Rate]:
    """How often the voters side with the label, with the model and with neither.

    Args:
        table: as `with_votes` gives it, of images whose label and answer differ.
    """
    counts = table["sides_with"].value_counts()
    return {side: Rate(hits=int(counts.get(side, 0)), n=len(table)) for side in SIDES}


def accuracy_by_agreement(
    predictions: pd.DataFrame, emotions: Sequence[str], votes: pd.DataFrame
) -> pd.DataFrame:
    """A run's accuracy on images by the share of voters that chose the favourite.

    Args:
        predictions: as a run's `predictions.parquet`.
        votes: as `votes_table` gives them.

    Returns:
        One row per bin that holds an image: `low, high` (edges of the agreement; a bin holds its
        upper one), `images`, and the rates `accuracy` (the answer is the label), `label_favoured`
        (the label is the voters' favourite) and `answer_favoured` (the answer is), each with its
        95 % interval as `_low` and `_high`.
    """
    labels, probabilities = scores(predictions, emotions)
    names = np.asarray(emotions, dtype=object)
    table = with_votes(
        pd.DataFrame(
            {
                "id": predictions["id"].to_numpy(),
                "label": names[labels],
                "answer": names[probabilities.argmax(1)],
            }
        ),
        votes,
    )
    bins = np.digitize(table["agreement"], EDGES, right=True)
    hits = {
        "accuracy": (table["answer"] == table["label"]).to_numpy(),
        "label_favoured": (table["favourite"] == table["label"]).to_numpy(),
        "answer_favoured": (table["favourite"] == table["answer"]).to_numpy(),
    }
    rows = []
    for number, (low, high) in enumerate(zip((0.0, *EDGES), EDGES, strict=False)):
        inside = bins == number
        if not inside.any():
            continue
        row: dict[str, float] = {"low": low, "high": high, "images": int(inside.sum())}
        for name, hit in hits.items():
            rate = Rate(hits=int(hit[inside].sum()), n=int(inside.sum()))
            row[name], (row[f"{name}_low"], row[f"{name}_high"]) = rate.value, rate.ci95
        rows.append(row)
    columns = [f"{name}{end}" for name in hits for end in ("", "_low", "_high")]
    return pd.DataFrame(rows, columns=["low", "high", "images", *columns])
