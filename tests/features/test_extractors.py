"""Extractors: every way to run a backbone gives the features of eager fp32, or says why not."""

from __future__ import annotations

import re

import pytest
import torch
from torch import Tensor, nn

from fer_bench.backends import openvino_ir
from fer_bench.backends.base import Unavailable
from fer_bench.backends.fidelity import compare
from fer_bench.backends.prepared import PreparedModel
from fer_bench.emotions import FER2013
from fer_bench.errors import FerBenchError
from fer_bench.features.extractors import (
    CHUNK,
    EXTRACTORS,
    Extractor,
    choose_extractor,
    make_extractor,
)
from fer_bench.models.classifier import Classifier, ModelRequest
from fer_bench.types import InputSpec, Provenance

pytestmark = pytest.mark.usefixtures("any_precision")


def classifier(backbone: nn.Module, width: int = 32) -> Classifier:
    model = Classifier(
        backbone=backbone,
        head=nn.Linear(width, len(FER2013)),
        feature_size=width,
        input_spec=InputSpec(size=24, channels=3, mean=(0.5,) * 3, std=(0.5,) * 3),
        request=ModelRequest(name="made up", emotions=FER2013),
        provenance=Provenance(architecture="made up"),
    )
    return model.eval()


def cnn() -> Classifier:
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 8, 3, stride=2), nn.BatchNorm2d(8), nn.ReLU()]
    return classifier(nn.Sequential(*layers, nn.AdaptiveAvgPool2d(2), nn.Flatten()))


class TinyAttention(nn.Module):
    """Patches, one attention layer, mean: what SmoothQuant is for."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 16, 8, stride=8)
        self.attention = nn.MultiheadAttention(16, 2, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.patches(x).flatten(2).transpose(1, 2)
        attended: Tensor = self.attention(tokens, tokens, tokens, need_weights=False)[0]
        return (tokens + attended).mean(1)


def faces(n: int = CHUNK + 3) -> Tensor:
    return torch.rand(n, 3, 24, 24, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", EXTRACTORS)
def test_every_extractor_agrees_with_eager_fp32_and_leaves_its_input_alone(name: str) -> None:
    model, x = cnn(), faces()
    before = x.clone()
    with torch.no_grad():
        expected = model.features(x)
    features = make_extractor(name, model, x)(x)
    assert features.dtype == torch.float32
    assert features.shape == (CHUNK + 3, 32)
    assert compare(features, expected, "").min_cosine > 0.99
    assert torch.equal(x, before)
    assert {p.dtype for p in model.parameters()} == {torch.float32}


def test_fp32_extractors_are_exact_to_rounding() -> None:
    model, x = cnn(), faces()
    with torch.no_grad():
        eager = model.features(x)
    assert torch.equal(make_extractor("torch-fp32", model, x)(x), eager)
    torch.testing.assert_close(make_extractor("openvino-fp32", model, x)(x), eager)


def test_int8_runs_a_transformer_with_smooth_quant() -> None:
    torch.manual_seed(0)
    model, x = classifier(TinyAttention(), 16), faces(8)
    with torch.no_grad():
        expected = model.features(x)
    quantised = make_extractor("openvino-int8", model, x)(x)
    assert compare(quantised, expected, "").mean_cosine > 0.98
    assert not torch.equal(quantised, expected)


@pytest.mark.parametrize("name", ["torch-bf16", "openvino-bf16"])
def test_a_cpu_without_bf16_instructions_is_not_made_to_emulate_them(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openvino_ir, "lacks_bf16", lambda: True)
    with pytest.raises(Unavailable, match=r"^this CPU has no bf16 instructions$"):
        make_extractor(name, cnn(), faces(2))


def test_an_unknown_extractor_suggests_near_names() -> None:
    with pytest.raises(FerBenchError, match=r"unknown extractor 'openvino-bf61'.*'openvino-bf16'"):
        make_extractor("openvino-bf61", cnn(), faces(2))


def test_openvino_refuses_a_device_it_cannot_use() -> None:
    with pytest.raises(Unavailable, match="on the CPU here, and the model is on meta"):
        make_extractor("openvino-fp32", cnn().to("meta"), faces(2))


def test_the_choice_is_the_fastest_measured_and_says_why() -> None:
    allow = ("torch-fp32", "torch-bf16")
    choice = choose_extractor(cnn(), faces(), allow=allow, seconds=0.01)
    taken = choice.milliseconds
    assert set(taken) == set(allow)
    assert choice.name == min(taken, key=lambda name: taken[name])
    assert choice.fidelity["torch-bf16"].mean_cosine > 0.999
    assert f"{choice.name} {1000 / taken[choice.name]:.0f} images/s" in choice.reason
    torch.testing.assert_close(
        choice.forward(faces()), cnn().features(faces()).detach(), rtol=0.05, atol=0.05
    )


def test_an_unfaithful_candidate_is_left_out_with_its_cosine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def wrong(prepared: PreparedModel, sample: Tensor) -> Extractor:
        return lambda x: -torch.ones(len(x), 32)

    monkeypatch.setitem(EXTRACTORS, "openvino-int8", wrong)
    choice = choose_extractor(cnn(), faces(), allow=("openvino-int8",), seconds=0.01)
    assert choice.name == "torch-fp32"
    assert "; without openvino-int8: cosine with fp32 only -" in choice.reason


def test_a_candidate_that_cannot_be_built_is_left_out_with_the_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(prepared: PreparedModel, sample: Tensor) -> Extractor:
        raise Unavailable("no such operation")

    monkeypatch.setitem(EXTRACTORS, "torch-bf16", broken)
    choice = choose_extractor(cnn(), faces(), allow=("torch-bf16",), seconds=0.01)
    assert choice.name == "torch-fp32"
    assert choice.reason.endswith(" images/s; without torch-bf16: no such operation")


def test_a_backbone_that_openvino_cannot_convert_is_unavailable() -> None:
    class Odd(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.linalg.eigvals(x.mean(1)).real

    with pytest.raises(Unavailable, match=r"OpenVINO cannot convert it: .*aten::linalg_eigvals"):
        make_extractor("openvino-fp32", classifier(Odd(), 24), faces(2))


def test_little_work_is_not_worth_preparing_anything() -> None:
    choice = choose_extractor(cnn(), faces(), images=1000, seconds=0.01)
    assert choice.name == "torch-fp32"
    for name in set(EXTRACTORS) - {"torch-fp32"}:
        assert re.search(rf"; without {name}: only \d+\.\d s of eager work ahead", choice.reason)


def test_few_images_are_not_first_run_through_everything_to_choose_how() -> None:
    """However slow the network: choosing must not take longer than the plain way."""
    seen: list[int] = []
    model = cnn()
    model.backbone.register_forward_hook(lambda module, x, y: seen.append(len(x[0])))
    choice = choose_extractor(model, faces(42), images=2 * 42)
    assert choice.name == "torch-fp32"
    assert "without openvino-int8: only 84 images ahead" in choice.reason
    assert max(seen) < 10
