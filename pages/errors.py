"""Errors: what one run mistakes for what, how sure it is of it, and the images themselves."""

from typing import Any

import pandas as pd
import streamlit as st

from fer_bench import plots, ui
from fer_bench.errors import FerBenchError
from fer_bench.evaluation import confusion
from fer_bench.evaluation.calibration import reliability
from fer_bench.evaluation.gallery import ImagesById
from fer_bench.formatting import as_percents, how_many, percent
from fer_bench.results.leaderboard.glossary import explain
from fer_bench.results.leaderboard.headline import headline
from fer_bench.results.record import Metrics, RunRecord
from fer_bench.results.store import StoredRun
from fer_bench.ui.explain import FACE_PARAMETER
from fer_bench.ui.images.upload import try_image

NORMALISATIONS: dict[confusion.Normalisation, str] = {
    "true": "Share of true",
    "predicted": "Share of predicted",
    "counts": "Counts",
}
PERCENT = "%.1f %%"
REPORT_COLUMNS = {
    "emotion": st.column_config.TextColumn("Emotion"),
    "precision": st.column_config.NumberColumn("Precision", format=PERCENT),
    "recall": st.column_config.NumberColumn("Recall", format=PERCENT),
    "f1": st.column_config.NumberColumn("F1", format=PERCENT),
    "support": st.column_config.NumberColumn("Images", format="localized"),
}
PAIR_COLUMNS = {
    "true": st.column_config.TextColumn("True"),
    "predicted": st.column_config.TextColumn("Predicted"),
    "images": st.column_config.NumberColumn("Images", format="localized"),
    "share_of_true": st.column_config.ProgressColumn(
        "Share of true", format=PERCENT, min_value=0, max_value=100
    ),
}
ANSWER_COLUMNS = {
    "id": st.column_config.TextColumn("Image"),
    "true": st.column_config.TextColumn("True"),
    "predicted": st.column_config.TextColumn("Predicted"),
    "confidence": st.column_config.NumberColumn("Confidence", format=PERCENT),
}
ANY = "any"
GALLERY_SIZES = (24, 48, 96)


def show_confusion(record: RunRecord, metrics: Metrics) -> None:
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
        clicked = ui.chart(figure, "confusion", selectable=True)
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
            pairs = as_percents(pairs, ["share_of_true"])
            st.dataframe(pairs, column_config=PAIR_COLUMNS, hide_index=True, width="stretch")


def show_report(metrics: Metrics) -> None:
    st.header("Report")
    rows = [{"emotion": e, **m.model_dump()} for e, m in metrics.per_class.items()]
    macro = {
        "emotion": "macro average",
        "precision": metrics.macro_precision,
        "recall": metrics.macro_recall,
        "f1": metrics.macro_f1,
        "support": metrics.n,
    }
    report = pd.DataFrame([*rows, macro])
    st.dataframe(
        as_percents(report, ["precision", "recall", "f1"]),
        column_config=REPORT_COLUMNS,
        hide_index=True,
        width="stretch",
    )
    ui.download_csv(report, "classification-report.csv", "report-csv")
    if metrics.n_left_out:
        st.caption(f"{metrics.n_left_out:,} images of classes the model does not know left out.")


def show_curves(predictions: pd.DataFrame, record: RunRecord, metrics: Metrics) -> None:
    emotions = record.dataset.emotions
    labels, probabilities = confusion.scores(predictions, emotions)
    left, right = st.columns(2, gap="large")
    with left:
        st.header("ROC, each emotion against the rest")
        ui.chart(plots.roc_curves(confusion.roc_table(labels, probabilities, emotions)), "roc")
    with right:
        st.header("Reliability")
        bins = reliability(labels, probabilities)
        ui.chart(plots.reliability_diagram(bins, metrics.ece), "reliability")


def filtered(answers: pd.DataFrame, emotions: tuple[str, ...]) -> pd.DataFrame:
    """The answers that the gallery's controls ask for."""
    kind, true, predicted = st.columns(3)
    right = kind.segmented_control(
        "Answers", ["Wrong", "Right"], default="Wrong", required=True, key="gallery-answers"
    )
    wanted_true = true.selectbox("True", [ANY, *emotions], key="gallery-true")
    wanted_predicted = predicted.selectbox("Predicted", [ANY, *emotions], key="gallery-predicted")
    keep = answers["correct"] == (right == "Right")
    if wanted_true != ANY:
        keep &= answers["true"] == wanted_true
    if wanted_predicted != ANY:
        keep &= answers["predicted"] == wanted_predicted
    return answers[keep]


def caption(row: Any) -> str:
    """What an image is, what it was taken for, and how confidently."""
    names = row.true if row.correct else f"{row.true} → {row.predicted}"
    return f"{names}  \n{percent(row.confidence)}"


def show_gallery(run: StoredRun, predictions: pd.DataFrame, record: RunRecord) -> None:
    st.header("Images, most confident first")
    answers = filtered(
        confusion.answers(predictions, record.dataset.emotions), record.dataset.emotions
    )
    if answers.empty:
        st.info("No image fits these filters.")
        return
    size = st.segmented_control("Shown", GALLERY_SIZES, default=GALLERY_SIZES[0], required=True)
    if size < len(answers):
        st.caption(f"The first {size} of {len(answers):,} images.")
    rows: list[Any] = list(answers.head(size).itertuples())
    shown = [(row.id, caption(row)) for row in rows]
    ui.show_pictures(shown, record, "gallery-data")
    look_closer(run, record, rows)
    with st.expander(f"Table of {how_many(len(answers), 'image')}"):
        st.dataframe(
            as_percents(answers, ["confidence"]),
            column_order=list(ANSWER_COLUMNS),
            column_config=ANSWER_COLUMNS,
            hide_index=True,
            width="stretch",
        )
        ui.download_csv(answers, "answers.csv", "answers-csv")


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


def main() -> None:
    st.title("Errors")
    st.caption("What one run mistakes for what, how sure it is of it, and the images themselves.")
    stored = [run for run in ui.runs() if run.record and run.record.metrics]
    if not stored:
        ui.no_results()
        return
    run = ui.pick_run(stored, "errors-picker")
    record = run.require_record()
    ui.badges(record)
    sets = [key for key in ui.SET_NAMES if key in record.metrics]
    if not sets:
        st.info("This run's record holds no metrics on val or test.")
        return
    chosen = st.segmented_control(
        "Images",
        sets,
        default=sets[0],
        required=True,
        format_func=ui.SET_NAMES.__getitem__,
        help=explain("clean"),
    )
    metrics = record.metrics[chosen]
    ui.tiles(headline(metrics, clean=None, tta=record.metrics.get(f"{chosen}_tta")))
    show_confusion(record, metrics)
    show_report(metrics)
    try:
        show_predictions(run, record, chosen)
    except FerBenchError as error:
        ui.show_error(error)


def show_predictions(run: StoredRun, record: RunRecord, chosen: str) -> None:
    """What needs more than the record: curves and images."""
    predictions = ui.predictions(run)
    if predictions is None:
        st.info(
            "This run has no predictions next to its record: ROC, reliability and the images need "
            "`predictions.parquet`; run it again to get it."
        )
        return
    predictions = confusion.of_set(predictions, chosen)
    if predictions.empty:
        st.info("This run's predictions hold none of these images.")
        return
    show_curves(predictions, record, record.metrics[chosen])
    show_gallery(run, predictions, record)


ui.within_app()
main()
