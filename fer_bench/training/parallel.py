"""What processes that train one network share out, and what they must have alike."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from fer_bench import distributed
from fer_bench.errors import FerBenchError


def require_enough(images: int, batch_size: int) -> None:
    """
    Args:
        images: of the training split.
        batch_size: of all processes together.

    Raises:
        FerBenchError: a single image, or fewer than two of a batch for each process.
    """
    if images < 2:
        raise FerBenchError("expected two training images or more, got 1: raise the limit")
    batch, count = min(images, batch_size), distributed.count()
    if count > 1 and batch < 2 * count:
        raise FerBenchError(
            f"expected batches of {2 * count} images or more, two for each of the {count} "
            f"processes, got {batch}: start fewer processes, or raise the recipe's batch_size"
        )


def shard_batch(rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], float]:
    """This process's rows of a batch, and what its mean loss counts for.

    Gradients are averaged over processes as if their shares were of one size; so weighted, that
    average is the mean over the batch, though shares differ by one row where they cannot be equal.
    """
    mine = rows[distributed.rank() :: distributed.count()]
    return mine, len(mine) * distributed.count() / len(rows)


def rank_generator(seed: int, epoch: int, common: torch.Generator) -> torch.Generator:
    """What this process draws the changes to its images from, once the order is drawn.

    The main process goes on with the epoch's generator; the others, which would make the same
    changes with it, take one of their own, and seed the global one, which dropout uses, alike.
    """
    if distributed.is_main():
        return common
    # NumPy mixes the numbers well; PyTorch's generator looks at 32 bits of its seed.
    words = np.random.SeedSequence([seed, epoch, distributed.rank()]).generate_state(1)
    torch.manual_seed(int(words[0]))
    return torch.Generator().manual_seed(int(words[0]))


@contextmanager
def sync_batch_norm(model: nn.Module, device: str) -> Iterator[None]:
    """Several GPUs: batch norm over the batches' shares together; afterwards it is as before.

    PyTorch has none for CPUs: there each process normalises its own share, and
    `average_statistics` makes one of what they saw.
    """
    replaced: list[tuple[nn.Module, str, nn.Module]] = []
    if distributed.count() > 1 and device == "cuda":
        replaced = join_batch_norm(model)
    try:
        yield
    finally:
        put_back(replaced)


def join_batch_norm(model: nn.Module) -> list[tuple[nn.Module, str, nn.Module]]:
    """What was replaced, and where; each layer shares its weights and statistics with the new."""
    layers: list[tuple[nn.Module, str, nn.Module]] = [
        (parent, name, layer)
        for parent in model.modules()
        for name, layer in parent.named_children()
        if isinstance(layer, _BatchNorm)
    ]
    from timm.layers import convert_sync_batchnorm  # timm takes seconds to import

    convert_sync_batchnorm(model)  # timm's knows its own layers too
    return layers


def put_back(replaced: list[tuple[nn.Module, str, nn.Module]]) -> None:
    """Undoes `join_batch_norm`."""
    for parent, name, layer in replaced:
        setattr(parent, name, layer)


def average_statistics(*networks: nn.Module) -> None:
    """Gives batch norm the mean of the running statistics that the processes gathered."""
    if distributed.count() == 1:
        return
    layers = {id(layer): layer for network in networks for layer in network.modules()}
    for layer in layers.values():
        if isinstance(layer, _BatchNorm):
            for statistic in (layer.running_mean, layer.running_var):
                if statistic is not None:
                    statistic.copy_(distributed.total(statistic) / distributed.count())
