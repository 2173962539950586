"""A Ray cluster for many runs: one started on this machine, or one that is there already."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from fer_bench.errors import FerBenchError

LOCAL = "local"
#: Seconds that a cluster has to answer at its address.
PATIENCE = 10.0
#: What runs hand on is small: a machine's shared memory need not hold more.
SHARED_MEMORY = 100 * 2**20


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """Where runs are carried out, and what each of them takes.

    Attributes:
        address: `local` starts Ray on this machine, for this machine alone, and ends it afterwards;
            else as `ray.init` takes it: `auto`, `host:6379`, `ray://host:10001`.
        workers: runs at once at most; None for as many as there is room for.
        cpus: cores of each run, which are its CPU threads.
        gpus: of each run, 0.5 for two runs on one; None for one where the cluster has any.

    Raises:
        FerBenchError: a number out of range.
    """

    address: str
    workers: int | None = None
    cpus: float = 1
    gpus: float | None = None

    def __post_init__(self) -> None:
        if not self.cpus > 0 or (self.gpus is not None and not self.gpus >= 0):
            raise FerBenchError(
                f"expected more than 0 CPUs and 0 GPUs or more for a run, got {self.cpus:g} and "
                f"{self.gpus or 0:g}"
            )

    @property
    def threads(self) -> int:
        """CPU threads of each run."""
        return max(1, int(self.cpus))


@contextmanager
def connected(cluster: Cluster) -> Iterator[None]:
    """Ray, started or joined for the block; one that this process has joined already stays.

    Raises:
        FerBenchError: Ray is not installed, or no cluster answers at the address.
    """
    ray = _imported(cluster.address)
    if ray.is_initialized():
        yield
        return
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": "error"}
    if cluster.address == LOCAL:
        cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
        options |= {
            "num_cpus": int(max(cluster.cpus, 1) * (cluster.workers or 0)) or max(cores, 1),
            "include_dashboard": False,
            "object_store_memory": SHARED_MEMORY,
        }
    else:
        _require_answer(cluster.address)
    try:
        with _our_sigterm():
            ray.init(cluster.address, **options)
    except (OSError, ValueError, RuntimeError, ImportError, SystemExit) as error:
        why = str(error).partition("\n")[0].rstrip(".")
        raise _no_cluster(cluster.address, why) from None
    try:
        yield
    finally:
        ray.shutdown()


@contextmanager
def _our_sigterm() -> Iterator[None]:
    """SIGTERM stays with who has it: Ray would take it for good, and end the process at once."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread() and before is not None:
            signal.signal(signal.SIGTERM, before)


def gpus_for(cluster: Cluster, device: str) -> float:
    """GPUs of each run on the cluster that this process has joined.

    Args:
        device: `auto`, `cpu` or `cuda`.

    Raises:
        FerBenchError: an unknown device, or no machine has what a run needs.
    """
    import ray

    if device not in ("auto", "cpu", "cuda"):
        raise FerBenchError(f"expected device auto, cpu or cuda, got {device!r}")
    machines = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    most = max((machine.get("GPU", 0) for machine in machines), default=0)
    gpus = cluster.gpus
    if gpus is None:
        gpus = float(device == "cuda" or (device == "auto" and most >= 1))
    if (device == "cpu" and gpus) or (device == "cuda" and not gpus):
        raise FerBenchError(f"--device {device} and {gpus:g} GPUs for a run exclude each other")
    if not any(m.get("CPU", 0) >= cluster.cpus and m.get("GPU", 0) >= gpus for m in machines):
        have = ", ".join(f"{m.get('CPU', 0):g} and {m.get('GPU', 0):g}" for m in machines)
        raise FerBenchError(
            f"no machine of the cluster has {cluster.cpus:g} CPUs and {gpus:g} GPUs for a run "
            f"(they have {have}): ask for less with --cpus-per-run and --gpus-per-run"
        )
    return gpus


def _imported(address: str) -> Any:
    """The library, set first to send nothing anywhere and to let no other machine in."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if address == LOCAL:
        # As on macOS and Windows, where Ray listens to the machine itself only.
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    try:
        import ray
    except ImportError:
        raise FerBenchError(
            "Ray is not installed: pip install 'fer-bench[scale]'", code="missing_extra"
        ) from None
    return ray


def _require_answer(address: str) -> None:
    """Ray itself tries for two minutes and then ends the process."""
    given = os.environ.get("RAY_ADDRESS", address) if address == "auto" else address
    if given == "auto":
        return
    host, _, port = given.removeprefix("ray://").rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65_535:
        raise _no_cluster(given, "it is no HOST:PORT")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=PATIENCE):
            pass
    except OSError as error:
        raise _no_cluster(given, error.strerror or str(error)) from None


def _no_cluster(address: str, why: str) -> FerBenchError:
    return FerBenchError(
        f"no Ray cluster answers at {address!r:.160} ({why}): expected `local`, `auto` on a "
        "machine of a cluster, host:6379 as `ray start --head` says it, or ray://host:10001"
    )
