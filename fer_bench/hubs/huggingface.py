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
from urllib.parse import urlparse

from huggingface_hub import (
    CommitOperationAdd,
    CommitOperationDelete,
    HfApi,
    get_token,
    snapshot_download,
)
from huggingface_hub.errors import (
    GatedRepoError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RevisionNotFoundError,
)
from huggingface_hub.utils.tqdm import tqdm

import fer_bench
from fer_bench.errors import FerBenchError, RunFailed, one_line
from fer_bench.hubs.address import Repository
from fer_bench.hubs.network import HTTP_ERROR, endpoint, no_waiting_without_network
from fer_bench.settings import cache_dir

#: What the client raises where the hub, the network or the disk fail.
HUB_ERRORS = (OSError, HTTP_ERROR, RuntimeError, ValueError)
LOG_IN = "log in with `hf auth login`, or set HF_TOKEN"
Kind = Literal["model", "space"]
#: A file of every repository that we write, and what the hub itself puts into new ones.
OURS, BY_THE_HUB = "model.json", {".gitattributes", "README.md"}


@contextlib.contextmanager
def in_words(repository: Repository, action: str = "read") -> Iterator[None]:
    """Turns the client's errors into one sentence, without addresses and tokens."""
    try:
        yield
    except FerBenchError:
        raise
    except HUB_ERRORS as error:
        raise _refusal(error, repository, action) from None


def _refusal(error: Exception, repository: Repository, action: str) -> FerBenchError:
    cause = error.__cause__ if isinstance(error, LocalEntryNotFoundError) else error
    response = getattr(cause, "response", None)
    status = getattr(response, "status_code", None)
    where = f"{repository.id} on the hub"
    if isinstance(cause, RevisionNotFoundError):
        return FerBenchError(
            f"{where} has no revision {repository.revision or 'main'}: name a branch, a tag or a "
            "commit of it"
        )
    if isinstance(cause, GatedRepoError):
        return FerBenchError(
            f"{where} is gated: ask for access on its page, then {LOG_IN} of that account"
        )
    if response is not None and status is not None:
        return _by_status(status, response.headers, where, action, _in_words(cause))
    unreachable = (HTTP_ERROR, OfflineModeIsEnabled, ConnectionError, TimeoutError)
    if isinstance(error, LocalEntryNotFoundError) or isinstance(cause, unreachable):
        cached = ", and not all of it is in the cache" if action == "read" else ""
        return RunFailed(
            f"cannot {action} {where}: {urlparse(endpoint()).netloc} cannot be reached{cached}; "
            "check the network, HF_ENDPOINT and HF_HUB_OFFLINE"
        )
    return RunFailed(f"cannot {action} {where}: {_in_words(cause)}; try again")


def _by_status(
    status: int, headers: Mapping[str, str], where: str, action: str, message: str
) -> FerBenchError:
    """What the hub's answer means for the user."""
    if status == 429:
        seconds = headers.get("Retry-After", "")
        wait = f"in {seconds} seconds" if seconds.isdecimal() else "in some minutes"
        return RunFailed(f"the hub asks for fewer requests (429): try again {wait}")
    if status >= 500:
        return RunFailed(
            f"cannot {action} {where}: it answered with an error ({status}): try later"
        )
    if status in (409, 412):
        return RunFailed(
            f"cannot {action} {where}: somebody else changed it meanwhile ({status}): try again"
        )
    if action == "read" and status in (401, 404):
        return FerBenchError(
            f"there is no {where}, or it is private ({status}): check the name, and for a private "
            f"one {LOG_IN}"
        )
    if status == 401:
        return FerBenchError(f"the hub does not accept the token (401): {LOG_IN} to a new one")
    if status == 403:
        return FerBenchError(
            f"the token has no right to {action} {where} (403): use one that has, or another ORG"
        )
    if status == 404:
        return FerBenchError(f"there is no {where} (404): check ORG and NAME")
    return FerBenchError(f"the hub refuses to {action} {where} ({status}): {message}")


def _in_words(error: BaseException | None) -> str:
    """The end of what the hub said, in one line, without the token."""
    words = getattr(error, "server_message", None) or str(error) or type(error).__name__
    if token := get_token():
        words = words.replace(token, "***")
    return one_line(words)[-200:].rstrip(".")


@dataclass(frozen=True, kw_only=True)
class Commit:
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
) -> Commit:
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
    return Commit(url=str(url), commit=str(commit.oid))


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
