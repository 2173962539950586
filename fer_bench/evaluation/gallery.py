"""A run's predictions and its images meet again, by id; samples to look at."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fer_bench.data.dataset import FaceDataset
from fer_bench.results.record import RunRecord
from fer_bench.types import SPLITS


class ImagesById:
    """A data set's images by the ids that stand in predictions and audits."""

    def __init__(self, dataset: FaceDataset) -> None:
        self._images = dataset.images
        self._positions = {str(name): i for i, name in enumerate(dataset.ids)}

    def __contains__(self, name: object) -> bool:
        return name in self._positions

    def __getitem__(self, name: str) -> NDArray[np.uint8]:
        """uint8 `(H, W)` gray or `(H, W, 3)` RGB.

        Raises:
            KeyError: no image of that id.
        """
        image: NDArray[np.uint8] = self._images[self._positions[name]]
        return image


def difference(record: RunRecord, dataset: FaceDataset) -> str | None:
    """One sentence when the data at hand are not those the run was measured on, else None."""
    # FER+ labels are not read for a gallery, so that fingerprint would differ without a reason.
    if record.spec.votes or dataset.fingerprint == record.dataset.fingerprint:
        return None
    return (
        f"{dataset.source} is not the data this run was measured on: its fingerprint is "
        f"{dataset.fingerprint[:12]}, the record's is {record.dataset.fingerprint[:12]}; images "
        "may not be those that the model saw"
    )


def samples(dataset: FaceDataset, emotion: str, n: int) -> list[NDArray[np.uint8]]:
    """At most `n` images of an emotion that are in a split, the same random ones each time."""
    wanted = (dataset.labels == dataset.emotions.index(emotion)) & (dataset.splits >= 0)
    rows = np.random.default_rng(0).permutation(np.flatnonzero(wanted))[:n]
    return [dataset.images[i] for i in rows]


def class_counts(dataset: FaceDataset) -> dict[str, dict[str, int]]:
    """Images per split and emotion, as records hold them."""
    return {split: dataset.class_counts(split) for split in SPLITS}


def enlarged(image: NDArray[np.uint8], side: int = 144) -> Image.Image:
    """A face image, uint8 `(H, W)` or `(H, W, 3)` RGB, scaled for the screen."""
    return Image.fromarray(np.asarray(image)).resize((side, side), Image.Resampling.BICUBIC)
