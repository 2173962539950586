"""Latency reports as tables: every number traced to its report, equals told apart."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from latency_fixtures import (
    LAPTOP,
    MEASURED,
    NO_COMPILER,
    SERVER,
    UNFAITHFUL,
    make_measurement,
    make_report,
    make_stages,
    save_reports,
)

from fer_bench.results.reports.latency import LatencyReport
from fer_bench.results.reports.latency_files import list_latencies
from fer_bench.studies.latency.tables import (
    MEASUREMENT_COLUMNS,
    STAGE_COLUMNS,
    MeasuredNetwork,
    fp32_milliseconds,
    machine_line,
    machines,
    measured_networks,
    measurement_table,
    one_per_model,
    remarks,
    stage_table,
)

ON_SERVER, ON_LAPTOP = f"{SERVER} (AMX), 2 cores", f"{LAPTOP} (AMX), 2 cores"


def network(
    name: str, model: str = "resnet18", report: LatencyReport | None = None
) -> MeasuredNetwork:
    return MeasuredNetwork(name=name, model=model, report=report or make_report())


def test_every_report_on_disk_is_a_measured_network(tmp_path: Path) -> None:
    save_reports(tmp_path / "fer2013" / "run-s0", [make_report(), make_report(cpu=LAPTOP)])
    save_reports(tmp_path / "networks" / "vgg16-224px", [make_report(input_size=224)])
    (tmp_path / "fer2013" / "broken").mkdir()
    (tmp_path / "fer2013" / "broken" / "latency.json").write_text("{")
    found = measured_networks(list_latencies(tmp_path), {"fer2013/run-s0": "resnet18"})
    assert [(m.name, m.model, m.report.machine) for m in found] == [
        ("fer2013/run-s0", "resnet18", ON_SERVER),
        ("fer2013/run-s0", "resnet18", ON_LAPTOP),
        ("networks/vgg16-224px", "vgg16", ON_SERVER),
    ]


def test_a_measurement_stands_beside_eager_fp32_of_its_threads_and_batch() -> None:
    table = measurement_table([network("a/b", report=make_report(eager=20))])
    assert tuple(table.columns) == MEASUREMENT_COLUMNS
    assert len(table) == 2 * 2 * 10
    rows = table.set_index(["backend", "threads", "batch"])
    assert rows.loc[("openvino-bf16", 2, 1), ["median_ms", "ratio"]].tolist() == [2.5, 8.0]
    assert rows.loc[("openvino-bf16", 1, 8), "median_ms"] == pytest.approx(2.5 * 2 * 4.5)
    assert rows.loc[("openvino-bf16", 1, 8), "ratio"] == pytest.approx(8.0)
    assert rows.loc[("torch-fp32", 2, 8), "faces_per_second"] == pytest.approx(8000 / 90)
    assert table[table["chosen"]]["backend"].unique().tolist() == ["openvino-int8"]


def test_what_could_not_be_measured_has_its_error_and_no_numbers() -> None:
    table = measurement_table([network("a/b")]).set_index(["backend", "threads", "batch"])
    row = table.loc[("torch-compile", 2, 1)]
    assert row["error"] == NO_COMPILER
    assert row[["median_ms", "ratio", "top1_agreement", "peak_memory_mib"]].isna().all()
    assert table.loc[("torch-fp32", 2, 1), "error"] == ""


def test_without_eager_fp32_there_is_no_ratio() -> None:
    report = make_report(failing=("torch-fp32",))
    assert measurement_table([network("a/b", report=report)])["ratio"].isna().all()


def test_a_batch_halved_to_one_that_was_measured_too_has_no_row() -> None:
    rows = [make_measurement(median=10.0), make_measurement(median=11.0, note="halved")]
    report = make_report().model_copy(update={"measurements": rows})
    assert measurement_table([network("a/b", report=report)])["median_ms"].tolist() == [10.0]


def test_remarks_stand_once_for_all_their_networks() -> None:
    table = measurement_table([network("a/b"), network("a/c")])
    assert remarks(table, "note").values.tolist() == [["onnxruntime-int8", UNFAITHFUL, "a/b; a/c"]]
    assert remarks(table, "error")["backend"].tolist() == ["torch-compile", "torch-compile-bf16"]
    assert remarks(table[:1], "error").empty


def test_stages_and_the_rest_make_the_total() -> None:
    stages = [make_stages(model=2.0, rest=1.0), make_stages(model=4.0, rest=-0.5)]
    report = make_report().model_copy(update={"stages": stages})
    table = stage_table([network("a/b", report=report)])
    assert tuple(table.columns) == STAGE_COLUMNS
    assert table["rest_ms"].tolist() == [1.0, 0.0]
    assert table["total_ms"].tolist() == [15.5, 16.0]
    assert table["frames_per_second"].tolist() == [1000 / 15.5, 1000 / 16.0]
    assert table["frame"].unique().tolist() == ["640 × 480"]


def test_tables_of_nothing_have_their_columns() -> None:
    assert tuple(measurement_table([]).columns) == MEASUREMENT_COLUMNS
    assert tuple(stage_table([]).columns) == STAGE_COLUMNS


def test_the_machine_of_most_networks_comes_first() -> None:
    laptop, server = make_report(cpu=LAPTOP), make_report()
    card = make_report(gpu="Test GPU")
    measured = [network("a", report=laptop), network("b", report=server), network("a", report=card)]
    assert machines([*measured, network("c", report=server)]) == [
        ON_SERVER,
        ON_LAPTOP,
        f"{ON_SERVER}, Test GPU",
    ]


def test_the_machine_line_spans_the_days_of_its_reports(
    same_sentence: Callable[[str], None],
) -> None:
    later = make_report().model_copy(update={"measured_at": MEASURED + timedelta(days=2)})
    same_sentence(machine_line([network("a", report=later), network("b")]))


def test_one_network_of_each_model_comes_first() -> None:
    measured = [network("a", "x"), network("b", "x"), network("c", "y"), network("d", "z")]
    assert one_per_model(measured, 2) == ["a", "c"]


def test_a_face_takes_what_the_fastest_fp32_takes_on_that_machine() -> None:
    measured = [
        network("a", report=make_report(eager=20)),
        network("a", report=make_report(cpu=LAPTOP, eager=50, chosen="openvino-bf16")),
        network("b", report=make_report(cpu=LAPTOP, chosen="torch-compile")),
    ]
    assert fp32_milliseconds(measured, ON_SERVER) == {"a": 8.0}
    assert fp32_milliseconds(measured, ON_LAPTOP) == {"a": 20.0, "b": 8.0}


def test_fp32_that_names_a_face_otherwise_is_not_the_time_of_its_accuracy() -> None:
    report = make_report(eager=20)
    rounded = report.model_copy(
        update={
            "measurements": [
                one.model_copy(
                    update={"agreement": one.agreement.model_copy(update={"top1_agreement": 0.999})}
                )
                if one.agreement and one.backend == "openvino-fp32"
                else one
                for one in report.measurements
            ]
        }
    )
    assert report.fastest_fp32().median == 8.0
    assert rounded.fastest_fp32().median == 10.0  # onnxruntime-fp32
    assert report.model_copy(update={"measurements": []}).fastest_fp32() is None
