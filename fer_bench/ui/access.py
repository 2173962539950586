"""Whether the visitor of a page may name files and folders of the machine that serves it."""

from __future__ import annotations

import os
from ipaddress import ip_address

import streamlit as st

#: 1 or 0: who runs the server decides, instead of the rule below.
VARIABLE = "FER_BENCH_ALLOW_PATHS"
#: What proxies put before a request that they pass on.
FORWARDED = ("Forwarded", "X-Forwarded-For", "X-Real-Ip")


def may_name_paths() -> bool:
    """Whether this visitor may have the server read and write places of their own naming.

    `FER_BENCH_ALLOW_PATHS=1` lets everyone, any other value no one. Without it those may who sit at
    the machine itself: the server is bound to its loopback address, and no proxy passed them on.
    """
    if given := os.environ.get(VARIABLE):
        return given == "1"
    forwarded = any(name in st.context.headers for name in FORWARDED)
    return _is_loopback(st.get_option("server.address")) and not forwarded


def _is_loopback(address: str | None) -> bool:
    """None is Streamlit's word for all of the machine's addresses."""
    if address is None or address == "localhost":
        return address is not None
    try:
        return ip_address(address).is_loopback
    except ValueError:  # another name, or a socket for a proxy
        return False
