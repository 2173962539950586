"""Where a network looks for each emotion: the mean of many faces' heat maps over the mean face."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fer_bench.data.dataset import FaceDataset
from fer_bench.errors import FerBenchError
from fer_bench.inference.classifier import FaceClassifier
from fer_bench.models.fingerprint import fingerprint
from fer_bench.storage import digest_of
from fer_bench.studies.explain.cache import cached_arrays
from fer_bench.studies.explain.heat_map import explain, overlay_heat
from fer_bench.types import Progress, Split, silent

#: Test images that are analysed unless the caller says otherwise: 30 of each of seven emotions.
N_IMAGES = 210


@dataclass(frozen=True, kw_only=True)
class MeanHeat:
    """Where the network looks for one emotion on faces that are labelled so.

    Attributes:
        n: faces averaged.
        face: uint8 `(H, W)` gray or `(H, W, 3)` RGB, their mean.
        heat: float32 `(H, W)` in [0, 1], the mean of their heat maps, each of which has its
            maximum, 1, at the place that speaks most for the emotion.
    """

    emotion: str
    n: int
    face: NDArray[np.uint8]
    heat: NDArray[np.float32]

    @property
    def peak(self) -> float:
        """The mean map's maximum: 1 where all faces are named by the same place."""
        return float(self.heat.max())

    def overlay(self) -> NDArray[np.uint8]:
        """The mean face under the mean map, which is stretched to its full range of colours.

        Returns:
            uint8 `(H, W, 3)` RGB.
        """
        return overlay_heat(self.face, self.heat / np.float32(max(self.peak, 1e-7)))


def spread_sample(rows: NDArray[np.int64], n: int) -> NDArray[np.int64]:
    """At most `n` of the rows, evenly spread and in their order; the same ones each time."""
    positions = np.linspace(0, len(rows) - 1, min(n, len(rows)))
    return rows[np.rint(positions).astype(np.int64)]


def mean_heats(
    classifier: FaceClassifier,
    dataset: FaceDataset,
    *,
    split: Split = "test",
    n_images: int = N_IMAGES,
    progress: Progress = silent,
) -> list[MeanHeat]:
    """The mean heat map of each emotion that the classifier knows and the split has.

    Faces are chosen by their label; each one's map shows what speaks for that emotion, whatever
    the network answers. Maps are cached on disk, by the weights and the images.

    Args:
        n_images: at most so many together, equally many of each emotion (one at least), evenly
            spread over the split.

    Raises:
        FerBenchError: a split without an emotion that the classifier knows, or a network without
            any map of the image.
    """
    chosen = _chosen(classifier, dataset, split, n_images)
    network = fingerprint(classifier.model, classifier.model.input_spec)
    total, means = sum(map(len, chosen.values())), []
    done = 0
    for emotion, rows in chosen.items():
        faces = np.asarray(dataset.images[rows])

        def compute(
            faces: NDArray[np.uint8] = faces, emotion: str = emotion, before: int = done
        ) -> Mapping[str, NDArray[np.float32]]:
            heat = np.zeros(faces.shape[1:3], np.float64)
            for number, face in enumerate(faces, start=1):
                heat += explain(classifier, face, emotion)
                progress("heat maps", before + number, total, {})
            return {"heat": (heat / len(faces)).astype(np.float32)}

        facts = [network, list(classifier.emotions), emotion, digest_of(faces), faces.shape]
        heat = cached_arrays("heat", facts, compute)["heat"]
        done += len(rows)
        face = np.rint(faces.mean(0)).astype(np.uint8)
        means.append(MeanHeat(emotion=emotion, n=len(rows), face=face, heat=heat))
    return means


def _chosen(
    classifier: FaceClassifier, dataset: FaceDataset, split: Split, n_images: int
) -> dict[str, NDArray[np.int64]]:
    """Positions of the faces to look at, by emotion, in the classifier's order."""
    rows = dataset.indices(split)
    labels = dataset.labels[rows]
    known = [e for e in classifier.emotions if e in dataset.emotions]
    present = {e: rows[labels == dataset.emotions.index(e)] for e in known}
    present = {e: rows_of for e, rows_of in present.items() if len(rows_of)}
    if not present:
        raise FerBenchError(
            f"the {split} split of {dataset.source} has no image of the emotions that "
            f"{classifier.name} knows ({', '.join(classifier.emotions)}): choose other data"
        )
    each = max(n_images // len(present), 1)
    return {emotion: spread_sample(rows_of, each) for emotion, rows_of in present.items()}
