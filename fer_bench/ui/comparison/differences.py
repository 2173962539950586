"""How runs differ: the verdict, tables and charts of pairs, emotions and training curves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import plotly.graph_objects as go
import streamlit as st

from fer_bench import ui
from fer_bench.errors import FerBenchError
from fer_bench.formatting import escape, interval
from fer_bench.results.summary import run_ids
from fer_bench.studies.comparison import tables, verdicts
from fer_bench.studies.comparison.compare import Comparison
from fer_bench.studies.comparison.figures import comparison_figures
from fer_bench.types import QUANTITIES

P_VALUE = "%.2g"
RUN_COLUMNS = {
    "letter": st.column_config.TextColumn("", width=40, pinned=True),
    "title": st.column_config.TextColumn("Run", width=258, help="Click to open it"),
    "accuracy": ui.number("Accuracy", ui.PERCENT),
    "interval": st.column_config.TextColumn("95 % interval"),
    "macro_f1": ui.number("Macro F1", ui.PERCENT),
    "why_not_comparable": st.column_config.TextColumn("Why not ranked"),
}
PAIR_COLUMNS = {
    "letters": st.column_config.TextColumn("Pair", width=70, pinned=True),
    "accuracy_difference": ui.number(
        "Accuracy", ui.POINTS, "Percentage points that the first is ahead"
    ),
    "accuracy_interval": st.column_config.TextColumn("95 %"),
    "macro_f1_difference": ui.number("Macro F1", ui.POINTS),
    "macro_f1_interval": st.column_config.TextColumn("95 % "),
    "p": ui.number("p", P_VALUE, "Exact McNemar test"),
    "p_holm": ui.number("Holm p", P_VALUE, "Corrected for all pairs of the table"),
    "significant": st.column_config.CheckboxColumn("Significant", help="Holm p below 0.05"),
    "same_answer": ui.number("Same answer", ui.PERCENT, "Share of the images"),
    "kappa": ui.number("Kappa", "%.2f", "Cohen's: agreement beyond chance"),
    "only_a_right": ui.number("First alone right", "localized", "Images"),
    "only_b_right": ui.number("Second alone right", "localized", "Images"),
}
EXPERIMENT_COLUMNS = {
    "name": st.column_config.TextColumn("Experiment", width=300, pinned=True),
    "seeds": ui.number("Seeds", "%d"),
    "accuracy": ui.number("Accuracy", ui.PERCENT, "Mean over seeds"),
    "accuracy_sd": ui.number("± sd", ui.PERCENT, "Sample standard deviation over seeds"),
    "macro_f1": ui.number("Macro F1", ui.PERCENT, "Mean over seeds"),
    "macro_f1_sd": ui.number("± sd ", ui.PERCENT),
}
EXPERIMENT_PAIR_COLUMNS = {
    "a": st.column_config.TextColumn("Experiment", width=240, pinned=True),
    "b": st.column_config.TextColumn("against", width=240),
    "accuracy_difference": ui.number("Points ahead", ui.POINTS),
    "interval": st.column_config.TextColumn("95 %", help="Over the images"),
    "p_welch": ui.number("Welch p", P_VALUE, "t-test over the seeds; empty where a side has one"),
    "p_welch_holm": ui.number("Holm p", P_VALUE),
    "p_mcnemar": ui.number("McNemar p", P_VALUE, "Largest between their runs, Holm-corrected"),
    "significant": st.column_config.CheckboxColumn("Significant"),
}
CLASS_COLUMNS = {
    "letter": st.column_config.TextColumn("", width=40, pinned=True),
    "emotion": st.column_config.TextColumn("Emotion"),
    "images": ui.number("Images", "localized"),
    "recall": ui.number("Recall", ui.PERCENT),
    "recall_difference": ui.number("A ahead", ui.POINTS, "Points"),
    "f1": ui.number("F1", ui.PERCENT),
    "f1_difference": ui.number("A ahead ", ui.POINTS, "Points"),
}
CLASS_METRICS: dict[Literal["recall", "f1"], str] = {"recall": "Recall", "f1": "F1"}


#: Title and figure by kind, as `comparison_figures` gives them.
Figures = Mapping[str, tuple[str, go.Figure]]


def drawn(comparison: Comparison) -> Figures:
    """The comparison's figures; a history that is damaged is said to be."""
    histories = {}
    for run in comparison.shared.runs:
        try:
            history = ui.history(run)
        except FerBenchError as error:
            ui.show_error(error)
            continue
        if history is not None and not history.empty:
            histories[run.id] = history
    return comparison_figures(comparison, histories)


def show_chart(comparison: Comparison, figures: Figures, key: str) -> None:
    title, figure = figures[key]
    ids = [run.id for run in comparison.shared.runs]
    names = ", ".join(f"{letter}: {name}" for name, letter in comparison.letters.items())
    command = ui.command(" ".join(["compare", *ids]))
    ui.chart(figure, key, f"{title}; {names}", ids, command=command)


def show_verdict(comparison: Comparison) -> None:
    st.info(f"**{escape(verdicts.verdict(comparison))}.**", icon=":material/balance:")
    st.caption(escape(verdicts.scope(comparison)))
    for remark in verdicts.remarks(comparison):
        st.caption(f":material/warning: {escape(remark)}")


def show_runs(comparison: Comparison) -> None:
    table = tables.run_table(comparison)
    intervals = [interval(low, high) for low, high in comparison.accuracy_intervals]
    shown = table.assign(interval=intervals)
    if not table["why_not_comparable"].any():
        shown = shown.drop(columns="why_not_comparable")
    ids = list(run_ids(table))
    ui.run_table(shown, RUN_COLUMNS, ids, "runs-table")
    if comparison.has_seeds:
        show_experiments(comparison)


def show_experiments(comparison: Comparison) -> None:
    st.header("Over seeds")
    experiments = tables.experiment_table(comparison)
    ui.data_table(experiments, EXPERIMENT_COLUMNS, "experiments")
    pairs = tables.experiment_pair_table(comparison)
    if pairs.empty:
        return
    ends = zip(pairs["accuracy_low"], pairs["accuracy_high"], strict=True)
    shown = pairs.assign(interval=[verdicts.points_interval(both) for both in ends])
    ui.data_table(shown, EXPERIMENT_PAIR_COLUMNS, "experiment-pairs")
    ui.download_csv(pairs, "experiments.csv", "experiments-csv")


def show_pairs(comparison: Comparison, figures: Figures) -> None:
    table = tables.pair_table(comparison)
    left, right = st.columns([3, 2], gap="large")
    with left:
        st.header("Differences")
        show_chart(comparison, figures, "forest")
        st.caption(
            "Filled: accuracies that differ significantly; macro F1 whose interval has no 0."
        )
    with right:
        st.header("Same answer")
        show_chart(comparison, figures, "agreement")
    shown = table.assign(
        accuracy_interval=[verdicts.points_interval(p.accuracy_interval) for p in comparison.pairs],
        macro_f1_interval=[verdicts.points_interval(p.macro_f1_interval) for p in comparison.pairs],
    )
    ui.data_table(shown, PAIR_COLUMNS, "pairs")
    ui.download_csv(table, "pairs.csv", "pairs-csv")


def show_classes(comparison: Comparison, figures: Figures) -> None:
    st.header("Per emotion")
    metric = st.segmented_control(
        "Metric",
        list(CLASS_METRICS),
        default="recall",
        required=True,
        format_func=CLASS_METRICS.__getitem__,
        label_visibility="collapsed",
    )
    show_chart(comparison, figures, metric)
    with st.expander("Table of emotions"):
        table = tables.class_table(comparison)
        ui.data_table(table, CLASS_COLUMNS, "classes", "per-class.csv")


def show_curves(comparison: Comparison, figures: Figures) -> None:
    """The runs' validation curves; ensembles and frozen answers trained nothing and have none."""
    kinds = [kind for quantity in QUANTITIES if (kind := f"curves-{quantity}") in figures]
    if not kinds:
        return
    st.header("Training")
    for place, kind in zip(st.columns(2, gap="large"), kinds, strict=True):
        with place:
            show_chart(comparison, figures, kind)
