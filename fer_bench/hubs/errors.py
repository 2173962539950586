"""What the Hugging Face hub's client raises, in one sentence each, without addresses and tokens."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from urllib.parse import urlparse

from huggingface_hub import get_token
from huggingface_hub.errors import (
    GatedRepoError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RevisionNotFoundError,
)

from fer_bench.errors import FerBenchError, RunFailed, one_line
from fer_bench.hubs.address import Repository
from fer_bench.hubs.network import HTTP_ERROR, endpoint

#: What the client raises where the hub, the network or the disk fail.
HUB_ERRORS = (OSError, HTTP_ERROR, RuntimeError, ValueError)
LOG_IN = "log in with `hf auth login`, or set HF_TOKEN"


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
