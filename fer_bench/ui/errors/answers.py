"""What a run mistakes for what: confusion, the report per emotion, ROC and reliability."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from fer_bench import plots, ui
from fer_bench.evaluation import confusion
from fer_bench.evaluation.calibration import reliability
from fer_bench.formatting import how_many
from fer_bench.results.leaderboard.headline import per_class
from fer_bench.results.record import Metrics, RunRecord
from fer_bench.results.stored_run import StoredRun

NORMALISATIONS: dict[confusion.Normalisation, str] = {
    "true": "Share of true",
    "predicted": "Share of predicted",
    "counts": "Counts",
}
PAIR_COLUMNS = {
    "true": st.column_config.TextColumn("True"),
    "predicted": st.column_config.TextColumn("Predicted"),
    "images": ui.number("Images", "localized"),
    "share_of_true": st.column_config.ProgressColumn(
        "Share of true", format=ui.PERCENT, min_value=0, max_value=100
    ),
}


def show_confusion(run: StoredRun, record: RunRecord, metrics: Metrics) -> None:
    emotions = record.dataset.emotions
    left, right = st.columns([3, 2], gap="large")
    with left:
        st.header("Confusion")
        by = st.segmented_control(
            "Normalisation",
            list(NORMALISATIONS),
            default="true",
            required=True,
            format_func=NORMALISATIONS.__getitem__,
            label_visibility="collapsed",
        )
        values = confusion.normalised(metrics.confusion, by)
        figure = plots.confusion_matrix(values, emotions, shares=by != "counts")
        title, n = f"Confusion matrix, {NORMALISATIONS[by].lower()}", how_many(metrics.n, "image")
        clicked = ui.run_chart(figure, "confusion", title, run.id, n=n, selectable=True)
        st.caption("Click a cell to see its images below.")
        if clicked and clicked != st.session_state.get("confusion-cell"):
            true, predicted = clicked.split(">")
            st.session_state["gallery-true"] = true
            st.session_state["gallery-predicted"] = predicted
            st.session_state["gallery-answers"] = "Right" if true == predicted else "Wrong"
        st.session_state["confusion-cell"] = clicked
    with right:
        st.header("Most confused pairs")
        pairs = confusion.confused_pairs(metrics.confusion, emotions)
        if pairs.empty:
            st.info("No mistakes on these images.")
        else:
            ui.data_table(pairs, PAIR_COLUMNS, "pairs")


def show_report(metrics: Metrics) -> None:
    st.header("Report")
    macro = {
        "emotion": "macro average",
        "precision": metrics.macro_precision,
        "recall": metrics.macro_recall,
        "f1": metrics.macro_f1,
        "support": metrics.n,
    }
    report = pd.concat([per_class(metrics), pd.DataFrame([macro])])
    ui.data_table(report, ui.PER_CLASS, "report", "classification-report.csv")
    if metrics.n_left_out:
        st.caption(
            f"{how_many(metrics.n_left_out, 'image')} of classes the model does not know left out."
        )


def show_curves(
    run: StoredRun, predictions: pd.DataFrame, record: RunRecord, metrics: Metrics
) -> None:
    if not record.has_probabilities:
        st.info(
            "This system gave one emotion per image and no probability: no ROC, no reliability."
        )
        return
    emotions, n = record.dataset.emotions, how_many(metrics.n, "image")
    labels, probabilities = confusion.scores(predictions, emotions)
    left, right = st.columns(2, gap="large")
    with left:
        st.header("ROC, each emotion against the rest")
        figure = plots.roc_curves(confusion.roc_table(labels, probabilities, emotions))
        ui.run_chart(figure, "roc", "ROC of each emotion against the rest", run.id, n=n)
    with right:
        st.header("Reliability")
        bins = reliability(labels, probabilities)
        figure = plots.reliability_diagram(bins, metrics.ece)
        ui.run_chart(figure, "reliability", "Reliability diagram", run.id, n=n)
        if record.temperature:
            st.caption(
                "As the network answers. In use its answers are divided by a temperature first: "
                "Calibration shows both."
            )
