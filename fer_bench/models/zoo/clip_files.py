"""Where a CLIP comes from: a hub's repository or a folder, and its configuration there."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from huggingface_hub import constants, try_to_load_from_cache
from transformers import AutoConfig

from fer_bench.errors import FerBenchError
from fer_bench.models.classifier import ModelRequest
from fer_bench.models.external.hub import local_folder
from fer_bench.models.pretrained import described_folder, downloading, hub_cache, kind_of
from fer_bench.models.zoo.two_towers import PREFIX

REFERENCE = "clip_vit_b_32"
REFERENCE_ID = "openai/clip-vit-base-patch32"
#: The commit of each repository that we name ourselves; the user's own are taken as they are now.
REVISIONS = {REFERENCE_ID: "3d74acf9a28c67741b2f4f2ea7635f0aaf6f0268"}


def revision(source: str) -> str:
    """The commit to take: the one we name, or offline the cache's main branch where it lacks it."""
    named = REVISIONS.get(source, "main")
    if named == "main" or not constants.HF_HUB_OFFLINE:
        return named
    cached = try_to_load_from_cache(source, "config.json", revision=named)
    return named if isinstance(cached, str) else "main"


def config_of(source: str) -> Any:
    """The configuration of a CLIP on the hub or in a folder.

    Raises:
        FerBenchError: it is no CLIP.
    """
    config = any_config(source)
    if config.model_type != "clip":
        raise FerBenchError(
            f"{source} is a model of type {config.model_type}: expected a CLIP (type clip)"
        )
    # A whole CLIP keeps the size of the shared space next to its towers.
    config.vision_config.projection_dim = config.projection_dim
    return config


def any_config(source: str) -> Any:
    """Raises FerBenchError for what is no model of transformers."""
    try:
        return AutoConfig.from_pretrained(
            source, revision=revision(source), trust_remote_code=False
        )
    except ValueError:
        raise FerBenchError(f"{source} is no Hugging Face model: expected a CLIP") from None


def vision_folder(request: ModelRequest) -> str | None:
    """The folder of weights that are a vision tower alone, as `CLIPVisionModelWithProjection`."""
    local = kind_of(request.pretraining) == "local"
    folder = described_folder(request.pretraining) if local else None
    if folder is None:
        return None
    with getting("the configuration of", str(folder)):
        alone = any_config(str(folder)).model_type == "clip_vision_model"
    return str(folder) if alone else None


def named(request: ModelRequest) -> str:
    """The hub id or folder of `clip:ID`; raises FerBenchError where it is neither."""
    source = request.name.removeprefix(PREFIX)
    return str(local_folder(source) or source)


def getting(what: str, source: str) -> AbstractContextManager[None]:
    """`downloading` that says what of which repository or folder cannot be had."""
    place = str(Path(source).expanduser()) if Path(source).exists() else hub_cache(source)
    return downloading(f"{what} {source} ({place})")
