"""A compact network's weights in a deeper relative: the same features, or a refusal."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from table_fixtures import table
from test_models import faces, small, train_one_step

from fer_bench.emotions import FER2013
from fer_bench.errors import FerBenchError
from fer_bench.models.build import build_model
from fer_bench.models.classifier import Classifier, ModelRequest
from fer_bench.models.zoo.compact_resnet import backbone, deepened

State = dict[str, torch.Tensor]
WIDTH = 0.25


def compact(depth: int, pretraining: Path | str = "none", width: float = WIDTH) -> Classifier:
    torch.manual_seed(depth)
    return build_model(
        ModelRequest(
            name="compact_resnet",
            emotions=FER2013,
            pretraining=str(pretraining),
            options={"width": width, "depth": depth},
        )
    )


def trained(depth: int = 1, width: float = WIDTH) -> Classifier:
    """A network whose weights and batch norms are no longer those that it began with."""
    model = compact(depth, width=width)
    train_one_step(model)
    return model


def features(model: Classifier) -> torch.Tensor:
    with torch.no_grad():
        return model.features(faces(model))


def without(state: State, key: str) -> State:
    return {name: tensor for name, tensor in state.items() if name != key}


FILES: dict[str, Callable[[Classifier], State]] = {
    "a whole classifier": lambda model: model.state_dict(),
    "a bare backbone": lambda model: model.backbone.state_dict(),
    "a wrapped model": lambda model: {f"module.{k}": v for k, v in model.state_dict().items()},
}


@table("depth", [1, 2, 3])
@table("content", FILES.values(), ids=FILES)
def test_a_deeper_network_starts_with_the_features_of_the_shallow_one(
    content: Callable[[Classifier], State], depth: int, tmp_path: Path
) -> None:
    model = trained()
    save_file(content(model), tmp_path / "w.safetensors")
    started = compact(depth, tmp_path / "w.safetensors")
    assert torch.equal(features(started), features(model))
    assert not torch.equal(features(compact(depth)), features(model))


def test_its_new_blocks_learn_from_the_first_step_on(tmp_path: Path) -> None:
    save_file(trained().state_dict(), tmp_path / "w.safetensors")
    started = compact(2, tmp_path / "w.safetensors")
    new = {k: v.clone() for k, v in started.backbone[3].named_parameters()}
    assert not new["second.1.weight"].any()
    train_one_step(started)
    train_one_step(started)
    assert all(not torch.equal(new[k], v) for k, v in started.backbone[3].named_parameters())


def test_weights_of_the_same_depth_stay_as_they_are(tmp_path: Path) -> None:
    for depth in (1, 2):
        state = trained(depth).backbone.state_dict()
        fitted = deepened(state, backbone(WIDTH, depth)[0], depth)
        assert fitted.keys() == state.keys()
        assert all(torch.equal(fitted[key], state[key]) for key in state)


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        (lambda: trained(2).state_dict(), "unknown"),
        (lambda: trained(width=0.5).state_dict(), "of another shape"),
        (lambda: small("keras_cnn").state_dict(), "missing"),
        (
            lambda: without(trained().backbone.state_dict(), "2.first.0.weight"),
            r"1 missing \(first: 2.first.0.weight\)",
        ),
    ],
    ids=["another depth", "another width", "another network", "half of it"],
)
def test_other_weights_do_not_fit_a_deeper_network(
    state: Callable[[], State], reason: str, tmp_path: Path
) -> None:
    save_file(state(), tmp_path / "w.safetensors")
    expected = rf"w\.safetensors do not fit: .*{reason}.*weights of the same architecture"
    with pytest.raises(FerBenchError, match=expected):
        compact(3, tmp_path / "w.safetensors")
