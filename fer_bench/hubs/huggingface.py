"""Repositories on the Hugging Face hub: fetched into the cache, written in one commit.

The token is the hub client's own affair (`hf auth login`, or HF_TOKEN): nothing here keeps it.
Nothing that is fetched is ever run: `trust_remote_code` has no place here.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from huggingface_hub import (
    CommitOperationAdd,
    CommitOperationDelete,
    HfApi,
    get_token,
    snapshot_download,
)
from huggingface_hub.utils.tqdm import tqdm

import fer_bench
from fer_bench.errors import FerBenchError
from fer_bench.hubs.address import Repository
from fer_bench.hubs.errors import LOG_IN, in_words
from fer_bench.hubs.network import endpoint, no_waiting_without_network
from fer_bench.storage import cache_dir

Kind = Literal["model", "space"]
#: A file of every repository that we write, and what the hub itself puts into new ones.
OURS, BY_THE_HUB = "model.json", {".gitattributes", "README.md"}


@dataclass(frozen=True, kw_only=True)
class Upload:
    """A commit on the hub, and where people see what it holds."""

    url: str
    commit: str


class _Bars(tqdm):
    """The hub client's progress bars, on terminals only."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **{"disable": None, **options})  # type: ignore[no-untyped-call]


@lru_cache(maxsize=64)
def fetch_files(repository: Repository, names: tuple[str, ...], address: str) -> Path:
    """Those of the named files that a model repository has, in a folder of the cache.

    The hub is asked once in a process; where it cannot be reached, what was fetched before serves.

    Args:
        address: `endpoint()`.

    Raises:
        FerBenchError: no such repository or revision, or no access to it.
        RunFailed: no network and nothing in the cache, or the hub or the disk failed.
    """
    with in_words(repository), no_waiting_without_network():
        # The user names the repository, and nothing in these files can run.
        return Path(
            snapshot_download(
                repository.id,
                revision=repository.revision,
                allow_patterns=list(names),
                cache_dir=cache_dir() / "hub",
                endpoint=address,
                tqdm_class=_Bars,
                library_name="fer-bench",
                library_version=fer_bench.__version__,
            )
        )


def upload_files(
    repository: Repository,
    files: Mapping[str, bytes],
    *,
    kind: Kind = "model",
    sdk: str | None = None,
    private: bool = False,
    force: bool = False,
    replaced: Collection[str] = (),
) -> Upload:
    """Writes files to a repository in one commit; makes the repository where there is none.

    Args:
        sdk: of a Space, `static` or `docker`.
        force: although it holds other things than an earlier upload of ours.
        replaced: names of an earlier upload's files; those not among `files` are removed.

    Raises:
        FerBenchError: no token or one without the right, a repository that holds other things or is
            public against `private`.
        RunFailed: no network, the hub failed or asks to wait, or somebody else wrote meanwhile.
    """
    require_writable(repository)
    api = HfApi(
        endpoint=endpoint(), library_name="fer-bench", library_version=fer_bench.__version__
    )
    with in_words(repository, "write to"), no_waiting_without_network(), _no_advice():
        url = api.create_repo(
            repository.id, repo_type=kind, private=private or None, exist_ok=True, space_sdk=sdk
        )
        about = api.space_info if kind == "space" else api.model_info
        info = about(repository.id)
        there = {sibling.rfilename for sibling in info.siblings or ()}
        _require_ours(repository, there, private and not info.private, force)
        removed = sorted((there & set(replaced)) - set(files))
        commit = api.create_commit(
            repository.id,
            [
                *(CommitOperationAdd(name, content) for name, content in files.items()),
                *(CommitOperationDelete(name) for name in removed),
            ],
            commit_message=f"Pushed by FER Bench {fer_bench.__version__}",
            repo_type=kind,
            parent_commit=info.sha,
        )
    return Upload(url=str(url), commit=str(commit.oid))


def require_writable(repository: Repository) -> None:
    """What can be known of a repository before anything is sent.

    Raises:
        FerBenchError: an old revision of it, or nobody is logged in to the hub.
    """
    if repository.revision is not None:
        raise FerBenchError(
            f"a push goes to the main branch, got {repository.id}@{repository.revision}: leave "
            "out what follows the @"
        )
    if get_token() is None:
        raise FerBenchError(f"a push needs a token of the hub with the right to write: {LOG_IN}")


def _require_ours(
    repository: Repository, there: Collection[str], is_public: bool, force: bool
) -> None:
    if is_public:
        raise FerBenchError(
            f"{repository.id} is public already, got --private: make it private on its page, or "
            "push without --private"
        )
    others = set(there) - BY_THE_HUB
    if others and OURS not in others and not force:
        raise FerBenchError(
            f"{repository.id} holds other things than a push of FER Bench ({min(others)!r:.80}, "
            "...): choose another name, or add to it with --force"
        )


@contextlib.contextmanager
def _no_advice() -> Iterator[None]:
    """Without the client's remarks on what belongs into which kind of repository."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        yield
