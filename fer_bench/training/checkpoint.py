"""A run's scratch state on disk: written whole or not at all, loaded without pickled code."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch

from fer_bench.errors import FerBenchError, RunFailed, one_line
from fer_bench.models.pretrained import LOAD_ERRORS

FILE = "checkpoint.pt"


def save_checkpoint(folder: Path, state: dict[str, Any]) -> None:
    """Replaces the folder's checkpoint. `state`: tensors, numbers, strings, lists and dicts.

    Raises:
        RunFailed: the disk refuses; the previous checkpoint stays.
    """
    temporary = folder / f"{FILE}.{os.getpid()}.tmp"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # A file of Python's: PyTorch's own would not say that the disk is full.
        with temporary.open("wb") as file:
            torch.save(state, file)
        temporary.replace(folder / FILE)
    except (OSError, RuntimeError) as error:
        temporary.unlink(missing_ok=True)
        reason = error.strerror if isinstance(error, OSError) else one_line(str(error))
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
