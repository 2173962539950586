"""Compare: whether one run is really better than another, on the same images, and where."""

import streamlit as st

from fer_bench import ui
from fer_bench.errors import FerBenchError
from fer_bench.results.stored_run import StoredRun
from fer_bench.ui.comparison.differences import (
    drawn,
    show_classes,
    show_curves,
    show_pairs,
    show_runs,
    show_verdict,
)
from fer_bench.ui.comparison.disagreements import show_disagreements
from fer_bench.ui.comparison.runs import comparable_groups, compared, on_the_same_images, pick_runs

INTRODUCTION = (
    "Two runs answer the same images, so their difference can be tested image by image: exact "
    "McNemar tests, 95 % paired bootstrap intervals, and Holm's correction where there are more "
    "than two runs."
)


def show_comparison(runs: list[StoredRun]) -> None:
    sets = [key for key in ui.SET_NAMES if all(key in run.require_record().metrics for run in runs)]
    if not sets:
        st.info("These runs' records have no metrics on the same images.")
        return
    images = ui.pick_images(sets)
    comparison = compared(runs, images)
    figures = drawn(comparison)
    show_verdict(comparison)
    show_runs(comparison)
    show_pairs(comparison, figures)
    show_classes(comparison, figures)
    show_curves(comparison, figures)
    show_disagreements(comparison)


def main() -> None:
    st.title("Compare")
    st.markdown(INTRODUCTION)
    if not ui.runs():
        ui.no_results()
        return
    groups = comparable_groups()
    if sum(map(len, groups)) < 2:
        ui.empty_state(
            "Two finished runs are needed",
            "Compare shows runs with their predictions, side by side. Train another, with another "
            "seed for instance, then reload this page.",
            "python -m fer_bench train --help",
        )
        return
    runs = pick_runs(groups)
    runs = on_the_same_images(runs) if runs else []
    if len(runs) < 2:
        st.info("Choose two runs or more that were measured on the same images.")
        return
    try:
        show_comparison(runs)
    except FerBenchError as error:
        ui.show_error(error)


ui.within_app()
main()
