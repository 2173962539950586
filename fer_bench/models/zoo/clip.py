"""CLIP's vision tower, and zero-shot recognition by text prompts (arXiv 2103.00020)."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn
from transformers import (
    CLIPImageProcessor,
    CLIPModel,
    CLIPTokenizer,
    CLIPVisionConfig,
    CLIPVisionModelWithProjection,
)

from fer_bench.errors import FerBenchError
from fer_bench.models.classifier import Classifier, ModelRequest
from fer_bench.models.heads import CosineHead, with_head
from fer_bench.models.options import ArchitectureOptions, SizeOptions, read_options
from fer_bench.models.pretrained import described_folder, kind_of, read_local, unpublished
from fer_bench.models.state_dict import State, load_weights
from fer_bench.models.zoo import two_towers
from fer_bench.models.zoo.clip_files import (
    REFERENCE,
    REFERENCE_ID,
    any_config,
    config_of,
    getting,
    named,
    revision,
    vision_folder,
)
from fer_bench.types import InputSpec, Provenance

#: The preprocessing of OpenAI's CLIP, which nearly every later one keeps.
MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)
#: Tensors of a whole CLIP that the vision tower has no use for, or had in older files.
_UNUSED = (
    "text_model.", "text_projection.", "logit_scale", "vision_model.embeddings.position_ids",
)  # fmt: skip
#: Files of a model's folder that say how it wants its images.
_PREPROCESSING = ("preprocessor_config.json", "processor_config.json")
_POSITIONS = "vision_model.embeddings.position_embedding.weight"


class VisionTower(nn.Module):
    """`(B, 3, size, size)` to CLIP's projected image embeddings `(B, D)`, not normalised."""

    def __init__(self, config: CLIPVisionConfig) -> None:
        super().__init__()
        vars(config).pop("loss_type", None)  # of training; None is warned about
        self.tower = CLIPVisionModelWithProjection(config)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.tower(pixel_values=x).image_embeds
        return out


def _open_clip(source: str) -> CLIPModel:
    """A whole CLIP from the hub or a folder, in fp32.

    Raises:
        FerBenchError: it cannot be had, is no CLIP, or lacks tensors.
    """
    with getting("the CLIP model", source):
        config = config_of(source)
        clip, report = CLIPModel.from_pretrained(
            source,
            config=config,
            dtype=torch.float32,
            output_loading_info=True,
            revision=revision(source),
        )
    if missing := sorted(report["missing_keys"]):
        raise FerBenchError(
            f"the weights in {source} do not fit: {len(missing)} tensors of CLIP are missing "
            f"(first: {missing[0]}); choose a complete CLIP"
        )
    return clip


def _is_relative(request: ModelRequest, source: str | None) -> bool:
    """Whether `clip:ID` names another model of two towers, such as a SigLIP."""
    if request.architecture or request.name == REFERENCE:
        return "towers" in request.architecture
    hub_id = source or named(request)
    with getting("the configuration of", hub_id):
        return bool(any_config(hub_id).model_type != "clip")


def _text_head(clip: CLIPModel, source: str, request: ModelRequest) -> CosineHead:
    """A head whose rows are the emotions' prompts, embedded, averaged and scaled.

    Raises:
        FerBenchError: the tokenizer cannot be had, or an emotion has no prompt.
    """
    with getting("the tokenizer of", source):
        tokenizer = CLIPTokenizer.from_pretrained(source, revision=revision(source))
    return two_towers.text_head(clip, tokenizer, request)


def _source(request: ModelRequest, tiny: bool) -> str | None:
    """The hub id or folder of the whole CLIP to start from; None where there is none to open.

    Raises:
        FerBenchError: a tiny network with weights that cannot fit it.
    """
    kind = kind_of(request.pretraining)
    if kind == "local":
        folder = described_folder(request.pretraining)
        return None if folder is None or vision_folder(request) else str(folder)
    if kind == "none":
        return None
    if tiny:
        raise unpublished(f"no published weights fit the tiny {request.name}", request)
    if kind == "hub":
        return request.pretraining.removeprefix("hf-hub:")
    return REFERENCE_ID if request.name == REFERENCE else named(request)


def _own_config(request: ModelRequest, tiny: bool) -> CLIPVisionConfig:
    """The vision tower's dimensions where no whole CLIP is opened."""
    if request.architecture:
        return CLIPVisionConfig.from_dict(request.architecture)
    if folder := vision_folder(request):
        return CLIPVisionConfig.from_pretrained(folder)
    if tiny:
        return CLIPVisionConfig(
            hidden_size=64,
            intermediate_size=128,
            projection_dim=64,
            num_hidden_layers=2,
            num_attention_heads=4,
            image_size=32,
            patch_size=8,
        )
    if request.name == REFERENCE:
        return CLIPVisionConfig()  # its defaults are ViT-B/32's
    hub_id = named(request)
    with getting("the configuration of", hub_id):
        return config_of(hub_id).vision_config


def _resized(config: CLIPVisionConfig, size: int | None, name: str) -> CLIPVisionConfig:
    """The configuration at another input size.

    Raises:
        FerBenchError: the size cannot be cut into patches.
    """
    if size is not None and size % config.patch_size:
        raise FerBenchError(
            f"{name} cuts its input into patches of {config.patch_size} px: expected an "
            f"input_size divisible by {config.patch_size}, got {size}"
        )
    resized = CLIPVisionConfig.from_dict(config.to_dict())
    resized.image_size = size or config.image_size
    return resized


def _input_spec(source: str | None, size: int) -> InputSpec:
    """The model's own preprocessing constants; CLIP's for random weights and in a bare folder.

    Raises:
        FerBenchError: the hub has none, or they cannot be had.
    """
    mean, std = MEAN, STD
    if source is not None and not _is_bare(Path(source)):
        with getting("the preprocessing of", source):
            processor = CLIPImageProcessor.from_pretrained(source, revision=revision(source))
        mean, std = tuple(processor.image_mean), tuple(processor.image_std)
    return InputSpec(size=size, channels=3, mean=mean, std=std, interpolation="bicubic")


def _is_bare(folder: Path) -> bool:
    """A folder that does not say how its model wants images."""
    return folder.is_dir() and not any((folder / name).is_file() for name in _PREPROCESSING)


def _state(clip: CLIPModel | None, request: ModelRequest) -> tuple[State | None, str]:
    """The starting tensors and their origin."""
    local = kind_of(request.pretraining) == "local"
    if clip is not None:
        return clip.state_dict(), "local file" if local else clip.name_or_path
    if not local:
        return None, "none"
    state = read_local(request.pretraining)
    if any(name.endswith("visual.class_embedding") for name in state):
        raise FerBenchError(
            f"{request.pretraining} is a CLIP by OpenAI's and open_clip's names, which leaves its "
            "activation open: start timm:vit_base_patch32_clip_quickgelu_224 (OpenAI's) or "
            "timm:vit_base_patch32_clip_224 from it, or give a folder that transformers saved"
        )
    return state, "local file"


def build(request: ModelRequest) -> Classifier:
    """`clip_vit_b_32` or `clip:HF_ID`; features are the projected image embeddings.

    Of its relatives, such as SigLIP, see `zoo.two_towers`.

    Its `imagenet` (the default of specs) and `openai` both mean its own published weights: CLIP
    was never trained on ImageNet. The provenance names the weights that were loaded.

    Raises:
        FerBenchError: unknown options, a size that does not fit, or weights that cannot be had.
    """
    reference = request.name == REFERENCE
    options = read_options(ArchitectureOptions if reference else SizeOptions, request)
    tiny = isinstance(options, ArchitectureOptions) and options.tiny
    source = _source(request, tiny)
    if _is_relative(request, source):
        return two_towers.build(request)
    clip = _open_clip(source) if source is not None else None
    config = clip.config.vision_config if clip is not None else _own_config(request, tiny)
    config = _resized(config, options.input_size, request.name)
    backbone = VisionTower(config)
    state, origin = _state(clip, request)
    if state is not None:
        load_weights(
            backbone.tower, state, source=request.pretraining, ignore=_UNUSED, positions=_POSITIONS
        )
    model = with_head(
        backbone,
        config.projection_dim,
        input_spec=_input_spec(source or vision_folder(request), config.image_size),
        request=replace(request, architecture=json.loads(config.to_json_string(use_diff=True))),
        provenance=Provenance(
            architecture=f"CLIP vision tower, {request.name}" + (", tiny" if tiny else ""),
            paper="https://arxiv.org/abs/2103.00020",
            weights=origin,
            licence="MIT (OpenAI CLIP)" if origin == REFERENCE_ID else "",
        ),
    )
    if request.mode == "zero-shot":
        model.head = _zero_shot_head(clip, source, request, config.projection_dim)
    return model


def _zero_shot_head(
    clip: CLIPModel | None, source: str | None, request: ModelRequest, feature_size: int
) -> CosineHead:
    """The text head; an empty one where a saved model is about to fill it.

    Raises:
        FerBenchError: the starting weights hold no text tower.
    """
    if clip is not None and source is not None:
        return _text_head(clip, source, request)
    if request.pretraining != "none":
        raise FerBenchError(
            f"zero-shot needs CLIP's text tower and tokenizer: expected a hub id or a folder saved "
            f"with save_pretrained, got {request.pretraining}"
        )
    return CosineHead(feature_size, len(request.emotions))
