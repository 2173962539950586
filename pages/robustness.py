"""Robustness: what is left of a run's accuracy on spoilt faces, and on other data sets."""

from functools import partial

import streamlit as st

from fer_bench import ui
from fer_bench.formatting import escape
from fer_bench.ui.robustness.corruptions import show_corruptions
from fer_bench.ui.robustness.reports import reports
from fer_bench.ui.robustness.transfer import show_transfer

INTRODUCTION = (
    "What is left of a run's accuracy when faces come as webcams give them, in five severities, or "
    "from another data set. Reported on test images, never used to choose anything."
)


def main() -> None:
    st.title("Robustness")
    st.markdown(INTRODUCTION)
    stored = reports()
    for problem in stored.problems:
        st.warning(escape(problem))
    ui.show_views(
        {
            "Corruptions": partial(show_corruptions, stored),
            "Other data sets": partial(show_transfer, stored),
        }
    )


ui.within_app()
main()
