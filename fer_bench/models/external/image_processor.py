"""The image processors of transformers, in the terms of our own preprocessing."""

from __future__ import annotations

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
from torch import Tensor

from fer_bench.errors import FerBenchError, one_line
from fer_bench.types import InputSpec, Interpolation

#: Pillow's numbers of the ways to resize that are ours, too.
RESAMPLING: dict[int, Interpolation] = {2: "bilinear-8bit", 3: "bicubic-8bit"}
#: How far, in gray levels, ours may be from the processor: Pillow and torchvision differ by one.
LEVELS = 1.5
#: What libraries make of files that describe no network.
FAILURES = (
    OSError, ValueError, RuntimeError, LookupError, TypeError, AttributeError, ImportError,
    SafetensorError, StrictDataclassError,
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """How faces are prepared; `crop` is the side of the middle that is seen, None for all."""

    spec: InputSpec
    crop: int | None


def read_preprocessing(folder: Path, source: str) -> Preprocessing:
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
            f"{source} does not say how it wants its faces: expected preprocessor_config.json, "
            f"as its image processor's save_pretrained writes it ({one_line(str(error)):.120})"
        ) from None
    values = processor.to_dict()
    preprocessing = _in_our_terms(values)
    if preprocessing is None or not _agrees(processor, preprocessing):
        raise FerBenchError(
            f"the image processor of {source} ({type(processor).__name__}) prepares faces in a "
            "way that FER Bench does not have: expected a square size, bilinear or bicubic, a "
            "crop of the middle, values between black and white, mean and std of 3 channels; "
            "export the model to ONNX and name that file"
        )
    return preprocessing


def _in_our_terms(values: Mapping[str, Any]) -> Preprocessing | None:
    """None where a value is unknown."""
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
    below = 1 if values.get("rescale_offset") else 0  # ALIGN's black is -1
    spec = InputSpec(
        size=size,
        channels=3,
        mean=tuple((m + below) / factor for m in mean),
        std=tuple(s / factor for s in std),
        interpolation=interpolation,
    )
    return Preprocessing(spec=spec, crop=crop if crop != size else None)


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


def _agrees(processor: Any, preprocessing: Preprocessing) -> bool:
    """Whether our preprocessing gives what the processor gives, of a drawn picture."""
    picture = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    try:
        theirs = processor(images=Image.fromarray(picture), return_tensors="pt")["pixel_values"]
    except FAILURES:
        return False
    ours = _prepared(picture, preprocessing.spec)
    if preprocessing.crop is not None:
        edge = (ours.shape[-1] - preprocessing.crop) // 2
        ours = ours[..., edge : edge + preprocessing.crop, edge : edge + preprocessing.crop]
    if theirs.shape != ours.shape:
        return False
    return bool((theirs - ours).abs().max() * max(preprocessing.spec.std) * 255 < LEVELS)


def _prepared(picture: NDArray[np.uint8], spec: InputSpec) -> Tensor:
    """As `data.preprocess.to_input`, which lies above this, prepares one RGB picture."""
    levels = torch.from_numpy(picture).permute(2, 0, 1)[None]
    kind = spec.interpolation.partition("-")[0]
    resized = F.interpolate(
        levels, size=(spec.size, spec.size), mode=kind, antialias=True, align_corners=False
    )
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (spec.mean, spec.std))
    return (resized.float() / 255 - mean) / std
