"""The control "which model for my budget?": a speed, least recalls, and the run to take."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from fer_bench.formatting import escape, how_many
from fer_bench.results.leaderboard.glossary import explain
from fer_bench.studies.latency.budget import Budget, Recommendation, candidates_by_benchmark, choose
from fer_bench.studies.latency.tables import MeasuredNetwork, option_table
from fer_bench.ui.pickers import RUN_COLUMN, run_table
from fer_bench.ui.records import command, runs
from fer_bench.ui.widgets import PERCENT, download_csv, empty_state, number

#: The Latency page's tab that holds this control.
BUDGET_VIEW = "Which model for my budget?"
#: Each way to name a speed: the most at first, and the step.
FRAMES, FACES = "Frames per second", "Milliseconds per face"
FIRST = {FRAMES: (30.0, 5.0), FACES: (10.0, 1.0)}
COLUMNS = {
    "title": RUN_COLUMN,
    "fits": st.column_config.CheckboxColumn("Fits", width="small"),
    "test_accuracy": number("Accuracy", PERCENT),
    "milliseconds": number("Median", "%.2f ms"),
    "per_second": number("Per second", "%.0f"),
    "backend": st.column_config.TextColumn("Back end"),
    "weakest": st.column_config.TextColumn("Weakest emotion"),
    "weakest_recall": number("Its recall", PERCENT),
    "misses": st.column_config.TextColumn("What it misses", width="large"),
}


def show_budget(here: Sequence[MeasuredNetwork]) -> None:
    """The whole control, for one machine.

    Args:
        here: what was measured on that machine.
    """
    candidates = candidates_by_benchmark(runs(), {one.name: one.report for one in here})
    if not candidates:
        empty_state(
            "No run to choose from",
            "No run that stands in a ranking was measured on this machine. Measure one there, then "
            "reload this page.",
            command("latency RUN"),
        )
        return
    data = st.selectbox(
        "Data set", list(candidates), key="budget-data", help=explain("official", "kaggle")
    )
    chosen = candidates[data]
    answer = choose(chosen, _ask(chosen[0].record.dataset.emotions))
    show = st.success if answer.best else st.warning
    show(escape(answer.sentence), icon=":material/target:" if answer.best else ":material/warning:")
    _show_ruled_out(answer, len(chosen))
    _show_options(answer)


def _ask(emotions: Sequence[str]) -> Budget:
    """The budget that the controls say."""
    left, right = st.columns(2, gap="large")
    with left.container(horizontal=True, vertical_alignment="bottom"):
        kind = st.segmented_control("Budget", list(FIRST), default=FRAMES, required=True)
        value, step = FIRST[kind]
        amount = st.number_input(
            kind, 0.01, 10_000.0, value, step, "%g", key=f"budget-{kind}", width=150
        )
    least = right.slider(
        "Minimum recall of every emotion", 0, 100, 0, 5, format="%d %%", key="budget-recall"
    )
    recall = _ask_by_emotion(emotions, least)
    whole_frame = kind == FRAMES
    return Budget(
        milliseconds=1000 / amount if whole_frame else amount,
        whole_frame=whole_frame,
        recall={emotion: share / 100 for emotion, share in recall.items() if share},
    )


def _ask_by_emotion(emotions: Sequence[str], least: int) -> dict[str, int]:
    """Each emotion's least recall in percent: its own, or that of all where that is more."""
    recall = {}
    with st.expander("More for single emotions", icon=":material/tune:"):
        places = [place for _ in range(0, len(emotions), 4) for place in st.columns(4)]
        for place, emotion in zip(places, emotions, strict=False):
            own = place.slider(
                escape(emotion), 0, 100, 0, 5, format="%d %%", key=f"budget-recall-{emotion}"
            )
            recall[emotion] = max(own, least)
    return recall


def _show_ruled_out(answer: Recommendation, n: int) -> None:
    """How many runs each limit costs."""
    fits = sum(not option.misses for option in answer.options)
    lines = [f"{fits} of {how_many(n, 'run')} fit."]
    if answer.ruled_out:
        lines.append("Ruled out (a run can miss several limits):")
    lines += [f"- {count} × {escape(limit)}" for limit, count in answer.ruled_out.items()]
    st.markdown("\n".join(lines))


def _show_options(answer: Recommendation) -> None:
    table = option_table(answer)
    if table.empty:
        return
    run_table(table, COLUMNS, list(table["run"]), "budget-options")
    download_csv(table, "budget.csv", "budget-csv")
    st.caption(
        "Accuracy and recall are those of the test images in fp32. Frames per second count the "
        "face detector too; milliseconds per face are those of the network alone, batch 1."
    )
