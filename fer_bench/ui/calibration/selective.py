"""Answering only when sure: what a threshold on the confidence gives, and which keeps a promise."""

from __future__ import annotations

from functools import partial

import pandas as pd
import streamlit as st

from fer_bench import plots
from fer_bench.evaluation import calibration, selective
from fer_bench.evaluation.confusion import of_set
from fer_bench.formatting import escape, interval, percent
from fer_bench.results.leaderboard.glossary import TERMS
from fer_bench.results.leaderboard.headline import Tile
from fer_bench.results.leaderboard.rankings import ranking_key
from fer_bench.results.record import RunRecord
from fer_bench.results.stored_run import StoredRun
from fer_bench.ui.pickers import run_table
from fer_bench.ui.records import called, command
from fer_bench.ui.records import predictions as predictions_of
from fer_bench.ui.widgets import PERCENT, chart, data_table, number, tiles

#: More curves than this are hard to tell apart.
MOST_OTHERS = 4
EMOTION = st.column_config.TextColumn("Emotion", width="small")
narrow = partial(number, width="small")
ANSWERED_COLUMNS = {
    "emotion": EMOTION,
    "images": narrow("Images", "localized", "Of this emotion"),
    "coverage": narrow("Answered", PERCENT, "Share of these images"),
    "recall": narrow("Recall", PERCENT, "Right answers of its answered images"),
    "precision": narrow("Precision", PERCENT, "Right ones of the answers that name it"),
    "answers": narrow("Answers", "localized", "That name it"),
}
AURC_COLUMNS = {
    "title": st.column_config.TextColumn("Run"),
    "aurc": narrow("AURC", "%.4f", TERMS["aurc"]),
}


def _pick_others(run: StoredRun, stored: list[StoredRun]) -> list[StoredRun]:
    """Runs of the same benchmark to draw next to this one."""
    same = ranking_key(run.require_record())
    others = {
        one.id: one
        for one, record in ((one, one.require_record()) for one in stored)
        if one.folder != run.folder and record.has_probabilities and ranking_key(record) == same
    }
    names = st.multiselect(
        "Runs next to it",
        list(others),
        max_selections=MOST_OTHERS,
        format_func=called,
        key=f"others-{run.id}",
        wrap=True,
    )
    return [others[name] for name in names]


def _show_curves(
    run: StoredRun, stored: list[StoredRun], chosen: str, answered: selective.Accepted
) -> None:
    """Risk over coverage of this run and of others, each after its own temperature."""
    curves, areas = {}, {}
    for one in (run, *_pick_others(run, stored)):
        predictions = predictions_of(one)
        if predictions is None or of_set(predictions, chosen).empty:
            st.caption(f"{escape(called(one.id))} has no predictions of these images.")
            continue
        scores = calibration.calibrated_scores(predictions, one.require_record(), chosen)
        curves[called(one.id)] = selective.risk_coverage(*scores)
        areas[one.id] = selective.area_under_risk_coverage(*scores)
    figure = plots.risk_coverage_curves(curves, answered.point)
    words = command(f"results --figures {run.id}")
    chart(figure, "risk-coverage", "Risk over coverage", areas, command=words)
    run_table(pd.DataFrame({"aurc": areas.values()}), AURC_COLUMNS, list(areas), "aurc")


def show_selective(
    run: StoredRun, stored: list[StoredRun], chosen: str, scaled: selective.Scores
) -> None:
    """What a threshold that the visitor moves answers, and the risk at every other one."""
    st.header("Answering only when sure")
    st.caption(
        "Confidence is the largest probability after the temperature, the one that Live, Try an "
        "image and `predict` show."
    )
    threshold = st.slider(
        "Answer only when at least so sure", 0.0, 1.0, 0.6, 0.01, format="percent", key="threshold"
    )
    answered = selective.answered_above(*scaled, threshold)
    tiles(_answered_tiles(answered))
    left, right = st.columns(2, gap="large")
    with left:
        _show_curves(run, stored, chosen, answered)
    with right:
        emotions = run.require_record().dataset.emotions
        table = selective.answered_by_emotion(*scaled, emotions, threshold)
        data_table(table, ANSWERED_COLUMNS, "answered", "answered.csv")


def _answered_tiles(answered: selective.Accepted, where: str = "") -> list[Tile]:
    accuracy, share = answered.accuracy, answered.share
    return [
        Tile(
            name=f"Accuracy of the answered{where}",
            value=percent(accuracy.value),
            below=interval(*accuracy.ci95),
            explanation=f"{accuracy.hits:,} of {accuracy.n:,} images right; below, the 95 % Wilson "
            "interval",
        ),
        Tile(
            name=f"Answered{where}",
            value=percent(share.value),
            below=f"{share.hits:,} of {share.n:,} images",
        ),
    ]


def show_promise(predictions: pd.DataFrame, record: RunRecord) -> None:
    """A threshold chosen on the selection split, and what it gives on test."""
    selection, test = record.spec.selection_split, record.spec.test_split
    st.header("Which threshold keeps a promise?")
    wanted = st.slider("Accuracy wanted", 0.5, 0.99, 0.9, 0.01, format="percent", key="wanted")
    chosen_on, held_on = (
        calibration.calibrated_scores(predictions, record, split) for split in (selection, test)
    )
    point = selective.operating_point(chosen_on, held_on, wanted)
    if point is None:
        st.warning(f"No threshold reaches {percent(wanted)} on {selection}: ask for less.")
        return
    st.markdown(
        f"Answer from **{percent(point.threshold)}** on: the threshold that answers most images "
        f"of {selection} with {percent(wanted)} right. It was chosen there alone; {test} shows "
        "what it is worth."
    )
    tiles(
        [
            *_answered_tiles(point.chosen_on, f" on {selection}"),
            *_answered_tiles(point.held_on, f" on {test}"),
        ]
    )
