"""Accuracy on data sets that a run was not trained on."""

from __future__ import annotations

import streamlit as st

from fer_bench import ui
from fer_bench.studies.robustness import figures
from fer_bench.studies.robustness.tables import ReportsByRun, transfer_table

TRANSFER_WORDS = "transfer RUN --data CK+48 --data RAF-DB"
TRANSFER = {
    "title": ui.RUN_COLUMN,
    "trained_on": st.column_config.TextColumn("Trained on"),
    "tested_on": st.column_config.TextColumn("Tested on"),
    "own_data": st.column_config.CheckboxColumn("Own data"),
    "accuracy": ui.number("Accuracy", ui.PERCENT),
    "ci_low": ui.number("from", ui.PERCENT, "95 % interval"),
    "ci_high": ui.number("to", ui.PERCENT, "95 % interval"),
    "macro_f1": ui.number("Macro F1", ui.PERCENT),
    "n": ui.number("Images", "localized"),
    "n_left_out": ui.number("Left out", "localized"),
    "classes": st.column_config.TextColumn("Classes in common"),
    "classes_left_out": st.column_config.TextColumn("Left-out classes"),
    "classes_missing": st.column_config.TextColumn("Classes the data lack"),
}


def show_transfer(found: ReportsByRun) -> None:
    table = transfer_table(ui.runs(), found.transfers)
    if table.empty:
        ui.empty_state(
            "No run tried on another data set yet",
            "Try the shipped model on any data set FER Bench reads, then reload this page.",
            ui.command(TRANSFER_WORDS),
        )
        return
    st.header("Trained on × tested on")
    st.caption(
        "Accuracy over the classes that run and data have in common. “own” marks data that the "
        "run was trained on; whether two data sets share single images is not looked into."
    )
    title, figure = figures.transfer(table, ui.called)
    runs = table["run"].unique()
    ui.chart(figure, "transfer-matrix", title, runs, command=ui.command(TRANSFER_WORDS))
    ui.run_table(table, TRANSFER, list(table["run"]), "transfer")
    ui.download_csv(table, "transfer.csv", "transfer-csv")
    st.caption("To try more:")
    st.code(ui.command(TRANSFER_WORDS), language="bash", wrap_lines=True)
