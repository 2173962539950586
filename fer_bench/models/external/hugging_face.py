"""`hf:ID` and `hf:FOLDER`: image classifiers of transformers, with their own preprocessing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from fer_bench.config import validate
from fer_bench.errors import FerBenchError, one_line, wrong_kind
from fer_bench.models.classifier import Classifier, ModelRequest, Option
from fer_bench.models.external.hub import files_of
from fer_bench.models.external.image_processor import FAILURES, read_preprocessing
from fer_bench.models.external.model import ExternalModel, portable_name, read_labels
from fer_bench.models.external.options import ExternalOptions
from fer_bench.models.external.probing import require_outputs
from fer_bench.types import InputSpec, Provenance


class TransformersNetwork(nn.Module):
    """`(B, 3, size, size)` to one logit per label of the model, `(B, L)`.

    Args:
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


class HuggingFaceModel:
    """The `models.external.model.ExternalKind` hf."""

    def open(self, source: str, options: Mapping[str, Option]) -> ExternalModel:
        """See `ExternalKind`."""
        asked = validate(ExternalOptions, dict(options), f"options of hf:{source}")
        if other := asked.as_words().keys() - {"labels"}:
            raise FerBenchError(
                f"hf:{source} says itself how it wants its faces: leave {', '.join(sorted(other))} "
                "out (only labels may be said)"
            )
        files = files_of(source)
        config = _config(files.folder, source)
        net = _network(files.folder, config, source)
        prepared = read_preprocessing(files.folder, f"hf:{source}")
        backbone = TransformersNetwork(config, prepared.crop, net).eval()
        with torch.no_grad():
            values = require_outputs(
                backbone,
                prepared.spec,
                f"hf:{source}",
                "its preprocessor_config.json and its config.json do not belong together",
            )
        names = asked.labels or _own_labels(config, source)
        stated = asked.labels is not None
        labels, left_out = read_labels(names, values.shape[1], f"hf:{source}", stated=stated)
        name = portable_name("hf", source)
        labels_from = "as said" if stated else "by its id2label"
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
                f"its outputs {labels_from}: {about}",
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
    source = request.name.partition(":")[2]
    return Classifier(
        backbone=backbone,
        head=ChosenOutputs(columns),
        feature_size=int(backbone.net.config.num_labels),
        input_spec=spec,
        request=request,
        provenance=Provenance(
            architecture=f"transformers {type(backbone.net).__name__}",
            weights=f"{source}@{version}" if version else source,
        ),
    )


def _own_labels(config: Any, source: str) -> tuple[str, ...]:
    """The names in `id2label`, by output.

    Raises:
        FerBenchError: they are not numbered as outputs are, from 0 on.
    """
    if sorted(config.id2label) != list(range(len(config.id2label))):
        numbers = ", ".join(map(str, sorted(config.id2label)))
        raise FerBenchError(
            f"hf:{source} numbers its labels {numbers:.80} (id2label), expected them from 0 on as "
            "its outputs are: name the emotions in the outputs' order with --labels"
        )
    return tuple(str(config.id2label[n]) for n in sorted(config.id2label))


def _config(folder: Path, source: str) -> Any:
    from transformers import AutoConfig

    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except FAILURES as error:
        raise FerBenchError(
            f"hf:{source} has no configuration that transformers can read: "
            f"{one_line(str(error)):.200}"
        ) from None
    if config.problem_type == "multi_label_classification":
        raise FerBenchError(
            f"hf:{source} names several labels for one face (problem_type "
            "multi_label_classification): expected a model that names one"
        )
    return config


def _network(folder: Path, config: Any, source: str) -> Any:
    """Raises FerBenchError for weights that are pickled, damaged or of another network."""
    from transformers import AutoModelForImageClassification
    from transformers.utils import logging

    logging.disable_progress_bar()
    logging.set_verbosity_error()  # what does not fit is said below, in a sentence
    if not any(folder.glob("*.safetensors")):
        raise FerBenchError(
            f"hf:{source} has no model.safetensors, and pickled weights (pytorch_model.bin) are "
            "never opened: whoever trusts them writes it with "
            f"`AutoModelForImageClassification.from_pretrained({source!r:.80}).save_pretrained"
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
            ignore_mismatched_sizes=True,  # they are in the report
        )
    except FAILURES as error:
        kinds = filter(None, map(wrong_kind, sorted(folder.glob("*.safetensors"))))
        what = next((f"its weights file {words}" for words in kinds), one_line(str(error)))
        raise FerBenchError(
            f"hf:{source} cannot be opened as an image classifier: {what:.240}"
        ) from None
    missing = sorted(report["missing_keys"])
    wrong = [*missing, *sorted(str(key) for key, *_ in report["mismatched_keys"])]
    if wrong:
        raise FerBenchError(
            f"the weights of hf:{source} do not fit: {len(wrong)} tensors are missing or of "
            f"another shape (first: {wrong[0]:.120}); choose a model that was trained to classify"
        )
    return net
