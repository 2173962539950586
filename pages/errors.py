"""Errors: what one run mistakes for what, how sure it is of it, and the images themselves."""

from typing import Any

import pandas as pd
import streamlit as st

from fer_bench import plots, ui
from fer_bench.errors import FerBenchError
from fer_bench.evaluation import confusion
from fer_bench.evaluation.calibration import reliability
from fer_bench.evaluation.gallery import ImagesById
from fer_bench.formatting import how_many, percent
from fer_bench.results.leaderboard.glossary import explain
from fer_bench.results.leaderboard.headline import headline, per_class
from fer_bench.results.record import Metrics, RunRecord
from fer_bench.results.stored_run import StoredRun
from fer_bench.ui.explain import FACE_PARAMETER
from fer_bench.ui.images.upload import try_image

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
ANSWER_COLUMNS = {
    "id": st.column_config.TextColumn("Image"),
    "true": st.column_config.TextColumn("True"),
    "predicted": st.column_config.TextColumn("Predicted"),
    "confidence": ui.number("Confidence", ui.PERCENT),
}
ANY = "any"
GALLERY_SIZES = (24, 48, 96)


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
        st.caption(f"{metrics.n_left_out:,} images of classes the model does not know left out.")


def show_curves(
    run: StoredRun, predictions: pd.DataFrame, record: RunRecord, metrics: Metrics
) -> None:
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
    shown = [(row.id, ui.answer_words(row)) for row in rows]
    ui.show_pictures(shown, record, "gallery-data")
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
    show_confusion(run, record, metrics)
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
    show_curves(run, predictions, record, record.metrics[chosen])
    show_gallery(run, predictions, record)


ui.within_app()
main()
