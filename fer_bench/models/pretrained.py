"""Starting weights: from a hub, a file or a folder; never unpickled, never half loaded."""

from __future__ import annotations

import argparse
import contextlib
import pickle  # nosec B403  # for its error alone
import re
import struct
import warnings
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from huggingface_hub import constants, hf_hub_download
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from fer_bench.errors import FerBenchError, near_names, wrong_kind
from fer_bench.hubs.network import HTTP_ERROR, no_waiting_without_network
from fer_bench.models.classifier import ModelRequest
from fer_bench.models.state_dict import State

Kind = Literal["none", "published", "hub", "local"]
WEIGHTS_FILE = "model.safetensors"
#: What a folder's weights may be called, the first that is there.
WEIGHTS_FILES = (WEIGHTS_FILE, "pytorch_model.bin")
#: `imagenet` is the default of specs; for CLIP it means its own published weights, as `openai`.
PUBLISHED = ("imagenet", "openai")
_SUFFIXES = (".safetensors", ".pth", ".pt", ".bin")
#: What training scripts call the state dict in their checkpoints; the first that is there is taken.
_WRAPPERS = ("state_dict", "model_state_dict", "model_state", "model", "net", "network", "weights")
#: Other weights of the same training that a checkpoint may hold next to these.
_AVERAGED = re.compile("ema|swa|average", re.IGNORECASE)
#: What such scripts store next to the weights, and what cannot run anything: options, scores.
_SCALAR = np.float64(0).__reduce__()[0]
_PLAIN: list[Any] = [
    argparse.Namespace, np.dtype, np.dtypes.Float64DType, np.dtypes.Float32DType,
    np.dtypes.Int64DType, _SCALAR,
    (_SCALAR, "numpy.core.multiarray.scalar"),  # as NumPy 1 wrote it
]  # fmt: skip
_HUB_ID = re.compile(r"(hf-hub:)?[\w.-]+/[\w.-]+")
#: What torch's restricted unpickler raises on bytes that are no state dict: nearly anything.
LOAD_ERRORS = (
    OSError, EOFError, RuntimeError, ValueError, TypeError, AttributeError, LookupError,
    SafetensorError, pickle.UnpicklingError, struct.error,
)  # fmt: skip


def kind_of(pretraining: str) -> Kind:
    """What a `pretraining` value is; an existing path wins over a hub id of the same spelling.

    Raises:
        FerBenchError: it is none of the four.
    """
    if pretraining == "none":
        return "none"
    if pretraining in PUBLISHED:
        return "published"
    path = Path(pretraining).expanduser()
    if path.exists() or path.suffix in _SUFFIXES or pretraining.startswith((".", "/", "~")):
        return "local"
    if _HUB_ID.fullmatch(pretraining):
        return "hub"
    raise FerBenchError(
        f"unknown pretraining {pretraining!r}: expected none, imagenet, a hub id "
        "(organisation/name), or the path of a weights file or folder"
    )


@contextlib.contextmanager
def downloading(
    expected: str, otherwise: str = "put the file there yourself, or use --pretraining none"
) -> Iterator[None]:
    """Turns a failed download into one sentence; `expected` says which file, from and to where.

    Args:
        otherwise: what to do without a network.

    Raises:
        FerBenchError: the network or the disk failed, or what came is damaged or does not fit.
    """
    try:
        with no_waiting_without_network() as no_network:
            yield
    except (OSError, HTTP_ERROR, RuntimeError, SafetensorError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        reason = f"there is no network: {reason}" if no_network else reason
        raise FerBenchError(
            f"could not get the pretrained weights: expected {expected} ({reason}); connect to "
            f"the network, {otherwise}"
        ) from None


def hub_cache(hub_id: str) -> str:
    """Where a Hugging Face repository lies once downloaded, in words for an error."""
    folder = Path(constants.HF_HUB_CACHE) / f"models--{hub_id.replace('/', '--')}"
    return f"https://huggingface.co/{hub_id} in the cache at {folder}"


def read_hub(hub_id: str) -> State:
    """The tensors of a Hugging Face repository's `model.safetensors`.

    Raises:
        FerBenchError: it cannot be downloaded or read.
    """
    hub_id = hub_id.removeprefix("hf-hub:")
    with downloading(f"{WEIGHTS_FILE} of {hub_cache(hub_id)}"):
        # The user names the repository, whose tensors cannot run anything.
        path = hf_hub_download(hub_id, WEIGHTS_FILE)
    return read_local(path)


def read_local(source: str) -> State:
    """The tensors in a .safetensors, .pth or .pt file, or in a folder's one of `WEIGHTS_FILES`.

    Raises:
        FerBenchError: no such file, a damaged one, or one that holds more than tensors.
    """
    path = Path(source).expanduser()
    if path.is_dir():
        path = next((path / n for n in WEIGHTS_FILES if (path / n).is_file()), path / WEIGHTS_FILE)
    if not path.is_file():
        near = near_names(path) or _other_weights(path.parent)
        raise FerBenchError(
            f"no weights at {path}: expected a .safetensors, .pth or .pt file"
            + (f"; {near}" if near else "")
        )
    try:
        if _is_safetensors(path):
            return load_file(path)
        # By a path torch goes by the suffix, whatever the file holds.
        with path.open("rb") as file, torch.serialization.safe_globals(_PLAIN):
            loaded: Any = torch.load(file, map_location="cpu", weights_only=True)
    except LOAD_ERRORS as error:
        what = wrong_kind(path) or _archive_kind(path, error)
        raise FerBenchError(
            f"cannot read weights from {path}: it {what}"
            if what
            else f"cannot read weights from {path}: expected an undamaged file of plain tensors "
            "(.safetensors, or a state dict saved with torch.save); pickled models are refused, "
            "and a broken download is mended by deleting the file"
        ) from None
    loaded = _unwrapped(loaded, path)
    if not _is_state(loaded):
        raise FerBenchError(
            f"{path} holds no state dict: expected names mapped to tensors, alone or in a "
            f"checkpoint, such as under {', '.join(_WRAPPERS)}"
        )
    state: State = loaded
    return state


def described_folder(source: str) -> Path | None:
    """The folder that local weights are or stand in, where its `config.json` describes them.

    A file taken out of such a folder by name is still what the folder says it is.
    """
    path = Path(source).expanduser()
    folder = path.parent if path.name in WEIGHTS_FILES else path
    return folder if (folder / "config.json").is_file() else None


def _is_safetensors(path: Path) -> bool:
    """By its content, whatever it is called: its header is JSON behind 8 bytes of length."""
    with path.open("rb") as file:
        return file.read(9)[8:] == b"{"


def _other_weights(folder: Path) -> str:
    """Which weights a folder has under other names; empty for none."""
    names = sorted(p.name for p in folder.glob("*") if p.suffix in _SUFFIXES)
    return f"{folder.name} has {', '.join(names[:4])}: name the file" if names else ""


def _archive_kind(path: Path, error: Exception) -> str | None:
    """What a zip holds instead of plain tensors, and what to do; None where it is damaged."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (OSError, zipfile.BadZipFile):
        return None
    if any(name.split("/")[1:2] == ["code"] for name in names):
        return (
            "is a TorchScript program, which is not run for its weights: whoever trusts it saves "
            "them with torch.save(torch.jit.load(FILE).state_dict(), OTHER)"
        )
    if not any(name.endswith("data.pkl") for name in names):
        return f"is a zip of {', '.join(names[:3])[:80] or 'nothing'}: unpack it and name that file"
    if isinstance(error, pickle.UnpicklingError):
        return (
            "holds a model pickled whole or other Python objects; pickled models are refused: "
            "save its weights alone with torch.save(model.state_dict(), FILE)"
        )
    return None


def _unwrapped(loaded: Any, path: Path) -> Any:
    """A checkpoint's state dict: under the usual names, however deep, or the only one there is.

    An average of the weights (`model_ema`) next to them is left, which is a warning.

    Raises:
        FerBenchError: several under other names, such as a teacher's and a student's.
    """
    while isinstance(loaded, dict) and not _is_state(loaded):
        usual = [name for name in _WRAPPERS if isinstance(loaded.get(name), dict)]
        inside = [loaded[name] for name in usual]
        averaged = [
            n for n, value in loaded.items() if _AVERAGED.search(str(n)) and _is_state(value)
        ]
        if usual and any(map(loaded.get, averaged)):
            warnings.warn(
                f"{path.name} holds the weights {usual[0]} and their average "
                f"{', '.join(averaged)}: {usual[0]} is taken; for the other, save it alone",
                stacklevel=2,
            )
        if not inside:
            named = {name: value for name, value in loaded.items() if value and _is_state(value)}
            if len(named) > 1:
                raise FerBenchError(
                    f"{path} holds {len(named)} state dicts ({', '.join(map(str, named))}) and "
                    "nothing says which is meant: save that one alone"
                )
            inside = list(named.values())
        if not inside:
            break
        loaded = inside[0]
    return loaded


def _is_state(value: Any) -> bool:
    return isinstance(value, dict) and all(
        isinstance(name, str) and isinstance(tensor, Tensor) for name, tensor in value.items()
    )


def starting_state(
    request: ModelRequest,
    published: Callable[[], State] | None = None,
    origin: str = "",
    tiny: bool = False,
) -> tuple[State | None, str]:
    """The tensors a request starts from (None: random), and their origin for the provenance.

    Args:
        published, origin: how to get the model's own published weights, and what they are called.
        tiny: whether it is a tiny network, which no published weights fit.

    Raises:
        FerBenchError: weights that cannot be had; the model has no published ones.
    """
    kind = kind_of(request.pretraining)
    if kind == "none":
        return None, "none"
    if kind == "local":
        return read_local(request.pretraining), "local file"
    if tiny:
        raise unpublished(f"no published weights fit the tiny {request.name}", request)
    if kind == "hub":
        return read_hub(request.pretraining), request.pretraining.removeprefix("hf-hub:")
    if published is None:
        raise unpublished(f"{request.name} has no published weights", request)
    return published(), origin


def unpublished(why: str, request: ModelRequest) -> FerBenchError:
    """The error of a network that can start from random or local weights alone."""
    return FerBenchError(
        f"{why}: expected --pretraining none or a local file, got {request.pretraining!r}"
    )
