"""Calibration: whether a run is as sure as it is right, and what answering only when sure gains."""

from typing import Any

import pandas as pd
import streamlit as st

from fer_bench import plots, ui
from fer_bench.errors import FerBenchError
from fer_bench.evaluation import calibration, prediction_sets, selective
from fer_bench.evaluation.confusion import of_set, scores
from fer_bench.formatting import as_percents, escape, how_many, interval, percent
from fer_bench.results.leaderboard.glossary import TERMS, explain
from fer_bench.results.leaderboard.headline import Tile
from fer_bench.results.leaderboard.rankings import ranking_key
from fer_bench.results.record import RunRecord
from fer_bench.results.store import StoredRun
from fer_bench.specs.run import ExternalSpec
from fer_bench.types import ImageSet

TRAINED, SCALED = "As trained", "After the temperature"
ANSWER = "the answer"
#: More curves than this are hard to tell apart.
MOST_OTHERS = 4
PERCENT = "%.1f %%"


def number(name: str, form: str, explanation: str | None = None) -> Any:
    """A narrow column of numbers."""
    return st.column_config.NumberColumn(name, format=form, width="small", help=explanation)


EMOTION = st.column_config.TextColumn("Emotion", width="small")
SET_COLUMNS = {
    "emotion": EMOTION,
    "n": st.column_config.NumberColumn("Images", format="localized"),
    "coverage": st.column_config.NumberColumn("Covered", format=PERCENT),
    "low": st.column_config.NumberColumn("from", format=PERCENT),
    "high": st.column_config.NumberColumn("to", format=PERCENT),
    "expected_low": number("Expected from", PERCENT, "95 % of coverages; both draws counted"),
    "expected_high": number("Expected to", PERCENT, "95 % of coverages; both draws counted"),
    "mean_size": st.column_config.NumberColumn("Emotions", format="%.2f", help="Mean size"),
}
CLASS_COLUMNS = {
    "emotion": EMOTION,
    "images": number("Images", "localized", "Of this emotion"),
    "ece": number("ECE", "%.3f", TERMS["classwise ece"]),
    "share": number("Share", PERCENT, "Its images of all images"),
    "mean_probability": number("Mean p", PERCENT, "Above its share: it is named too readily"),
    "answers": number("Answers", "localized", "That name it"),
}
ANSWERED_COLUMNS = {
    "emotion": EMOTION,
    "images": number("Images", "localized", "Of this emotion"),
    "coverage": number("Answered", PERCENT, "Share of these images"),
    "recall": number("Recall", PERCENT, "Right answers of its answered images"),
    "precision": number("Precision", PERCENT, "Right ones of the answers that name it"),
    "answers": number("Answers", "localized", "That name it"),
}
AURC_COLUMNS = {
    "title": st.column_config.TextColumn("Run"),
    "aurc": number("AURC", "%.4f", TERMS["aurc"]),
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
    ui.tiles(
        [
            Tile(
                name="ECE",
                value=f"{after.ece:.3f}",
                below=f"as trained {before.ece:.3f}",
                explanation=TERMS["ece"],
            ),
            Tile(
                name="Classwise ECE",
                value=f"{after.classwise_ece:.3f}",
                below=f"as trained {before.classwise_ece:.3f}",
                explanation=TERMS["classwise ece"],
            ),
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
        st.dataframe(
            as_percents(classes, ["share", "mean_probability"]),
            column_order=list(CLASS_COLUMNS),
            column_config=CLASS_COLUMNS,
            hide_index=True,
            width="stretch",
        )
        ui.download_csv(classes, "classwise-calibration.csv", "classwise-csv")
        st.caption(
            "ECE here is that of the emotion's own probability over all images. Most images have a "
            "low one, so the numbers are smaller than the ECE of the answers."
        )


def pick_others(run: StoredRun, stored: list[StoredRun]) -> list[StoredRun]:
    """Runs of the same benchmark to draw next to this one."""
    same = ranking_key(run.require_record())
    others = {
        one.id: one
        for one in stored
        if one.folder != run.folder and ranking_key(one.require_record()) == same
    }
    names = st.multiselect(
        "Runs next to it",
        list(others),
        max_selections=MOST_OTHERS,
        format_func=ui.called,
        key=f"beside-{run.id}",
        wrap=True,
    )
    return [others[name] for name in names]


def show_curves(
    run: StoredRun, stored: list[StoredRun], chosen: str, answered: selective.Accepted
) -> None:
    """Risk over coverage of this run and of others, each after its own temperature."""
    curves, areas = {}, {}
    for one in (run, *pick_others(run, stored)):
        predictions = ui.predictions(one)
        if predictions is None or of_set(predictions, chosen).empty:
            st.caption(f"{escape(ui.called(one.id))} has no predictions of these images.")
            continue
        found = calibration.calibrated_scores(predictions, one.require_record(), chosen)
        curves[ui.called(one.id)] = selective.risk_coverage(*found)
        areas[one.id] = selective.area_under_risk_coverage(*found)
    figure = plots.risk_coverage_curves(curves, answered.point)
    ui.chart(figure, "risk-coverage", "Risk over coverage", areas)
    ui.run_table(pd.DataFrame({"aurc": areas.values()}), AURC_COLUMNS, list(areas), "aurc")


def show_selective(
    run: StoredRun, stored: list[StoredRun], chosen: str, scaled: selective.Scores
) -> None:
    st.header("Answering only when sure")
    st.caption(
        "Confidence is the largest probability after the temperature, the one that Live, Try an "
        "image and `predict` show."
    )
    threshold = st.slider(
        "Answer only when at least so sure", 0.0, 1.0, 0.6, 0.01, format="percent", key="threshold"
    )
    answered = selective.answered_above(*scaled, threshold)
    ui.tiles(answered_tiles(answered))
    left, right = st.columns(2, gap="large")
    with left:
        show_curves(run, stored, chosen, answered)
    with right:
        emotions = run.require_record().dataset.emotions
        table = selective.answered_by_emotion(*scaled, emotions, threshold)
        st.dataframe(
            as_percents(table, ["coverage", "recall", "precision"]),
            column_order=list(ANSWERED_COLUMNS),
            column_config=ANSWERED_COLUMNS,
            hide_index=True,
            width="stretch",
            placeholder="–",
        )
        ui.download_csv(table, "answered.csv", "answered-csv")


def answered_tiles(answered: selective.Accepted, where: str = "") -> list[Tile]:
    accuracy, share = answered.accuracy, answered.share
    return [
        Tile(
            name=f"Accuracy of the answered{where}",
            value=percent(accuracy.value),
            below=interval(*accuracy.ci95),
            explanation=f"{accuracy.hits:,} of {accuracy.n:,} images right; below, the 95 % Wilson "
            "interval",
        ),
        Tile(
            name=f"Answered{where}",
            value=percent(share.value),
            below=f"{share.hits:,} of {share.n:,} images",
        ),
    ]


def show_promise(predictions: pd.DataFrame, record: RunRecord) -> None:
    """A threshold chosen on the selection split, and what it gives on test."""
    st.header("Which threshold keeps a promise?")
    selection, test = record.spec.selection_split, record.spec.test_split
    if of_set(predictions, selection).empty or of_set(predictions, test).empty:
        st.info(f"This needs stored predictions on {selection} and on {test}.")
        return
    wanted = st.slider("Accuracy wanted", 0.5, 0.99, 0.9, 0.01, format="percent", key="wanted")
    chosen_on, held_on = (
        calibration.calibrated_scores(predictions, record, split) for split in (selection, test)
    )
    found = selective.operating_point(chosen_on, held_on, wanted)
    if found is None:
        st.warning(f"No threshold reaches {percent(wanted)} on {selection}: ask for less.")
        return
    st.markdown(
        f"Answer from **{percent(found.threshold)}** on: the threshold that answers most images "
        f"of {selection} with {percent(wanted)} right. It was chosen there alone; {test} shows "
        "what it is worth."
    )
    ui.tiles(
        [
            *answered_tiles(found.chosen_on, f" on {selection}"),
            *answered_tiles(found.held_on, f" on {test}"),
        ]
    )


def show_sets(predictions: pd.DataFrame, record: RunRecord) -> None:
    """Sets of emotions that hold the true one as often as asked."""
    st.header("How many emotions hold the true one?")
    needed = (record.spec.selection_split, record.spec.test_split)
    if any(of_set(predictions, split).empty for split in needed):
        st.info("Prediction sets need stored predictions on the validation and the test images.")
        return
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
    rates = ["coverage", "low", "high", "expected_low", "expected_high"]
    st.dataframe(
        as_percents(prediction_sets.coverage_table(found), rates),
        column_config=SET_COLUMNS,
        hide_index=True,
        width="stretch",
        placeholder="–",
    )
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
