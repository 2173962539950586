"""`auto` takes the fastest back end that agrees with eager fp32, and remembers it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from frozen_fixtures import tiny_classifier
from numpy.typing import NDArray
from torch import Tensor, nn

from fer_bench.backends import cache, openvino, prepared, select
from fer_bench.backends.base import Backend, Forward, Unavailable
from fer_bench.backends.prepared import PreparedModel
from fer_bench.backends.registry import AUTO
from fer_bench.backends.select import open_backend
from fer_bench.data.synthetic import read_synthetic
from fer_bench.models.classifier import Classifier
from fer_bench.models.ensemble import EnsembleMember, make_ensemble
from fer_bench.models.fingerprint import fingerprint
from fer_bench.results.reports.latency import REFERENCE
from fer_bench.types import InputSpec

pytestmark = pytest.mark.usefixtures("any_precision")


@pytest.fixture(autouse=True)
def memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache; where choices are remembered in it."""
    monkeypatch.setenv("FER_BENCH_CACHE", str(tmp_path))
    return tmp_path / "backends"


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What measurements have chosen, in order."""
    names: list[str] = []
    measure = select.measure

    def noting(candidate: PreparedModel, seconds: float) -> Backend:
        chosen = measure(candidate, 0.05)
        names.append(chosen.name)
        return chosen

    monkeypatch.setattr(select, "measure", noting)
    return names


def faces() -> NDArray[np.uint8]:
    return read_synthetic(n_per_class=4).images


def decided() -> Classifier:
    """A network so sure of itself that quantising it changes no answer."""
    model = tiny_classifier()
    model.head[1].bias.data = torch.tensor([2.0, 0.0, -2.0])
    return model


def choices(memory: Path) -> list[Path]:
    return sorted(memory.glob("*.json"))


def test_it_is_the_fastest_and_says_why(measured: list[str]) -> None:
    chosen = open_backend(AUTO, tiny_classifier())
    assert chosen.name == min(chosen.milliseconds, key=lambda name: chosen.milliseconds[name])
    assert REFERENCE in chosen.milliseconds
    for name, milliseconds in chosen.milliseconds.items():
        assert f"{name} {milliseconds:.1f} ms" in chosen.reason
    assert "without openvino-int8: int8 wants faces" in chosen.reason
    assert measured == [chosen.name]


def test_faces_to_calibrate_on_bring_int8_into_the_race(measured: list[str]) -> None:
    chosen = open_backend(AUTO, decided(), calibration=faces())
    assert "openvino-int8" in chosen.milliseconds


def test_it_is_measured_once(measured: list[str], memory: Path) -> None:
    first = open_backend(AUTO, tiny_classifier())
    again = open_backend(AUTO, tiny_classifier())
    assert measured == [first.name]
    assert (again.name, again.milliseconds) == (first.name, first.milliseconds)
    assert again.reason == f"measured before: {first.reason}"
    assert len(choices(memory)) == 1


def test_another_network_or_thread_count_is_measured_too(measured: list[str]) -> None:
    open_backend(AUTO, tiny_classifier())
    open_backend(AUTO, tiny_classifier(seed=1))
    open_backend(AUTO, tiny_classifier(), threads=2)
    assert len(measured) == 3


def test_int8_that_was_kept_is_taken_up_without_faces(measured: list[str]) -> None:
    open_backend(AUTO, decided())
    with_faces = open_backend(AUTO, decided(), calibration=faces())
    later = open_backend(AUTO, decided())
    assert len(measured) == 2
    assert later.name == with_faces.name
    assert "openvino-int8" in later.milliseconds


@pytest.mark.parametrize("content", [b"", b"\xff", b"[]", b'{"name": 3}', b'{"name": "torch-fp'])
def test_a_damaged_memory_is_measured_again(
    content: bytes, measured: list[str], memory: Path
) -> None:
    open_backend(AUTO, tiny_classifier())
    (file,) = choices(memory)
    file.write_bytes(content)
    again = open_backend(AUTO, tiny_classifier())
    assert len(measured) == 2
    assert json.loads(file.read_text())["name"] == again.name


@pytest.mark.parametrize("name", ["openvino-int8", "no-such-back-end"])
def test_a_remembered_one_that_no_longer_opens_is_measured_again(
    name: str, measured: list[str], memory: Path
) -> None:
    open_backend(AUTO, tiny_classifier())
    (file,) = choices(memory)
    file.write_text(json.dumps(json.loads(file.read_text()) | {"name": name}))
    assert open_backend(AUTO, tiny_classifier()).name != name
    assert len(measured) == 2


def test_a_cache_that_cannot_be_written_costs_only_time(measured: list[str], memory: Path) -> None:
    memory.write_text("a file where the folder should be")
    for _ in range(2):
        assert open_backend(AUTO, tiny_classifier(), calibration=faces()).name in measured
    assert len(measured) == 2


def _wrong(candidate: PreparedModel) -> Forward:
    return lambda x: -candidate.model(x).detach()


def _infinite(candidate: PreparedModel) -> Forward:
    return lambda x: candidate.model(x).detach() / 0


def _broken(candidate: PreparedModel) -> Forward:
    raise Unavailable("no such operation")


def _failing(candidate: PreparedModel) -> Forward:
    raise RuntimeError("out of\nmemory")


@pytest.mark.parametrize(
    ("builder", "why"),
    [
        (_wrong, "14 of 14 faces get another emotion"),
        (_infinite, "its logits are not finite"),
        (_broken, "no such operation"),
        (_failing, "openvino-fp32 cannot run it: out of"),
    ],
)
def test_it_leaves_out_what_does_not_agree_or_run(
    builder: object, why: str, measured: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openvino, "fp32", builder)
    chosen = open_backend(AUTO, tiny_classifier())
    assert "openvino-fp32" not in chosen.milliseconds
    (said,) = [p for p in chosen.reason.split("; ") if p.startswith("without openvino-fp32: ")]
    assert said.endswith(why)


def test_without_openvino_it_turns_to_onnx_runtime(
    measured: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    chosen = open_backend(AUTO, tiny_classifier())
    assert "onnxruntime-fp32" in chosen.milliseconds
    assert not any(name.startswith("openvino") for name in chosen.milliseconds)
    assert "without openvino-fp32: OpenVINO is not installed" in chosen.reason


@pytest.mark.filterwarnings("ignore:BComplex32")
def test_it_falls_back_to_what_works(measured: list[str]) -> None:
    class Sorting(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.linalg.eigvals(x[:, 0, :3, :3]).real.sort().values

    model = tiny_classifier()
    model.backbone, model.head = Sorting(), nn.Identity()
    chosen = open_backend(AUTO, model.eval())
    assert chosen.name in (REFERENCE, "torch-channels-last")
    assert "OpenVINO cannot convert it" in chosen.reason
    assert "torch-bf16 cannot run it" in chosen.reason


def test_a_network_that_diverged_runs_as_it_is(measured: list[str]) -> None:
    model = tiny_classifier()
    model.head[1].bias.data.fill_(torch.nan)
    chosen = open_backend(AUTO, model)
    assert chosen.name == REFERENCE
    assert "without openvino-fp32: its logits are not finite" in chosen.reason


def test_a_fingerprint_tells_networks_apart() -> None:
    def ensemble(temperature: float) -> Classifier:
        return make_ensemble(
            [EnsembleMember(model=tiny_classifier(), weight=1, temperature=temperature)]
        )

    def sharper() -> Classifier:
        model = tiny_classifier()
        model.input_spec = InputSpec(size=16, channels=1, mean=(0.5,), std=(0.2,))
        return model

    def nudged() -> Classifier:
        model = tiny_classifier()
        with torch.no_grad():
            model.head[1].bias[0] += 1e-6
        return model

    def curved() -> Classifier:
        model = tiny_classifier()
        model.backbone[2] = nn.Tanh()  # type: ignore[index]
        return model

    networks = [tiny_classifier(), tiny_classifier(seed=1), sharper(), nudged(), curved()]
    networks += [ensemble(1.0), ensemble(2.0), tiny_classifier()]
    prints = [fingerprint(model, model.input_spec) for model in networks]
    assert len(set(prints[:-1])) == 7
    assert prints[-1] == prints[0]


def networks(memory: Path) -> list[Path]:
    return sorted(memory.glob("*-fp32-*"))


def forbid_conversion(monkeypatch: pytest.MonkeyPatch) -> None:
    def convert(*_: object) -> object:
        raise AssertionError("converted anew")

    monkeypatch.setattr(prepared, "convert", convert)


def answers(model: Classifier) -> Tensor:
    candidate = PreparedModel(model)
    return open_backend("openvino-fp32", model).forward(candidate.checking)


def test_a_converted_network_is_kept_and_answers_the_same(
    memory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = answers(tiny_classifier())
    assert len(networks(memory)) == 1
    forbid_conversion(monkeypatch)
    assert torch.equal(answers(tiny_classifier()), first)


def test_another_network_is_converted_for_itself(memory: Path) -> None:
    assert not torch.equal(answers(tiny_classifier()), answers(tiny_classifier(seed=1)))
    assert len(networks(memory)) == 2


@pytest.mark.parametrize("name", ["network.xml", "network.bin"])
def test_a_damaged_network_is_converted_again(name: str, memory: Path) -> None:
    first = answers(tiny_classifier())
    (folder,) = networks(memory)
    whole = (folder / name).read_bytes()
    for damaged in (b"", whole[: len(whole) // 2], whole[:-8] + bytes(8)):
        (folder / name).write_bytes(damaged)
        assert torch.equal(answers(tiny_classifier()), first)


def test_a_network_too_large_is_not_kept(memory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "LARGEST_CACHED", 100)
    answers(tiny_classifier())
    assert not networks(memory)
