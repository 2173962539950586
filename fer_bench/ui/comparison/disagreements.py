"""The images that two runs do not name alike."""

from __future__ import annotations

import pandas as pd
import streamlit as st
from streamlit.elements.lib.column_types import ColumnConfig

from fer_bench import ui
from fer_bench.formatting import how_many, percent
from fer_bench.studies.comparison import tables
from fer_bench.studies.comparison.compare import Comparison

ANY, NONE = "any", "none"


def caption(row: pd.Series, letters: list[str]) -> str:
    """What an image is, and each run's answer with its confidence."""
    answers = [f"{x}: {row[f'answer_{x}']} {percent(row[f'confidence_{x}'])}" for x in letters]
    return "  \n".join([f"**{row['true']}**", *answers])


def answer_columns(letters: list[str]) -> dict[str, ColumnConfig]:
    columns: dict[str, ColumnConfig] = {
        "id": st.column_config.TextColumn("Image"),
        "true": st.column_config.TextColumn("True"),
        "right": st.column_config.TextColumn("Right"),
    }
    for x in letters:
        columns[f"answer_{x}"] = st.column_config.TextColumn(f"{x} says")
        columns[f"confidence_{x}"] = ui.number(f"{x} sure", ui.PERCENT)
    return columns


def show_disagreements(comparison: Comparison) -> None:
    st.header("Images that two runs do not name alike, surest answer first")
    letters = comparison.letters
    pair = comparison.pairs[0]
    if len(comparison.pairs) > 1:
        pair = st.selectbox(
            "Pair",
            comparison.pairs,
            format_func=lambda p: f"{letters[p.a]} and {letters[p.b]}",
            key="pair",
        )
    both = [letters[pair.a], letters[pair.b]]
    table = tables.disagreements(comparison, (pair.a, pair.b))
    if table.empty:
        st.info("These two runs give the same answer to every image.")
        return
    left, right = st.columns(2)
    who = left.segmented_control("Right", [ANY, *both, NONE], default=ANY, required=True)
    with right:
        size = ui.pick_gallery_size()
    shown = table if who == ANY else table[table["right"] == who]
    if shown.empty:
        st.info("No image fits this filter.")
        return
    first = [(row["id"], caption(row, both)) for _, row in shown.head(size).iterrows()]
    record = comparison.shared.records[0]
    ui.show_pictures(first, len(shown), record, "compare-data", width=132)
    with st.expander(f"Table of {how_many(len(shown), 'image')}"):
        ui.data_table(shown, answer_columns(both), "disagreements", "disagreements.csv")
