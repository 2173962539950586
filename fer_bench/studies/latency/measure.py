"""How fast a network runs here: every back end in turns, at several batch sizes and threads."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property, partial

import torch
from torch import Tensor

from fer_bench.backends.base import Backend, Forward, first_line, one_by_one, torch_threads
from fer_bench.backends.fidelity import compare, why_unfaithful
from fer_bench.backends.registry import AUTO, precision_of, reference_of
from fer_bench.backends.select import open_backend
from fer_bench.backends.timing import interleaved
from fer_bench.data.preprocess import to_input
from fer_bench.environment import capture
from fer_bench.errors import FerBenchError
from fer_bench.models.flops import count_parameters, largest_layer
from fer_bench.results.reports.latency import (
    Fidelity,
    LatencyReport,
    Measurement,
    Percentiles,
    Stages,
)
from fer_bench.studies.latency.faces import LatencyFaces
from fer_bench.studies.latency.machine import gemm_gflops, governor, peak_memory
from fer_bench.studies.latency.network import NetworkToMeasure
from fer_bench.studies.latency.plan import Plan
from fer_bench.studies.latency.stages import measure_stages, percentiles
from fer_bench.types import Progress, silent

#: Turns of every back end that are not counted.
WARMUP = 2
#: Most of the machine's memory that a batch's largest layer may take: what stands next to it is
#: twice as large, and Linux kills a process that fills the memory rather than tell it.
LAYER_SHARE = 1 / 3
#: How many times as large as a face its largest layer is at least, where an ONNX file hides it.
LAYER_TO_FACE = 10
#: What a back end may raise on a network or a batch that it cannot run.
FAILURES = (FerBenchError, RuntimeError, MemoryError)


def measure_latency(
    network: NetworkToMeasure, plan: Plan, faces: LatencyFaces, progress: Progress = silent
) -> LatencyReport:
    """Measures a network on this machine.

    Back ends that do not run it become rows with an error.

    Raises:
        FerBenchError: not one of them runs it, with the reason of the first.
    """
    meter = _Meter(network, plan, faces, progress)
    rounds = [meter.round(threads) for threads in plan.threads]
    return LatencyReport(
        measured_at=datetime.now(UTC),
        environment=capture().model_copy(update={"threads": None}),  # each measurement has its own
        governor=governor(),
        weights=network.weights,
        input_size=network.model.input_spec.size,
        parameters=count_parameters(network.model)[0],
        flops=network.flops,
        size_mib=network.size_mib,
        gemm_gflops={key: rate for one in rounds for key, rate in one.gemm.items()},
        chosen={one.threads: one.chosen for one in rounds if one.chosen},
        measurements=[row for one in rounds for row in one.measurements],
        stages=[stages for one in rounds for stages in one.stages],
    )


def largest_batch(forward: Forward, faces: Callable[[int], Tensor], batch: int) -> int:
    """A batch size that fits into memory: the one asked for, or a half of it, a quarter, ...

    Args:
        faces: gives so many faces as model input.

    Raises:
        RuntimeError, MemoryError: not even one face fits, or something else is wrong.
    """
    while True:
        try:
            forward(faces(batch))
        except (RuntimeError, MemoryError) as error:
            short = isinstance(error, MemoryError) or re.search("alloc|memory", str(error), re.I)
            if not short or batch == 1:
                raise
            batch //= 2
        else:
            return batch


@dataclass(frozen=True, kw_only=True)
class _Round:
    """What one number of threads brings to the report."""

    threads: int
    chosen: str | None
    gemm: dict[str, float]
    measurements: list[Measurement]
    stages: list[Stages]


class _Meter:
    """Opens and times the back ends of one network."""

    def __init__(
        self, network: NetworkToMeasure, plan: Plan, faces: LatencyFaces, progress: Progress
    ) -> None:
        self.network, self.plan, self.faces, self.progress = network, plan, faces, progress
        self._input = to_input(faces.compared, network.model.input_spec)
        self._reference = reference_of(network.model)
        self._agreements: dict[str, Fidelity] = {}  # they do not depend on the threads

    def round(self, threads: int) -> _Round:
        """Everything with so many threads."""
        with torch_threads(threads):
            chosen = None
            if AUTO in self.plan.backends:
                self.progress(f"{AUTO} on {_threads(threads)}", 0, 1, {})
                chosen = self._opened(AUTO, threads).name
            names = [name for name in self.plan.backends if name != AUTO]
            names = list(dict.fromkeys([*names, chosen] if chosen else names))
            backends, failed = self._open(names, threads)
            gemm = gemm_gflops(sorted({one.precision for one in backends.values()}), threads)
            rows = [
                row
                for batch in self.plan.batches
                for row in self._rows(names, backends, failed, batch, gemm)
            ]
            ran = [row for row in rows if row.backend in backends]
            best = chosen
            if chosen not in backends:
                best = max(ran, key=lambda row: row.faces_per_second or 0).backend
            self.progress(f"stages on {_threads(threads)}", 0, 1, {})
            stages = [
                measure_stages(self.network.model, backend, self.plan.seconds)
                for name, backend in backends.items()
                if name in (best, self._reference)
            ]
        return _Round(threads=threads, chosen=chosen, gemm=gemm, measurements=rows, stages=stages)

    def _opened(self, name: str, threads: int) -> Backend:
        return open_backend(
            name, self.network.model, threads=threads, calibration=self.faces.calibration
        )

    def _open(
        self, names: Sequence[str], threads: int
    ) -> tuple[dict[str, Backend], dict[str, str]]:
        """Those that work, compared with eager fp32, and why the others do not."""
        backends, failed = {}, {}
        for done, name in enumerate(names):
            self.progress(f"opening {name} on {_threads(threads)}", done, len(names), {})
            try:
                backend = self._opened(name, threads)
                if name not in self._agreements:
                    logits = one_by_one(backend.forward, self._input)
                    self._agreements[name] = compare(logits, self._expected, self.faces.source)
                backends[name] = backend
            except FAILURES as error:
                failed[name] = first_line(error)
        if not backends:
            raise FerBenchError(f"{names[0]} cannot be measured: {failed[names[0]]}")
        return backends, failed

    @cached_property
    def _expected(self) -> Tensor:
        """Eager fp32's logits."""
        reference = self._opened(self._reference, torch.get_num_threads())
        return one_by_one(reference.forward, self._input)

    def _rows(
        self,
        names: Sequence[str],
        backends: Mapping[str, Backend],
        failed: Mapping[str, str],
        batch: int,
        gemm: Mapping[str, float],
    ) -> list[Measurement]:
        """A row of each back end at a batch size, timed in turns."""
        threads = torch.get_num_threads()
        self.progress(f"batch {batch} on {_threads(threads)}", 0, 1, {})
        errors = dict(failed)
        sizes: dict[str, int] = {}
        for name, backend in backends.items():
            try:
                sizes[name] = largest_batch(backend.forward, self._faces, batch)
            except FAILURES as error:
                errors[name] = first_line(error)
        inputs = {size: self._faces(size) for size in set(sizes.values())}
        calls = {n: partial(backends[n].forward, inputs[size]) for n, size in sizes.items()}
        taken: Mapping[str, list[float]] = {}
        try:
            taken = interleaved(calls, seconds=self.plan.seconds * len(calls), warmup=WARMUP)
        except FAILURES as error:  # of a batch that ran a moment ago: the other sizes still count
            errors |= dict.fromkeys(calls, first_line(error))
        return [
            Measurement(
                backend=name,
                precision=precision_of(name),
                threads=threads,
                batch=batch,
                milliseconds=None,
                error=errors[name],
            )
            if name in errors
            else self._measured(backends[name], sizes[name], batch, percentiles(taken[name]), gemm)
            for name in names
        ]

    def _measured(
        self,
        backend: Backend,
        size: int,
        asked: int,
        milliseconds: Percentiles,
        gemm: Mapping[str, float],
    ) -> Measurement:
        """A back end's row; `size` faces were run where `asked` were asked for."""
        name, threads, precision = backend.name, backend.threads, backend.precision
        notes = self._notes(backend, size, asked)
        memory = None
        if self.plan.memory:
            try:
                memory = peak_memory(
                    self.network.source,
                    name,
                    threads=threads,
                    batch=size,
                    calibration=self.faces.calibration,
                )
            except FAILURES as error:
                notes.append(f"no peak memory: {first_line(error)}")
        peak = gemm.get(f"{precision}@{threads}")
        flops = self.network.flops
        rate = flops * size / milliseconds.median / 1e6 if flops else None  # GFLOP/s
        return Measurement(
            backend=name,
            precision=precision,
            threads=threads,
            batch=size,
            milliseconds=milliseconds,
            open_seconds=backend.open_seconds,
            peak_memory_mib=memory,
            share_of_peak=rate / peak if peak and rate else None,
            agreement=self._agreements[name],
            note="; ".join(notes),
        )

    def _notes(self, backend: Backend, size: int, asked: int) -> list[str]:
        """What to know about a row."""
        notes, cores = [], capture().cpu_cores
        if size != asked:
            notes.append(f"asked for a batch of {asked}: too much for the memory, halved")
        if why := why_unfaithful(self._agreements[backend.name]):
            notes.append(f"not faithful to fp32: {why}")
        if backend.threads > cores:
            notes.append(f"more threads than the {cores} cores")
        return notes

    def _faces(self, batch: int) -> Tensor:
        """Model input of so many faces.

        Raises:
            MemoryError: the network would fill more than its share of this machine's memory.
        """
        gib = self._layer * batch / 2**30
        if batch > 1 and gib > capture().memory_gib * LAYER_SHARE:
            raise MemoryError(f"one layer of {batch} faces takes {gib:,.1f} GiB")
        return self._input[torch.arange(batch) % len(self._input)]

    @cached_property
    def _layer(self) -> int:
        """Bytes of the largest layer's input and output, of one face."""
        face = self._input[:1]
        return max(largest_layer(self.network.model, face), LAYER_TO_FACE * face.nbytes)


def _threads(n: int) -> str:
    return f"{n} thread" if n == 1 else f"{n} threads"
