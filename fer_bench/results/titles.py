"""What people call a run: `Compact ResNet, distilled, 16 epochs` instead of its id."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from fer_bench.results.record import RunRecord
from fer_bench.specs.run import EnsembleSpec, ExternalSpec, RunSpec

MODEL_TITLES = {
    "resnet18": "ResNet18",
    "vgg16": "VGG16",
    "densenet121": "DenseNet121",
    "vit_b_16": "ViT-B/16",
    "clip_vit_b_32": "CLIP ViT-B/32",
    "compact_resnet": "Compact ResNet",
    "emotionlens": "EmotionLens",
    "expressio": "Expressio",
    "keras_cnn": "Keras CNN",
    "ensemble": "Ensemble",
}
RECIPE_TITLES = {
    "distill": "distilled",
    "equal-terms": "equal terms",
    "finetune-5": "fine-tuned",
    "tuned-30": "fine-tuned",
    "robust": "robust",
    "strong": "strong recipe",
}
#: The recipe that each copied project trains its own network by.
OWN_RECIPES = {
    "emotionlens": "emotionlens",
    "expressio": "expressio",
    "keras_cnn": "keras-cnn",
}
MODE_TITLES = {"frozen": "frozen", "lora": "LoRA", "zero-shot": "zero-shot"}


def model_title(model: str) -> str:
    """An architecture's name in print; one we do not know as it was written."""
    return MODEL_TITLES.get(model, model.removeprefix("timm:").removeprefix("clip:"))


def training_title(spec: RunSpec) -> str:
    """How a run was trained, in a few words: `fine-tuned`, `random features`, `LoRA`."""
    if spec.mode == "frozen" and spec.pretraining == "none":
        return "random features"
    if spec.mode != "full":
        return MODE_TITLES[spec.mode]
    recipe = spec.recipe.name
    if OWN_RECIPES.get(spec.model) == recipe:
        return "own recipe"
    return RECIPE_TITLES.get(recipe, recipe)


def run_title(record: RunRecord) -> str:
    """A run in words, as short as its kind allows; not always different from another's."""
    spec = record.spec
    if isinstance(spec, EnsembleSpec):
        words = spec.title.split("-") if spec.title else ["of", str(len(spec.ensemble))]
        return ", ".join([" ".join(["Ensemble", *map(model_title, words)]), *_data_words(record)])
    if isinstance(spec, ExternalSpec):
        return ", ".join(filter(None, [spec.external, spec.version, *_data_words(record)]))
    words = [model_title(spec.model), training_title(spec)]
    if spec.mode in ("full", "lora"):
        epochs = record.training.epochs_run if record.training else spec.recipe.epochs
        words.append("1 epoch" if epochs == 1 else f"{epochs} epochs")
    if spec.seed:
        words.append(f"seed {spec.seed}")
    return ", ".join([*words, *_data_words(record)])


def run_titles(records: Mapping[str, RunRecord]) -> dict[str, str]:
    """Titles under the records' own keys; those that read alike get their size, then their key."""
    titles = {key: run_title(record) for key, record in records.items()}
    for tell_apart in (lambda key: _size(records[key]), str):
        times = Counter(titles.values())
        titles = {
            key: f"{title}, {tell_apart(key)}" if times[title] > 1 else title
            for key, title in titles.items()
        }
    return titles


def _size(record: RunRecord) -> str:
    return f"{record.model.input_spec.size} px" if record.model else "no model"


def _data_words(record: RunRecord) -> list[str]:
    """What deviates from a data set's usual labels and split."""
    spec, words = record.spec, []
    if spec.votes:
        words.append("FER+")
    if spec.emotions:
        words.append(f"{len(spec.emotions)} emotions")
    elif isinstance(spec, RunSpec) and spec.recipe.emotions:
        words.append(f"{len(spec.recipe.emotions)} emotions")
    if spec.protocol != "official":
        words.append(f"{spec.protocol} split")
    if spec.limit:
        words.append(f"{spec.limit} images")
    return words
