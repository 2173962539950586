"""Calibration: whether a run is as sure as it is right, and what answering only when sure gains."""

import pandas as pd
import streamlit as st

from fer_bench import plots, ui
from fer_bench.errors import FerBenchError
from fer_bench.evaluation import calibration, prediction_sets, selective
from fer_bench.evaluation.confusion import of_set, scores
from fer_bench.formatting import how_many, interval, percent
from fer_bench.results.leaderboard.glossary import TERMS, explain
from fer_bench.results.leaderboard.headline import Tile
from fer_bench.results.record import RunRecord
from fer_bench.results.stored_run import StoredRun
from fer_bench.specs.run import ExternalSpec
from fer_bench.types import ImageSet
from fer_bench.ui.selective import EMOTION, narrow, show_promise, show_selective

TRAINED, SCALED = "As trained", "After the temperature"
ANSWER = "the answer"


SET_COLUMNS = {
    "emotion": EMOTION,
    "n": narrow("Images", "localized"),
    "coverage": narrow("Covered", ui.PERCENT),
    "low": narrow("from", ui.PERCENT),
    "high": narrow("to", ui.PERCENT),
    "expected_low": narrow("Expected from", ui.PERCENT, "95 % of coverages; both draws counted"),
    "expected_high": narrow("Expected to", ui.PERCENT, "95 % of coverages; both draws counted"),
    "mean_size": narrow("Emotions", "%.2f", "Mean size"),
}
CLASS_COLUMNS = {
    "emotion": EMOTION,
    "images": narrow("Images", "localized", "Of this emotion"),
    "ece": narrow("ECE", "%.3f", TERMS["classwise ece"]),
    "share": narrow("Share", ui.PERCENT, "Its images of all images"),
    "mean_probability": narrow("Mean p", ui.PERCENT, "Above its share: it is named too readily"),
    "answers": narrow("Answers", "localized", "That name it"),
}


def show_temperature(record: RunRecord, temperature: float | None) -> None:
    """Where the temperature comes from, in one sentence."""
    selection = record.spec.selection_split
    if temperature is None:
        st.info(
            f"This run has no temperature and no predictions on {selection} to fit one; everything "
            "below is about its plain probabilities."
        )
        return
    origin = (
        f"fitted on {selection} and stored in the record"
        if record.temperature
        else f"fitted just now on the stored predictions of {selection}: the record has none"
    )
    leaning = "less sure than it is right" if temperature < 1 else "surer than it is right"
    st.caption(
        f"Temperature {temperature:.3f}, {origin}. Logits are divided by it (Guo et al. 2017), "
        f"which changes no answer; as trained, this run is {leaning} on {selection}."
    )


def show_summary(plain: selective.Scores, scaled: selective.Scores, emotions: list[str]) -> None:
    """Both calibration errors after the temperature, and below them as trained."""
    before, after = (calibration.calibration_errors(*one, emotions) for one in (plain, scaled))
    figures = {
        "ECE": (after.ece, before.ece),
        "Classwise ECE": (after.classwise_ece, before.classwise_ece),
    }
    ui.tiles(
        [
            Tile(
                name=name,
                value=f"{scaled_error:.3f}",
                below=f"as trained {plain_error:.3f}",
                explanation=TERMS[name.lower()],
            )
            for name, (scaled_error, plain_error) in figures.items()
        ]
    )


def show_reliability(
    run: StoredRun, shown: selective.Scores, emotions: list[str], key: ImageSet
) -> None:
    labels, probabilities = shown
    left, right = st.columns(2, gap="large")
    with left:
        st.header("Reliability")
        of = st.selectbox("Probability of", [ANSWER, *emotions], key="reliability-of")
        if of == ANSWER:
            table = calibration.reliability(labels, probabilities)
            figure = plots.reliability_with_counts(
                table, x_title="Confidence", y_title="Right answers"
            )
        else:
            table = calibration.class_reliability(labels, probabilities, emotions.index(of))
            figure = plots.reliability_with_counts(
                table,
                x_title=f"Probability of {of}",
                y_title=f"Images of {of}",
                colour=plots.emotion_colour(of),
            )
        title, n = f"Reliability of {of}", how_many(len(labels), "image")
        ui.run_chart(figure, f"reliability-{key}", title, run.id, n=n)
    with right:
        st.header("Each emotion")
        classes = calibration.classwise_errors(labels, probabilities, emotions)
        ui.data_table(classes, CLASS_COLUMNS, "classwise", "classwise-calibration.csv")
        st.caption(
            "ECE here is that of the emotion's own probability over all images. Most images have a "
            "low one, so the numbers are smaller than the ECE of the answers."
        )


def show_sets(predictions: pd.DataFrame, record: RunRecord) -> None:
    """Sets of emotions that hold the true one as often as asked."""
    st.header("How many emotions hold the true one?")
    level = st.slider("Coverage wanted", 0.5, 0.99, 0.9, 0.01, format="percent", key="coverage")
    kind = st.segmented_control(
        "Thresholds", prediction_sets.KINDS, default="class-wise", required=True, key="sets-kind"
    )
    measured = prediction_sets.measure_sets(record, predictions, level)
    found = next(one for one in measured if one.kind == kind)
    st.markdown(
        f"On test **{percent(found.all.coverage)}** of the sets hold the true emotion "
        f"({interval(*found.all.ci95)}), with {found.all.mean_size:.2f} emotions on average. "
        + prediction_sets.standing(found)
    )
    ui.data_table(prediction_sets.coverage_table(found), SET_COLUMNS, "sets")
    st.caption(
        "Split conformal prediction, fitted on the validation images after the temperature. "
        "Marginal thresholds keep the promise over all faces, and a rare emotion may pay for it; "
        "class-wise ones keep it for every emotion. Both suppose faces "
        "like those they were fitted on."
    )


def show_run(run: StoredRun, record: RunRecord, stored: list[StoredRun]) -> None:
    predictions = ui.predictions(run)
    if predictions is None:
        st.info(
            "This run has no predictions next to its record: calibration needs "
            "`predictions.parquet`; run it again to get it."
        )
        return
    sets = [key for key in ui.SET_NAMES if not of_set(predictions, key).empty]
    if not sets:
        st.info("This run's predictions hold no images of val or test.")
        return
    if isinstance(record.spec, ExternalSpec) and record.spec.answers == "labels":
        st.info("This system gave one emotion per image and no probability: nothing to calibrate.")
        return
    emotions = list(record.dataset.emotions)
    temperature = calibration.temperature_of(record, predictions)
    show_temperature(record, temperature)
    with st.container(horizontal=True, gap="medium"):
        chosen = st.segmented_control(
            "Images",
            sets,
            default=sets[0],
            required=True,
            format_func=ui.SET_NAMES.__getitem__,
            help=explain("clean"),
        )
        view = st.segmented_control(
            "Probabilities",
            [TRAINED, SCALED],
            default=SCALED,
            required=True,
            key="probabilities",
        )
    plain = scores(of_set(predictions, chosen), emotions)
    scaled = calibration.calibrated_scores(predictions, record, chosen)
    show_summary(plain, scaled, emotions)
    show_reliability(run, scaled if view == SCALED else plain, emotions, chosen)
    show_selective(run, stored, chosen, scaled)
    needed = record.spec.selection_split, record.spec.test_split
    if any(of_set(predictions, split).empty for split in needed):
        st.info(
            "Thresholds that keep a promise and prediction sets need stored predictions on "
            f"{needed[0]} and on {needed[1]}."
        )
        return
    show_promise(predictions, record)
    show_sets(predictions, record)


def main() -> None:
    st.title("Calibration")
    st.caption(
        "How far one run's probabilities can be believed, and when it should rather say nothing."
    )
    stored = [run for run in ui.runs() if run.record and run.record.metrics]
    if not stored:
        ui.no_results()
        return
    run = ui.pick_run(stored, "calibration-picker")
    record = run.require_record()
    ui.badges(record)
    try:
        show_run(run, record, stored)
    except FerBenchError as error:
        ui.show_error(error)


ui.within_app()
main()
