"""How fast a network runs, on which hardware: the document next to a run's record."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from fer_bench.environment import Environment
from fer_bench.results.record import Part

LATENCY_VERSION = 1
#: The back end that all others are compared with: PyTorch as it comes.
REFERENCE = "torch-fp32"
Precision = Literal["fp32", "bf16", "int8"]


class Percentiles(Part):
    """Milliseconds of one call, over repetitions."""

    median: float
    p90: float
    p99: float
    repetitions: int


class Fidelity(Part):
    """How close a back end's logits come to eager fp32's, on the same faces."""

    n: int = Field(description="faces compared")
    faces: str = Field(description="where they are from: a data set's name, or `synthetic`")
    max_logit_difference: float
    max_probability_difference: float
    min_cosine: float
    mean_cosine: float
    top1_agreement: float = Field(description="share of faces given the same emotion")


class Measurement(Part):
    """One back end at one batch size and thread count, or why it could not be measured."""

    backend: str
    precision: Precision
    threads: int
    batch: int = Field(description="faces per call")
    milliseconds: Percentiles | None = Field(description="per call, not per face")
    open_seconds: float | None = Field(None, description="conversion and first call")
    peak_memory_mib: float | None = Field(None, description="of a process that runs only this")
    share_of_peak: float | None = Field(
        None, description="FLOP/s reached over those of this machine's matrix product"
    )
    agreement: Fidelity | None = None
    note: str = Field("", description="such as a batch halved for want of memory")
    error: str | None = None

    @property
    def faces_per_second(self) -> float | None:
        """At the median; None where it could not be measured."""
        return self.batch * 1000 / self.milliseconds.median if self.milliseconds else None


class Stages(Part):
    """Where the time of one picture goes: a frame in, its emotions out."""

    backend: str
    threads: int
    detector: str
    frame: tuple[int, int] = Field(description="width and height, pixels")
    faces: int = Field(description="faces in the frame")
    detect: Percentiles
    preprocess: Percentiles
    model: Percentiles
    total: Percentiles


class LatencyReport(Part):
    """Everything measured of one network on one machine."""

    measured_at: datetime
    environment: Environment
    governor: str | None = Field(None, description="the CPU's frequency policy, where readable")
    weights: Literal["trained", "random"]
    input_size: int = Field(description="pixels")
    parameters: int
    flops: int | None = Field(description="per face, multiply and add counted as two")
    size_mib: float = Field(description="of its weights in the precision they are stored in")
    gemm_gflops: dict[str, float] = Field(
        description="`precision@threads`: rate of this machine's matrix product, GFLOP/s"
    )
    chosen: dict[int, str] = Field(description="threads -> the back end that `auto` takes")
    measurements: list[Measurement]
    stages: list[Stages] = Field(default_factory=list)

    @property
    def machine(self) -> str:
        """Which hardware: CPU, cores and GPU."""
        cpu = f"{self.environment.processor}, {self.environment.cpu_cores} cores"
        return f"{cpu}, {self.environment.gpu}" if self.environment.gpu else cpu

    def fastest(self) -> Measurement | None:
        """What `auto` runs: the chosen back end at one face, with most threads."""
        threads = max(self.chosen, default=0)
        key = self.chosen.get(threads), 1, threads
        for one in self.measurements:
            if (one.backend, one.batch, one.threads) == key and not one.error:
                return one
        return None

    def fastest_fp32(self) -> Percentiles | None:
        """Times of the fastest back end that computes in fp32 and names every face as eager fp32.

        With as many threads as `fastest` takes. None where none was measured. Of a system that
        PyTorch does not run, which is measured and scored by one back end: that one.
        """
        threads = max(self.chosen, default=0)
        if not any(one.backend == REFERENCE for one in self.measurements):
            own = self.fastest()
            return own.milliseconds if own and own.agreement is None else None
        times = [
            one.milliseconds
            for one in self.measurements
            if (one.precision, one.batch, one.threads) == ("fp32", 1, threads)
            and one.milliseconds
            and not one.error
            and (one.backend == REFERENCE or (one.agreement and one.agreement.top1_agreement == 1))
        ]
        return min(times, key=lambda one: one.median, default=None)
