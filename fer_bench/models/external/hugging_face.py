"""`hf:ID` and `hf:FOLDER`: image classifiers of transformers, with their own preprocessing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from huggingface_hub.errors import StrictDataclassError
from numpy.typing import NDArray
from PIL import Image
from safetensors import SafetensorError
from torch import Tensor, nn

from fer_bench.config import validate
from fer_bench.errors import FerBenchError, one_line
from fer_bench.models.classifier import Classifier, ModelRequest, Option
from fer_bench.models.external.hub import files_of
from fer_bench.models.external.model import ExternalModel, portable_name, read_labels
from fer_bench.models.external.options import ExternalOptions
from fer_bench.models.external.probing import require_outputs
from fer_bench.types import InputSpec, Provenance

#: Pillow's numbers of the ways to resize that are ours, too.
RESAMPLING = {2: "bilinear-8bit", 3: "bicubic-8bit"}
#: How far, in gray levels, ours may be from the processor: Pillow and torchvision differ by one.
LEVELS = 1.5
#: What libraries make of files that describe no network.
FAILURES = (
    OSError, ValueError, RuntimeError, LookupError, TypeError, AttributeError, ImportError,
    SafetensorError, StrictDataclassError,
)  # fmt: skip


class TransformersNetwork(nn.Module):
    """`(B, 3, size, size)` to one logit per label of the model, `(B, L)`.

    crop: side of the middle that the network sees; None for all of it.
    """

    def __init__(self, config: Any, crop: int | None, net: Any = None) -> None:
        super().__init__()
        from transformers import AutoModelForImageClassification

        self.net: Any = net or AutoModelForImageClassification.from_config(config)
        self.crop = crop

    def forward(self, x: Tensor) -> Tensor:
        if self.crop is not None:
            edge = (x.shape[-1] - self.crop) // 2
            x = x[..., edge : edge + self.crop, edge : edge + self.crop]
        out: Tensor = self.net(pixel_values=x).logits
        return out


class ChosenOutputs(nn.Module):
    """`(B, L)` to `(B, C)`: the outputs that are emotions, in their order."""

    columns: Tensor

    def __init__(self, columns: tuple[int, ...]) -> None:
        super().__init__()
        self.register_buffer("columns", torch.tensor(columns, dtype=torch.int64))

    def forward(self, outputs: Tensor) -> Tensor:
        return outputs[:, self.columns]


@dataclass(frozen=True, kw_only=True)
class _Preprocessing:
    """An image processor's, in our terms; `crop` as in `TransformersNetwork`."""

    spec: InputSpec
    crop: int | None


class HuggingFaceModel:
    """The `models.external.model.ExternalKind` hf."""

    def open(self, place: str, options: Mapping[str, Option]) -> ExternalModel:
        """See `ExternalKind`."""
        asked = validate(ExternalOptions, dict(options), f"options of hf:{place}")
        if other := asked.as_words().keys() - {"labels"}:
            raise FerBenchError(
                f"hf:{place} says itself how it wants its faces: leave {', '.join(sorted(other))} "
                "out (only labels may be said)"
            )
        files = files_of(place)
        config = _config(files.folder, place)
        net = _network(files.folder, config, place)
        prepared = _preprocessing(files.folder, place)
        backbone = TransformersNetwork(config, prepared.crop, net).eval()
        with torch.no_grad():
            values = require_outputs(backbone, prepared.spec, place)
        names = asked.labels or tuple(config.id2label[n] for n in sorted(config.id2label))
        stated = asked.labels is not None
        labels, left_out = read_labels(names, values.shape[1], f"hf:{place}", stated=stated)
        name = portable_name("hf", place)
        said = "as said" if stated else "by its id2label"
        about = ", ".join(f"{n} = {label or 'left out'}" for n, label in enumerate(labels))

        def build(emotions: tuple[str, ...], columns: tuple[int, ...]) -> Classifier:
            request = ModelRequest(
                name=name,
                emotions=emotions,
                architecture={"config": _described(config), "crop": prepared.crop},
            )
            return _classifier(backbone, columns, request, prepared.spec, files.version).eval()

        spec, cropped = prepared.spec, f", middle {prepared.crop} px" if prepared.crop else ""
        return ExternalModel(
            name=name,
            labels=labels,
            notes=(
                f"its outputs {said}: {about}",
                f"its faces by its image processor: {spec.size} px{cropped}, "
                f"{spec.interpolation.partition('-')[0]}; its outputs are logits",
                *left_out,
            ),
            build=build,
            options=asked.as_words(),
            version=files.version,
        )

    def rebuild(self, request: ModelRequest) -> Classifier:
        """See `ExternalKind`."""
        from transformers import AutoConfig

        values = dict(request.architecture["config"])
        config = AutoConfig.for_model(values.pop("model_type"), **values)
        backbone = TransformersNetwork(config, request.architecture["crop"])
        size = getattr(config, "image_size", 224)
        nothing = InputSpec(  # the card has the true one
            size=size if isinstance(size, int) else 224,
            channels=3,
            mean=(0.0,) * 3,
            std=(1.0,) * 3,
        )
        columns = tuple(range(len(request.emotions)))  # the stored tensors have the true ones
        return _classifier(backbone, columns, request, nothing, "")


def _described(config: Any) -> dict[str, Any]:
    """A configuration to build the network by, whatever a later version's defaults are."""
    values: dict[str, Any] = json.loads(config.to_json_string(use_diff=False))
    values.pop("loss_type", None)  # of training; None is warned about
    return values


def _classifier(
    backbone: TransformersNetwork,
    columns: tuple[int, ...],
    request: ModelRequest,
    spec: InputSpec,
    version: str,
) -> Classifier:
    place = request.name.partition(":")[2]
    return Classifier(
        backbone=backbone,
        head=ChosenOutputs(columns),
        feature_size=int(backbone.net.config.num_labels),
        input_spec=spec,
        request=request,
        provenance=Provenance(
            architecture=f"transformers {type(backbone.net).__name__}",
            weights=f"{place}@{version}" if version else place,
        ),
    )


def _config(folder: Path, place: str) -> Any:
    from transformers import AutoConfig

    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except FAILURES as error:
        raise FerBenchError(
            f"hf:{place} has no configuration that transformers can read: "
            f"{one_line(str(error)):.200}"
        ) from None
    if config.problem_type == "multi_label_classification":
        raise FerBenchError(
            f"hf:{place} names several labels for one face (problem_type "
            "multi_label_classification): expected a model that names one"
        )
    return config


def _network(folder: Path, config: Any, place: str) -> Any:
    """Raises FerBenchError for weights that are pickled, damaged or of another network."""
    from transformers import AutoModelForImageClassification
    from transformers.utils import logging

    logging.disable_progress_bar()
    if not any(folder.glob("*.safetensors")):
        raise FerBenchError(
            f"hf:{place} has no model.safetensors, and pickled weights (pytorch_model.bin) are "
            "never opened: whoever trusts them writes it with "
            f"`AutoModelForImageClassification.from_pretrained({place!r:.80}).save_pretrained"
            "(FOLDER)` and names hf:FOLDER"
        )
    try:
        net, report = AutoModelForImageClassification.from_pretrained(
            folder,
            config=config,
            dtype=torch.float32,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            output_loading_info=True,
        )
    except FAILURES as error:
        raise FerBenchError(
            f"hf:{place} cannot be opened as an image classifier: {one_line(str(error)):.240}"
        ) from None
    missing = sorted(report["missing_keys"])
    wrong = [*missing, *sorted(map(str, report.get("mismatched_keys", ())))]
    if wrong:
        raise FerBenchError(
            f"the weights of hf:{place} do not fit: {len(wrong)} tensors are missing or of another "
            f"shape (first: {wrong[0]:.120}); choose a model that was trained to classify"
        )
    return net


def _preprocessing(folder: Path, place: str) -> _Preprocessing:
    """The image processor in our terms, compared with itself on a picture.

    Raises:
        FerBenchError: none is there, or it does something else.
    """
    from transformers import AutoImageProcessor

    try:
        processor = AutoImageProcessor.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
    except FAILURES as error:
        raise FerBenchError(
            f"hf:{place} does not say how it wants its faces: expected preprocessor_config.json, "
            f"as its image processor's save_pretrained writes it ({one_line(str(error)):.120})"
        ) from None
    values = processor.to_dict()
    found = _in_our_terms(values)
    if found is None or not _agrees(processor, found):
        raise FerBenchError(
            f"the image processor of hf:{place} ({type(processor).__name__}) prepares faces in a "
            "way that FER Bench does not have: expected a square size, bilinear or bicubic, a "
            "crop of the middle, values between black and white, mean and std of 3 channels; "
            "export the model to ONNX and name that file"
        )
    return found


def _in_our_terms(values: Mapping[str, Any]) -> _Preprocessing | None:
    """None where a value is none that we know."""
    size, crop = _side(values.get("size")), None
    if values.get("do_center_crop"):
        crop = _side(values.get("crop_size"))
        if crop is None:
            return None
    if not values.get("do_resize", True):
        size = None
    edge = values.get("crop_pct")
    if size and edge and size < 384:  # ConvNeXt: the short side is larger, and its middle is taken
        size, crop = int(size / edge), size
    interpolation = RESAMPLING.get(int(values.get("resample", 2)))
    if size is None or interpolation is None or (crop or 0) > size:
        return None
    factor = float(values.get("rescale_factor", 1 / 255)) * 255 if values.get("do_rescale") else 255
    mean, std = _three(0.0), _three(1.0)
    if values.get("do_normalize"):
        mean, std = (_three(values.get(f"image_{what}")) for what in ("mean", "std"))
    if len(mean) != 3 or len(std) != 3 or min(std) <= 0:
        return None
    spec = InputSpec(
        size=size,
        channels=3,
        mean=tuple(m / factor for m in mean),
        std=tuple(s / factor for s in std),
        interpolation=interpolation,
    )
    return _Preprocessing(spec=spec, crop=crop if crop != size else None)


def _three(values: Any) -> tuple[float, ...]:
    if isinstance(values, (int, float)):
        values = [values] * 3
    return tuple(float(v) for v in values) if isinstance(values, (list, tuple)) else ()


def _side(size: Any) -> int | None:
    """The side of a square, as processors write it in several ways."""
    if isinstance(size, int):
        return size
    if not isinstance(size, Mapping):
        return None
    sides = [size.get(k) for k in ("height", "width")]
    if sides[0] is None:
        sides = [size.get("shortest_edge")] * 2
    return sides[0] if isinstance(sides[0], int) and sides[0] == sides[1] else None


def _agrees(processor: Any, found: _Preprocessing) -> bool:
    """Whether our preprocessing gives what the processor gives, of a drawn picture."""
    picture = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    try:
        theirs = processor(images=Image.fromarray(picture), return_tensors="pt")["pixel_values"]
    except FAILURES:
        return False
    ours = _prepared(picture, found.spec)
    if found.crop is not None:
        edge = (ours.shape[-1] - found.crop) // 2
        ours = ours[..., edge : edge + found.crop, edge : edge + found.crop]
    if theirs.shape != ours.shape:
        return False
    return bool((theirs - ours).abs().max() * max(found.spec.std) * 255 < LEVELS)


def _prepared(picture: NDArray[np.uint8], spec: InputSpec) -> Tensor:
    """As `data.preprocess.to_input`, which lies above this, prepares one RGB picture."""
    levels = torch.from_numpy(picture).permute(2, 0, 1)[None]
    kind = spec.interpolation.partition("-")[0]
    resized = F.interpolate(
        levels, size=(spec.size, spec.size), mode=kind, antialias=True, align_corners=False
    )
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (spec.mean, spec.std))
    return (resized.float() / 255 - mean) / std
