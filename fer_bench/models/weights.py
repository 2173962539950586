"""A classifier on disk: `model.safetensors` and `model.json`, never a pickle."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from fer_bench.config import Config, validate
from fer_bench.errors import FerBenchError, coded, wrong_kind
from fer_bench.models.build import find_builder
from fer_bench.models.classifier import Classifier, ModelRequest
from fer_bench.models.lora import has_lora
from fer_bench.models.pretrained import WEIGHTS_FILE
from fer_bench.models.state_dict import load_weights
from fer_bench.types import Dtype, InputSpec, Provenance

SCHEMA_VERSION = 1
DOCUMENT_FILE = "model.json"
#: What libraries make of a configuration that describes no network.
BUILD_ERRORS = (
    ArithmeticError, AssertionError, AttributeError, LookupError, MemoryError, RuntimeError,
    StrictDataclassError, TypeError, ValueError,
)  # fmt: skip


class ModelDocument(Config):
    """What `model.json` holds: enough to rebuild the network that the tensors fit into."""

    schema_version: int = SCHEMA_VERSION
    request: ModelRequest
    input_spec: InputSpec
    provenance: Provenance


def _stored(model: Classifier, dtype: Dtype) -> dict[str, Tensor]:
    """The model's tensors as they are stored; buffers (batch-norm statistics) stay fp32.

    Raises:
        FerBenchError: LoRA updates that were not merged, or values beyond fp16's range.
    """
    state = {k: v.detach().cpu().contiguous() for k, v in model.state_dict().items()}
    if has_lora(model):
        raise FerBenchError("the model still has LoRA updates apart: merge_lora it before saving")
    if dtype == "float16":
        names = {name for name, _ in model.named_parameters()}
        state = {k: v.half() if k in names else v for k, v in state.items()}
        beyond = [k for k in names if not bool(torch.isfinite(state[k]).all())]
        if beyond:
            raise FerBenchError(
                f"{len(beyond)} tensors do not fit float16 (first: {min(beyond)}): "
                "save the model with dtype float32"
            )
    return state


def round_parameters(model: Classifier, dtype: Dtype) -> None:
    """Leaves the model as it will be after it was saved so and loaded again; still fp32.

    Raises:
        FerBenchError: values beyond the type's range.
    """
    if dtype == "float16":
        model.load_state_dict({k: v.float() for k, v in _stored(model, dtype).items()})


def model_files(model: Classifier, dtype: Dtype = "float32") -> dict[str, bytes]:
    """What a model's two files hold, by their names.

    Args:
        dtype: how parameters are stored; `float16` halves the file, loading widens them again.

    Raises:
        FerBenchError: the tensors cannot be stored so.
    """
    document = ModelDocument(
        request=model.request, input_spec=model.input_spec, provenance=model.provenance
    )
    return {
        WEIGHTS_FILE: save(_stored(model, dtype)),
        DOCUMENT_FILE: json.dumps(document.model_dump(mode="json"), indent=2).encode() + b"\n",
    }


@coded("bad_model")
def read_model_document(folder: Path) -> ModelDocument:
    """What `model.json` in a folder says; loads no weights.

    Raises:
        FerBenchError: missing, damaged, or written by a newer FER Bench.
    """
    path = folder / DOCUMENT_FILE
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise FerBenchError(f"no model in {folder}: expected {DOCUMENT_FILE} there") from None
    except (OSError, ValueError, RecursionError) as error:
        raise FerBenchError(f"cannot read {path}: expected JSON, got {error}") from None
    version = values.get("schema_version") if isinstance(values, dict) else None
    if not isinstance(version, int):
        raise FerBenchError(f"{path} is no model description: it has no schema_version")
    if version > SCHEMA_VERSION:
        raise FerBenchError(
            f"{path} was written by a newer FER Bench: this one reads schema {SCHEMA_VERSION}, "
            f"the file has {version}; update FER Bench"
        )
    return validate(ModelDocument, values, str(path))


@coded("bad_model")
def load_model(folder: Path) -> Classifier:
    """The model saved in a folder, in eval mode, fp32, on the CPU; needs no network.

    Raises:
        FerBenchError: files missing, damaged, from a newer version, or not of one model.
    """
    document = read_model_document(folder)
    path = folder / WEIGHTS_FILE
    try:
        state = load_file(path)
    except FileNotFoundError:
        raise FerBenchError(
            f"no weights in {folder}: expected {WEIGHTS_FILE} next to {DOCUMENT_FILE}"
        ) from None
    except (OSError, SafetensorError) as error:
        what = wrong_kind(path) or f"is damaged ({error!s:.200}); train or copy it again"
        raise FerBenchError(f"cannot read {path}: the file {what}") from None
    # The mode is not set up: merged LoRA weights are plain, and the head is all that zero-shot has.
    try:
        model = find_builder(document.request.name)(replace(document.request, pretraining="none"))
    except BUILD_ERRORS as error:
        reason = " ".join(str(error).split())
        raise FerBenchError(
            f"{folder / DOCUMENT_FILE} describes a network that cannot be built "
            f"({type(error).__name__}: {reason:.200}): train or copy it again"
        ) from None
    load_weights(model, state, source=str(path))
    model.request = document.request
    model.input_spec = document.input_spec
    model.provenance = document.provenance
    return model.eval()
