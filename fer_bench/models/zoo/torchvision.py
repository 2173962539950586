"""ResNet-18, VGG-16, DenseNet-121 and ViT-B/16 from torchvision, with its published weights."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import torch
from torch import nn
from torch.nn import functional as F
from torchvision import models as tv
from torchvision.models.resnet import BasicBlock
from torchvision.models.vgg import cfgs as vgg_layers
from torchvision.models.vgg import make_layers

from fer_bench.errors import FerBenchError
from fer_bench.models.classifier import Classifier, ModelRequest
from fer_bench.models.heads import with_head
from fer_bench.models.options import ArchitectureOptions, read_options
from fer_bench.models.pretrained import downloading, read_local, starting_state
from fer_bench.models.state_dict import State, load_weights
from fer_bench.types import InputSpec, Provenance


def _resnet18(size: int, tiny: bool) -> tuple[nn.Module, int]:
    net = tv.ResNet(BasicBlock, [1, 1, 1, 1] if tiny else [2, 2, 2, 2])
    width = net.fc.in_features
    net.fc = nn.Identity()
    return net, width


class _Vgg16(tv.VGG):  # type: ignore[misc]  # torchvision has no types
    """VGG-16 whose training is a third faster where its last map has one pixel, as at 48 px.

    `avgpool` copies that pixel to 7×7, so fc1 sees one value 49 times: the sum of its weights over
    the copies gives the same product (to float tolerance) from a 49th of the multiplications.
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        maps = self.features(x)
        classifier: nn.Sequential = self.classifier
        fc1 = classifier[0]
        # Another layer than torch's own, such as LoRA's, has more to say than its weight.
        if not self.training or maps.shape[2:] != (1, 1) or type(fc1) is not nn.Linear:
            whole: torch.Tensor = classifier(torch.flatten(self.avgpool(maps), 1))
            return whole
        copies = fc1.in_features // maps.shape[1]
        weight = fc1.weight.reshape(-1, maps.shape[1], copies).sum(2)
        summed: torch.Tensor = classifier[1:](F.linear(maps.flatten(1), weight, fc1.bias))
        return summed


def _vgg16(size: int, tiny: bool) -> tuple[nn.Module, int]:
    """Keeps the first two fully connected layers as part of the backbone."""
    if not tiny:
        net = _Vgg16(make_layers(vgg_layers["D"]))
        net.classifier = net.classifier[:6]
        return net, 4096
    small = nn.Sequential()
    small.add_module("features", make_layers([16, 16, "M", 32, 32, "M", 64, 64, "M"]))
    small.add_module("avgpool", nn.AdaptiveAvgPool2d(4))
    small.add_module("flatten", nn.Flatten())
    small.add_module("classifier", nn.Sequential(nn.Linear(64 * 16, 128), nn.ReLU(inplace=True)))
    for layer in small.modules():  # as in VGG itself: it has no batch norm to mend the scale
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
    return small, 128


def _densenet121(size: int, tiny: bool) -> tuple[nn.Module, int]:
    if tiny:
        net = tv.DenseNet(growth_rate=16, block_config=(2, 2, 2, 2), num_init_features=32)
    else:
        net = tv.DenseNet(growth_rate=32, block_config=(6, 12, 24, 16), num_init_features=64)
    width = net.classifier.in_features
    net.classifier = nn.Identity()
    return net, width


def _vit_b_16(size: int, tiny: bool) -> tuple[nn.Module, int]:
    patch = 8 if tiny else 16
    if size % patch:
        raise FerBenchError(
            f"vit_b_16 cuts its input into patches of {patch} px: expected an input_size "
            f"divisible by {patch}, got {size}"
        )
    shape = (2, 4, 64, 128) if tiny else (12, 12, 768, 3072)  # layers, heads, width, MLP width
    net = tv.VisionTransformer(size, patch, *shape)
    net.heads = nn.Identity()
    return net, shape[2]


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """One of torchvision's networks.

    Attributes:
        make: `(input size, tiny)` to the network without its classifier, and its feature size.
        classifier: prefix of the removed classifier's tensors in the published weights.
        positions: name of its position embeddings.
    """

    make: Callable[[int, bool], tuple[nn.Module, int]]
    weights: Any
    classifier: str
    words: str
    paper: str
    tiny_size: int = 48
    positions: str | None = None


ARCHITECTURES = {
    "resnet18": Architecture(
        make=_resnet18,
        weights=tv.ResNet18_Weights.IMAGENET1K_V1,
        classifier="fc.",
        words="ResNet-18",
        paper="https://arxiv.org/abs/1512.03385",
    ),
    "vgg16": Architecture(
        make=_vgg16,
        weights=tv.VGG16_Weights.IMAGENET1K_V1,
        classifier="classifier.6.",
        words="VGG-16",
        paper="https://arxiv.org/abs/1409.1556",
    ),
    "densenet121": Architecture(
        make=_densenet121,
        weights=tv.DenseNet121_Weights.IMAGENET1K_V1,
        classifier="classifier.",
        words="DenseNet-121",
        paper="https://arxiv.org/abs/1608.06993",
    ),
    "vit_b_16": Architecture(
        make=_vit_b_16,
        weights=tv.ViT_B_16_Weights.IMAGENET1K_V1,
        classifier="heads.",
        words="ViT-B/16",
        paper="https://arxiv.org/abs/2010.11929",
        tiny_size=32,
        positions="encoder.pos_embedding",
    ),
}

#: The published DenseNet weights name their layers `norm.1`, today's torchvision `norm1`.
_OLD_DENSENET_NAME = re.compile(r"(.*denselayer\d+\.(?:norm|relu|conv))\.([12]\..*)")


def published_state(weights: Any) -> State:
    """The tensors of a torchvision weight enum, downloaded into torch.hub's cache on first use.

    Raises:
        FerBenchError: the download failed, or the cached file is damaged.
    """
    cached = Path(torch.hub.get_dir()) / "checkpoints" / Path(urlparse(weights.url).path).name
    if not cached.is_file():
        # As the enum's own get_state_dict, which would unpickle the file and print on stdout.
        digest = cached.stem.rpartition("-")[2]
        with downloading(f"{weights.url} at {cached}"):
            cached.parent.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(weights.url, str(cached), hash_prefix=digest)
    return read_local(str(cached))


def _spec(architecture: Architecture, size: int) -> InputSpec:
    """The preprocessing that the published weights were trained with, at this size."""
    preset = architecture.weights.transforms()
    return InputSpec(
        size=size,
        channels=3,
        mean=tuple(preset.mean),
        std=tuple(preset.std),
        interpolation=preset.interpolation.value,
    )


def build(request: ModelRequest) -> Classifier:
    """One of the four, 3 channels, at 224 px or the option `input_size`.

    Raises:
        FerBenchError: unknown options, a size that does not fit, or weights that cannot be had.
    """
    options = read_options(ArchitectureOptions, request)
    architecture = ARCHITECTURES[request.name]
    published_size = architecture.weights.transforms().crop_size[0]
    size = options.input_size or (architecture.tiny_size if options.tiny else published_size)
    state, origin = starting_state(
        request,
        lambda: published_state(architecture.weights),
        str(architecture.weights),
        options.tiny,
    )
    backbone, feature_size = architecture.make(size, options.tiny)
    if state is not None:
        load_weights(
            backbone,
            {_OLD_DENSENET_NAME.sub(r"\1\2", name): tensor for name, tensor in state.items()},
            source=request.pretraining,
            ignore=(architecture.classifier,),
            positions=architecture.positions,
        )
    provenance = Provenance(
        architecture=architecture.words + (", tiny" if options.tiny else ""),
        paper=architecture.paper,
        weights=origin,
        licence="BSD-3-Clause (torchvision)" if origin == str(architecture.weights) else "",
    )
    return with_head(
        backbone,
        feature_size,
        input_spec=_spec(architecture, size),
        request=request,
        provenance=provenance,
    )
