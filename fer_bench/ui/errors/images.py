"""The images behind a run's answers, and the way on from one of them."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from fer_bench import ui
from fer_bench.evaluation import confusion
from fer_bench.evaluation.gallery import ImagesById
from fer_bench.formatting import how_many, percent
from fer_bench.results.record import RunRecord
from fer_bench.results.stored_run import StoredRun
from fer_bench.ui.explain.computed import FACE_PARAMETER
from fer_bench.ui.images.upload import try_image

ANSWER_COLUMNS = {
    "id": st.column_config.TextColumn("Image"),
    "true": st.column_config.TextColumn("True"),
    "predicted": st.column_config.TextColumn("Predicted"),
    "confidence": ui.number("Confidence", ui.PERCENT),
}
ANY = "any"


def filtered(answers: pd.DataFrame, emotions: tuple[str, ...]) -> pd.DataFrame:
    """The answers that the gallery's controls ask for."""
    kind, true, predicted = st.columns(3)
    st.session_state.setdefault("gallery-answers", "Wrong")  # a click on a cell sets it too
    right = kind.segmented_control(
        "Answers", ["Wrong", "Right"], required=True, key="gallery-answers"
    )
    wanted_true = true.selectbox("True", [ANY, *emotions], key="gallery-true")
    wanted_predicted = predicted.selectbox("Predicted", [ANY, *emotions], key="gallery-predicted")
    keep = answers["correct"] == (right == "Right")
    if wanted_true != ANY:
        keep &= answers["true"] == wanted_true
    if wanted_predicted != ANY:
        keep &= answers["predicted"] == wanted_predicted
    return answers[keep]


def show_gallery(run: StoredRun, predictions: pd.DataFrame, record: RunRecord) -> None:
    st.header("Images, most confident first")
    answers = filtered(
        confusion.answers(predictions, record.dataset.emotions), record.dataset.emotions
    )
    if answers.empty:
        st.info("No image fits these filters.")
        return
    size = ui.pick_gallery_size()
    rows: list[Any] = list(answers.head(size).itertuples())
    shown = [(row.id, ui.answer_words(row)) for row in rows]
    ui.show_pictures(shown, len(answers), record, "gallery-data")
    look_closer(run, record, rows)
    with st.expander(f"Table of {how_many(len(answers), 'image')}"):
        ui.data_table(answers, ANSWER_COLUMNS, "answers", "answers.csv")


def look_closer(run: StoredRun, record: RunRecord, rows: list[Any]) -> None:
    """From one of the pictures shown to why it was answered so, or to other models."""
    dataset = ui.dataset_of(record)
    if dataset is None:
        return
    images = ImagesById(dataset)
    rows = [row for row in rows if row.id in images]
    if not rows:
        return
    shown = {row.id: f"{row.true} → {row.predicted}, {percent(row.confidence)}" for row in rows}
    with st.container(horizontal=True, vertical_alignment="bottom"):
        chosen = st.selectbox(
            "A closer look at",
            list(shown),
            format_func=lambda name: f"{shown[name]}: {name}",
            key="closer",
        )
        if run.has_weights and st.button("Why?", icon=":material/psychology:", key="why"):
            parameters = {ui.RUN_PARAMETER: run.id, FACE_PARAMETER: chosen}
            st.switch_page("pages/explain.py", query_params=parameters)
        if st.button("Try it on other models", icon=":material/image:", key="try"):
            try_image(f"{chosen}.png", images[chosen])
