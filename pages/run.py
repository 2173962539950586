"""Run: everything one record says, and how to reproduce it."""

from collections.abc import Callable
from functools import partial

import streamlit as st

from fer_bench import ui
from fer_bench.formatting import escape
from fer_bench.results.leaderboard.glossary import explain
from fer_bench.results.leaderboard.headline import headline
from fer_bench.results.record import RunRecord
from fer_bench.results.stored_run import StoredRun
from fer_bench.specs.run import ExternalSpec, RunSpec
from fer_bench.ui.run.outcome import follow_curves, show_classes, show_curves, show_latency
from fer_bench.ui.run.settings import show_data, show_environment, show_external, show_settings
from fer_bench.ui.run.use import show_files, show_uses


def show_record(run: StoredRun, record: RunRecord) -> None:
    ui.badges(record)
    *labels, seed = record.spec.labels
    words = [*labels, record.dataset.name, record.dataset.protocol]
    if isinstance(record.spec, RunSpec):  # an ensemble is drawn from no seed
        words.append(f"seed {seed}")
    st.caption(escape(" · ".join(words)), help=explain(record.dataset.protocol, "clean"))
    if isinstance(record.spec, ExternalSpec):
        show_external(record.spec)
    if record.error:
        st.error(escape(record.error), icon=":material/error:")
    if record.status in ("running", "interrupted"):
        st.info("This run has not finished; its epochs so far are below.")
    test = record.metrics.get("test")
    if test:
        clean, tta = record.metrics.get("test_clean"), record.metrics.get("test_tta")
        calibrated = record.calibrated_ece.get("test")
        ui.tiles(headline(test, clean=clean, tta=tta, calibrated_ece=calibrated))
        st.page_link(
            "pages/errors.py",
            label="See this run's errors",
            icon=":material/grid_on:",
            query_params={ui.RUN_PARAMETER: run.id},
        )
    views: dict[str, Callable[[], None]] = {}
    if not isinstance(record.spec, ExternalSpec):
        is_training = record.status == "running"
        curves = partial(follow_curves, run) if is_training else partial(show_curves, run, record)
        views["Curves"] = curves
    if record.metrics:
        views["Classes"] = partial(show_classes, run, record)
    views |= {
        "Use": partial(show_uses, run, record),
        "Settings": partial(show_settings, run, record),
        "Data": partial(show_data, run, record),
        "Environment": partial(show_environment, record),
        "Files": partial(show_files, run),
    }
    ui.show_views(views)
    show_latency(run)


def main() -> None:
    st.title("Run")
    st.caption("Everything that one record says: how good, how trained, and how to use it.")
    stored = ui.runs()
    if not stored:
        ui.no_results()
        return
    run = ui.pick_run(stored, "run-picker")
    if run.record is None:
        st.error(escape(run.problem or "this record cannot be read"), icon=":material/error:")
        show_files(run)
        return
    show_record(run, run.record)


ui.within_app()
main()
