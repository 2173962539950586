"""The network of the seed project EmotionLens: a residual CNN on 96 px RGB faces."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn

from fer_bench.models.classifier import Classifier, ModelRequest
from fer_bench.models.heads import without_published_weights
from fer_bench.models.options import SizeOptions, read_options
from fer_bench.types import InputSpec

#: Widths of the stages; each halves the image.
WIDTHS = (32, 64, 128, 256)
SLOPE = 0.1
#: The design's description gives no constants; these centre faces roughly.
MEAN, STD = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)


def _convolution(channels_in: int, channels_out: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, 3, stride, padding=1, bias=False),
        nn.BatchNorm2d(channels_out),
    )


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions next to a 1x1 shortcut; halves the image."""

    def __init__(self, channels_in: int, channels_out: int, dropout: float) -> None:
        super().__init__()
        self.first = _convolution(channels_in, channels_out, stride=2)
        self.second = _convolution(channels_out, channels_out)
        self.shortcut = nn.Sequential(
            nn.Conv2d(channels_in, channels_out, 1, stride=2, bias=False),
            nn.BatchNorm2d(channels_out),
        )
        self.activation = nn.LeakyReLU(SLOPE, inplace=True)
        self.dropout = nn.Dropout2d(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """`(B, channels_in, H, W)` to `(B, channels_out, H/2, W/2)`."""
        residual = self.second(self.activation(self.first(x)))
        out: Tensor = self.dropout(self.activation(residual + self.shortcut(x)))
        return out


def backbone() -> nn.Module:
    """`(B, 3, size, size)` to `(B, 256)`; any size, the last map is averaged."""
    stem = [*_convolution(3, WIDTHS[0]), nn.LeakyReLU(SLOPE, inplace=True), nn.MaxPool2d(2)]
    stages = [ResidualBlock(before, after, dropout=0.1) for before, after in pairwise(WIDTHS)]
    return nn.Sequential(*stem, *stages, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.3))


def build(request: ModelRequest) -> Classifier:
    """EmotionLens's network; random or local weights only.

    Raises:
        FerBenchError: unknown options, or weights that cannot be had.
    """
    options = read_options(SizeOptions, request)
    return without_published_weights(
        backbone(),
        WIDTHS[-1],
        input_spec=InputSpec(size=options.input_size or 96, channels=3, mean=MEAN, std=STD),
        request=request,
        architecture="residual CNN of the project EmotionLens, written from its description",
    )
