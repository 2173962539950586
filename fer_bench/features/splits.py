"""A network's features of a whole split, and the answers that its head gives on them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from fer_bench.data.dataset import FaceDataset
from fer_bench.data.preprocess import to_input
from fer_bench.features.cache import NamedExtractor, extract_features, feature_cache
from fer_bench.features.extractors import make_extractor
from fer_bench.models.classifier import Classifier
from fer_bench.types import Progress, Split, silent

#: Exact, and the same on every machine.
EXTRACTOR = "torch-fp32"


@dataclass(frozen=True, kw_only=True)
class SplitFeatures:
    """A split as a network sees it.

    Attributes:
        rows: int64 `(N,)`, positions in the data set.
        values: float32 `(N, D)`, memory-mapped; of an ensemble, its networks' probabilities.
    """

    rows: NDArray[np.int64]
    values: NDArray[np.float32]


def split_features(
    model: Classifier, dataset: FaceDataset, split: Split, progress: Progress = silent
) -> SplitFeatures:
    """Features of every image of a split, as the network's head gets them.

    They come from, and stay in, the cache that frozen training uses: keyed by the weights and the
    images, checked when they are read, taken up where a killed process stopped.

    Raises:
        FerBenchError: the split is empty, or the cache cannot be written.
        RunFailed: features that are not finite.
    """
    extractor = NamedExtractor(
        name=EXTRACTOR,
        make=lambda: make_extractor(
            EXTRACTOR, model, to_input(dataset.images[:1], model.input_spec)
        ),
    )
    extracted = extract_features(
        model,
        dataset,
        splits=(split,),
        extractor=extractor,
        cache_dir=feature_cache(),
        mirrored=(),
        progress=progress,
    )
    return SplitFeatures(rows=dataset.indices(split), values=extracted[split][:, 0])


def answer_table(model: Classifier, dataset: FaceDataset, features: SplitFeatures) -> pd.DataFrame:
    """What the network answers for each image of a split, in the split's order.

    Returns:
        Columns `id, true, predicted, confidence, correct`; `confidence` in [0, 1] is the largest
        probability, without the temperature, as on the page Errors. `true` is the data's own label.
    """
    values = torch.tensor(np.asarray(features.values))
    if model.request.name == "ensemble":  # whose head wants each network's probabilities apart
        values = values.reshape(len(values), -1, len(model.emotions))
    with torch.inference_mode():
        probabilities = model.head(values).double().softmax(1).numpy()
    true = np.asarray(dataset.emotions, dtype=object)[dataset.labels[features.rows]]
    predicted = np.asarray(model.emotions, dtype=object)[probabilities.argmax(1)]
    return pd.DataFrame(
        {
            "id": dataset.ids[features.rows].astype(object),
            "true": true,
            "predicted": predicted,
            "confidence": probabilities.max(1),
            "correct": true == predicted,
        }
    )
