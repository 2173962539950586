"""The memory that one back end takes: the peak of a process that opens and runs nothing else."""

from __future__ import annotations

import re
import sys
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from fer_bench.backends.registry import open_backend
from fer_bench.errors import RunFailed
from fer_bench.studies.latency.network import NetworkSource, open_network

#: Calls after the one that opens the back end: what a call leaves behind shows at the next.
CALLS = 3


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
