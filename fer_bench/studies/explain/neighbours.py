"""The training images that a network finds most like a face."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from sklearn.neighbors import NearestNeighbors

from fer_bench.data.cache import pixel_hashes
from fer_bench.data.dataset import FaceDataset
from fer_bench.data.preprocess import to_input
from fer_bench.features.splits import split_features
from fer_bench.models.classifier import Classifier
from fer_bench.types import Progress, silent


class TrainingFaces:
    """A data set's training images in a network's feature space, ready to be searched."""

    def __init__(
        self, model: Classifier, dataset: FaceDataset, progress: Progress = silent
    ) -> None:
        """Features come from the cache where it has them.

        Raises:
            FerBenchError, RunFailed: as `split_features`.
        """
        features = split_features(model, dataset, "train", progress)
        self._model, self._dataset, self._rows = model, dataset, features.rows
        self._search = NearestNeighbors(metric="cosine", algorithm="brute").fit(features.values)

    def nearest(self, crop: NDArray[np.uint8], k: int = 12) -> pd.DataFrame:
        """The training images nearest to a face, nearest first; all where there are fewer than `k`.

        Args:
            crop: uint8 `(H, W)` gray or `(H, W, 3)` RGB, as the data set holds its images.

        Returns:
            Columns `id`, `position` (in the data set), `label` (its emotion), `distance` (cosine,
            in [0, 2]; 0 is the same direction) and `duplicate` (the very same pixels).
        """
        with torch.inference_mode():
            feature = self._model.features(to_input(crop[None], self._model.input_spec))
        distances, positions = self._search.kneighbors(
            feature.float().flatten(1).numpy(), n_neighbors=min(k, len(self._rows))
        )
        rows = self._rows[positions[0]]
        data = self._dataset
        return pd.DataFrame(
            {
                "id": data.ids[rows].astype(object),
                "position": rows,
                "label": np.asarray(data.emotions, dtype=object)[data.labels[rows]],
                "distance": distances[0],
                "duplicate": data.hashes[rows] == pixel_hashes(crop[None])[0],
            }
        )


def share_of(labels: Iterable[str], emotion: str) -> float:
    """The share of labels, at least one, that are this emotion; in [0, 1]."""
    same = [label == emotion for label in labels]
    return sum(same) / len(same)
