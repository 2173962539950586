"""A model's files on Hugging Face's hub, in its cache, or in a folder."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import snapshot_download

from fer_bench.errors import FerBenchError, near_names
from fer_bench.models.pretrained import downloading, hub_cache

#: What is downloaded: descriptions, tokenizers and safe weights; neither pickles nor code.
WANTED = ("*.json", "*.safetensors", "*.txt", "*.model")
_HUB_ID = re.compile(r"[\w.-]+(/[\w.-]+)?")


@dataclass(frozen=True, kw_only=True)
class ModelFiles:
    """Where a model's files are; `version` is the repository's commit, empty for a folder."""

    folder: Path
    version: str = ""


def local_folder(source: str) -> Path | None:
    """The folder that a source names; None for a repository of the hub.

    Raises:
        FerBenchError: neither.
    """
    folder = Path(source).expanduser()
    if folder.is_dir():
        return folder
    if source.startswith((".", "/", "~")) or not _HUB_ID.fullmatch(source):
        near = f"; {words}" if (words := near_names(folder)) else ""
        raise FerBenchError(
            f"there is no folder {source!r:.160}: expected one, or a hub id "
            f"(organisation/name){near}"
        )
    return None


def files_of(source: str) -> ModelFiles:
    """The files of a repository, downloaded where the cache lacks them, or of a folder.

    Raises:
        FerBenchError: no such folder, or a repository that is neither there nor in the cache.
    """
    if (folder := local_folder(source)) is not None:
        return ModelFiles(folder=folder)
    with downloading(hub_cache(source), "name a folder that holds it"):
        # The user names the repository, of which only data are taken.
        cached = Path(snapshot_download(source, allow_patterns=list(WANTED)))
    return ModelFiles(folder=cached, version=cached.name)
