"""A tiny backbone and a data set that its features can tell apart, for the frozen tests."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import nn

from fer_bench.data.base import FaceDataset
from fer_bench.data.cache import pixel_hashes
from fer_bench.models.base import Classifier, ModelRequest
from fer_bench.types import InputSpec, Provenance

EMOTIONS = ("happy", "sad", "neutral")
FEATURE_SIZE = 16
SPEC = InputSpec(size=16, channels=1, mean=(0.5,), std=(0.25,))


def tiny_classifier(*, seed: int = 0, dropout: float = 0.0) -> Classifier:
    """One convolution with batch norm, 4 x 2 x 2 = 16 features, a linear head."""
    torch.manual_seed(seed)
    convolution = [nn.Conv2d(1, 4, 3, stride=2), nn.BatchNorm2d(4), nn.ReLU()]
    model = Classifier(
        backbone=nn.Sequential(*convolution, nn.AdaptiveAvgPool2d(2), nn.Flatten()),
        head=nn.Sequential(nn.Dropout(dropout), nn.Linear(FEATURE_SIZE, len(EMOTIONS))),
        feature_size=FEATURE_SIZE,
        input_spec=SPEC,
        request=ModelRequest(name="resnet18", emotions=EMOTIONS, mode="frozen"),
        provenance=Provenance(architecture="tiny"),
    )
    return model.eval()


def tiny_dataset(*, train: int = 90, val: int = 30, test: int = 30, seed: int = 0) -> FaceDataset:
    """Noise with one bright quarter that depends on the class: easy, and not mirror-symmetric."""
    rng = np.random.default_rng(seed)
    n = train + val + test
    labels = rng.integers(0, len(EMOTIONS), n)
    images = rng.integers(0, 160, (n, 16, 16), dtype=np.uint8)
    for image, label in zip(images, labels, strict=True):
        row, column = divmod(int(label), 2)
        image[row * 8 : row * 8 + 8, column * 8 : column * 8 + 8] += 60
    return FaceDataset(
        name="tiny",
        source="tiny",
        protocol="official",
        images=images,
        labels=labels.astype(np.int64),
        ids=np.arange(n).astype(str),
        hashes=pixel_hashes(images),
        splits=np.repeat([0, 1, 2], [train, val, test]).astype(np.int8),
        emotions=EMOTIONS,
    )


def without_test(dataset: FaceDataset) -> FaceDataset:
    """The same train and val; the test images blackened and in no split."""
    test = dataset.splits == 2
    images = np.where(test[:, None, None], 0, dataset.images).astype(np.uint8)
    splits = np.where(test, -1, dataset.splits).astype(np.int8)
    return replace(dataset, images=images, hashes=pixel_hashes(images), splits=splits)
