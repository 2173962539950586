"""Reports on disk: one for each machine, whole or not at all, beside a run or for a network."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from latency_fixtures import LAPTOP, make_report
from record_fixtures import make_record

from fer_bench.errors import FerBenchError
from fer_bench.results.reports.latency_files import (
    LATENCY,
    add_report,
    list_latencies,
    network_name,
    read_latency,
)
from fer_bench.results.store import ResultsStore


def test_a_report_is_kept_and_read_again(tmp_path: Path) -> None:
    assert read_latency(tmp_path) == []
    report = make_report()
    add_report(tmp_path / "run", report)
    assert read_latency(tmp_path / "run") == [report]
    assert [path.name for path in (tmp_path / "run").iterdir()] == [LATENCY]


def test_a_machine_has_one_report(tmp_path: Path) -> None:
    for report in (make_report(), make_report(cpu=LAPTOP), make_report(eager=10.0)):
        add_report(tmp_path, report)
    found = read_latency(tmp_path)
    assert [report.environment.cpu for report in found] == [LAPTOP, make_report().environment.cpu]
    assert found[1] == make_report(eager=10.0)


def test_processors_of_one_name_are_several_machines(tmp_path: Path) -> None:
    """As virtual machines have them."""
    report = make_report()
    designs = {"cpu_design": "family 25 model 17"}, {"cpu_design": "family 26 model 2"}
    for change in ({}, {"cpu_flags": ["avx2"]}, *designs):
        environment = report.environment.model_copy(update=change)
        add_report(tmp_path, report.model_copy(update={"environment": environment}))
    assert [report.machine for report in read_latency(tmp_path)] == [
        "Server CPU @ 2.70GHz (AMX), 2 cores",
        "Server CPU @ 2.70GHz (AVX2), 2 cores",
        "Server CPU @ 2.70GHz (AMX, family 25 model 17), 2 cores",
        "Server CPU @ 2.70GHz (AMX, family 26 model 2), 2 cores",
    ]


def test_a_name_with_a_number_needs_no_design() -> None:
    environment = make_report().environment
    numbered = {"cpu": "13th Gen Core i7-1360P", "cpu_design": "family 6 model 186"}
    assert environment.model_copy(update=numbered).processor == "13th Gen Core i7-1360P (AMX)"


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("{", "latency.json is damaged, it is not valid JSON"),
        ('{"reports": [{}]}', "latency.json is damaged .reports.0.measured_at: Field required"),
        ('{"raports": []}', "latency.json is damaged .raports"),
        ('{"schema_version": 99, "new": 1}', "was written by a newer FER Bench .schema 99"),
        ('{"schema_version": 99}', "was written by a newer FER Bench .schema 99"),
    ],
)
def test_a_file_that_cannot_be_read_stays_as_it_is(
    tmp_path: Path, content: str, sentence: str
) -> None:
    (tmp_path / LATENCY).write_text(content)
    with pytest.raises(FerBenchError, match=sentence):
        read_latency(tmp_path)
    with pytest.raises(FerBenchError, match=sentence):
        add_report(tmp_path, make_report())
    assert (tmp_path / LATENCY).read_text() == content


def test_a_report_that_could_not_be_read_again_is_not_written(tmp_path: Path) -> None:
    add_report(tmp_path, make_report())
    endless = make_report().model_copy(update={"size_mib": float("inf")})
    with pytest.raises(FerBenchError, match=r"cannot be saved: reports.0.size_mib is not finite"):
        add_report(tmp_path, endless)
    assert read_latency(tmp_path) == [make_report()]


def test_a_full_disk_leaves_the_old_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    add_report(tmp_path, make_report())
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(FerBenchError, match=r"could not save latency.json in .*No space left"):
        add_report(tmp_path, make_report(eager=10.0))
    assert read_latency(tmp_path) == [make_report()]
    assert [path.name for path in tmp_path.iterdir()] == [LATENCY]


def test_networks_lie_beside_runs_and_are_none(tmp_path: Path) -> None:
    store = ResultsStore(tmp_path)
    run = store.save(make_record())
    network = tmp_path / "networks" / "resnet18-224px"
    for folder in (run, network, tmp_path / ".work" / "hidden"):
        add_report(folder, make_report())
    (tmp_path / "networks" / "vgg16-224px").mkdir()
    (tmp_path / "networks" / "vgg16-224px" / LATENCY).write_text("{")
    assert [one.folder for one in store.runs()] == [run]
    found = list_latencies(tmp_path)
    assert [(one.dataset, one.name) for one in found] == [
        ("fer2013", run.name), ("networks", "resnet18-224px"), ("networks", "vgg16-224px")
    ]  # fmt: skip
    assert [one.reports == [] for one in found] == [False, False, True]
    assert found[2].problem.startswith(
        f"{tmp_path / 'networks' / 'vgg16-224px' / LATENCY} is damaged"
    )
    assert list_latencies(tmp_path / "nowhere") == []


def test_a_networks_name_is_file_safe() -> None:
    assert network_name("resnet18", {"input_size": 64, "tiny": True}, 64) == "resnet18-tiny-64px"
    assert network_name("keras_cnn", {"tiny": False}, 48) == "keras_cnn-48px"
    assert network_name("clip:openai/CLIP-b", {}, 224) == "clip-openai-clip-b-224px"
