"""Every face of every picture as a table, and the files to take away."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd
import streamlit as st
from streamlit.elements.lib.column_types import ColumnConfig

from fer_bench import ui
from fer_bench.formatting import as_percents
from fer_bench.ui.images import faces
from fer_bench.ui.images.analysis import Result, Treatment
from fer_bench.ui.images.answers import Classifiers

#: Longer tables scroll in a window of their own.
MOST_ROWS = 12
PERCENT = "%.1f %%"
COLUMNS: dict[str, ColumnConfig] = {
    "image": st.column_config.TextColumn("Picture", width=150),
    "face": st.column_config.NumberColumn("Face", width="small"),
    "model": st.column_config.TextColumn("Model"),
    "emotion": st.column_config.TextColumn("Emotion", width="small"),
    "score": st.column_config.ProgressColumn(
        "Confidence", format=PERCENT, min_value=0, max_value=100
    ),
    "problem": st.column_config.TextColumn("Problem", width="medium"),
}


def show_table(results: Sequence[Result], treatment: Treatment, classifiers: Classifiers) -> None:
    """Every face of every picture, and the files to take away."""
    emotions = {run: classifier.emotions for run, classifier in classifiers.items()}
    table = faces.face_table(results, emotions)
    st.header("All faces")
    st.caption(faces.count_line(results))
    shown = as_percents(table, ["score", *(c for c in table.columns if c.startswith("p_"))])
    st.dataframe(
        shown,
        column_order=faces.shown_columns(table),
        column_config=table_columns(table),
        hide_index=True,
        width="stretch",
        height="content" if len(shown) <= MOST_ROWS else "auto",
        placeholder="",
    )
    with st.container(horizontal=True, gap="small"):
        ui.download_csv(table, "faces.csv", "faces-csv")
        readable = [result for result in results if not result.error]
        if readable:
            download_images(readable, treatment, emotions)


def table_columns(table: pd.DataFrame) -> dict[str, ColumnConfig]:
    """How the table's columns look; their number depends on the models' emotions."""
    shares = [column for column in table.columns if column.startswith("p_")]
    return COLUMNS | {
        column: st.column_config.NumberColumn(column[2:].capitalize(), format=PERCENT)
        for column in shares
    }


def download_images(
    results: Sequence[Result], treatment: Treatment, emotions: Mapping[str, Sequence[str]]
) -> None:
    """A button that saves the pictures with their boxes, several of them in a zip."""
    one = len(results) == len(emotions) == 1

    def content() -> bytes:  # made when asked for
        files = faces.annotated_files(results, treatment, emotions)
        return faces.first_content(files) if one else faces.zipped(files)

    st.download_button(
        "Download image" if one else "Download images",
        content,
        f"{faces.safe_stem(results[0].picture.name)}-faces.jpg" if one else "faces.zip",
        "image/jpeg" if one else "application/zip",
        key="faces-images",
        icon=":material/download:",
        on_click="ignore",
    )
