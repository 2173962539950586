"""What a latency is held against: the machine's matrix product, its frequency policy, memory."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fer_bench.backends.base import torch_threads
from fer_bench.backends.select import open_backend
from fer_bench.errors import RunFailed
from fer_bench.results.reports.latency import Precision
from fer_bench.studies.latency.network import NetworkSource, open_network

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
#: Calls after the one that opens the back end: what a call leaves behind shows at the next.
CALLS = 3


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


def peak_memory(
    source: NetworkSource,
    backend: str,
    *,
    threads: int,
    batch: int,
    calibration: NDArray[np.uint8] | None = None,
) -> float:
    """MiB at the peak of a new process that loads a network, opens a back end and calls it.

    Python, PyTorch and the conversion of the network are part of it. Takes seconds.

    Args:
        batch: faces per call.

    Raises:
        FerBenchError: the network or the back end cannot be opened there.
        RunFailed: the process was killed, as it is where memory runs out.
    """
    # Not forked: the copy of this process would count what this one holds.
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        try:
            return pool.submit(_run, source, backend, threads, batch, calibration).result()
        except BrokenProcessPool:
            raise RunFailed(
                f"the process that ran {backend} for its memory was killed; there may be too "
                "little: choose a smaller --batch"
            ) from None


def _run(
    source: NetworkSource,
    backend: str,
    threads: int,
    batch: int,
    calibration: NDArray[np.uint8] | None,
) -> float:
    torch.set_num_threads(threads)
    model = open_network(source)
    spec = model.input_spec
    opened = open_backend(backend, model, threads=threads, calibration=calibration)
    faces = torch.zeros(batch, spec.channels, spec.size, spec.size)
    for _ in range(CALLS):
        opened.forward(faces)
    return own_peak()


def own_peak() -> float:
    """The most memory that this process has had resident so far, MiB."""
    # getrusage's figure begins with that of the process which started this one: Linux tells better.
    status = Path("/proc/self/status")
    text = status.read_text(encoding="utf-8") if status.exists() else ""
    match = re.search(r"^VmHWM:\s+(\d+) kB", text, re.MULTILINE)
    if match:
        return int(match[1]) / 2**10
    import psutil

    if peak_wset := getattr(psutil.Process().memory_info(), "peak_wset", None):  # Windows
        return int(peak_wset) / 2**20
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)
