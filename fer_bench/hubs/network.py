"""Whether and where the Hugging Face hub can be reached."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator
from urllib.parse import urlparse
from urllib.request import getproxies, proxy_bypass

from huggingface_hub import constants
from huggingface_hub.errors import HfHubHTTPError

#: Seconds after which a hub that does not answer counts as out of reach.
PATIENCE = 3.0
#: Base error of the hub's HTTP client: httpx, httpx2 or requests, as its version has it.
HTTP_ERROR: type[Exception] = HfHubHTTPError.__bases__[0]


def endpoint() -> str:
    """Where the hub is: HF_ENDPOINT, or the public one."""
    return (os.environ.get("HF_ENDPOINT") or constants.ENDPOINT).rstrip("/")


@contextlib.contextmanager
def no_waiting_without_network() -> Iterator[bool]:
    """Without a network the hub's client uses its cache alone, instead of trying for a minute.

    Yields whether there is no network.
    """
    was = constants.HF_HUB_OFFLINE
    no_network = not was and not _answers()
    constants.HF_HUB_OFFLINE = was or no_network
    try:
        yield no_network
    finally:
        constants.HF_HUB_OFFLINE = was


def _answers() -> bool:
    """Whether the hub, or the proxy on the way there, takes a connection."""
    address, proxies = urlparse(endpoint()), getproxies()
    proxy = proxies.get(address.scheme) or proxies.get("all")
    if proxy and not proxy_bypass(address.hostname or ""):
        address = urlparse(proxy if "//" in proxy else f"//{proxy}")
    port = address.port or {"http": 80, "https": 443}.get(address.scheme, 1080)
    try:
        socket.create_connection((address.hostname or "", port), timeout=PATIENCE).close()
    except (OSError, UnicodeError):
        return False
    return True
