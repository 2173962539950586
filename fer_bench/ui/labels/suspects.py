"""Labels that are likely wrong, and whose side FER+'s voters take."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from fer_bench import ui
from fer_bench.formatting import how_many, interval, percent
from fer_bench.results.leaderboard.headline import Tile
from fer_bench.results.record import RunRecord
from fer_bench.results.stored_run import StoredRun
from fer_bench.studies.labels import annotators
from fer_bench.ui.labels import computed

ANY = "any"
SUSPECT_COLUMNS = {
    "id": st.column_config.TextColumn("Image"),
    "label": st.column_config.TextColumn("Label"),
    "answer": st.column_config.TextColumn("Model's answer"),
    "confidence": ui.number("Confidence", ui.PERCENT),
    "label_probability": ui.number(
        "Label's probability", ui.PERCENT, "What the model gives the label"
    ),
    "quality": ui.number("Label quality", "%.3f", "Normalised margin; 0 is the most suspicious"),
    "favourite": st.column_config.TextColumn("Voters' favourite"),
    "votes_for_label": ui.number("Votes for label", "%d"),
    "votes_for_answer": ui.number("Votes for answer", "%d"),
    "voters": ui.number("Voters", "%d"),
    "sides_with": st.column_config.TextColumn("Voters side with"),
}


def show_sides(suspects: pd.DataFrame) -> None:
    """Whose side the voters take on images whose label the model doubts."""
    rates = annotators.sides(suspects)
    ui.tiles(
        [
            Tile(
                name=f"Voters side with {'the ' if side != 'neither' else ''}{side}",
                value=percent(rate.value),
                below=interval(*rate.ci95),
                explanation=f"{rate.hits:,} of {rate.n:,} suspects with FER+ votes, by the choice "
                "with most votes; below, the 95 % Wilson interval",
            )
            for side, rate in rates.items()
        ]
    )


def filtered(suspects: pd.DataFrame, emotions: tuple[str, ...]) -> pd.DataFrame:
    """The suspects that the controls ask for."""
    boxes = [("label", "Label", emotions), ("answer", "Model's answer", emotions)]
    if "sides_with" in suspects:
        boxes.append(("sides_with", "Voters side with", annotators.SIDES))
    keep = pd.Series(True, index=suspects.index)
    for place, (column, name, choices) in zip(st.columns(len(boxes)), boxes, strict=True):
        wanted = place.selectbox(name, [ANY, *choices], key=f"suspect-{column}")
        if wanted != ANY:
            keep &= suspects[column] == wanted
    return suspects[keep]


def caption(row: Any) -> str:
    """What an image is labelled, what the model says, and how the voters voted."""
    words = f"{row.label} → {row.answer}  \n{percent(row.confidence)}"
    if not hasattr(row, "voters"):
        return words
    votes = f"label {row.votes_for_label}, model {row.votes_for_answer} of {row.voters} votes"
    return f"{words}  \n{votes}"


def show_suspects(run: StoredRun, record: RunRecord, votes: pd.DataFrame | None) -> None:
    st.caption(
        "Confident learning (Northcutt et al. 2021, arXiv 1911.00068) on this run's test images: a "
        "label is suspect where the model is as sure of another emotion as it usually is of that "
        "emotion's own images. A hint to look, not a verdict: the model may be wrong."
    )
    table = computed.suspects(run)
    suspects = table[table["suspect"]]
    st.markdown(f"**{len(suspects):,} of {how_many(len(table), 'test label')}** are suspect.")
    if suspects.empty:
        return
    if votes is not None:
        voted = annotators.with_votes(suspects, votes)
        if voted.empty:
            st.info("FER+'s votes next to your data know none of these images.")
        else:
            suspects = voted
            show_sides(suspects)
    suspects = filtered(suspects, record.dataset.emotions)
    if suspects.empty:
        st.info("No suspect fits these filters.")
        return
    size = ui.pick_gallery_size()
    rows: list[Any] = list(suspects.head(size).itertuples())
    shown = [(row.id, caption(row)) for row in rows]
    ui.show_pictures(shown, len(suspects), record, "suspects-data")
    with st.expander(f"Table of {how_many(len(suspects), 'suspect')}"):
        ui.data_table(suspects, SUSPECT_COLUMNS, "suspects", "likely-label-errors.csv")
