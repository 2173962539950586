"""Keeping every page under `app.py`."""

from __future__ import annotations

import runpy
from pathlib import Path

import streamlit as st
from streamlit.runtime.pages_manager import PagesManager

import fer_bench

APP = Path(fer_bench.__file__).parents[1] / "app.py"


def within_app() -> None:
    """Call first on every page: runs it through `app.py` where Streamlit left that out.

    A folder named `pages` makes Streamlit run a page's file by itself, without the app's navigation
    and logo, when the first visitor of a fresh server opens that page's address.
    """
    if PagesManager.uses_pages_directory:
        PagesManager.uses_pages_directory = False
        runpy.run_path(str(APP))
        st.stop()
