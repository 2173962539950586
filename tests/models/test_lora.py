"""LoRA is W + (alpha / rank) B A: in the forward, in the gradient and in the merged weights."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from table_fixtures import table
from test_models import EVERY, REFERENCES, faces, small, snapshot, train_one_step
from torch import Tensor, nn

from fer_bench.models.classifier import Classifier
from fer_bench.models.lora import inject_lora, merge_lora
from fer_bench.models.weights import model_files

#: alpha is twice the rank.
SCALE = 2.0


def updated(name: str) -> Classifier:
    """A tiny network in double precision whose low-rank updates are not zero."""
    model = small(name, mode="lora").double()
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for key, tensor in model.named_parameters():
            if "lora_" in key:
                tensor.normal_(0, 0.1, generator=generator)
    return model


def deltas(model: Classifier) -> dict[str, Tensor]:
    """What each weight of the plain network gains, by its name there."""
    tensors = dict(model.backbone.named_parameters())
    gains = {}
    for key, a in tensors.items():
        if "lora_A" not in key:
            continue
        b = tensors[key.replace("lora_A", "lora_B")]
        if key.endswith(".lora_A.default.weight"):  # peft's; else torch's parametrisation
            name = key.replace(".lora_A.default", "")
        else:
            name = key.replace("parametrizations.", "").removesuffix(".0.lora_A")
        gain = SCALE * b.flatten(1) @ a.flatten(1)
        gains[name] = gain.reshape(len(b), *a.shape[1:]).detach()
    return gains


@pytest.mark.parametrize("name", REFERENCES)
def test_a_network_with_updates_answers_as_one_with_the_changed_weights(name: str) -> None:
    model, plain = updated(name), small(name).double()
    x, gains = faces(plain).double(), deltas(model)
    assert gains
    state = plain.backbone.state_dict()
    for key, gain in gains.items():
        state[key] = state[key] + gain
    plain.backbone.load_state_dict(state)
    plain.head.load_state_dict(model.head.state_dict())
    with torch.no_grad():
        torch.testing.assert_close(model(x), plain(x), atol=1e-10, rtol=1e-10)
    merge_lora(model)
    for key, tensor in model.backbone.state_dict().items():
        torch.testing.assert_close(tensor, state[key], atol=1e-12, rtol=0)
    assert model_files(model).keys() == {"model.safetensors", "model.json"}


@pytest.mark.parametrize("name", REFERENCES)
def test_every_update_has_the_gradient_of_finite_differences(name: str) -> None:
    model = updated(name)
    x = faces(model).double()
    generator = torch.Generator().manual_seed(5)
    aim = torch.randn(3, 7, generator=generator, dtype=torch.float64)

    def loss() -> Tensor:
        return (model(x) * aim).sum()

    loss().backward()
    updates = [(n, p) for n, p in model.named_parameters() if "lora_" in n]
    for key, tensor in updates:
        assert tensor.grad is not None
        step = 1e-8 * torch.randn(tensor.shape, generator=generator, dtype=torch.float64)
        with torch.no_grad():
            tensor += step
            above = loss()
            tensor -= 2 * step
            below = loss()
            tensor += step
        expected = float((tensor.grad * step).sum())
        assert float(above - below) / 2 == pytest.approx(expected, rel=1e-2, abs=1e-11), key


def test_torchs_attention_is_plain_attention_with_changed_weights() -> None:
    model = updated("vit_b_16")
    block = model.backbone.encoder.layers[0].self_attention
    gains = {
        key.removeprefix("encoder.layers.encoder_layer_0.self_attention."): gain
        for key, gain in deltas(model).items()
        if "encoder_layer_0.self_attention" in key
    }
    assert gains.keys() == {"in_proj_weight", "out_proj.weight"}
    plain = small("vit_b_16").double().backbone.encoder.layers[0].self_attention
    x = torch.randn(2, 5, 64, dtype=torch.float64)
    projected = x @ (plain.in_proj_weight + gains["in_proj_weight"]).T + plain.in_proj_bias
    q, k, v = (t.view(2, 5, 4, 16).transpose(1, 2) for t in projected.chunk(3, dim=-1))
    mixed = F.softmax(q @ k.transpose(-1, -2) / 4, dim=-1) @ v
    out = mixed.transpose(1, 2).reshape(2, 5, 64)
    expected = out @ (plain.out_proj.weight + gains["out_proj.weight"]).T + plain.out_proj.bias
    torch.testing.assert_close(block(x, x, x, need_weights=False)[0], expected)


def test_a_network_of_attention_alone_is_adapted() -> None:
    class Attention(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attention = nn.MultiheadAttention(32, 2, batch_first=True)

    model = small("vit_b_16")
    model.backbone = Attention()
    inject_lora(model, rank=4)
    trainable = {n for n, p in model.backbone.named_parameters() if p.requires_grad}
    assert len(trainable) == 4
    assert all("lora_" in n for n in trainable)


@table("name", EVERY)
def test_everything_but_updates_and_head_stays_as_it_was(name: str) -> None:
    """The statistics of batch norms, too."""
    model = small(name, mode="lora")
    before = snapshot(model.backbone)
    train_one_step(model)
    train_one_step(model)
    after = snapshot(model.backbone)
    changed = {n for n in before if not torch.equal(before[n], after[n])}
    assert changed
    assert all("lora_" in n for n in changed)
