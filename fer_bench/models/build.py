"""The models by name, and `build_model`. Listing them imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from fer_bench.errors import FerBenchError, coded, suggest, unknown_name
from fer_bench.registry import Entry, Registry

if TYPE_CHECKING:
    from fer_bench.models.classifier import Builder, Classifier, ModelRequest, Option
    from fer_bench.models.external.model import ExternalKind, ExternalModel

_TORCHVISION = "fer_bench.models.zoo.torchvision:build"

MODELS = Registry(
    "model",
    {
        "resnet18": Entry(_TORCHVISION, "ResNet-18, residual CNN, 11 M parameters"),
        "vgg16": Entry(_TORCHVISION, "VGG-16, plain CNN, 134 M parameters"),
        "densenet121": Entry(_TORCHVISION, "DenseNet-121, densely connected CNN, 7 M parameters"),
        "vit_b_16": Entry(_TORCHVISION, "ViT-B/16, vision transformer, 86 M parameters"),
        "clip_vit_b_32": Entry(
            "fer_bench.models.zoo.clip:build", "CLIP's vision tower ViT-B/32, 88 M parameters"
        ),
        "expressio": Entry(
            "fer_bench.models.zoo.expressio:build", "Expressio's CNN, 48 px gray, 2.4 M parameters"
        ),
        "emotionlens": Entry(
            "fer_bench.models.zoo.emotionlens:build", "EmotionLens's residual CNN, 96 px RGB"
        ),
        "keras_cnn": Entry(
            "fer_bench.models.zoo.keras_cnn:build", "the widely copied Keras CNN, 48 px gray"
        ),
        "compact_resnet": Entry(
            "fer_bench.models.zoo.compact_resnet:build", "our small residual CNN, 48 px gray, 2.7 M"
        ),
    },
)

#: What stands before the colon of a model opened from elsewhere, such as `timm:convnext_tiny`.
PREFIXES = Registry(
    "model source",
    {
        "timm": Entry("fer_bench.models.zoo.timm:build", "timm:NAME, any image model of timm"),
        "clip": Entry(
            "fer_bench.models.zoo.clip:build",
            "clip:HF_ID, any CLIP, SigLIP or other model of an image and a text tower",
        ),
    },
)


#: What stands before the colon of a model that was trained elsewhere and is evaluated as it is.
EXTERNAL = Registry(
    "model source",
    {
        "onnx": Entry(
            "fer_bench.models.external.onnx_file:OnnxFile", "onnx:FILE, any ONNX classifier"
        ),
        "hf": Entry(
            "fer_bench.models.external.hugging_face:HuggingFaceModel",
            "hf:ID or hf:FOLDER, an image classifier of transformers",
        ),
        "torchscript": Entry(
            "fer_bench.models.external.torch_files:TorchScriptFile",
            "torchscript:FILE, a program saved with torch.jit.save",
        ),
        "pt2": Entry(
            "fer_bench.models.external.torch_files:ExportedProgramFile",
            "pt2:FILE, a program saved with torch.export.save",
        ),
    },
)


def is_external(name: str) -> bool:
    """Whether a model's name is one of a network that was trained elsewhere."""
    return name.partition(":")[0] in EXTERNAL and ":" in name


@coded("bad_model")
def open_external(name: str, options: Mapping[str, Option]) -> ExternalModel:
    """A network that was trained elsewhere, by its name, such as `onnx:model.onnx`.

    Args:
        options: what it does not say itself; see `models.external.options.ExternalOptions`.

    Raises:
        FerBenchError: no such prefix or model (near ones are named), or one that is unclear; says
            which option makes it clear.
    """
    prefix, _, source = name.partition(":")
    if not is_external(name):
        if name in MODELS or prefix in PREFIXES:
            raise FerBenchError(
                f"{name:.80} has no classifier of its own: train it with `train --model {name:.80}`"
            )
        known = [f"{one}:{'ID' if one == 'hf' else 'FILE'}" for one in EXTERNAL]
        hint = suggest(f"{prefix}:FILE", known)
        raise FerBenchError(f"unknown model {name!r:.80}: {hint}", code="unknown_name")
    if not source:
        raise FerBenchError(f"{name!r} names no model: expected {EXTERNAL.entry(prefix).summary}")
    kind: ExternalKind = EXTERNAL.load(prefix)()
    return kind.open(source, options)


def find_builder(name: str) -> Builder:
    """The builder behind a model's name, with or without a prefix.

    Raises:
        FerBenchError: no such model; the message suggests near ones.
    """
    builder: Builder
    prefix, colon, rest = name.partition(":")
    if is_external(name):
        kind: ExternalKind = EXTERNAL.load(prefix)()
        return kind.rebuild
    if not colon:
        known = [*MODELS, *(f"{p}:NAME" for p in (*PREFIXES, *EXTERNAL))]
        if name not in MODELS:
            raise unknown_name("model", name, known)
        builder = MODELS.load(name)
        return builder
    if prefix not in PREFIXES:
        raise unknown_name("model source", prefix, (*PREFIXES, *EXTERNAL))
    builder = PREFIXES.load(prefix)
    if not rest:
        raise FerBenchError(f"{name!r} names no model: expected {PREFIXES.entry(prefix).summary}")
    return builder


def _check_zero_shot(request: ModelRequest) -> None:
    """Refuses, before anything is downloaded, what cannot compare faces with text prompts."""
    if not request.name.startswith("clip"):
        raise FerBenchError(
            f"{request.name} cannot work zero-shot: expected a CLIP model (clip_vit_b_32 or "
            "clip:HF_ID), the only kind that reads text; choose another mode for this one"
        )
    if request.pretraining == "none":
        raise FerBenchError(
            "zero-shot compares images with text prompts, which needs trained weights: "
            "expected --pretraining imagenet, a hub id or a local CLIP folder, got none"
        )


def list_models() -> dict[str, str]:
    """The models by name, each with a line about it; any `timm:NAME` and `clip:HF_ID` works too.

    Examples:
        >>> list_models()["keras_cnn"]
        'the widely copied Keras CNN, 48 px gray'
    """
    return {name: MODELS.entry(name).summary for name in MODELS}


def build_model(request: ModelRequest) -> Classifier:
    """The network that a request describes, set up for its mode; in eval mode, on the CPU.

    Raises:
        FerBenchError: an unknown model or option, a mode that the model does not have, or
            starting weights that cannot be had.
    """
    builder = find_builder(request.name)
    if request.mode == "zero-shot":
        _check_zero_shot(request)
    model = builder(request)
    _apply_mode(model)
    return model.eval()


def _apply_mode(model: Classifier) -> None:
    """Sets up, in place, what the mode of the model's request trains.

    frozen: the head alone; the backbone also stays in eval mode (`Classifier.train`).
    full: everything. lora: low-rank updates of the backbone, and the head.
    zero-shot: nothing.
    """
    mode = model.request.mode
    model.requires_grad_(mode != "zero-shot")
    if mode == "frozen":
        model.backbone.requires_grad_(False)
    if mode == "lora":
        from fer_bench.models.lora import inject_lora
        from fer_bench.models.options import DEFAULT_LORA_RANK

        inject_lora(model, rank=int(model.request.options.get("lora_rank", DEFAULT_LORA_RANK)))
