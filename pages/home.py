"""Home: what FER Bench is, three ways in, and the five backbones side by side."""

import pandas as pd
import streamlit as st

from fer_bench import plots, ui
from fer_bench.formatting import escape, interval, percent
from fer_bench.results.leaderboard.five_models import five_models
from fer_bench.results.summary import run_ids
from fer_bench.results.titles import RECIPE_TITLES

DOORS = (
    (
        "Smile at your camera",
        "See your face boxed, followed and named while the video runs. Nothing is stored.",
        "pages/live.py",
        ":material/videocam:",
        "Open the webcam",
    ),
    (
        "Choose a model",
        "Accuracy with intervals, calibration, robustness and speed, trained and tested alike.",
        "pages/leaderboard.py",
        ":material/leaderboard:",
        "Open the leaderboard",
    ),
    (
        "Bring your data",
        "A folder, zip or CSV of faces: class balance, duplicates, leaks, likely label errors.",
        "pages/dataset.py",
        ":material/photo_library:",
        "Look at a data set",
    ),
)


def show_doors() -> None:
    for place, (title, what, page, icon, label) in zip(st.columns(3), DOORS, strict=True):
        with place.container(border=True, height="stretch"):
            st.header(title)
            st.markdown(what)
            st.page_link(page, label=label, icon=icon)


def show_five(ranked: pd.DataFrame) -> None:
    """The first figure: frozen next to fully tuned."""
    five = five_models(ranked)
    if five.empty:
        return
    st.header("The five backbones")
    clicked = ui.chart(
        plots.frozen_and_full(five),
        "five-models",
        "The five backbones, frozen next to fully tuned, with 95 % intervals",
        run_ids(five),
        command=ui.command("report --figures figures"),
        selectable=True,
    )
    if clicked:
        ui.open_run(clicked)
    full = five[five["mode"] == "full"]
    words = [f"Test accuracy on {escape(five['dataset'].iloc[0])}, with 95 % intervals."]
    if not full.empty:
        recipe, epochs = full["recipe"].iloc[0], int(full["epochs"].max())
        words.append(f"Fully tuned: {RECIPE_TITLES.get(recipe, recipe)}, {epochs} epochs.")
    if (five["pretraining"] == "none").all():
        words.append(
            "All from random weights, so frozen means random features; published weights do better."
        )
    st.caption(" ".join(words))


def show_best(ranked: pd.DataFrame) -> None:
    best = ranked.iloc[0]
    st.markdown(
        f"**Best on {escape(best['dataset'])}:** {escape(best['title'])}, "
        f"{percent(best['test_accuracy'])} ({interval(best['ci_low'], best['ci_high'])}) of "
        "the test faces named as their label says."
    )
    ui.run_link(f"{best['dataset']}/{best['run']}", "Open this run")


def main() -> None:
    st.title("FER Bench")
    st.markdown(
        "Which network reads emotions from faces best, how sure can one be, and how fast is it "
        "on this machine?"
    )
    show_doors()
    ranked = ui.headline_runs()
    if not ui.runs():
        ui.no_results()
        return
    if ranked.empty:
        ui.empty_state(
            "No run in a ranking yet",
            "None of those here is finished, on real faces and on all of the data: the leaderboard "
            "shows them.",
        )
        return
    show_five(ranked)
    show_best(ranked)


ui.within_app()
main()
