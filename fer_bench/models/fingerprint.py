"""What tells one network from another, so that work on it can be cached."""

from __future__ import annotations

import hashlib

import torch
from torch import nn

from fer_bench.types import InputSpec

PLAIN = (bool, int, float, str, tuple)


def fingerprint(network: nn.Module, input_spec: InputSpec) -> str:
    """SHA-256 over how a network wants its faces, its modules, their settings and its tensors.

    Settings are the modules' plain attributes: a stride, or the temperature of an ensemble's
    member, stands in no tensor.

    Args:
        network: a classifier, or its backbone alone.
    """
    digest = hashlib.sha256(input_spec.model_dump_json().encode())
    for name, module in network.named_modules():
        settings = {
            k: v for k, v in sorted(vars(module).items()) if isinstance(v, PLAIN) and k[0] != "_"
        }
        digest.update(f"\0{name} {type(module).__qualname__} {settings}\0".encode())
    for name, tensor in network.state_dict().items():
        digest.update(f"\0{name} {tensor.dtype} {tuple(tensor.shape)}\0".encode())
        digest.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy())
    return digest.hexdigest()
