"""Latency: what is measured, what becomes a row with an error, what is kept and what is refused."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from table_fixtures import table
from torch import Tensor, nn

from fer_bench.backends.base import Backend
from fer_bench.backends.registry import AUTO, BACKENDS
from fer_bench.backends.select import open_backend
from fer_bench.errors import FerBenchError
from fer_bench.models.build import MODELS
from fer_bench.models.flops import count_flops, largest_layer
from fer_bench.results.reports.latency import LatencyReport
from fer_bench.results.store import ResultsStore
from fer_bench.studies.latency import machine
from fer_bench.studies.latency import measure as measuring
from fer_bench.studies.latency.faces import FRAME, drawn_faces, drawn_frame
from fer_bench.studies.latency.machine import best_rate, gemm_gflops, governor, peak_memory
from fer_bench.studies.latency.measure import largest_batch, measure_latency
from fer_bench.studies.latency.network import NetworkSource, NetworkToMeasure, find_network
from fer_bench.studies.latency.plan import SLOW_TO_OPEN, Plan, plan_backends
from fer_bench.studies.latency.stages import percentiles

pytestmark = pytest.mark.usefixtures("any_precision")

#: Quick to open, one of each kind.
PAIR = ("torch-fp32", "openvino-fp32")
TINY = {"tiny": True, "input_size": 32}
OWN_SIZE = ("expressio", "emotionlens", "keras_cnn", "compact_resnet")
BROKEN = "DefaultCPUAllocator: can't allocate memory"


@pytest.fixture(autouse=True)
def _small_products(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "SIDES", (64,))
    monkeypatch.setattr(machine, "REPEAT", 0.001)


@pytest.fixture
def network(tmp_path: Path) -> NetworkToMeasure:
    return find_network(ResultsStore(tmp_path), "resnet18", options=TINY)


def plan(*backends: str, threads: tuple[int, ...] = (1,), batches: tuple[int, ...] = (1,)) -> Plan:
    return Plan(backends=backends, threads=threads, batches=batches, seconds=0.001)


def measure(network: NetworkToMeasure, asked: Plan) -> LatencyReport:
    return measure_latency(network, asked, drawn_faces(calibrate=False))


# The report


def test_percentiles_are_those_of_the_times() -> None:
    found = percentiles([5.0, 1.0, 3.0, 2.0, 4.0])
    assert (found.median, found.repetitions) == (3.0, 5)
    assert (found.p90, found.p99) == pytest.approx((4.6, 4.96))
    assert percentiles([7.0]).model_dump() == {
        "median": 7.0, "p90": 7.0, "p99": 7.0, "repetitions": 1
    }  # fmt: skip


@pytest.mark.parametrize("model", MODELS)
def test_every_model_is_measured(model: str, tmp_path: Path) -> None:
    options = {} if model in OWN_SIZE else TINY
    network = find_network(ResultsStore(tmp_path), model, options=options)
    report = measure(network, plan(*PAIR, "torch-bf16", batches=(1, 2)))
    rows = {(row.backend, row.batch): row for row in report.measurements}
    assert list(rows) == [(b, n) for n in (1, 2) for b in (*PAIR, "torch-bf16")]
    assert all(row.error is None and row.milliseconds.median > 0 for row in rows.values())
    assert all(row.open_seconds > 0 and row.threads == 1 for row in rows.values())
    assert rows["torch-fp32", 1].agreement.max_logit_difference == 0
    assert rows["openvino-fp32", 1].agreement.min_cosine > 0.999
    assert rows["torch-bf16", 1].agreement.faces == "synthetic"
    assert report.flops == count_flops(network.model)
    assert set(report.gemm_gflops) <= {"fp32@1", "bf16@1"} and report.gemm_gflops["fp32@1"] > 0
    for row in rows.values():
        peak = report.gemm_gflops.get(f"{row.precision}@1")
        reached = report.flops * row.batch / row.milliseconds.median / 1e6
        assert row.share_of_peak == (pytest.approx(reached / peak) if peak else None)
    assert LatencyReport.model_validate_json(report.model_dump_json()) == report


def test_the_stages_are_parts_of_the_total(network: NetworkToMeasure) -> None:
    report = measure(network, plan(*PAIR, threads=(1, 2)))
    assert [(s.backend, s.threads) for s in report.stages if s.backend == "torch-fp32"] == [
        ("torch-fp32", 1), ("torch-fp32", 2)
    ]  # fmt: skip
    for stages in report.stages:
        assert (stages.detector, stages.frame, stages.faces) == ("haar", FRAME, 1)
        parts = (stages.detect, stages.preprocess, stages.model)
        assert all(part.median > 0 for part in parts)
        assert stages.total.median >= max(part.median for part in parts)
        assert len({part.repetitions for part in (*parts, stages.total)}) == 1
    assert drawn_frame().shape == (480, 640, 3)


def test_autos_choice_is_measured_and_named(network: NetworkToMeasure) -> None:
    report = measure(network, plan("torch-channels-last", AUTO))
    chosen = report.chosen[1]
    assert {row.backend for row in report.measurements} == {"torch-channels-last", chosen}
    assert report.fastest().backend == chosen
    assert chosen in {stages.backend for stages in report.stages}


def test_every_number_of_threads_and_batch_has_its_rows(network: NetworkToMeasure) -> None:
    report = measure(network, plan("torch-fp32", threads=(1, 2), batches=(1, 3)))
    rows = [(row.threads, row.batch) for row in report.measurements]
    assert rows == [(1, 1), (1, 3), (2, 1), (2, 3)]
    assert set(report.gemm_gflops) == {"fp32@1", "fp32@2"}
    assert report.environment.threads is None


def test_more_threads_than_cores_are_noted(network: NetworkToMeasure) -> None:
    cores = measuring.capture().cpu_cores
    report = measure(network, plan("torch-fp32", threads=(cores + 1,)))
    assert report.measurements[0].note == f"more threads than the {cores} cores"


# What goes wrong


def test_a_batch_is_halved_until_it_fits() -> None:
    def forward(faces: Tensor) -> Tensor:
        if len(faces) > 6:
            raise RuntimeError(BROKEN)
        return faces

    assert largest_batch(forward, torch.zeros, 64) == 4
    assert largest_batch(forward, torch.zeros, 5) == 5
    with pytest.raises(RuntimeError, match="inconsistent tensor size"):
        largest_batch(lambda faces: torch.zeros(2) @ torch.zeros(3), torch.zeros, 8)


def test_one_face_that_does_not_fit_is_an_error() -> None:
    def forward(faces: Tensor) -> Tensor:
        raise MemoryError

    with pytest.raises(MemoryError):
        largest_batch(forward, torch.zeros, 8)


def test_a_halved_batch_is_noted(
    network: NetworkToMeasure, monkeypatch: pytest.MonkeyPatch
) -> None:
    def open_small(name: str, *args: object, **options: object) -> Backend:
        backend = open_backend(name, *args, **options)

        def forward(faces: Tensor) -> Tensor:
            if len(faces) > 2:
                raise RuntimeError(BROKEN)
            return backend.forward(faces)

        return replace(backend, forward=forward) if name == "openvino-fp32" else backend

    monkeypatch.setattr(measuring, "open_backend", open_small)
    rows = measure(network, plan(*PAIR, batches=(9,))).measurements
    assert [(row.batch, row.error) for row in rows] == [(9, None), (2, None)]
    assert [row.note for row in rows] == [
        "", "asked for a batch of 9: too much for the memory, halved"
    ]  # fmt: skip


@pytest.mark.parametrize("well", [0, 1])
def test_a_batch_that_fails_otherwise_is_a_row(
    network: NetworkToMeasure, monkeypatch: pytest.MonkeyPatch, well: int
) -> None:
    """At once, or after it went well."""
    batches = 0

    def open_single(name: str, *args: object, **options: object) -> Backend:
        backend = open_backend(name, *args, **options)

        def forward(faces: Tensor) -> Tensor:
            nonlocal batches
            batches += len(faces) > 1
            if len(faces) > 1 and batches > well:
                raise RuntimeError("only one face at a time\nstack of calls")
            return backend.forward(faces)

        return replace(backend, forward=forward)

    monkeypatch.setattr(measuring, "open_backend", open_single)
    report = measure(network, plan("openvino-fp32", batches=(1, 2)))
    assert [row.error for row in report.measurements] == [None, "only one face at a time"]
    assert [stages.backend for stages in report.stages] == ["openvino-fp32"]


def test_a_batch_too_large_for_the_machine_is_not_tried(
    network: NetworkToMeasure, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = torch.zeros(1, 3, 32, 32)
    layer = largest_layer(network.model, image) / 2**30
    share = 5.5 * layer / measuring.capture().memory_gib
    monkeypatch.setattr(measuring, "LAYER_SHARE", share)
    rows = measure(network, plan("torch-fp32", batches=(1, 5, 2**44))).measurements
    assert [row.batch for row in rows] == [1, 5, 4]


def test_a_missing_package_is_a_row(
    network: NetworkToMeasure, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    report = measure(network, plan(*PAIR, batches=(1, 2)))
    errors = {(row.backend, row.batch): row.error for row in report.measurements}
    assert errors["torch-fp32", 1] is errors["torch-fp32", 2] is None
    assert "pip install openvino" in errors["openvino-fp32", 1]
    assert errors["openvino-fp32", 1] == errors["openvino-fp32", 2]


def test_a_missing_package_asked_for_by_name_is_refused(
    network: NetworkToMeasure, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(FerBenchError, match=r"openvino-fp32 cannot be measured: .*pip install"):
        measure(network, plan("openvino-fp32"))


def test_a_network_that_cannot_be_converted_is_a_row(network: NetworkToMeasure) -> None:
    class Sorting(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.linalg.eigvals(x[:, 0, :7, :7]).real.sort().values

    network.model.backbone, network.model.head = Sorting(), nn.Linear(7, 7).eval()
    rows = measure(network, plan("torch-bf16", *PAIR)).measurements
    assert [row.error is None for row in rows] == [False, True, False]
    assert rows[0].milliseconds is rows[0].faces_per_second is rows[0].agreement is None


def test_int8_without_faces_says_what_to_give(network: NetworkToMeasure) -> None:
    rows = measure(network, plan("torch-fp32", "openvino-int8")).measurements
    assert "faces of the training split" in rows[1].error


@table(
    ("values", "sentence"),
    [
        ({"threads": (1, 0)}, "expected numbers of threads from 1, got 1, 0"),
        ({"batches": (-3,)}, "expected numbers of faces per batch from 1, got -3"),
        ({"threads": ()}, "expected numbers of threads from 1, got none"),
        ({"threads": (10**30,)}, "expected fewer than 1025 threads"),
        ({"seconds": 0.0}, "expected seconds above 0"),
        ({"seconds": float("nan")}, "expected seconds above 0"),
    ],
)
def test_numbers_out_of_range_are_refused(values: dict[str, object], sentence: str) -> None:
    with pytest.raises(FerBenchError, match=sentence):
        Plan(**{"backends": PAIR, "threads": (1,)} | values)


def test_back_ends_by_name() -> None:
    assert set(plan_backends(["all"])) == {AUTO, *BACKENDS}
    assert set(plan_backends([])) == {AUTO, *BACKENDS} - set(SLOW_TO_OPEN)
    assert plan_backends(["openvino-fp32", "openvino-fp32"]) == ("openvino-fp32",)
    with pytest.raises(FerBenchError, match="did you mean 'openvino-fp32'"):
        plan_backends(["openvino-fp23"])


# The machine


def test_the_matrix_product_has_a_rate_per_precision_and_threads() -> None:
    rates = gemm_gflops(["bf16", "fp32"], 2)
    assert rates["fp32@2"] > 0 and set(rates) <= {"fp32@2", "bf16@2"}
    assert all(rate >= rates["fp32@2"] for rate in rates.values())
    assert "fp32@1" not in gemm_gflops(["int8"], 1)


def test_a_precision_without_a_product_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(one: Tensor, other: Tensor) -> Tensor:
        raise RuntimeError("not implemented for this CPU")

    monkeypatch.setitem(machine.PRODUCTS, "int8", (torch.int8, missing))
    assert best_rate(torch.int8, missing) is None
    assert set(gemm_gflops(["fp32", "int8"], 1)) == {"fp32@1"}


def test_the_governor_where_the_system_tells(tmp_path: Path) -> None:
    file = tmp_path / "scaling_governor"
    assert governor(file) is None
    file.write_text("powersave\n")
    assert governor(file) == "powersave"


def test_what_goes_wrong_in_the_process_for_the_memory_comes_back(tmp_path: Path) -> None:
    with pytest.raises(FerBenchError, match=r"record.json cannot be read"):
        peak_memory(NetworkSource(run=tmp_path / "gone"), "torch-fp32", threads=1, batch=1)
