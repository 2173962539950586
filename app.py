"""FER Bench's dashboard: `streamlit run app.py`. A page is one file in views/ and one line here.

The folder is not called `pages`: Streamlit would then run its files without this one when a fresh
server's first visitor opens the address of a page.
"""

import streamlit as st

from fer_bench import ui

st.set_page_config(page_title="FER Bench", page_icon="assets/icon.svg", layout="wide")
st.logo("assets/logo.svg", icon_image="assets/icon.svg", size="large")

page = st.navigation(
    [
        st.Page("views/leaderboard.py", title="Leaderboard", icon=":material/leaderboard:"),
        st.Page("views/run.py", title="Run", icon=":material/monitoring:"),
        st.Page("views/errors.py", title="Errors", icon=":material/grid_on:"),
        st.Page("views/dataset.py", title="Dataset", icon=":material/photo_library:"),
    ]
)
with st.sidebar:
    ui.status_line()
page.run()
