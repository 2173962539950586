"""Made-up latency reports: several machines, back ends, threads and batches, some with errors."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from record_fixtures import make_environment

from fer_bench.environment import Environment
from fer_bench.results.latency import (
    Agreement,
    LatencyReport,
    Measurement,
    Percentiles,
    Precision,
    Stages,
)
from fer_bench.results.latency_store import add_report

MEASURED = datetime(2025, 3, 4, 5, 6, tzinfo=UTC)
SERVER, LAPTOP = "Server CPU @ 2.70GHz", "Laptop CPU"
#: How many times as fast as eager fp32, and how often the emotion is the same.
BACKENDS: dict[str, tuple[Precision, float, float]] = {
    "torch-fp32": ("fp32", 1.0, 1.0),
    "torch-channels-last": ("fp32", 1.25, 1.0),
    "torch-bf16": ("bf16", 2.5, 0.996),
    "torch-compile": ("fp32", 1.6, 1.0),
    "torch-compile-bf16": ("bf16", 5.0, 0.995),
    "onnxruntime-fp32": ("fp32", 2.0, 1.0),
    "onnxruntime-int8": ("int8", 4.0, 0.9),
    "openvino-fp32": ("fp32", 2.5, 1.0),
    "openvino-bf16": ("bf16", 8.0, 0.994),
    "openvino-int8": ("int8", 10.0, 0.99),
}
UNFAITHFUL = "not faithful to fp32: the same emotion on 90.0 % of faces"
NO_COMPILER = "torch.compile found no C++ compiler: install g++"


def make_percentiles(median: float, *, spread: float = 1.0) -> Percentiles:
    """p90 and p99 lie 20 and 60 % above the median, times `spread`."""
    return Percentiles(
        median=median,
        p90=median * (1 + 0.2 * spread),
        p99=median * (1 + 0.6 * spread),
        repetitions=200,
    )


def make_measurement(
    backend: str = "torch-fp32",
    median: float | None = 20.0,
    *,
    threads: int = 2,
    batch: int = 1,
    note: str = "",
    error: str | None = None,
) -> Measurement:
    """A back end of `BACKENDS`; without a median it could not be measured."""
    precision, _, same = BACKENDS[backend]
    if median is None:
        return Measurement(
            backend=backend,
            precision=precision,
            threads=threads,
            batch=batch,
            milliseconds=None,
            error=error or NO_COMPILER,
        )
    return Measurement(
        backend=backend,
        precision=precision,
        threads=threads,
        batch=batch,
        milliseconds=make_percentiles(median),
        open_seconds=0.5,
        peak_memory_mib=300.0 + batch,
        share_of_peak=0.4,
        agreement=Agreement(
            n=512,
            faces="fer2013",
            max_logit_difference=round(1 - same, 4) * 10,
            max_probability_difference=round(1 - same, 4),
            min_cosine=1 - (1 - same) / 10,
            mean_cosine=1 - (1 - same) / 100,
            top1_agreement=same,
        ),
        note=note,
        error=error,
    )


def make_stages(
    backend: str = "openvino-int8", model: float = 2.0, *, threads: int = 2, rest: float = 1.0
) -> Stages:
    return Stages(
        backend=backend,
        threads=threads,
        detector="haar",
        frame=(640, 480),
        faces=1,
        detect=make_percentiles(12.0),
        preprocess=make_percentiles(0.5),
        model=make_percentiles(model),
        total=make_percentiles(12.5 + model + rest),
    )


def make_machine(cpu: str = SERVER, *, cores: int = 2, gpu: str | None = None) -> Environment:
    return make_environment(gpu=gpu).model_copy(
        update={
            "cpu": cpu,
            "cpu_cores": cores,
            "cpu_flags": ["avx2", "avx512_vnni", "amx_bf16"],
            "threads": cores,
            "packages": {"torch": "2.8.0", "openvino": "2025.3.0", "onnxruntime": "1.23.0"},
        }
    )


def make_report(
    *,
    cpu: str = SERVER,
    gpu: str | None = None,
    eager: float = 20.0,
    threads: Sequence[int] = (1, 2),
    batches: Sequence[int] = (1, 8),
    failing: Sequence[str] = ("torch-compile", "torch-compile-bf16"),
    chosen: str = "openvino-int8",
    input_size: int = 48,
    weights: str = "trained",
) -> LatencyReport:
    """Every back end of `BACKENDS`; eager fp32 takes `eager` ms at batch 1 on the most threads.

    One thread is half as fast as two; a face in a batch of eight takes half the time of one alone.
    """
    most = max(threads)
    measurements = [
        make_measurement(
            backend,
            None if backend in failing else eager / speed * (most / n) * (1 + (batch - 1) / 2),
            threads=n,
            batch=batch,
            note=UNFAITHFUL if backend == "onnxruntime-int8" else "",
        )
        for n in threads
        for batch in batches
        for backend, (_, speed, _) in BACKENDS.items()
    ]
    return LatencyReport(
        measured_at=MEASURED,
        environment=make_machine(cpu, gpu=gpu),
        governor="performance",
        weights=weights,
        input_size=input_size,
        parameters=11_180_103,
        flops=3_640_000_000,
        size_mib=42.7,
        gemm_gflops={"fp32@2": 351.0, "bf16@2": 2052.0},
        chosen=dict.fromkeys(threads, chosen),
        measurements=measurements,
        stages=[
            make_stages("torch-fp32", eager, threads=most),
            make_stages(chosen, eager / BACKENDS[chosen][1], threads=most),
        ],
    )


def save_reports(folder: Path, reports: Iterable[LatencyReport]) -> None:
    """`latency.json` in a run's or a network's folder."""
    for report in reports:
        add_report(folder, report)
