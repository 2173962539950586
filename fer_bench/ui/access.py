"""How pages are opened and by whom, and who may name files and folders of the serving machine."""

from __future__ import annotations

import hmac
import runpy
from ipaddress import ip_address

import segno
import streamlit as st
from streamlit.runtime.pages_manager import PagesManager

from fer_bench.environment import dashboard_folder
from fer_bench.settings import Settings

APP = dashboard_folder() / "app.py"
#: 1 or 0: who runs the server decides, instead of the rule below.
VARIABLE = "FER_BENCH_ALLOW_PATHS"
#: What visitors must know, where it is set; and where other devices find the pages.
TOKEN, ADDRESS = "FER_BENCH_TOKEN", "FER_BENCH_ADDRESS"
TOKEN_PARAMETER = "token"  # nosec B105
#: What proxies put before a request that they pass on.
FORWARDED = ("Forwarded", "X-Forwarded-For", "X-Real-Ip")


def within_app() -> None:
    """Call first on every page: runs it through `app.py` where Streamlit left that out.

    A folder named `pages` makes Streamlit run a page's file by itself, without the app's navigation
    and logo, when the first visitor of a fresh server opens that page's address.
    """
    if PagesManager.uses_pages_directory:
        PagesManager.uses_pages_directory = False
        runpy.run_path(str(APP), run_name="__main__")
        st.stop()


def may_name_paths() -> bool:
    """Whether this visitor may have the server read and write paths that they name.

    `FER_BENCH_ALLOW_PATHS=1` lets everyone, any other value no one. Without it those may who sit at
    the machine itself: the server is bound to its loopback address, and no proxy passed them on.
    """
    if given := Settings().allow_paths:
        return given == "1"
    return _is_loopback(st.get_option("server.address")) and not _is_forwarded()


def require_token() -> None:
    """Ends the page with a form, unless the visitor knows `FER_BENCH_TOKEN`.

    The token may stand in the address: `?token=...`. Where the variable is not set, all may enter.
    """
    wanted = Settings().token
    if not wanted or st.session_state.get(TOKEN) == wanted:
        return
    given = st.query_params.get(TOKEN_PARAMETER, "")
    if not given:
        st.header("This dashboard asks for a token")
        given = st.text_input("Token", type="password", help="Whoever started it has seen it.")
    if hmac.compare_digest(given.encode(), wanted.encode()):
        st.session_state[TOKEN] = wanted
        st.rerun()
    if given:
        st.error("That is not the token: look at the terminal where the dashboard was started.")
    st.stop()


def show_address() -> None:
    """Where other devices find the pages, as a QR code; nothing where only this machine does."""
    if address := Settings().address:
        with st.popover("Open on a phone", icon=":material/qr_code:"):
            st.image(
                segno.make(address).svg_inline(scale=6, light="#fff"),
                width=240,
                alt=f"QR code of {address}",
            )
            st.code(address, language=None, wrap_lines=True)


def _is_forwarded() -> bool:
    return any(name in st.context.headers for name in FORWARDED)


def _is_loopback(address: str | None) -> bool:
    """None is Streamlit's word for all of the machine's addresses."""
    if address is None or address == "localhost":
        return address is not None
    try:
        return ip_address(address).is_loopback
    except ValueError:  # another name, or a socket for a proxy
        return False
