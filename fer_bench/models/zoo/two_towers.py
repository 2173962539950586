"""CLIP's relatives: models of transformers with an image tower and a text tower.

SigLIP (arXiv 2303.15343), SigLIP 2 (arXiv 2502.14786) with fixed or free sides, ALIGN, AltCLIP,
Chinese CLIP, MetaCLIP 2 and whatever else has `get_image_features` and `get_text_features`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fer_bench.errors import FerBenchError, one_line
from fer_bench.models.classifier import Classifier, ModelRequest
from fer_bench.models.external.hub import ModelFiles, files_of
from fer_bench.models.external.image_processor import FAILURES, Preprocessing, read_preprocessing
from fer_bench.models.heads import CosineHead, with_head
from fer_bench.models.options import CommonOptions, read_options
from fer_bench.models.pretrained import kind_of
from fer_bench.models.zoo.prompts import prompts_for
from fer_bench.types import InputSpec, Provenance

PREFIX = "clip:"
#: Parts of a model that only read text; the image tower is all that a classifier keeps.
_TEXT_PARTS = ("text_model", "text_projection")
#: Tokens that SigLIP was trained with, padded to the full length.
_PADDED = ("siglip", "siglip2")
#: The free-sided SigLIP 2 takes patches, not pictures.
_PATCHES = "siglip2"


class ImageTower(nn.Module):
    """`(B, 3, size, size)` to the shared space's image embeddings `(B, D)`, not normalised.

    Args:
        crop: side of the middle that the tower sees; None for all of it.
    """

    def __init__(self, model: Any, crop: int | None) -> None:
        super().__init__()
        for part in _TEXT_PARTS:
            if hasattr(model, part):
                setattr(model, part, nn.Identity())
        self.model = model
        self.crop = crop

    def forward(self, x: Tensor) -> Tensor:
        if self.crop is not None:
            edge = (x.shape[-1] - self.crop) // 2
            x = x[..., edge : edge + self.crop, edge : edge + self.crop]
        config = self.model.config
        if config.model_type != _PATCHES:
            return _embeddings(self.model.get_image_features(pixel_values=x))
        side = config.vision_config.patch_size
        across = x.shape[-1] // side
        patches = x.reshape(len(x), 3, across, side, across, side).permute(0, 2, 4, 3, 5, 1)
        patches = patches.reshape(len(x), across * across, -1)
        return _embeddings(
            self.model.get_image_features(
                pixel_values=patches,
                pixel_attention_mask=torch.ones(patches.shape[:2], device=x.device),
                spatial_shapes=torch.tensor([[across, across]] * len(x), device=x.device),
            )
        )


def _embeddings(output: Any) -> Tensor:
    """Transformers 4 gives a tensor, 5 an output that holds it."""
    out: Tensor = output if isinstance(output, Tensor) else output.pooler_output
    return out


def build(request: ModelRequest) -> Classifier:
    """`clip:ID` of a relative; `clip.build` calls this for what is no CLIP itself.

    Raises:
        FerBenchError: unknown options, or files that cannot be had or are none of this kind.
    """
    read_options(CommonOptions, request)
    if request.architecture:
        return _rebuilt(request)
    files = _files(request)
    source = request.name.removeprefix(PREFIX)
    model = _open(files, source, random=request.pretraining == "none")
    prepared = _preprocessing(files, source, model.config)
    # Before the image tower drops what reads text.
    head = None
    if request.mode == "zero-shot":
        head = text_head(model, _tokenizer(files, source), request)
    tower = ImageTower(model, prepared.crop)
    features = _width(tower, prepared.spec, source)
    described = json.loads(model.config.to_json_string(use_diff=False))
    described.pop("loss_type", None)
    architecture = {"towers": described, "features": features, "crop": prepared.crop}
    request = replace(request, architecture=architecture)
    kind = kind_of(request.pretraining)
    origin = {"none": "none", "local": "local file"}.get(kind, source)
    if kind == "hub":
        origin = request.pretraining.removeprefix("hf-hub:")
    classifier = _classifier(tower, features, request, prepared.spec, origin)
    if head is not None:
        classifier.head = head
    return classifier


def _rebuilt(request: ModelRequest) -> Classifier:
    """A stored one's network, whose tensors are about to be filled."""
    from transformers import AutoConfig, AutoModel

    values = dict(request.architecture["towers"])
    config = AutoConfig.for_model(values.pop("model_type"), **values)
    tower = ImageTower(AutoModel.from_config(config), request.architecture["crop"])
    features = int(request.architecture["features"])
    nothing = InputSpec(size=8, channels=3, mean=(0.0,) * 3, std=(1.0,) * 3)  # the card's is true
    classifier = _classifier(tower, features, request, nothing, "none")
    if request.mode == "zero-shot":
        classifier.head = CosineHead(features, len(request.emotions))
    return classifier


def _classifier(
    tower: ImageTower, features: int, request: ModelRequest, spec: InputSpec, origin: str
) -> Classifier:
    return with_head(
        tower,
        features,
        input_spec=spec,
        request=request,
        provenance=Provenance(
            architecture=f"image tower of {type(tower.model).__name__}, {request.name}",
            weights=origin,
        ),
    )


def _files(request: ModelRequest) -> ModelFiles:
    kind = kind_of(request.pretraining)
    if kind in ("hub", "local"):
        return files_of(request.pretraining.removeprefix("hf-hub:"))
    return files_of(request.name.removeprefix(PREFIX))


def _open(files: ModelFiles, source: str, *, random: bool) -> Any:
    """A whole model, in fp32; of random weights where these are asked for.

    Raises:
        FerBenchError: no model of two towers, pickled or damaged weights, or some are missing.
    """
    from transformers import AutoConfig, AutoModel
    from transformers.utils import logging

    logging.disable_progress_bar()
    options = {"local_files_only": True, "trust_remote_code": False}
    try:
        config = AutoConfig.from_pretrained(files.folder, **options)
        if random:
            return _two_towers(AutoModel.from_config(config), source)
        if not any(files.folder.glob("*.safetensors")):
            raise FerBenchError(
                f"{source} has no model.safetensors, and pickled weights are never opened: choose "
                "a repository that has it"
            )
        model, report = AutoModel.from_pretrained(
            files.folder,
            config=config,
            dtype=torch.float32,
            use_safetensors=True,
            output_loading_info=True,
            **options,
        )
    except FAILURES as error:
        raise FerBenchError(
            f"{source} cannot be opened as a model of two towers: {one_line(str(error)):.200}"
        ) from None
    if missing := sorted(report["missing_keys"]):
        raise FerBenchError(
            f"the weights in {source} do not fit: {len(missing)} tensors are missing (first: "
            f"{missing[0]}); choose a complete model"
        )
    return _two_towers(model, source)


def _two_towers(model: Any, source: str) -> Any:
    lacking = [n for n in ("get_image_features", "get_text_features") if not hasattr(model, n)]
    if lacking:
        raise FerBenchError(
            f"{source} is a model of type {model.config.model_type}, which has no {lacking[0]}: "
            "expected a CLIP or a relative with an image and a text tower"
        )
    return model.eval()


def _preprocessing(files: ModelFiles, source: str, config: Any) -> Preprocessing:
    if config.model_type != _PATCHES:
        return read_preprocessing(files.folder, source)
    from transformers import AutoImageProcessor

    processor = AutoImageProcessor.from_pretrained(files.folder, local_files_only=True)
    across = math.isqrt(int(processor.max_num_patches))
    spec = InputSpec(
        size=across * int(processor.patch_size),
        channels=3,
        mean=tuple(processor.image_mean),
        std=tuple(processor.image_std),
        interpolation="bilinear-8bit",
    )
    return Preprocessing(spec=spec, crop=None)


def _width(tower: ImageTower, spec: InputSpec, source: str) -> int:
    """The length of its embeddings, by trying.

    Raises:
        FerBenchError: it takes no such pictures, or gives no embeddings.
    """
    try:
        with torch.no_grad():
            output = tower(torch.zeros(1, 3, spec.size, spec.size))
    except (RuntimeError, ValueError, TypeError, AttributeError) as error:
        raise FerBenchError(
            f"{source} cannot be run on {spec.size} px faces: {one_line(str(error)):.200}"
        ) from None
    return int(output.shape[-1])


def text_head(model: Any, tokenizer: Any, request: ModelRequest) -> CosineHead:
    """Rows are the emotions' prompts, embedded, averaged and scaled.

    SigLIP's bias is the same for all emotions, so that a softmax over them does not see it.

    Raises:
        FerBenchError: an emotion has no prompt.
    """
    prompts = prompts_for(request.emotions, request.prompts)
    return _cosine_head([_embed(model, tokenizer, texts) for texts in prompts], _scale_of(model))


def _scale_of(model: Any) -> Tensor:
    """What similarities are multiplied by, `exp(logit_scale)`; 1 over ALIGN's temperature."""
    if hasattr(model, "logit_scale"):
        scale: Tensor = model.logit_scale.detach().exp()
    else:
        scale = 1 / model.temperature.detach()
    return scale.reshape(())


def _cosine_head(rows: Sequence[Tensor], scale: Tensor) -> CosineHead:
    """A head of each emotion's prompts' embeddings `(P, D)`: normalised, averaged, normalised."""
    mean = torch.stack([F.normalize(texts, dim=-1).mean(0) for texts in rows])
    weight = F.normalize(mean, dim=-1) * scale
    head = CosineHead(weight.shape[1], len(rows))
    with torch.no_grad():
        head.linear.weight.copy_(weight)
    return head


def _tokenizer(files: ModelFiles, source: str) -> Any:
    """Raises FerBenchError where it cannot be had."""
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(
            files.folder, local_files_only=True, trust_remote_code=False
        )
    except FAILURES as error:
        raise FerBenchError(
            f"{source} has no tokenizer, which zero-shot needs: {one_line(str(error)):.160}"
        ) from None


def _embed(model: Any, tokenizer: Any, texts: Sequence[str]) -> Tensor:
    """Text embeddings `(P, D)`, not normalised."""
    options: dict[str, Any] = {"padding": True, "truncation": True}
    longest = getattr(model.config.text_config, "max_position_embeddings", None)
    if longest:
        options["max_length"] = min(int(longest), int(tokenizer.model_max_length))
    if model.config.model_type in _PADDED:
        options["padding"] = "max_length"
    tokens: Mapping[str, Tensor] = tokenizer(list(texts), return_tensors="pt", **options)
    wanted = {k: v for k, v in tokens.items() if k in ("input_ids", "attention_mask")}
    with torch.no_grad():
        return _embeddings(model.get_text_features(**wanted))
