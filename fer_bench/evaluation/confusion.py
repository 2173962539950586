"""What a classifier mistakes for what: normalised matrices, confused pairs, ROC, galleries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fer_bench.errors import FerBenchError

if TYPE_CHECKING:  # `predict` imports this module and makes no tables
    import pandas as pd

Normalisation = Literal["counts", "true", "predicted"]
#: How columns of probabilities begin, by the suffix of their metrics.
PREFIXES = {"": "p_", "_tta": "tta_"}


def normalised(confusion: ArrayLike, by: Normalisation) -> NDArray[np.float64]:
    """The confusion matrix as counts, or as shares of each true class or predicted class.

    Args:
        confusion: int `(C, C)`, `[true][predicted]`.

    Returns:
        float64 `(C, C)`; with `true` rows sum to 1 (recall on the diagonal), with `predicted`
        columns do (precision); NaN where a class never occurs.
    """
    counts = np.asarray(confusion, dtype=np.float64)
    if by == "counts":
        return counts
    total = counts.sum(axis=1 if by == "true" else 0, keepdims=True)
    shares = np.full_like(counts, np.nan)
    np.divide(counts, total, out=shares, where=total > 0)
    return shares


def confused_pairs(confusion: ArrayLike, emotions: Sequence[str], top: int = 10) -> pd.DataFrame:
    """The commonest mistakes, most images first.

    Returns:
        columns `true, predicted, images, share_of_true` (in [0, 1]); pairs that never happen
        are left out.
    """
    import pandas as pd

    counts = np.asarray(confusion, dtype=np.int64)
    shares = normalised(counts, "true")
    rows = [
        {
            "true": true,
            "predicted": predicted,
            "images": int(counts[i, j]),
            "share_of_true": float(shares[i, j]),
        }
        for i, true in enumerate(emotions)
        for j, predicted in enumerate(emotions)
        if i != j and counts[i, j] > 0
    ]
    table = pd.DataFrame(rows, columns=["true", "predicted", "images", "share_of_true"])
    return table.sort_values("images", ascending=False, kind="stable", ignore_index=True).head(top)


def roc_table(labels: ArrayLike, probabilities: ArrayLike, emotions: Sequence[str]) -> pd.DataFrame:
    """ROC curves of each emotion against the rest (scikit-learn's `roc_curve`).

    Args:
        labels: int `(N,)`, indices into `emotions`.
        probabilities: float `(N, C)`.

    Returns:
        columns `emotion, false_positive_rate, true_positive_rate, auc`, several rows per
        emotion; an emotion that is absent from the labels, or alone in them, has none.
    """
    import pandas as pd
    from sklearn.metrics import auc, roc_curve

    truth = np.asarray(labels)
    given = np.asarray(probabilities, dtype=np.float64)
    parts = []
    for column, emotion in enumerate(emotions):
        positive = truth == column
        if positive.all() or not positive.any():
            continue
        false_rate, true_rate, _ = roc_curve(positive, given[:, column])
        parts.append(
            pd.DataFrame(
                {
                    "emotion": emotion,
                    "false_positive_rate": false_rate,
                    "true_positive_rate": true_rate,
                    "auc": float(auc(false_rate, true_rate)),
                }
            )
        )
    columns = ["emotion", "false_positive_rate", "true_positive_rate", "auc"]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)


def of_set(predictions: pd.DataFrame, metrics_key: str) -> pd.DataFrame:
    """The predictions behind a record's metrics: `val`, `test` or `test_clean`."""
    if metrics_key == "test_clean":
        return predictions[predictions["clean"]]
    return predictions[predictions["split"] == metrics_key]


def scores(
    predictions: pd.DataFrame, emotions: Sequence[str], suffix: str = ""
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """A predictions table's labels, int64 `(N,)`, and probabilities, float64 `(N, C)`.

    Args:
        suffix: `_tta` for those with test-time augmentation.

    Raises:
        FerBenchError: the table has no column for an emotion, or labels of more emotions.
    """
    columns = [PREFIXES[suffix] + e for e in emotions]
    missing = [c for c in columns if c not in predictions]
    if missing:
        raise FerBenchError(
            f"the predictions have no column {', '.join(missing)}: evaluate the run again"
        )
    labels = predictions["label"].to_numpy(dtype=np.int64)
    if len(labels) and labels.max() >= len(emotions):
        raise FerBenchError(
            f"the predictions have labels up to {labels.max()}, and the record "
            f"{len(emotions)} emotions: evaluate the run again"
        )
    return labels, predictions[columns].to_numpy(dtype=np.float64)


def answers(predictions: pd.DataFrame, emotions: Sequence[str]) -> pd.DataFrame:
    """Each prediction's answer next to the truth, most confident first.

    Args:
        predictions: columns `id, label` and `p_<emotion>`, as in a run's `predictions.parquet`.

    Returns:
        columns `id, true, predicted, confidence, correct`.
    """
    import pandas as pd

    labels, probabilities = scores(predictions, emotions)
    names = np.asarray(emotions, dtype=object)
    answer = probabilities.argmax(axis=1)
    table = pd.DataFrame(
        {
            "id": predictions["id"].to_numpy(),
            "true": names[labels],
            "predicted": names[answer],
            "confidence": probabilities.max(axis=1),
            "correct": labels == answer,
        }
    )
    return table.sort_values("confidence", ascending=False, kind="stable", ignore_index=True)
