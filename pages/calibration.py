"""Calibration: whether a run is as sure as it is right, and what answering only when sure gains."""

import streamlit as st

from fer_bench import ui
from fer_bench.errors import FerBenchError
from fer_bench.evaluation import calibration
from fer_bench.evaluation.confusion import of_set, scores
from fer_bench.results.record import RunRecord
from fer_bench.results.stored_run import StoredRun
from fer_bench.ui.calibration.reliability import (
    SCALED,
    TRAINED,
    show_reliability,
    show_summary,
    show_temperature,
)
from fer_bench.ui.calibration.selective import show_promise, show_selective
from fer_bench.ui.calibration.sets import show_sets


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
    if not record.has_probabilities:
        st.info("This system gave one emotion per image and no probability: nothing to calibrate.")
        return
    emotions = list(record.dataset.emotions)
    temperature = calibration.temperature_of(record, predictions)
    show_temperature(record, temperature)
    with st.container(horizontal=True, gap="medium"):
        chosen = ui.pick_images(sets)
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
