"""Optimisers and learning-rate schedules, made from a recipe."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, OneCycleLR, ReduceLROnPlateau

from fer_bench.specs.recipe import Recipe, Schedule


def make_optimizer(
    parameters: Iterable[nn.Parameter], recipe: Recipe, model: str
) -> torch.optim.Optimizer:
    """The recipe's optimiser over the trainable ones of `parameters`, at this model's rate.

    Fused where PyTorch has it, on CPU and CUDA: one pass over the weights a step, for VGG16's 134 M
    a tenth of the time (`benchmarks/training/optimiser_step.py`).
    """
    settings = recipe.optimizer_for(model)
    trainable = [p for p in parameters if p.requires_grad]
    lr, decay = settings.lr, settings.weight_decay
    if settings.name == "sgd":
        return torch.optim.SGD(
            trainable,
            lr=lr,
            weight_decay=decay,
            momentum=settings.momentum,
            nesterov=settings.nesterov and settings.momentum > 0,
            fused=True,
        )
    if settings.name == "nadam":
        return torch.optim.NAdam(trainable, lr=lr, weight_decay=decay)
    kinds: dict[str, type[torch.optim.Adam]] = {
        "adam": torch.optim.Adam,
        "adamw": torch.optim.AdamW,
    }
    return kinds[settings.name](trainable, lr=lr, weight_decay=decay, fused=True)


class LearningRate:
    """A schedule that is stepped after every batch and after every epoch.

    constant, cosine, one-cycle move by batches; plateau moves by epochs, on val accuracy.
    """

    def __init__(
        self, optimizer: torch.optim.Optimizer, schedule: Schedule, epochs: int, steps: int
    ) -> None:
        """`steps`: batches in one epoch."""
        self._optimizer = optimizer
        self._by_epoch: ReduceLROnPlateau | None = None
        self._by_batch: LRScheduler | None = None
        if schedule.name == "plateau":
            self._by_epoch = ReduceLROnPlateau(
                optimizer, mode="max", factor=schedule.factor, patience=schedule.patience
            )
        elif schedule.name == "one-cycle":
            peak = optimizer.param_groups[0]["lr"]
            # One more than there are: the schedule counts the rate before the first step too.
            self._by_batch = OneCycleLR(
                optimizer,
                max_lr=peak,
                total_steps=epochs * steps + 1,
                cycle_momentum=schedule.cycle_momentum,
            )
        else:
            warmup = int(schedule.warmup_epochs * steps)
            self._by_batch = LambdaLR(optimizer, _Factor(schedule.name, warmup, epochs * steps))

    @property
    def value(self) -> float:
        """The learning rate in force."""
        return float(self._optimizer.param_groups[0]["lr"])

    @property
    def momentum(self) -> tuple[float, float]:
        """The lowest and highest momentum (Adam: first beta) that the schedule gives."""
        group = self._optimizer.param_groups[0]
        if "max_momentum" in group:
            return group["base_momentum"], group["max_momentum"]
        fixed = group["momentum"] if "momentum" in group else group["betas"][0]
        return fixed, fixed

    def step_batch(self) -> None:
        """Call after each optimiser step."""
        if self._by_batch is not None:
            self._by_batch.step()

    def step_epoch(self, val_accuracy: float) -> None:
        """Call after each epoch's validation; accuracy in [0, 1]."""
        if self._by_epoch is not None:
            self._by_epoch.step(val_accuracy)

    def state_dict(self) -> dict[str, Any]:
        """Plain numbers, for a checkpoint."""
        inner = self._by_epoch or self._by_batch
        assert inner is not None  # nosec B101  # one of the two always is there
        state = inner.state_dict()
        return {k: v for k, v in state.items() if isinstance(v, (int, float, list, bool))}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes up where `state_dict` left off."""
        inner = self._by_epoch or self._by_batch
        assert inner is not None  # nosec B101  # one of the two always is there
        inner.load_state_dict(state)


class _Factor:
    """Learning rate as a share of its peak after `step` batches: linear warm-up, then the shape."""

    def __init__(self, name: str, warmup: int, total: int) -> None:
        self.name, self.warmup, self.total = name, warmup, total

    def __call__(self, step: int) -> float:
        if step < self.warmup:
            return (step + 1) / self.warmup
        if self.name == "constant":
            return 1.0
        share = (step - self.warmup) / max(self.total - self.warmup, 1)
        return 0.5 * (1 + math.cos(math.pi * min(share, 1.0)))
