"""Places by URL, as fsspec opens them: their errors in words, their passwords never shown."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from fer_bench.errors import FerBenchError

#: Errors of a store's own that are no OSError, such as an S3 without credentials.
_STORE_ERRORS = {
    "s3": ("botocore.exceptions:BotoCoreError", "botocore.exceptions:ClientError"),
    "gs": ("google.auth.exceptions:GoogleAuthError", "gcsfs.retry:HttpError"),
    "abfs": ("azure.core.exceptions:AzureError",),
    "http": ("aiohttp:ClientError",),
}


def is_url(address: str) -> bool:
    """Whether an address is a URL; else it is a path."""
    return "://" in address


def split_addresses(text: str) -> list[str]:
    """Paths and URLs that `os.pathsep` separates, as in `PATH`; a URL's own colons do not."""
    url = r"[A-Za-z][A-Za-z0-9+.-]*(?:::[A-Za-z][A-Za-z0-9+.-]*)*://(?:[^/@]*@)?[^/:]*(?::\d+(?=/|$))?"
    pattern = rf"(?:{url})?[^{re.escape(os.pathsep)}]+"
    return [part.strip() for part in re.findall(pattern, text) if part.strip()]


def shown(url: str) -> str:
    """A URL as messages may have it: without a user, a password or a query."""
    return re.sub(r"//[^/@]*@", "//", url).partition("?")[0]


def store_errors(files: Any) -> tuple[type[Exception], ...]:
    """What reading and writing in an fsspec file system may raise, its own library's included."""
    protocols = (files.protocol,) if isinstance(files.protocol, str) else files.protocol
    targets = [target.split(":") for p in protocols for target in _STORE_ERRORS.get(p, ())]
    own = (getattr(import_module(module), name) for module, name in targets)
    return OSError, ValueError, NotImplementedError, *own


def reason(error: Exception) -> str:
    """An error in words, without its URL and without a password."""
    words = str(getattr(error, "strerror", None) or str(error) or type(error).__name__)
    return re.sub(r"[^\s/@]+:[^\s/@]+@", "", words).strip().rstrip(".")


def open_store(url: str, what: str) -> tuple[Any, str]:
    """The fsspec file system of a path or URL, and the root in it, without a slash at its end.

    Args:
        what: the words for it in errors, such as `the results`.

    Raises:
        FerBenchError: a URL of a kind that fsspec does not know, or whose package is missing.
    """
    import fsspec  # takes a while to import

    try:
        files, root = fsspec.url_to_fs(url)
    except (OSError, ValueError, ImportError) as error:
        raise FerBenchError(
            f"cannot open {what} at {shown(url)}: {reason(error)}; expected a folder, or a URL "
            "such as s3://bucket/lab whose fsspec package is installed "
            "(pip install 'fer-bench[scale]')"
        ) from None
    return files, root.rstrip("/")


@contextmanager
def plain_errors(files: Any, what: str, advice: str) -> Iterator[None]:
    """Turns the errors of an fsspec file system into one sentence: `cannot WHAT: ...; ADVICE`.

    Raises:
        FerBenchError: any of `store_errors`.
    """
    try:
        yield
    except store_errors(files) as error:
        raise FerBenchError(f"cannot {what}: {reason(error)}; {advice}") from None
