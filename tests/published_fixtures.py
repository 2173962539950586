"""The five published weights as they lie in the caches of torch and Hugging Face, values drawn.

Names and shapes are those of the files on the servers (`tests/published/`), which are older than
the libraries: no counters in batch norms, DenseNet's `norm.1`, ViT's `linear_1`, CLIP's
`position_ids`.
"""

from __future__ import annotations

import json
import math
from pathlib import Path

import torch
from torch import Tensor

MANIFESTS = Path(__file__).parent / "published"
#: Model to the name of its published file.
FILES = {
    "resnet18": "resnet18-f37072fd",
    "vgg16": "vgg16-397923af",
    "densenet121": "densenet121-a639ec97",
    "vit_b_16": "vit_b_16-c867db91",
    "clip_vit_b_32": "clip-vit-base-patch32",
}
CLIP_COMMIT = "3d74acf9a28c67741b2f4f2ea7635f0aaf6f0268"
#: As OpenAI's repository has it: the sizes are numbers, the processor has its former name.
PREPROCESSOR = {
    "crop_size": 224,
    "do_center_crop": True,
    "do_normalize": True,
    "do_resize": True,
    "feature_extractor_type": "CLIPFeatureExtractor",
    "image_mean": [0.48145466, 0.4578275, 0.40821073],
    "image_std": [0.26862954, 0.26130258, 0.27577711],
    "resample": 3,
    "size": 224,
}
_TOWER = {
    "attention_dropout": 0.0,
    "dropout": 0.0,
    "hidden_act": "quick_gelu",
    "initializer_factor": 1.0,
    "initializer_range": 0.02,
    "layer_norm_eps": 1e-05,
    "num_hidden_layers": 12,
    "projection_dim": 512,
    "return_dict": True,
    "torchscript": False,
    "use_bfloat16": False,
}
CONFIG = {
    "_name_or_path": "openai/clip-vit-base-patch32",
    "architectures": ["CLIPModel"],
    "initializer_factor": 1.0,
    "logit_scale_init_value": 2.6592,
    "model_type": "clip",
    "projection_dim": 512,
    "text_config": {
        **_TOWER,
        "bos_token_id": 0,
        "eos_token_id": 2,
        "hidden_size": 512,
        "intermediate_size": 2048,
        "max_position_embeddings": 77,
        "model_type": "clip_text_model",
        "num_attention_heads": 8,
        "pad_token_id": 1,
        "vocab_size": 49408,
    },
    "text_config_dict": None,
    "torch_dtype": "float32",
    "transformers_version": None,
    "vision_config": {
        **_TOWER,
        "hidden_size": 768,
        "image_size": 224,
        "intermediate_size": 3072,
        "model_type": "clip_vision_model",
        "num_attention_heads": 12,
        "patch_size": 32,
    },
    "vision_config_dict": None,
}


def manifest(model: str) -> dict[str, list[int]]:
    """Names and shapes of a model's published tensors."""
    shapes: dict[str, list[int]] = json.loads((MANIFESTS / f"{FILES[model]}.json").read_text())
    return shapes


def _draw(name: str, shape: list[int], generator: torch.Generator) -> Tensor:
    """Values of a size that keeps features finite and apart."""
    if name.endswith("position_ids"):
        return torch.arange(shape[-1]).expand(shape).contiguous()
    if name.endswith("running_var"):
        return torch.rand(shape, generator=generator) + 0.5
    drawn = torch.randn(shape, generator=generator)
    if name.endswith("weight") and len(shape) == 1:  # of a norm
        return 1 + 0.1 * drawn
    return drawn * (math.sqrt(2 / math.prod(shape[1:])) if len(shape) > 1 else 0.1)


def published(model: str) -> dict[str, Tensor]:
    """A model's published tensors, drawn from a seed."""
    generator = torch.Generator().manual_seed(len(model))
    return {name: _draw(name, shape, generator) for name, shape in manifest(model).items()}


def lay_published(torch_home: Path, hub_cache: Path) -> None:
    """Files of all five, as a download leaves them: torch's checkpoints, the hub's snapshots."""
    checkpoints = torch_home / "hub" / "checkpoints"
    checkpoints.mkdir(parents=True)
    for model in FILES.keys() - {"clip_vit_b_32"}:
        # VGG's is from before zip files.
        torch.save(
            published(model),
            checkpoints / f"{FILES[model]}.pth",
            _use_new_zipfile_serialization=model != "vgg16",
        )
    repository = hub_cache / "models--openai--clip-vit-base-patch32"
    snapshot = repository / "snapshots" / CLIP_COMMIT
    snapshot.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(CLIP_COMMIT)
    (snapshot / "config.json").write_text(json.dumps(CONFIG))
    (snapshot / "preprocessor_config.json").write_text(json.dumps(PREPROCESSOR))
    torch.save(published("clip_vit_b_32"), snapshot / "pytorch_model.bin")
