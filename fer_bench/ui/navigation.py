"""Keeping every page under `app.py`."""

from __future__ import annotations

import runpy

import streamlit as st
from streamlit.runtime.pages_manager import PagesManager

from fer_bench.environment import dashboard_folder

APP = dashboard_folder() / "app.py"


def within_app() -> None:
    """Call first on every page: runs it through `app.py` where Streamlit left that out.

    A folder named `pages` makes Streamlit run a page's file by itself, without the app's navigation
    and logo, when the first visitor of a fresh server opens that page's address.
    """
    if PagesManager.uses_pages_directory:
        PagesManager.uses_pages_directory = False
        runpy.run_path(str(APP))
        st.stop()
