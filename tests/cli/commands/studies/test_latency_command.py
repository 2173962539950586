"""What `latency` is asked about: runs and models by name, faces, and the command itself."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from command_fixtures import Fer
from model_fixtures import DEFAULT_RUN, SECOND_RUN, SMALL_RUN, save_models
from record_fixtures import make_record
from table_fixtures import table

from fer_bench.backends.registry import BACKENDS
from fer_bench.benchmark import Source
from fer_bench.emotions import EXPRESSIO, FER2013
from fer_bench.errors import FerBenchError
from fer_bench.models.build import build_model
from fer_bench.models.classifier import ModelRequest
from fer_bench.results.record import Member
from fer_bench.results.reports.latency_files import LATENCY, list_latencies, read_latency
from fer_bench.results.store import ResultsStore
from fer_bench.specs.run import DataSpec, EnsembleSpec
from fer_bench.studies.latency import machine, measure
from fer_bench.studies.latency.faces import faces_of
from fer_bench.studies.latency.network import find_network, open_network
from fer_bench.studies.latency.plan import SLOW_TO_OPEN

#: A small network.
TINY = {"tiny": True, "input_size": 32}


@pytest.fixture(autouse=True)
def _small_products(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "SIDES", (64,))
    monkeypatch.setattr(machine, "REPEAT", 0.001)


# The network and its faces


def test_a_run_is_measured_with_its_own_weights(tmp_path: Path) -> None:
    save_models(tmp_path, DEFAULT_RUN)
    store = ResultsStore(tmp_path)
    found = find_network(store, "default")
    folder = tmp_path / DEFAULT_RUN
    assert (found.weights, found.folder, found.name) == ("trained", folder, folder.name)
    assert found.size_mib == (folder / "model.safetensors").stat().st_size / 2**20
    assert torch.equal(
        next(open_network(found.source).parameters()), next(found.model.parameters())
    )
    with pytest.raises(FerBenchError, match="is a run, whose options are settled"):
        find_network(store, "default", options=TINY)


def test_a_run_without_weights_is_measured_with_random_ones(tmp_path: Path) -> None:
    save_models(tmp_path, SMALL_RUN)
    (tmp_path / SMALL_RUN / "model.safetensors").unlink()
    found = find_network(ResultsStore(tmp_path), SMALL_RUN)
    expected = build_model(ModelRequest(name="expressio", emotions=EXPRESSIO))
    assert found.weights == "random" and found.model.emotions == EXPRESSIO
    shapes = {name: value.shape for name, value in expected.state_dict().items()}
    assert {name: value.shape for name, value in found.model.state_dict().items()} == shapes
    assert found.size_mib == sum(v.nbytes for v in expected.state_dict().values()) / 2**20


def test_an_ensemble_without_weights_is_measured_too(tmp_path: Path) -> None:
    store = ResultsStore(tmp_path)
    runs = [make_record(model=model) for model in ("compact_resnet", "keras_cnn")]
    for run in runs:
        store.save(run)
    spec = EnsembleSpec(ensemble=tuple(run.name for run in runs))
    members = tuple(
        Member(run=run.name, weight=0.5, temperature=1.0, pretraining="none") for run in runs
    )
    changes = {"name": spec.name, "spec": spec, "members": members}
    store.save(runs[0].model_copy(update=changes))
    found = find_network(store, spec.name)
    assert found.weights == "random" and found.model.emotions == FER2013
    assert found.model(torch.zeros(2, 1, 48, 48)).shape == (2, 7)


def test_a_misspelt_name_is_answered_with_runs_and_models(tmp_path: Path) -> None:
    save_models(tmp_path, DEFAULT_RUN)
    store = ResultsStore(tmp_path)
    with pytest.raises(FerBenchError, match=r"unknown run or model 'resnet81'.*'resnet18'"):
        find_network(store, "resnet81")
    with pytest.raises(FerBenchError, match="mean 'compact_resnet-full-finetune-5-s0'"):
        find_network(store, "compact_resnet-full-finetune-5-s1")


def test_int8_is_calibrated_on_training_faces_and_compared_on_others() -> None:
    dataset = Source(data="synthetic").load(DataSpec())
    found = faces_of(dataset, flops=10**9)
    train = {image.tobytes() for image in dataset.images[dataset.indices("train")]}
    assert {image.tobytes() for image in found.calibration} <= train
    assert not {image.tobytes() for image in found.compared} & train
    assert (len(found.calibration), len(found.compared)) == (224, 28)
    assert found.source == dataset.name
    doubled = replace(dataset, splits=np.where(dataset.splits == 0, 1, dataset.splits))
    doubled.splits[dataset.indices("train")[:4]] = 0
    assert [len(faces_of(doubled, flops).compared) for flops in (1, 5 * 10**9, 10**12, None)] == [
        248, 200, 100, 100
    ]  # fmt: skip
    without = replace(dataset, splits=np.full_like(dataset.splits, -1))
    with pytest.raises(FerBenchError, match="0 training images and 0 others: expected both"):
        faces_of(without, flops=10**9)


# The command


@pytest.fixture
def fer(fer: Fer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Fer:
    """Runs `python -m fer_bench latency ...`; gives exit code, stdout and stderr."""
    monkeypatch.delenv("FER_BENCH_DATA", raising=False)
    return lambda *words: fer("latency", *words, "--results", tmp_path, "--seconds", "0.001")


def test_the_command_measures_a_run(fer: Fer, tmp_path: Path):
    save_models(tmp_path, SECOND_RUN)
    words = ("default", "--data", "synthetic", "--threads", "1", "--batch", "1")
    code, out, _ = fer(*words, "--json")
    report = json.loads(out)
    assert code == 0 and report["file"] == str(tmp_path / SECOND_RUN / LATENCY)
    stored = read_latency(tmp_path / SECOND_RUN)[0]
    assert report["measured_at"] == stored.model_dump(mode="json")["measured_at"]
    assert {row.backend for row in stored.measurements} == set(BACKENDS) - set(SLOW_TO_OPEN)
    int8 = next(row for row in stored.measurements if row.backend == "openvino-int8")
    assert int8.error is None and int8.agreement.faces == "synthetic"
    assert stored.chosen[1] in BACKENDS


def test_the_command_measures_a_model(fer: Fer, tmp_path: Path):
    words = ("vit_b_16", "--option", "tiny=true", "--option", "input_size=32", "--memory")
    code, out, err = fer(*words, "--backend", "torch-fp32", "--threads", "1", "--batch", "2")
    assert code == 0
    assert "vit_b_16-tiny-32px: " in out and "random weights" in out
    assert [line.split()[:2] for line in out.splitlines() if line.startswith("torch-fp32")] == [
        ["torch-fp32", "2"]
    ]
    assert "frame of 640 x 480, torch-fp32: detect" in out
    assert "networks/vit_b_16-tiny-32px/latency.json" in err
    rows = list_latencies(tmp_path)[0].reports[0].measurements
    assert [50 < row.peak_memory_mib < 4096 for row in rows] == [True]


@table(
    ("words", "word"),
    [
        ("resnet81", "did you mean 'resnet18'"),
        ("resnet18 --backend onxruntime-fp32", "did you mean 'onnxruntime-fp32'"),
        ("resnet18 --threads two", "whole numbers"),
        ("resnet18 --batch 0", "from 1, got 0"),
        ("resnet18 --threads -1", "from 1, got -1"),
        ("resnet18 --option tny=true", "did you mean 'tiny'"),
        ("keras_cnn --calibration ghost", "does not exist"),
    ],
)
def test_bad_input_is_one_sentence(
    refused: Callable[..., str], tmp_path: Path, words: str, word: str
):
    assert word in refused(*words.split())
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_report_is_noticed_before_measuring(fer: Fer, tmp_path: Path):
    folder = tmp_path / "networks" / "keras_cnn-48px"
    folder.mkdir(parents=True)
    (folder / LATENCY).write_text("[")
    code, _, err = fer("keras_cnn")
    assert code == 2 and "latency.json is damaged" in err and "measure again" in err


def test_a_folder_that_cannot_be_written_is_noticed_before_measuring(
    fer: Fer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(measure, "measure_latency", lambda *_: pytest.fail("it was measured"))
    (tmp_path / "networks").write_text("no folder")
    code, _, err = fer("keras_cnn")
    assert code == 2 and "could not save latency.json in " in err and "or choose another" in err
