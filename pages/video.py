"""Videos: who shows what, when, and for how long."""

from __future__ import annotations

import shlex

import pandas as pd
import plotly.graph_objects as go
import streamlit as st
from streamlit.elements.lib.column_types import ColumnConfig

from fer_bench import plots, ui
from fer_bench.errors import FerBenchError
from fer_bench.formatting import escape, how_many
from fer_bench.ui import models
from fer_bench.ui.images import upload
from fer_bench.ui.videos import results
from fer_bench.ui.videos.job import VideoJob, VideoReport
from fer_bench.ui.videos.source import Video, ask_for_video

INTRODUCTION = (
    "Every person of a video and what they show over its time. It is analysed on the machine that "
    "runs FER Bench; uploads, recordings and results are deleted when you forget them or leave."
)
JOB = "video-job"
EVERY = {1: "every frame", 2: "every 2nd frame", 5: "every 5th frame", 10: "every 10th frame"}
PERCENT = "%.0f %%"
COLUMNS: dict[str, ColumnConfig] = {
    "person": st.column_config.NumberColumn("Person", width="small"),
    "emotion": st.column_config.TextColumn("Emotion", width="small"),
    "from": st.column_config.NumberColumn("From", format="%.2f s", width="small"),
    "to": st.column_config.NumberColumn("To", format="%.2f s", width="small"),
    "changes": st.column_config.NumberColumn("Changes", width="small"),
}


def forget() -> None:
    """Deletes the analysis and its files."""
    if (job := st.session_state.pop(JOB, None)) is not None:
        job.forget()
    results.rewind()


def start(video: Video, model: str, detector: str, every: int) -> None:
    """Begins the analysis; a model that cannot be opened shows why."""
    from fer_bench.inference.detectors.base import make_detector
    from fer_bench.inference.predictor import Predictor

    try:
        predictor = Predictor(models.classifier(model), make_detector(detector))
    except FerBenchError as error:
        ui.show_error(error)
        return
    forget()
    st.session_state[JOB] = VideoJob(video, predictor, model, every=every)
    st.rerun()


def ask() -> bool:
    """The left column: which video, by which model and how closely; whether there is a video."""
    video = ask_for_video()
    model = models.pick_model(models.usable_runs(), key="video-model")
    detector = upload.ask_for_detector()
    every = st.selectbox("Analyse", list(EVERY), format_func=EVERY.__getitem__, key="video-every")
    if st.button("Analyse", type="primary", icon=":material/play_arrow:", disabled=video is None):
        assert video is not None  # nosec B101  # the button is disabled
        start(video, model, detector, every)
    return video is not None


@st.fragment(run_every=1.0)
def show_progress(job: VideoJob) -> None:
    """A bar with the time left; the page is drawn anew when it is over."""
    if job.finished:
        st.rerun()
    st.progress(job.progress, job.progress_line())
    st.button("Cancel", icon=":material/cancel:", on_click=job.cancel, disabled=job.is_cancelled)


def show_chart(figure: go.Figure, key: str, title: str, report: VideoReport) -> str | None:
    """A figure of the video's frames; a click gives what `ui.chart` does."""
    return ui.chart(
        figure,
        key,
        f"{title}, {report.name}",
        [report.run],
        command=ui.command(f"predict {report.run} {shlex.quote(report.name)}"),
        n=how_many(len(report.frames), "frame"),
        selectable=key == "video-timeline",
    )


@st.fragment
def show_time(report: VideoReport) -> None:
    """The time line, a slider, and the frame there with what its faces show."""
    figure = plots.person_timeline(report.spans(), at=results.time_now())
    results.jump(show_chart(figure, "video-timeline", "Persons over time", report))
    time_s = results.scrubber(report)
    left, right = st.columns([3, 2], gap="large")
    picture = results.picture_at(report, time_s)
    if picture is not None:
        left.image(picture, width="stretch", alt=f"The frame at {time_s:.2f} s, its faces boxed")
    with right:
        show_table(results.faces_at(report, time_s))


def show_table(table: pd.DataFrame) -> None:
    """A table whose columns that are not named in `COLUMNS` are percentages."""
    shares = {
        column: st.column_config.ProgressColumn(
            format=PERCENT, min_value=0, max_value=100, width="small"
        )
        for column in table.columns
        if column not in COLUMNS
    }
    st.dataframe(table, hide_index=True, column_config=COLUMNS | shares, width="stretch")


def show_summary(job: VideoJob) -> None:
    """What video it was, what went wrong, its figures and its files."""
    report = job.report
    st.header(results.headline(job))
    for problem in report.problems:
        st.error(escape(problem), icon=":material/error:")
    if sentence := results.verdict(report):
        st.warning(sentence, icon=":material/face_retouching_off:")
    if report.frames:
        ui.tiles(results.figures(report))
    results.downloads(report, forget)


def show_people(report: VideoReport) -> None:
    """The time line with its scrubber, and each person's shares of time."""
    show_time(report)
    st.header("Shares of time")
    show_chart(plots.person_shares(report.spans()), "video-shares", "Shares of time", report)
    show_table(results.people_table(report))


def main() -> None:
    st.title("Videos")
    st.markdown(INTRODUCTION)
    if not models.usable_runs():
        models.no_models()
        return
    job: VideoJob | None = st.session_state.get(JOB)
    if job is not None and not job.finished:
        st.header(escape(job.report.name))
        show_progress(job)
        return
    if job is None:
        left, right = st.columns([2, 3], gap="large")
        with left:
            first = "Press **Analyse**" if ask() else "Give a video and press **Analyse**"
        right.info(f"{first}, and the people of the video appear here.", icon=":material/movie:")
        return
    with st.expander("Another video", icon=":material/movie:"):
        ask()
    show_summary(job)
    if not job.report.spans().empty:
        show_people(job.report)


ui.within_app()
main()
