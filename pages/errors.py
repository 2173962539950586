"""Errors: what one run mistakes for what, how sure it is of it, and the images themselves."""

import streamlit as st

from fer_bench import ui
from fer_bench.errors import FerBenchError
from fer_bench.evaluation import confusion
from fer_bench.results.leaderboard.headline import headline
from fer_bench.results.record import RunRecord
from fer_bench.results.stored_run import StoredRun
from fer_bench.ui.errors.answers import show_confusion, show_curves, show_report
from fer_bench.ui.errors.images import show_gallery


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
    chosen = ui.pick_images(sets)
    metrics = record.metrics[chosen]
    tta, calibrated = record.metrics.get(f"{chosen}_tta"), record.calibrated_ece.get(chosen)
    ui.tiles(headline(metrics, clean=None, tta=tta, calibrated_ece=calibrated))
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
