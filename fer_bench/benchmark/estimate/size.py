"""How large a run is: its images, its network, its files."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache

from fer_bench.data.dataset import FaceDataset
from fer_bench.emotions import FER2013
from fer_bench.models.classifier import ModelRequest, Option
from fer_bench.models.flops import count_flops, count_parameters
from fer_bench.models.summary import outline
from fer_bench.specs.recipe import Recipe
from fer_bench.specs.run import DataSpec, RunSpec
from fer_bench.types import SPLITS, Dtype, Mode, Split

#: Of images that one does not have yet: train, val and test, as in FER2013.
SHARES = (0.8, 0.1, 0.1)
#: Bytes of a parameter in training, of one as it is stored, and of a record.
FLOAT, STORED, RECORD = 4, {"float32": 4, "float16": 2, None: 0}, 20_000
#: Bytes of an epoch in history.csv; and of a row of predictions.parquet besides its probabilities,
#: as in FER2013's (51 bytes with seven classes).
HISTORY_ROW, PREDICTION_ROW = 137, 23
#: Numbers that an optimiser keeps for each parameter.
MOMENTS = {"sgd": 1, "adam": 2, "adamw": 2, "nadam": 2}


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """Data of a run. splits: images of each. pixels: bytes of all images as the cache has them."""

    splits: Mapping[Split, int]
    pixels: int
    classes: int = len(FER2013)


@dataclass(frozen=True, kw_only=True)
class NetworkSize:
    """What an architecture alone tells; `flops` per image and forward pass."""

    parameters: int
    trainable: int
    flops: int
    features: int
    side: int
    channels: int


@dataclass(frozen=True, kw_only=True)
class Disk:
    """Bytes of a run. `checkpoint` goes when the run is done; the others stay."""

    checkpoint: int = 0
    features: int = 0
    weights: int = 0
    predictions: int = 0
    record: int = 0

    @property
    def stays(self) -> int:
        """Bytes that are still on the disk after the run."""
        return self.features + self.weights + self.predictions + self.record


def sizes_of(dataset: FaceDataset, images: int | None = None) -> Sizes:
    """A data set's, or those of `images` images that are split and look alike."""
    counted = dataset.split_sizes()
    pixels = math.prod(dataset.images.shape)
    share = 1.0
    if images is not None:
        share = images / sum(counted.values())
        pixels = round(pixels / len(dataset) * images)
    splits: dict[Split, int] = {split: round(counted[split] * share) for split in SPLITS}
    return Sizes(splits=splits, pixels=pixels, classes=len(dataset.emotions))


def imagined_sizes(images: int, network: NetworkSize | None, classes: int) -> Sizes:
    """Those of `images` images that one does not have yet, at the network's own size."""
    splits = {split: round(images * s) for split, s in zip(SPLITS, SHARES, strict=True)}
    pixels = images * network.side**2 * network.channels if network else 0
    return Sizes(splits=splits, pixels=pixels, classes=classes)


def limited(sizes: Sizes, limit: int | None) -> Sizes:
    """With at most `limit` images of each split; the pixels are decoded all the same."""
    if limit is None:
        return sizes
    return replace(sizes, splits={name: min(n, limit) for name, n in sizes.splits.items()})


def network_of(spec: RunSpec) -> NetworkSize:
    """A run's architecture, on PyTorch's meta device: no weights, no download, no work.

    Raises:
        FerBenchError: a network that cannot be built, for one whose configuration is elsewhere.
    """
    mode: Mode = "full" if spec.mode == "zero-shot" else spec.mode
    options = tuple(sorted(spec.model_options.items()))
    return _network(spec.model, mode, options, spec.recipe.head)


@cache
def _network(
    model: str, mode: Mode, options: tuple[tuple[str, Option], ...], head: tuple[int, ...]
) -> NetworkSize:
    request = ModelRequest(
        name=model, emotions=FER2013, mode=mode, options=dict(options), head=head
    )
    built = outline(request)
    parameters, trainable = count_parameters(built)
    spec = built.input_spec
    return NetworkSize(
        parameters=parameters,
        trainable=trainable,
        flops=count_flops(built) or 0,
        features=built.feature_size,
        side=spec.size,
        channels=spec.channels,
    )


def feature_passes(spec: RunSpec, sizes: Sizes) -> int:
    """Faces that frozen features are computed of: train, also mirrored with flips, and val."""
    if spec.mode != "frozen":
        return 0
    views = 2 if spec.recipe.augmentation.flip else 1
    return sizes.splits["train"] * views + sizes.splits[spec.selection_split]


def disk_of(spec: RunSpec, sizes: Sizes, network: NetworkSize, weights: Dtype | None) -> Disk:
    """A run's bytes. A checkpoint holds the network, its best and average states and moments."""
    recipe = spec.recipe
    epochs = 0 if spec.mode == "zero-shot" else recipe.epochs
    return Disk(
        checkpoint=_checkpoint(spec.mode, recipe, network),
        features=FLOAT * network.features * feature_passes(spec, sizes),
        weights=STORED[weights] * network.parameters,
        predictions=predictions_of(spec, sizes),
        record=RECORD + epochs * HISTORY_ROW,
    )


def predictions_of(spec: DataSpec, sizes: Sizes) -> int:
    """Bytes of predictions.parquet: a row for each image of the selection and the test split."""
    rows = sizes.splits[spec.selection_split] + sizes.splits[spec.test_split]
    return rows * (PREDICTION_ROW + FLOAT * sizes.classes)


def _checkpoint(mode: str, recipe: Recipe, network: NetworkSize) -> int:
    if mode == "zero-shot":
        return 0
    whole = network.trainable if mode == "frozen" else network.parameters
    moments = MOMENTS[recipe.optimizer.name]
    if recipe.optimizer.name == "sgd" and not recipe.optimizer.momentum:
        moments = 0
    copies = 3 if recipe.ema_decay else 2
    return FLOAT * (copies * whole + moments * network.trainable)
