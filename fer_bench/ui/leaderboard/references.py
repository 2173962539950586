"""What stands next to the leaderboard and is not ranked: people, and others' published figures."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from fer_bench import plots
from fer_bench.formatting import escape
from fer_bench.results.leaderboard.glossary import TERMS, explain
from fer_bench.results.leaderboard.published import about, published_table, shipped_figures
from fer_bench.studies.labels.human_line import sentence
from fer_bench.ui.records import human_line, record_of
from fer_bench.ui.widgets import data_table, number

COLUMNS = {
    "model": st.column_config.TextColumn("Model", width=220, pinned=True),
    "accuracy": number("Accuracy", "%.1f %%"),
    "data": st.column_config.TextColumn("Data"),
    "protocol": st.column_config.TextColumn(
        "Protocol", help=f"Empty: not stated  \n{explain('official', 'kaggle')}"
    ),
    "system": st.column_config.TextColumn("System"),
    "tta": st.column_config.TextColumn("TTA", width=100, help=TERMS["tta"]),
    "pretraining": st.column_config.TextColumn("Pretraining"),
    "extra_data": st.column_config.TextColumn("Extra data"),
    "chosen_on": st.column_config.TextColumn("Checkpoint chosen on"),
    "reproduced": st.column_config.TextColumn("Reproduced"),
    "note": st.column_config.TextColumn("Note", width=320),
    "date": number("Year", "%d"),
    "source": st.column_config.LinkColumn("Source"),
}


def bars_with_references(ranked: pd.DataFrame) -> go.Figure:
    """The runs' bars with the human line and published figures on the same test images."""
    record = record_of(ranked.iloc[0])
    line = human_line(record)
    return plots.accuracy_bars(
        ranked,
        voters=line.label_agreement.value if line else None,
        published=published_table(about(record.dataset)),
    )


def show_people(ranked: pd.DataFrame) -> None:
    """What the dashed line means, where there is one."""
    line = human_line(record_of(ranked.iloc[0]))
    if line:
        st.caption(escape(sentence(line)))


def show_published(table: pd.DataFrame) -> None:
    """Figures of others on the same test images, and all others that we know of."""
    here = about(record_of(table.iloc[0]).dataset)
    others = [one for one in shipped_figures() if one not in here]
    everything = published_table([*here, *others]).replace("", None)
    st.caption(
        "As their sources give them, not measured here, never part of the ranking: "
        f"{len(here)} on these test images, {len(everything)} in all. A split that is not "
        "stated, a checkpoint chosen on test or an unreproduced figure says so."
    )
    data_table(everything, COLUMNS, "published", "published.csv")
