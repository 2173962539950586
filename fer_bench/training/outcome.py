"""What every way of training returns."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from fer_bench.results.record import TrainingInfo


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
