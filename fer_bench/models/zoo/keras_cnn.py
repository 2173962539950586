"""The small Keras CNN that most FER2013 tutorials copy, on 48 px gray faces."""

from __future__ import annotations

from torch import nn

from fer_bench.models.classifier import Classifier, ModelRequest
from fer_bench.models.heads import without_published_weights
from fer_bench.models.options import CommonOptions, read_options
from fer_bench.models.zoo.expressio import FER_MEAN, FER_STD
from fer_bench.types import InputSpec

FEATURE_SIZE = 1024


def backbone() -> nn.Module:
    """`(B, 1, 48, 48)` to `(B, 1024)`; convolutions without padding, as Keras's default."""
    return nn.Sequential(
        nn.Conv2d(1, 32, 3),
        nn.ReLU(inplace=True),
        nn.Conv2d(32, 64, 3),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
        nn.Dropout(0.25),
        nn.Conv2d(64, 128, 3),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
        nn.Conv2d(128, 128, 3),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
        nn.Dropout(0.25),
        nn.Flatten(),
        nn.Linear(128 * 4 * 4, FEATURE_SIZE),
        nn.ReLU(inplace=True),
        nn.Dropout(0.5),
    )


def build(request: ModelRequest) -> Classifier:
    """The Keras CNN; random or local weights only.

    Raises:
        FerBenchError: unknown options, or weights that cannot be had.
    """
    read_options(CommonOptions, request)
    return without_published_weights(
        backbone(),
        FEATURE_SIZE,
        input_spec=InputSpec(size=48, channels=1, mean=FER_MEAN, std=FER_STD),
        request=request,
        architecture="CNN of the common Keras tutorials, written from its description",
        paper="https://github.com/atulapra/Emotion-detection",
    )
