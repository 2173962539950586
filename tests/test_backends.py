"""Every back end gives the network's own logits; `auto` takes the fastest that does."""

from __future__ import annotations

import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from torch import nn

from fer_bench.emotions import FER2013
from fer_bench.errors import FerBenchError
from fer_bench.inference import backends
from fer_bench.inference.backends import AUTO, BACKENDS, open_backend
from fer_bench.models.base import Classifier, ModelRequest
from fer_bench.models.catalogue import build_model
from fer_bench.models.openvino_model import Unavailable, bf16_is_native


@pytest.fixture(scope="module")
def model() -> Classifier:
    torch.manual_seed(0)
    return build_model(ModelRequest(name="compact_resnet", emotions=FER2013))


def batch(n: int) -> torch.Tensor:
    return torch.randn(n, 1, 48, 48, generator=torch.Generator().manual_seed(n))


@pytest.mark.parametrize("name", BACKENDS)
def test_a_back_end_gives_the_networks_logits(name: str, model: Classifier) -> None:
    if name == "openvino-bf16" and not bf16_is_native():
        with pytest.raises(Unavailable, match="no bf16 instructions"):
            open_backend(name, model)
        return
    forward = open_backend(name, model).forward
    digits = 0.03 if "bf16" in name else 1e-4
    for n in (1, 5):
        with torch.no_grad():
            expected = model(batch(n))
        found = forward(batch(n))
        assert found.shape == (n, 7) and found.dtype == torch.float32
        assert torch.allclose(found, expected, atol=digits * float(expected.abs().max()))


@pytest.mark.parametrize("name", ["torch-fp32", "openvino-fp32"])
def test_threads_may_share_a_back_end(name: str, model: Classifier) -> None:
    forward = open_backend(name, model).forward
    alone = [forward(batch(n)) for n in range(1, 9)]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(forward, [batch(n) for n in range(1, 9)]))
    for one, other in zip(alone, together, strict=True):
        assert torch.allclose(one, other, atol=1e-5)


def test_a_result_outlives_the_next_call(model: Classifier) -> None:
    forward = open_backend("openvino-fp32", model).forward
    first = forward(batch(1))
    kept = first.clone()
    forward(batch(1) * 2)
    assert torch.equal(first, kept)


def test_auto_takes_the_fastest_and_says_why(model: Classifier) -> None:
    chosen = open_backend(AUTO, model)
    assert chosen.name == min(chosen.milliseconds, key=chosen.milliseconds.get)
    assert "torch-fp32" in chosen.milliseconds
    assert f"{chosen.name} " in chosen.reason


def test_auto_leaves_out_what_does_not_agree(
    model: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong(candidate: backends._Candidate) -> backends.Forward:
        return lambda x: torch.eye(7)[torch.zeros(len(x), dtype=torch.long)] * 100

    monkeypatch.setitem(backends._BUILDERS, "openvino-fp32", wrong)
    chosen = open_backend(AUTO, model)
    assert "openvino-fp32" not in chosen.milliseconds
    assert "openvino-fp32: a probability differs by 0." in chosen.reason


def test_auto_falls_back_to_what_works(monkeypatch: pytest.MonkeyPatch) -> None:
    class Sorting(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.linalg.eigvals(x[:, 0, :7, :7]).real.sort().values

    model = build_model(ModelRequest(name="compact_resnet", emotions=FER2013))
    model.backbone, model.head = Sorting(), nn.Identity()
    chosen = open_backend(AUTO, model.eval())
    assert chosen.name == "torch-fp32"
    assert "OpenVINO cannot" in chosen.reason
    assert "PyTorch cannot run it in bf16" in chosen.reason


@pytest.mark.parametrize("package", ["openvino", "nncf"])
def test_no_package_reports_to_its_makers(package: str) -> None:
    script = (
        "import sys; from fer_bench.models.openvino_model import load_openvino; load_openvino(); "
        f"import {package}; print(sys.modules['openvino_telemetry'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "None"


def test_only_one_place_imports_openvino() -> None:
    files = (Path(__file__).parents[1] / "fer_bench").rglob("*.py")
    importing = [
        f.name for f in files if re.search(r"^\s*(import|from) openvino", f.read_text(), re.M)
    ]
    assert importing == ["openvino_model.py"]


def test_an_unknown_back_end_is_refused_with_the_near_ones(model: Classifier) -> None:
    with pytest.raises(FerBenchError, match="did you mean 'openvino-fp32'"):
        open_backend("openvino-fp23", model)
