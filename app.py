"""FER Bench's dashboard: `streamlit run app.py`. A page is one file in pages/ and one line here."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from threading import Thread

import streamlit as st
from streamlit.navigation.page import StreamlitPage

ASSETS = Path(__file__).parent / "assets"


@asynccontextmanager
async def loading(_app: st.App) -> AsyncIterator[None]:
    """What pages are made of is imported while the first visitor's browser is still starting."""
    Thread(target=load, daemon=True).start()
    yield


def load() -> None:
    """Everything that all pages need."""
    from fer_bench.environment import share_cores

    share_cores()
    import fer_bench.ui  # noqa: F401


app = st.App(__file__, lifespan=loading)


def main() -> None:
    """Runs for each visit, and again after each click."""
    from fer_bench import ui

    st.set_page_config(page_title="FER Bench", page_icon=str(ASSETS / "icon.svg"), layout="wide")
    st.logo(ASSETS / "logo.svg", icon_image=ASSETS / "icon.svg", size="large")
    ui.look_again()
    ui.set_colours()
    ui.require_token()
    page = menu()
    # A page that the navigation does not know has no title.
    if (title := getattr(page, "title", "Home")) != "Home":
        st.set_page_config(page_title=f"{title} · FER Bench")
    with st.sidebar:
        ui.run_script("figures.js")
        ui.run_script("tables.js")
        ui.status_line()
        ui.show_address()
    page.run()


def menu() -> StreamlitPage:
    """The page that the visitor is on."""
    return st.navigation(
        {
            "": [st.Page("pages/home.py", title="Home", icon=":material/home:", default=True)],
            "Try it": [
                st.Page("pages/live.py", title="Live", icon=":material/videocam:"),
                st.Page("pages/image.py", title="Try an image", icon=":material/image:"),
                st.Page("pages/video.py", title="Videos", icon=":material/movie:"),
            ],
            "Results": [
                st.Page("pages/leaderboard.py", title="Leaderboard", icon=":material/leaderboard:"),
                st.Page("pages/run.py", title="Run", icon=":material/monitoring:"),
                st.Page("pages/compare.py", title="Compare", icon=":material/compare_arrows:"),
                st.Page("pages/latency.py", title="Latency", icon=":material/speed:"),
                st.Page("pages/robustness.py", title="Robustness", icon=":material/shield:"),
            ],
            "Understand": [
                st.Page("pages/errors.py", title="Errors", icon=":material/grid_on:"),
                st.Page("pages/calibration.py", title="Calibration", icon=":material/tune:"),
                st.Page("pages/explain.py", title="Explain", icon=":material/psychology:"),
            ],
            "Data": [
                st.Page("pages/dataset.py", title="Dataset", icon=":material/photo_library:"),
                st.Page("pages/labels.py", title="Labels", icon=":material/fact_check:"),
            ],
        },
        expanded=True,
    )


if __name__ == "__main__":
    main()
