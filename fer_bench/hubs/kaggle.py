"""Data sets on Kaggle, by its own client `kagglehub`, which is installed only where it is wanted.

Credentials are the client's own affair (`kagglehub.login()`, KAGGLE_API_TOKEN): nothing here reads
or keeps them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fer_bench.errors import FerBenchError, RunFailed, one_line

#: FER2013 as images, whose names say their official split.
FER2013 = "msambare/fer2013"
#: Errors of the client's own, which have no common base; the others are OSErrors.
_ERRORS = (
    "BackendError", "ColabEnvironmentError", "CredentialError", "DataCorruptionError",
    "KaggleEnvironmentError", "NotFoundError", "UnauthenticatedError",
)  # fmt: skip


def fetch_dataset(handle: str = FER2013) -> Path:
    """Downloads a data set into Kaggle's own cache, once; gives its folder.

    Args:
        handle: `owner/name`, as in the address of its page.

    Raises:
        FerBenchError: no package kagglehub, no such data set, or Kaggle wants an account.
        RunFailed: no network, or Kaggle or the disk failed.
    """
    by_hand = (
        f"or download https://www.kaggle.com/datasets/{handle} by hand and give the zip as --data"
    )
    if handle.count("/") != 1 or not all(handle.split("/")):
        raise FerBenchError(f"expected a data set of Kaggle as OWNER/NAME, got {handle!r:.80}")
    try:
        import kagglehub
        from kagglehub import exceptions
    except ImportError:
        raise FerBenchError(
            f"Kaggle's client is not installed: `pip install kagglehub`, {by_hand}",
            code="missing_extra",
        ) from None
    errors = tuple(getattr(exceptions, name) for name in _ERRORS if hasattr(exceptions, name))
    try:
        return Path(kagglehub.dataset_download(handle))
    except (OSError, ValueError, *errors) as error:
        raise _refusal(error, handle, by_hand) from None


def _refusal(error: Exception, handle: str, by_hand: str) -> FerBenchError:
    response: Any = getattr(error, "response", None)
    status = getattr(response, "status_code", None)
    account = type(error).__name__ in ("CredentialError", "UnauthenticatedError")
    if account or status in (401, 403):
        return FerBenchError(
            f"Kaggle gives {handle} to people with an account only: say `kagglehub.login()` in "
            f"Python once, or set KAGGLE_API_TOKEN, {by_hand}"
        )
    if status == 404 or type(error).__name__ == "NotFoundError":
        return FerBenchError(f"Kaggle has no data set {handle}: check OWNER/NAME on its page")
    if status == 429:
        return RunFailed(f"Kaggle asks for fewer requests (429): try again later, {by_hand}")
    message = one_line(str(error) or type(error).__name__)[:120].rstrip(".")
    return RunFailed(f"{handle} did not come from Kaggle ({message}): check the network, {by_hand}")
