"""What tells one network from another, so that work on it can be cached."""

from __future__ import annotations

import hashlib

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fer_bench.models.classifier import Classifier

PLAIN = (bool, int, float, str, tuple)


def fingerprint(model: Classifier) -> str:
    """SHA-256 over how a network wants its faces, its modules, their settings and its tensors.

    Settings are the modules' plain attributes: a stride, or the temperature of an ensemble's
    member, stands in no tensor.
    """
    digest = hashlib.sha256(model.input_spec.model_dump_json().encode())
    for name, module in model.named_modules():
        settings = {
            k: v for k, v in sorted(vars(module).items()) if isinstance(v, PLAIN) and k[0] != "_"
        }
        digest.update(f"\0{name} {type(module).__qualname__} {settings}\0".encode())
    for name, tensor in model.state_dict().items():
        digest.update(f"\0{name} {tensor.dtype} {tuple(tensor.shape)}\0".encode())
        digest.update(_bytes(tensor).data)
    return digest.hexdigest()


def _bytes(tensor: Tensor) -> NDArray[np.uint8]:
    plain = tensor.detach().cpu().contiguous().view(-1)
    raw: NDArray[np.uint8] = plain.view(torch.uint8).numpy()
    return raw
