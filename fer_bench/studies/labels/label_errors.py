"""Which labels are likely wrong, by what a model says of images that it was not trained on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from fer_bench.errors import FerBenchError, extra_needed
from fer_bench.evaluation.confusion import of_set, scores


def likely_errors(predictions: pd.DataFrame, emotions: Sequence[str]) -> pd.DataFrame:
    """Every test image with how suspect its label is, the most suspicious first.

    Confident learning (Northcutt et al. 2021, arXiv 1911.00068) by cleanlab: a label is suspect
    where the model is as sure of another emotion as it is on average of that emotion's own images.
    The probabilities must be held out, as those of a run's test split are.

    Args:
        predictions: as a run's `predictions.parquet`.

    Returns:
        Columns `id`; `label` and `answer`, emotions; `confidence` and `label_probability`, of the
        two; `quality`, the label's normalised margin in [0, 1], less is worse; and `suspect`.

    Raises:
        FerBenchError: no test images, those of one class only, or no column for an emotion.
    """
    with extra_needed():
        from cleanlab.filter import find_label_issues
        from cleanlab.rank import get_label_quality_scores

    test = of_set(predictions, "test")
    if test.empty:
        raise FerBenchError(
            "the predictions hold no test images: label errors are looked for there; evaluate the "
            "run on test first"
        )
    labels, probabilities = scores(test, emotions)
    present = [emotion for number, emotion in enumerate(emotions) if (labels == number).any()]
    if len(present) < 2:
        raise FerBenchError(
            f"the test images are all labelled {', '.join(present)}: expected two classes or more, "
            "as a label is suspect only against another; evaluate the run on more of its data"
        )
    probabilities = probabilities / probabilities.sum(1, keepdims=True)
    names, answers = np.asarray(emotions, dtype=object), probabilities.argmax(1)
    table = pd.DataFrame(
        {
            "id": test["id"].to_numpy(),
            "label": names[labels],
            "answer": names[answers],
            "confidence": probabilities.max(1),
            "label_probability": probabilities[np.arange(len(labels)), labels],
            "quality": get_label_quality_scores(labels, probabilities, method="normalized_margin"),
            # One process: a web server's must not be forked for so little.
            "suspect": find_label_issues(
                labels, probabilities, filter_by="confident_learning", n_jobs=1
            ),
        }
    )
    return table.sort_values("quality", kind="stable", ignore_index=True)
