"""What a run gave: its curves, each emotion, and what a face takes."""

from __future__ import annotations

import streamlit as st

from fer_bench import plots, ui
from fer_bench.errors import FerBenchError
from fer_bench.formatting import escape, three_digits
from fer_bench.results.leaderboard.headline import Tile, per_class
from fer_bench.results.record import RunRecord
from fer_bench.results.reports.latency import LatencyReport
from fer_bench.results.reports.latency_files import read_latency
from fer_bench.results.stored_run import StoredRun
from fer_bench.results.summary import training_progress
from fer_bench.studies.latency.budget import speed_of
from fer_bench.types import QUANTITIES

#: Seconds between two looks at the curves of a run that is training.
REFRESH = 5


def show_curves(run: StoredRun, record: RunRecord) -> None:
    try:
        history = ui.history(run)
    except FerBenchError as error:
        ui.show_error(error)
        return
    if history is None or history.empty:
        st.info("No epochs to show: this run trained nothing, or has not finished its first one.")
        return
    if record.status == "running":
        st.markdown(f"**{training_progress(record, history)}.**")
    best_epoch = record.training.best_epoch if record.training else None
    for place, quantity in zip(st.columns(2, gap="large"), QUANTITIES, strict=True):
        with place:
            figure = plots.training_curve(history, quantity, best_epoch)
            title = f"{quantity.capitalize()} over the epochs"
            ui.run_chart(figure, f"curve-{quantity}", title, run.id)
    ui.download_csv(history, f"{run.name}-history.csv", "history-csv")


@st.fragment(run_every=REFRESH)
def follow_curves(run: StoredRun) -> None:
    """The curves of a run that is training, until it is done; then the whole page."""
    ui.look_again()
    now = next((one for one in ui.runs() if one.id == run.id), run)
    if now.record is None or now.record.status != "running":
        st.rerun()
    show_curves(now, now.record)


def show_classes(run: StoredRun, record: RunRecord) -> None:
    metrics = record.metrics.get("test") or next(iter(record.metrics.values()))
    table = per_class(metrics)
    left, right = st.columns(2, gap="large")
    with left:
        figure = plots.per_class_bars(table)
        ui.run_chart(figure, "per-class", "F1 of each emotion", run.id)
    with right:
        ui.data_table(table, ui.PER_CLASS, "per-class-table")


def show_latency(run: StoredRun) -> None:
    """What a face takes, a tile per machine; nothing where nothing was measured."""
    try:
        reports = read_latency(run.folder)
    except FerBenchError as error:
        ui.show_error(error)
        return
    if not reports:
        return
    st.header("Latency")
    ui.tiles([fastest_tile(report) for report in reports])
    st.page_link(
        "pages/latency.py",
        label="See every back end",
        icon=":material/speed:",
        query_params={ui.RUN_PARAMETER: run.id},
    )


def fastest_tile(report: LatencyReport) -> Tile:
    speed = speed_of(report, whole_frame=False)
    frame = speed_of(report, whole_frame=True)
    below = [speed.backend] if speed else []
    if frame:
        below.append(f"{frame.per_second:.0f} frames/s")
    return Tile(
        name=escape(report.machine),
        value=f"{three_digits(speed.milliseconds)} ms" if speed else "–",
        below=" · ".join(below) or None,
        explanation="For one face, median, by the fastest back end that answers as fp32 does; "
        "frames count the face detector too",
    )
