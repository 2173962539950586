"""Videos: who shows what, when, and for how long."""

from __future__ import annotations

import streamlit as st

from fer_bench import ui
from fer_bench.errors import FerBenchError
from fer_bench.formatting import escape
from fer_bench.ui import models
from fer_bench.ui.images import upload
from fer_bench.ui.videos import results, timeline
from fer_bench.ui.videos.job import VideoJob
from fer_bench.ui.videos.source import Video, ask_for_video

INTRODUCTION = (
    "Every person of a video and what they show over its time. It is analysed on the machine that "
    "runs FER Bench; uploads, recordings and results are deleted when you forget them or leave."
)
JOB = "video-job"
EVERY = {1: "every frame", 2: "every 2nd frame", 5: "every 5th frame", 10: "every 10th frame"}


def forget() -> None:
    """Deletes the analysis and its files."""
    if (job := st.session_state.pop(JOB, None)) is not None:
        job.forget()
    timeline.rewind()


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
    results.show_summary(job, forget)
    if not job.report.spans().empty:
        timeline.show_people(job.report)


ui.within_app()
main()
