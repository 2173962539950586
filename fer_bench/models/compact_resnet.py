"""A small residual CNN of our own for 48 px gray faces: 2.7 M parameters, 5 MB in float16."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from fer_bench.models.base import Classifier, ModelRequest
from fer_bench.models.expressio import FER_MEAN, FER_STD
from fer_bench.models.heads import without_published_weights
from fer_bench.models.options import SizeOptions, read_options
from fer_bench.types import InputSpec

STEM = 32
#: Width and number of blocks of each stage; each stage halves the image.
STAGES = ((64, 1), (128, 2), (256, 2))
DROPOUT = 0.2


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


def backbone() -> nn.Module:
    """`(B, 1, size, size)` to `(B, 256)`; any size, the last map is averaged."""
    layers: list[nn.Module] = [_convolution(1, STEM, 3), nn.ReLU(inplace=True)]
    width = STEM
    for stage_width, blocks in STAGES:
        for number in range(blocks):
            layers.append(BasicBlock(width, stage_width, stride=1 if number else 2))
            width = stage_width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(DROPOUT))


def build(request: ModelRequest) -> Classifier:
    """The compact residual network; random or local weights only.

    Raises:
        FerBenchError: unknown options, or weights that cannot be had.
    """
    options = read_options(SizeOptions, request)
    return without_published_weights(
        backbone(),
        STAGES[-1][0],
        input_spec=InputSpec(size=options.input_size or 48, channels=1, mean=FER_MEAN, std=FER_STD),
        request=request,
        architecture="residual CNN of FER Bench's own, 3x3 stem without pooling",
        paper="after ResNet, arXiv 1512.03385, and ResNet-D, arXiv 1812.01187",
    )
