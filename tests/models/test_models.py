"""Every model by name: shapes, modes, options, size and cost."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from table_fixtures import table
from torch import nn

from fer_bench.emotions import EXPRESSIO, FER2013
from fer_bench.errors import FerBenchError
from fer_bench.models.build import MODELS, build_model
from fer_bench.models.classifier import Classifier, ModelRequest
from fer_bench.models.flops import count_flops, count_parameters, largest_layer
from fer_bench.models.heads import make_head
from fer_bench.models.lora import merge_lora
from fer_bench.models.summary import outline

REFERENCES = ("resnet18", "vgg16", "densenet121", "vit_b_16", "clip_vit_b_32")
TIMM = ("timm:test_resnet", "timm:test_vit")
EVERY = (*MODELS, *TIMM)


def small(name: str, mode: str = "full", **changes: object) -> Classifier:
    """The model as small as it goes."""
    options = {"input_size": 32} if name in TIMM or name == "emotionlens" else {}
    if name in REFERENCES:
        options = {"tiny": True}
    torch.manual_seed(0)
    return build_model(
        ModelRequest(name=name, emotions=FER2013, mode=mode, options=options, **changes)
    )


def faces(model: Classifier, count: int = 3) -> torch.Tensor:
    spec = model.input_spec
    generator = torch.Generator().manual_seed(1)
    return torch.randn(count, spec.channels, spec.size, spec.size, generator=generator)


def full_size(name: str, **options: int) -> Classifier:
    """The real network without its memory: shapes and costs only."""
    with torch.device("meta"):
        return build_model(ModelRequest(name=name, emotions=FER2013, options=options))


def train_one_step(model: Classifier) -> None:
    model.train()
    trainable = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(trainable, lr=0.1)
    nn.functional.cross_entropy(model(faces(model)), torch.tensor([0, 1, 2])).backward()
    optimizer.step()
    model.eval()


def snapshot(module: nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def changed(module: nn.Module, before: dict[str, torch.Tensor]) -> set[str]:
    return {n for n, t in module.state_dict().items() if not torch.equal(t, before[n])}


def test_listing_the_models_imports_no_torch() -> None:
    code = (
        "import sys; from fer_bench.models.build import MODELS;"
        "print(*MODELS); sys.exit('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [
        *REFERENCES,
        "expressio",
        "emotionlens",
        "keras_cnn",
        "compact_resnet",
    ]


@table("name", EVERY)
def test_a_model_yields_features_and_one_logit_per_emotion(name: str) -> None:
    model = small(name)
    x = faces(model)
    with torch.no_grad():
        features, logits = model.features(x), model(x)
        torch.testing.assert_close(logits, model.head(features))
    assert features.shape == (3, model.feature_size)
    assert logits.shape == (3, 7)
    assert logits.std() > 0  # no head starts at zero
    assert not model.training
    assert model.emotions == FER2013
    assert model.provenance.weights == "none"


@table("name", EVERY)
def test_full_trains_backbone_and_head(name: str) -> None:
    model = small(name)
    before = snapshot(model)
    train_one_step(model)
    total, trainable = count_parameters(model)
    assert trainable == total
    learned = changed(model, before)
    assert any(n.startswith("head.") for n in learned)
    assert any(n.startswith("backbone.") for n in learned)


@table("name", EVERY)
def test_frozen_trains_the_head_and_leaves_every_tensor_of_the_backbone(name: str) -> None:
    model = small(name, mode="frozen")
    backbone, head = snapshot(model.backbone), snapshot(model.head)
    train_one_step(model)
    assert changed(model.backbone, backbone) == set()
    assert changed(model.head, head) == set(head)
    assert count_parameters(model)[1] == sum(p.numel() for p in model.head.parameters())


@table("name", EVERY)
def test_lora_trains_a_small_share_and_merges_into_plain_weights(name: str) -> None:
    model = small(name, mode="lora")
    total, trainable = count_parameters(model)
    assert trainable < 0.5 * total
    start = model(faces(model)).detach()
    train_one_step(model)
    train_one_step(model)
    before = model(faces(model)).detach()
    assert not torch.allclose(before, start, atol=1e-4)
    merge_lora(model)
    torch.testing.assert_close(model(faces(model)).detach(), before, atol=1e-4, rtol=1e-4)
    assert set(model.state_dict()) == set(small(name).state_dict())


def test_lora_adapts_the_attention_of_torchvisions_vit() -> None:
    names = [n for n, p in small("vit_b_16", mode="lora").named_parameters() if p.requires_grad]
    assert any("self_attention" in n and "lora_B" in n for n in names)


@table("name", [n for n in EVERY if n != "clip_vit_b_32"])
def test_zero_shot_needs_a_model_that_reads_text(name: str) -> None:
    pretraining = "imagenet" if name in REFERENCES else "none"
    with pytest.raises(FerBenchError, match="cannot work zero-shot: expected a CLIP model"):
        build_model(
            ModelRequest(name=name, emotions=FER2013, mode="zero-shot", pretraining=pretraining)
        )


@table("name", EVERY)
def test_an_unknown_option_is_refused_by_every_model(name: str) -> None:
    request = ModelRequest(name=name, emotions=FER2013, options={"lora_rnk": 4})
    with pytest.raises(FerBenchError, match=rf"{name}: unknown key 'lora_rnk'.*'lora_rank'"):
        build_model(request)


@table(
    ("name", "options", "message"),
    [
        ("resnet81", {}, "unknown model 'resnet81': did you mean 'resnet18'"),
        ("vit-b-16", {}, "unknown model 'vit-b-16': did you mean 'vit_b_16'"),
        ("timm:convnext_tinny", {}, "unknown timm model .*: did you mean 'convnext_tiny"),
        ("timm:test_resnet.a1", {}, r"no weights called .*: .* test_resnet\.r160_in1k"),
        (
            "timm:nest_tiny",
            {"input_size": 33},
            "nest_tiny at input_size 33: .* evenly",
        ),
        ("timm:", {}, "names no model: expected timm:NAME"),
        ("tim:resnet18", {}, "unknown model source 'tim': did you mean 'timm'"),
        ("keras_cnn", {"lora_rank": 1000}, r"no layer for LoRA at rank 1000.*lower lora_rank"),
        ("resnet18", {"zzz": 4}, "known: input_size, lora_rank, tiny"),
        ("resnet18", {"input_size": 31}, "options of model resnet18: input_size"),
        ("resnet18", {"input_size": 1025}, "options of model resnet18: input_size"),
        ("resnet18", {"input_size": "wide"}, "options of model resnet18: input_size"),
        ("vit_b_16", {"input_size": 50}, "divisible by 16, got 50"),
        ("clip_vit_b_32", {"input_size": 50}, "divisible by 32, got 50"),
    ],
)
def test_a_model_that_cannot_be_is_refused(
    name: str, options: dict[str, int | str], message: str
) -> None:
    mode = "lora" if "lora_rank" in options else "full"
    with pytest.raises(FerBenchError, match=message):
        build_model(ModelRequest(name=name, emotions=FER2013, mode=mode, options=options))


@table("name", REFERENCES)
@table("size", [32, 64, 96])
def test_the_reference_models_work_at_small_sizes(name: str, size: int) -> None:
    model = full_size(name, input_size=size)
    assert model.input_spec.size == size
    assert model(faces(model).to("meta")).shape == (3, 7)


@table(
    ("name", "size", "interpolation"),
    [
        ("resnet18", 224, "bilinear"),
        ("clip_vit_b_32", 224, "bicubic"),
        ("timm:test_vit", 160, "bicubic"),
        ("timm:test_resnet", 160, "bilinear"),
        ("emotionlens", 96, "bilinear"),
        ("keras_cnn", 48, "bilinear"),
        ("compact_resnet", 48, "bilinear"),
    ],
)
def test_the_preprocessing_is_the_models_own(name: str, size: int, interpolation: str) -> None:
    spec = full_size(name).input_spec
    assert (spec.size, spec.interpolation) == (size, interpolation)


def test_the_constants_are_those_of_the_weights() -> None:
    assert full_size("resnet18").input_spec.mean == (0.485, 0.456, 0.406)
    assert full_size("clip_vit_b_32").input_spec.std == (0.26862954, 0.26130258, 0.27577711)
    assert full_size("expressio").input_spec.mean == (0.507,)


def test_expressio_has_the_layers_of_its_description() -> None:
    model = build_model(ModelRequest(name="expressio", emotions=EXPRESSIO))
    layers = [m for m in model.modules() if isinstance(m, (nn.Conv2d, nn.Linear))]
    counts = [sum(p.numel() for p in layer.parameters()) for layer in layers]
    assert counts == [1_664, 102_464, 73_856, 147_584, 295_168, 590_080, 1_179_776, 516]


@pytest.mark.parametrize(
    ("options", "parameters"),
    [({}, 2_685_159), ({"width": 2.0}, 10_727_879), ({"depth": 2}, 5_711_335)],
)
def test_the_compact_network_has_relatives(
    options: dict[str, int | float], parameters: int
) -> None:
    request = ModelRequest(name="compact_resnet", emotions=FER2013, options=dict(options))
    assert count_parameters(build_model(request))[0] == parameters


def test_a_hidden_head_is_linear_batch_norm_relu_dropout() -> None:
    head = make_head(512, 7, hidden=(512, 256), dropout=0.5)
    kinds = [type(layer).__name__ for layer in head]
    block = ["Linear", "BatchNorm1d", "ReLU", "Dropout"]
    assert kinds == [*block, *block, "Linear"]
    assert head(torch.zeros(4, 512)).shape == (4, 7)
    model = small("resnet18", head=(16,), head_dropout=0.5)
    assert model(faces(model)).shape == (3, 7)


def test_flops_count_a_multiply_and_an_add_as_two() -> None:
    """1,814,073,344 multiply-adds with torchvision's 1,000 classes; ours has 7."""
    assert count_flops(full_size("resnet18")) == 2 * (1_814_073_344 - 512 * 993)


def test_flops_see_inside_the_fused_transformer_layer() -> None:
    assert count_flops(full_size("vit_b_16")) == pytest.approx(35.1e9, rel=0.002)
    assert count_flops(full_size("clip_vit_b_32")) == pytest.approx(8.8e9, rel=0.003)


def test_the_largest_layer_is_vgg16s_second_convolution() -> None:
    """64 channels of 224 x 224 pixels go in and come out, 4 bytes each."""
    image = torch.zeros(1, 3, 224, 224, device="meta")
    assert largest_layer(full_size("vgg16"), image) == 2 * 64 * 224**2 * 4


@table("name", ["vit_b_16", "clip_vit_b_32", "timm:vit_tiny_patch16_224"])
def test_flops_of_attention_count_on_a_cpu_as_without_a_device(name: str) -> None:
    options = {"input_size": 48} if name.startswith("timm") else {"tiny": True}
    request = ModelRequest(name=name, emotions=FER2013, options=options)
    assert count_flops(build_model(request)) == count_flops(outline(request))


def test_counting_flops_leaves_everything_as_it_was() -> None:
    model = small("densenet121").train()
    before = snapshot(model)
    count_flops(model)
    assert model.training
    assert changed(model, before) == set()
    assert torch.backends.mha.get_fastpath_enabled()


@pytest.mark.parametrize("name", ["resnet18", "vgg16", "densenet121"])
def test_a_tiny_network_learns(name: str) -> None:
    """Bright bars, told apart by where they stand."""
    model = small(name).train()
    y = torch.arange(42) % 7
    x = torch.randn(42, 3, 48, 48, generator=torch.Generator().manual_seed(0)) * 0.3
    for image, label in zip(x, y, strict=True):
        image[:, label * 6 : label * 6 + 6] += 2
    optimizer = torch.optim.Adam(model.parameters(), 2e-3)
    for _ in range(10):
        loss = nn.functional.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 1.0 < torch.log(torch.tensor(7.0))


def test_vgg16_trains_a_map_of_one_pixel_as_written_out() -> None:
    """fc1 over 49 equal copies and fc1's sum over them: the same answers and gradients."""
    model = build_model(
        ModelRequest(name="vgg16", emotions=FER2013, mode="full", options={"input_size": 48})
    )
    net = model.backbone
    net.classifier[0], net.classifier[3] = nn.Linear(512 * 49, 64), nn.Linear(64, 4096)  # smaller
    for layer in net.modules():
        if isinstance(layer, nn.Dropout):
            layer.p = 0.0
    x = faces(model, 2)
    answers = []
    for path in (net, lambda x: net.classifier(net.avgpool(net.features(x)).flatten(1))):
        net.train().zero_grad()
        output = path(x)
        output.square().sum().backward()
        answers.append((output.detach(), net.classifier[0].weight.grad.clone()))
    (ours, our_gradient), (plain, gradient) = answers
    torch.testing.assert_close(ours, plain, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(our_gradient, gradient, rtol=1e-3, atol=1e-6)
    net.eval()
    with torch.no_grad():
        assert torch.equal(net(x), net.classifier(net.avgpool(net.features(x)).flatten(1)))
