"""The network of the seed project Expressio: a plain CNN on 48 px gray faces."""

from __future__ import annotations

from torch import nn

from fer_bench.models.classifier import Classifier, ModelRequest
from fer_bench.models.heads import without_published_weights
from fer_bench.models.options import CommonOptions, read_options
from fer_bench.types import InputSpec

#: Mean and deviation of FER2013's gray values, scaled to [0, 1], rounded.
FER_MEAN, FER_STD = (0.507,), (0.255,)
FEATURE_SIZE = 128


def _convolution(channels_in: int, channels_out: int, kernel: int) -> list[nn.Module]:
    convolution = nn.Conv2d(channels_in, channels_out, kernel, padding="same")
    nn.init.kaiming_normal_(convolution.weight)
    return [convolution, nn.ELU(inplace=True)]


def _pair(channels_in: int, channels_out: int, kernel: int, dropout: float) -> list[nn.Module]:
    """Two convolutions with ELU, batch norm, pooling by two, dropout."""
    return [
        *_convolution(channels_in, channels_out, kernel),
        *_convolution(channels_out, channels_out, kernel),
        nn.BatchNorm2d(channels_out),
        nn.MaxPool2d(2),
        nn.Dropout(dropout),
    ]


def backbone() -> nn.Module:
    """`(B, 1, 48, 48)` to `(B, 128)`."""
    return nn.Sequential(
        *_pair(1, 64, 5, 0.4),
        *_pair(64, 128, 3, 0.4),
        *_pair(128, 256, 3, 0.5),
        nn.Flatten(),
        nn.Linear(9216, FEATURE_SIZE),
        nn.ELU(inplace=True),
        nn.BatchNorm1d(FEATURE_SIZE),
        nn.Dropout(0.6),
    )


def build(request: ModelRequest) -> Classifier:
    """Expressio's network; random or local weights only.

    Raises:
        FerBenchError: unknown options, or weights that cannot be had.
    """
    read_options(CommonOptions, request)
    return without_published_weights(
        backbone(),
        FEATURE_SIZE,
        input_spec=InputSpec(size=48, channels=1, mean=FER_MEAN, std=FER_STD),
        request=request,
        architecture="CNN of the project Expressio, written from its description",
    )
