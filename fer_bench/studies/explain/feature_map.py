"""A split's features as points on a plane: t-SNE (van der Maaten and Hinton, JMLR 9, 2008).

Neighbours on the map are neighbours in feature space; distances across it, and the sizes of the
groups, mean little.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import sklearn
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE

from fer_bench.data.dataset import FaceDataset
from fer_bench.errors import FerBenchError
from fer_bench.features.splits import answer_table, split_features
from fer_bench.models.classifier import Classifier
from fer_bench.storage import digest_of
from fer_bench.studies.explain.cache import cached_arrays
from fer_bench.studies.explain.mean_heat import spread_sample
from fer_bench.types import Progress, Split, silent

#: More points than this hide one another, and take long to draw.
MOST_POINTS = 2000
#: Features are brought down to so many principal components first, as the authors advise.
COMPONENTS = 50
#: Neighbours that each point attends to; scikit-learn's default.
PERPLEXITY = 30
SEED = 0
FEWEST_POINTS = 4
COLUMNS = ("id", "x", "y", "true", "predicted", "confidence", "correct")


def feature_map(
    model: Classifier,
    dataset: FaceDataset,
    *,
    split: Split = "test",
    most: int = MOST_POINTS,
    progress: Progress = silent,
) -> pd.DataFrame:
    """A point for each image of a split, or for `most` of them, evenly spread.

    The same features give the same map; features and map are cached on disk.

    Returns:
        One row per image, in `COLUMNS`; `x, y` without a unit, the others as `answer_table` has
        them.

    Raises:
        FerBenchError: a split of fewer than four images, or a cache that cannot be written.
        RunFailed: features that are not finite.
    """
    features = split_features(model, dataset, split, progress)
    chosen = spread_sample(np.arange(len(features.rows)), most)
    if len(chosen) < FEWEST_POINTS:
        raise FerBenchError(
            f"expected {FEWEST_POINTS} images or more to map, got {len(chosen)} in the {split} "
            f"split of {dataset.source}: choose a larger one"
        )
    values = np.asarray(features.values[chosen])
    facts = [digest_of(values), values.shape, COMPONENTS, PERPLEXITY, SEED, sklearn.__version__]

    def compute() -> Mapping[str, NDArray[np.float32]]:
        progress("placing points", 0, len(values), {})
        return {"places": _placed(values)}

    points = cached_arrays("map", facts, compute)["places"]
    answers = answer_table(model, dataset, features).iloc[chosen].reset_index(drop=True)
    return answers.assign(x=points[:, 0], y=points[:, 1])[list(COLUMNS)]


def _placed(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """float32 `(N, D)` features to float32 `(N, 2)` places."""
    if not np.ptp(values, axis=0).any():  # nothing to tell apart, and no scale for t-SNE to take
        return np.zeros((len(values), 2), np.float32)
    reducing = PCA(min(COMPONENTS, *values.shape), random_state=SEED)
    reduced = reducing.fit_transform(values.astype(np.float64))
    perplexity = min(PERPLEXITY, (len(values) - 1) / 3)
    tsne = TSNE(perplexity=perplexity, init="pca", random_state=SEED)
    return np.asarray(tsne.fit_transform(reduced), np.float32)
