"""Small residual CNNs of our own for 48 px gray faces; 2.7 M parameters, 5 MB in float16, as is."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from fer_bench.models.classifier import Classifier, ModelRequest
from fer_bench.models.heads import without_published_weights
from fer_bench.models.options import SizeOptions, read_options
from fer_bench.models.state_dict import State, backbone_state
from fer_bench.models.zoo.expressio import FER_MEAN, FER_STD
from fer_bench.types import InputSpec

STEM = 32
#: Width and number of blocks of each stage; each stage halves the image.
STAGES = ((64, 1), (128, 2), (256, 2))
DROPOUT = 0.2
#: Where the blocks begin, after the stem's convolution and its ReLU.
FIRST_BLOCK = 2
#: Channels come in multiples of this, which processors want.
MULTIPLE = 16


class CompactOptions(SizeOptions):
    """Larger and smaller relatives of the same design."""

    width: float = Field(1.0, ge=0.25, le=8, description="channels, times this")
    depth: int = Field(1, ge=1, le=8, description="blocks of each stage, times this")


def _convolution(channels_in: int, channels_out: int, kernel: int, stride: int = 1) -> nn.Module:
    convolution = nn.Conv2d(
        channels_in, channels_out, kernel, stride, padding=kernel // 2, bias=False
    )
    nn.init.kaiming_normal_(convolution.weight, mode="fan_out")
    return nn.Sequential(convolution, nn.BatchNorm2d(channels_out))


class BasicBlock(nn.Module):
    """ResNet's block of two 3x3 convolutions; the shortcut averages before it halves the image.

    He et al. 2015, arXiv 1512.03385; the shortcut is ResNet-D's, He et al. 2018, arXiv 1812.01187.
    """

    def __init__(self, channels_in: int, channels_out: int, stride: int) -> None:
        super().__init__()
        self.first = _convolution(channels_in, channels_out, 3, stride)
        self.second = _convolution(channels_out, channels_out, 3)
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1 or channels_in != channels_out:
            self.shortcut = nn.Sequential(
                nn.AvgPool2d(stride), _convolution(channels_in, channels_out, 1)
            )

    def forward(self, x: Tensor) -> Tensor:
        """`(B, channels_in, H, W)` to `(B, channels_out, H/stride, W/stride)`."""
        residual = self.second(F.relu(self.first(x), inplace=True))
        return F.relu(residual + self.shortcut(x), inplace=True)


def _channels(channels: int, width: float) -> int:
    return max(round(channels * width / MULTIPLE), 1) * MULTIPLE


def backbone(width: float = 1.0, depth: int = 1) -> tuple[nn.Module, int]:
    """`(B, 1, size, size)` to `(B, D)`, and D; any size, the last map is averaged."""
    channels = _channels(STEM, width)
    layers: list[nn.Module] = [_convolution(1, channels, 3), nn.ReLU(inplace=True)]
    for stage_channels, blocks in STAGES:
        wanted = _channels(stage_channels, width)
        for number in range(blocks * depth):
            layers.append(BasicBlock(channels, wanted, stride=1 if number else 2))
            channels = wanted
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(DROPOUT)]
    return nn.Sequential(*layers), channels


def _layer(key: str) -> str:
    return key.partition(".")[0]


def deepened(state: State, net: nn.Module, depth: int) -> State:
    """The weights of a network of depth 1 as those of `net`, which is `depth` times as deep.

    Each stage keeps its trained blocks and goes on with new ones that pass their input through,
    so that the deeper network starts with the features of the shallow one (Net2Net, Chen et al.
    2016, arXiv 1511.05641). Tensors that are not such a network's are returned as they are.

    Args:
        state: of the backbone alone or of a whole classifier, whose head is left out.
    """
    origins = {"0": "0"}  # layer of the shallow network: the same layer in the deep one
    shallow = deep = FIRST_BLOCK
    for _, blocks in STAGES:
        origins |= {str(shallow + number): str(deep + number) for number in range(blocks)}
        shallow, deep = shallow + blocks, deep + blocks * depth
    with torch.device("meta"):
        trained = backbone_state(state, backbone(1, 1)[0].state_dict())
    if {_layer(key) for key in trained} != origins.keys():
        return state
    copied = set(origins.values())
    grown = {key: value for key, value in net.state_dict().items() if _layer(key) not in copied}
    for key in grown:
        if key.endswith("second.1.weight"):  # the last batch norm: the block adds nothing yet
            grown[key] = torch.zeros_like(grown[key])
    for key, value in trained.items():
        layer, _, rest = key.partition(".")
        grown[f"{origins[layer]}.{rest}"] = value
    return grown


def build(request: ModelRequest) -> Classifier:
    """The compact residual network; random or local weights only.

    Raises:
        FerBenchError: unknown options, or weights that cannot be had.
    """
    options = read_options(CompactOptions, request)
    net, feature_size = backbone(options.width, options.depth)
    return without_published_weights(
        net,
        feature_size,
        input_spec=InputSpec(size=options.input_size or 48, channels=1, mean=FER_MEAN, std=FER_STD),
        request=request,
        architecture="residual CNN of FER Bench's own, 3x3 stem without pooling",
        paper="after ResNet, arXiv 1512.03385, and ResNet-D, arXiv 1812.01187",
        fit=lambda state: deepened(state, net, options.depth),
    )
