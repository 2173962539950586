"""What a latency is held against: the machine's matrix product and its frequency policy."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from fer_bench.backends.base import torch_threads
from fer_bench.results.reports.latency import Precision

GOVERNOR = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
#: Sides of the square matrices; which of them runs fastest depends on the caches.
SIDES = (512, 1024, 2048)
#: After a product that takes longer, seconds, no larger one is tried.
TOO_LONG = 0.2
#: How long each is repeated, seconds.
REPEAT = 0.1
Product = Callable[[Tensor, Tensor], Tensor]
PRODUCTS: dict[Precision, tuple[torch.dtype, Product]] = {
    "fp32": (torch.float32, torch.mm),
    "bf16": (torch.bfloat16, torch.mm),
    "int8": (torch.int8, torch._int_mm),  # the only integer product that PyTorch has on a CPU
}


def governor(path: Path = GOVERNOR) -> str | None:
    """The CPU's frequency policy, such as `performance`; None where the system tells none."""
    try:
        return path.read_text(encoding="utf-8").strip() or None
    except (OSError, UnicodeDecodeError):
        return None


def gemm_gflops(precisions: Sequence[Precision], threads: int) -> dict[str, float]:
    """Rates of PyTorch's matrix product by `precision@threads`: the best seen, GFLOP/s.

    A multiply and an add count as two. A precision without a product here, or with one that is
    slower than fp32's and so shows no limit of this CPU, is left out.
    """
    with torch_threads(threads):
        plain = best_rate(*PRODUCTS["fp32"])
        rates = {"fp32": plain} | {p: best_rate(*PRODUCTS[p]) for p in precisions if p != "fp32"}
    return {
        f"{precision}@{threads}": rate
        for precision, rate in rates.items()
        if precision in precisions and rate is not None and rate >= (plain or 0)
    }


def best_rate(dtype: torch.dtype, product: Product) -> float | None:
    """GFLOP/s of a product of two square matrices, over `SIDES`; None where it does not work."""
    best = 0.0
    for side in SIDES:
        one = torch.ones(side, side, dtype=dtype)
        try:
            product(one, one)  # the first call packs weights and builds kernels
        except RuntimeError:
            return None
        end, fastest = time.perf_counter() + REPEAT, float("inf")
        while time.perf_counter() < end:
            started = time.perf_counter()
            product(one, one)
            fastest = min(fastest, time.perf_counter() - started)
        best = max(best, 2 * side**3 / fastest / 1e9)
        if fastest > TOO_LONG:
            break
    return best
