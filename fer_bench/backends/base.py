"""What every back end is: a model made ready to run, or the reason why it cannot be."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor

from fer_bench.errors import FerBenchError
from fer_bench.results.reports.latency import Fidelity, Precision

#: float32 `(B, channels, S, S)` on the CPU, as `data.preprocess.to_input` gives, to float32 logits
#: `(B, C)` on the CPU. May be called from several threads at once.
Forward = Callable[[Tensor], Tensor]


class Unavailable(FerBenchError):
    """This way of running a network does not work for it, or not on this machine."""

    code = "unavailable"


@dataclass(frozen=True, kw_only=True)
class Backend:
    """A model made ready to run, warm.

    Attributes:
        threads: CPU threads that a call may use.
        open_seconds: conversion and first call.
        reason: why this one, in words, where it was chosen by measurement.
        milliseconds: of one face, by candidate, where it was.
        fidelity: to eager fp32, by candidate, where it was.
    """

    name: str
    forward: Forward
    precision: Precision = "fp32"
    threads: int = 1
    open_seconds: float = 0.0
    reason: str = ""
    milliseconds: dict[str, float] = field(default_factory=dict)
    fidelity: dict[str, Fidelity] = field(default_factory=dict)


def one_by_one(forward: Forward, faces: Tensor) -> Tensor:
    """Logits `(B, C)`, called for one face at a time as in live use: nothing else is prepared."""
    return torch.cat([forward(faces[n : n + 1]) for n in range(len(faces))])


@contextmanager
def torch_threads(threads: int) -> Iterator[None]:
    """PyTorch with so many CPU threads. Costs nothing where it has them already."""
    before = torch.get_num_threads()
    if before == threads:
        yield
        return
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def first_line(error: BaseException) -> str:
    """What a library's error says, in one line."""
    return str(error).strip().partition("\n")[0] or type(error).__name__
