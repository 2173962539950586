"""What changes while a network trains, and how it is written down to go on later."""

from __future__ import annotations

import math
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import torch
from accelerate import Accelerator, DistributedDataParallelKwargs
from torch import Tensor, nn

from fer_bench.errors import FerBenchError, RunFailed, one_line
from fer_bench.models.pretrained import LOAD_ERRORS
from fer_bench.specs.recipe import Recipe
from fer_bench.storage import finished_file, remove_leftovers
from fer_bench.training.optim import LearningRate, make_optimizer
from fer_bench.types import Precision

if TYPE_CHECKING:
    from timm.utils import ModelEmaV3


Net = TypeVar("Net", bound=nn.Module)
FILE = "checkpoint.pt"


def seed_epoch(seed: int, epoch: int) -> torch.Generator:
    """The epoch's own generator; dropout, which uses the global one, is seeded alike."""
    number = seed * 100_003 + epoch
    torch.manual_seed(number)
    return torch.Generator().manual_seed(number)


def _moving_average(model: nn.Module, decay: float | None) -> ModelEmaV3 | None:
    """The model's weights, averaged over the steps to come; None without a decay.

    The decay warms up and batch norm's buffers are tracked: an average that starts from random
    weights lags behind otherwise.
    """
    if not decay:
        return None
    from timm.utils import ModelEmaV3  # seconds to import, and many recipes need it not

    return ModelEmaV3(model, decay=decay, use_warmup=True)


def _copied(network: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().cpu().clone() for name, value in network.state_dict().items()}


class TrainingState(Generic[Net]):
    """Weights, moving average, optimiser, schedule, history, and the best epoch so far.

    `network` and `stepper` are accelerate's views of `model` and `optimizer`, used to train:
    with several processes, backward gives the mean of their gradients.
    """

    def __init__(
        self,
        model: Net,
        recipe: Recipe,
        model_name: str,
        steps_per_epoch: int,
        device: str,
        precision: Precision,
        *,
        alone: bool = False,
    ) -> None:
        """
        Args:
            steps_per_epoch: batches, shared by the processes.
            alone: this process trains by itself, however many there are.
        """
        self.model = model
        self.recipe = recipe
        self.steps_per_epoch = steps_per_epoch
        self.precision = precision
        self.optimizer = make_optimizer(model.parameters(), recipe, model_name)
        self.rate = LearningRate(self.optimizer, recipe.schedule, recipe.epochs, steps_per_epoch)
        self.average = _moving_average(model, recipe.ema_decay)
        # Its precision is one for the whole process; ours may change from run to run, so autocast
        # stays with us (`training.precision`).
        # Batch norm's statistics are settled once an epoch (`training.parallel`), not at each step.
        how = DistributedDataParallelKwargs(broadcast_buffers=False)
        self.accelerator = Accelerator(
            cpu=device == "cpu", mixed_precision="no", kwargs_handlers=[how]
        )
        with warnings.catch_warnings():  # newer PyTorch has another word for it, older does not
            warnings.filterwarnings("ignore", ".*broadcast_buffers", FutureWarning)
            self.network = model if alone else self.accelerator.prepare(model)
        self.stepper = self.accelerator.prepare(self.optimizer)
        self.epoch = 0
        self.steps = 0
        self.history: list[dict[str, float]] = []
        self.best_epoch = 0
        self.best: dict[str, Tensor] = {}
        self.start = _copied(model) if recipe.start_share else {}

    @property
    def selected(self) -> Net:
        """The weights that are validated and stored: the average, if there is one."""
        selected: Net = self.average.module if self.average else self.model
        return selected

    def step(self, loss: Tensor) -> None:
        """One optimiser step down the loss, and all that follows it."""
        self.accelerator.backward(loss)
        if self.recipe.clip_grad:
            self.accelerator.clip_grad_norm_(self.network.parameters(), self.recipe.clip_grad)
        self.stepper.step()
        self.stepper.zero_grad(set_to_none=True)
        self.steps += 1
        self.rate.step_batch()
        if self.average:
            self.average.update(self.model, step=self.steps)

    def finish_epoch(self, row: dict[str, float]) -> None:
        """After an epoch and its validation; `row` is the epoch's line of the history.

        Raises:
            RunFailed: the network that would be stored answers with numbers that are not finite.
        """
        if not math.isfinite(row["val_loss"]):
            raise RunFailed(
                f"training diverged: the validation loss became {row['val_loss']} in epoch "
                f"{self.epoch + 1}: lower the learning rate"
            )
        self.epoch += 1
        self.history.append(row)
        self.rate.step_epoch(row["val_accuracy"])
        if self._best_on_val() == self.epoch or self.recipe.checkpoint == "last":
            self.best_epoch = self.epoch
            self.best = _copied(self.selected)

    def out_of_patience(self) -> bool:
        """Whether early stopping ends the run here."""
        return 0 < self.recipe.early_stopping <= self.epoch - self._best_on_val()

    def _best_on_val(self) -> int:
        """The first epoch of the best val accuracy, whichever epoch is chosen; 0 before any."""
        accuracies = [row["val_accuracy"] for row in self.history]
        return accuracies.index(max(accuracies)) + 1 if accuracies else 0

    def keep_best(self) -> None:
        """Ends the training: the chosen epoch's weights into the model, with the start's share.

        Fine-tuned weights mixed with those they started from keep more of what the start could do
        (WiSE-FT: Wortsman et al. 2022, https://arxiv.org/abs/2109.01903).
        """
        share = self.recipe.start_share
        mixed = {
            name: value.lerp(self.best[name], 1 - share)
            for name, value in self.start.items()
            if value.is_floating_point()
        }
        self.model.load_state_dict(self.best | mixed)

    def checkpoint(self) -> dict[str, Any]:
        """Everything `restore` needs: tensors, numbers and strings only."""
        return {
            "epoch": self.epoch,
            "steps": self.steps,
            "history": self.history,
            "best_epoch": self.best_epoch,
            "best": self.best,
            "model": self.model.state_dict(),
            "average": self.average.module.state_dict() if self.average else None,
            "optimizer": self.optimizer.state_dict(),
            "rate": self.rate.state_dict(),
        }

    def restore(self, saved: dict[str, Any]) -> None:
        """Takes up where `checkpoint` left off.

        Raises:
            FerBenchError: what was saved is no state of this network.
        """
        try:
            for name in ("epoch", "steps", "history", "best_epoch", "best"):
                setattr(self, name, saved[name])
            self.model.load_state_dict(saved["model"])
            if self.average:
                self.average.module.load_state_dict(saved["average"])
            self.optimizer.load_state_dict(saved["optimizer"])
            self.rate.load_state_dict(saved["rate"])
        except (LookupError, TypeError, AttributeError, ValueError, RuntimeError) as error:
            reason = (str(error).splitlines() or [""])[0]
            raise FerBenchError(
                "the checkpoint to go on from does not fit this run "
                f"({type(error).__name__}: {reason:.120}): delete `.work` in the results folder "
                "and run it again"
            ) from None


def save_checkpoint(folder: Path, state: dict[str, Any]) -> None:
    """Replaces the folder's checkpoint. `state`: tensors, numbers, strings, lists and dicts.

    Raises:
        RunFailed: the disk refuses; the previous checkpoint stays.
    """
    try:
        remove_leftovers(folder, Path(FILE).suffix)
        # A file of Python's: PyTorch's own would not say that the disk is full.
        with finished_file(folder / FILE) as temporary, temporary.open("wb") as file:
            torch.save(state, file)
    except (OSError, RuntimeError) as error:
        # PyTorch, told of a full disk, complains of a position in the file next.
        why = error.__context__ if isinstance(error.__context__, OSError) else error
        reason = why.strerror if isinstance(why, OSError) else one_line(str(why))
        raise RunFailed(
            f"cannot write the checkpoint in {folder}: {reason}; free some space, then go on with "
            "--resume"
        ) from error


def has_checkpoint(folder: Path) -> bool:
    """Whether a run left a checkpoint there."""
    return (folder / FILE).exists()


def load_checkpoint(folder: Path) -> dict[str, Any] | None:
    """The folder's checkpoint, on the CPU; None where there is none.

    Raises:
        FerBenchError: the file is damaged.
    """
    path = folder / FILE
    if not has_checkpoint(folder):
        return None
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except LOAD_ERRORS as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise FerBenchError(
            f"the checkpoint {path} is damaged ({reason:.120}): delete it and run again"
        ) from None
    if not isinstance(state, dict):
        raise FerBenchError(f"{path} holds no checkpoint: delete it and run again")
    return state
