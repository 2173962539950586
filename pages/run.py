"""Run: everything one record says, and how to reproduce it."""

from collections.abc import Callable
from functools import partial

import pandas as pd
import streamlit as st

from fer_bench import plots, ui
from fer_bench.config import meanings
from fer_bench.errors import FerBenchError
from fer_bench.formatting import escape, file_size, setting, setting_name
from fer_bench.results.leaderboard.glossary import TERMS, explain
from fer_bench.results.leaderboard.headline import Tile, headline, per_class
from fer_bench.results.record import RunRecord
from fer_bench.results.reports.latency import LatencyReport
from fer_bench.results.reports.latency_files import read_latency
from fer_bench.results.stored_run import StoredRun
from fer_bench.results.summary import (
    differences,
    reproduce_command,
    three_digits,
    training_progress,
)
from fer_bench.results.usage import usages
from fer_bench.specs.recipe import Recipe
from fer_bench.specs.run import ExternalSpec, RunSpec
from fer_bench.studies.latency.budget import speed_of
from fer_bench.types import QUANTITIES

#: Seconds between two looks at the curves of a run that is training.
REFRESH = 5
TRY_PAGES = (
    ("pages/live.py", "Try it live", ":material/videocam:"),
    ("pages/image.py", "Try it on an image", ":material/image:"),
)
#: How a record says it, and how the page does.
TRAINED_ON = {"in-sample": "yes", "held-out": "no", "unknown": "not known"}
MEMBER_COLUMNS = {
    "title": st.column_config.TextColumn("Run", width=270, help="Click to open it"),
    "weight": ui.number("Share", ui.PERCENT),
    "temperature": ui.number("Temperature", "%.3f", "Divides its logits before the mean"),
}


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
    kept = record.training.best_epoch if record.training else None
    for place, quantity in zip(st.columns(2, gap="large"), QUANTITIES, strict=True):
        with place:
            figure = plots.training_curve(history, quantity, kept)
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


def show_uses(run: StoredRun, record: RunRecord) -> None:
    """Ways to use the run, its name filled in, and how to get it again."""
    if isinstance(record.spec, ExternalSpec) and not record.spec.model:
        st.info(
            "FER Bench did not run this system: only its answers are stored, so it cannot be tried "
            "here. The command below scores answers like these.",
            icon=":material/info:",
        )
    elif not run.has_weights:
        st.info(
            "This run's weights are not here, so it cannot be tried. The command below trains it "
            "again; add `--results` with a folder of your own.",
            icon=":material/info:",
        )
    else:
        with st.container(horizontal=True):
            for page, label, icon in TRY_PAGES:
                st.page_link(page, label=label, icon=icon, query_params={ui.RUN_PARAMETER: run.id})
        for use in usages(run.id, ui.own_results()):
            st.markdown(f"**{use.purpose}**")
            st.code(use.code, language=use.language, wrap_lines=True)
    st.header("Reproduce")
    st.code(reproduce_command(record), language="bash", wrap_lines=True)


def show_members(run: StoredRun, record: RunRecord) -> None:
    st.header("Members")
    table = pd.DataFrame([member.model_dump() for member in record.members])
    ids = [f"{run.dataset}/{name}" for name in table["run"]]
    ui.run_table(table, MEMBER_COLUMNS, ids, "members")


def show_differences(run: StoredRun, record: RunRecord) -> None:
    """The settings in which another run differs from this one."""
    others = [one for one in ui.runs() if one.record and one.id != run.id]
    chosen = st.selectbox(
        "What differs from",
        others,
        index=None,
        format_func=lambda one: ui.called(one.id),
        placeholder="another run",
        key="differs-from",
    )
    if chosen is None:
        return
    table = differences(record, chosen.require_record())
    if table.empty:
        st.info("The two have the same settings; only what they gave differs.")
        return
    table["setting"] = table["setting"].map(setting_name)
    for column in ("this", "other"):
        table[column] = table[column].map(setting)
    names = {"setting": "Setting", "this": "This run", "other": ui.called(chosen.id)}
    st.dataframe(table, column_config=names, hide_index=True, width="stretch")


def show_settings(run: StoredRun, record: RunRecord) -> None:
    show_differences(run, record)
    left, right = st.columns(2, gap="large")
    with left:
        st.header("Run")
        ui.value_table(record.spec.model_dump(mode="json", exclude={"recipe", "ensemble"}))
        if record.model:
            st.header("Model")
            ui.value_table(record.model.model_dump(mode="json"))
    with right:
        if record.members:
            show_members(run, record)
        if isinstance(record.spec, RunSpec):
            st.header("Recipe")
            ui.value_table(record.spec.recipe.model_dump(mode="json"), meanings(Recipe))
        if record.temperature is not None:
            st.header("Calibration")
            values = record.model_dump(mode="json", include={"temperature", "calibrated_ece"})
            ui.value_table(values, {"calibrated_ece": TERMS["ece"]})


def show_data(run: StoredRun, record: RunRecord) -> None:
    dataset = record.dataset
    words = {"protocol": TERMS.get(dataset.protocol, ""), "clean_test_size": TERMS["clean"]}
    ui.value_table(dataset.model_dump(mode="json", exclude={"class_counts"}), words)
    figure = plots.class_balance(dataset.class_counts)
    ui.run_chart(figure, "balance", f"Class balance of {dataset.name}", run.id)


def show_environment(record: RunRecord) -> None:
    left, right = st.columns(2, gap="large")
    with left:
        ui.value_table(record.environment.model_dump(mode="json", exclude={"packages"}))
    with right:
        ui.value_table(record.environment.packages)
        if record.training:
            st.header("Training")
            ui.value_table(record.training.model_dump(mode="json"))


def show_files(run: StoredRun) -> None:
    for file in sorted(run.folder.iterdir()):
        if file.is_file() and not file.name.startswith("."):
            st.download_button(
                f"{escape(file.name)} · {file_size(file)}",
                file.read_bytes,
                file.name,
                key=f"file-{file.name}",
                icon=":material/download:",
                on_click="ignore",
            )


def show_external(spec: ExternalSpec) -> None:
    """What is known of a system that FER Bench did not run; nothing is made up."""
    known = {
        "Source": spec.source,
        "Licence": spec.licence,
        "Training": spec.training,
        "Preprocessing": spec.preprocessing,
    }
    lines = [f"**{name}:** {escape(text or 'not said')}" for name, text in known.items()]
    st.markdown(
        "  \n".join([f"**Trained on these test images:** {TRAINED_ON[spec.trained_on]}", *lines])
    )


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
        ui.tiles(headline(test, clean=clean, tta=tta))
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
