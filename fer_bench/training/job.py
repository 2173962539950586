"""What a training is given, and what it returns."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fer_bench import distributed
from fer_bench.data.dataset import FaceDataset
from fer_bench.models.classifier import Classifier
from fer_bench.results.parse import HISTORY_COLUMNS
from fer_bench.results.record import TrainingInfo
from fer_bench.specs.recipe import Recipe
from fer_bench.specs.run import RunSpec
from fer_bench.types import Progress, silent


@dataclass(frozen=True)
class TrainingJob:
    """One training, the same for a whole network and for a head on cached features.

    Attributes:
        model: trained in place.
        work_dir: holds the checkpoint of the last finished epoch.
        resume: goes on from that checkpoint, if there is one.
    """

    model: Classifier
    dataset: FaceDataset
    spec: RunSpec
    work_dir: Path
    progress: Progress = silent
    device: str = "cpu"
    resume: bool = False

    @property
    def recipe(self) -> Recipe:
        """How it is trained."""
        return self.spec.recipe

    @property
    def train(self) -> NDArray[np.int64]:
        """Indices `(n,)` of the images that are learnt from."""
        return self.dataset.indices("train")

    @property
    def val(self) -> NDArray[np.int64]:
        """Indices `(m,)` of the images that choose the epoch."""
        return self.dataset.indices(self.spec.selection_split)


@dataclass(frozen=True, kw_only=True)
class TrainingOutcome:
    """The chosen weights are in the model itself; this is what is written down about them.

    Attributes:
        history: one row per epoch: `epoch, train_loss, train_accuracy, val_loss, val_accuracy, lr,
            images_per_second, seconds`; rates in [0, 1], epochs from 1; empty where nothing is
            trained.
    """

    history: pd.DataFrame
    info: TrainingInfo


def untrained(device: str) -> TrainingOutcome:
    """The outcome of a network that is used as it is: no epochs."""
    info = TrainingInfo(
        epochs_run=0,
        best_epoch=0,
        seconds=0,
        images_per_second=0,
        device=device,
        precision="fp32",
        precision_reason="nothing is trained",
        batch_size=0,
        processes=distributed.count(),
    )
    return TrainingOutcome(history=pd.DataFrame(columns=list(HISTORY_COLUMNS)), info=info)
