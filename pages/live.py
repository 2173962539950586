"""Live: the webcam's faces and their emotions, by the model of your choice, while you watch."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from typing import Any

import streamlit as st

from fer_bench import ui
from fer_bench.backends.registry import AUTO, BACKENDS
from fer_bench.errors import FerBenchError
from fer_bench.formatting import escape, safe_csv
from fer_bench.inference.detectors.base import DEFAULT_DETECTOR, DETECTORS, make_detector
from fer_bench.inference.drawing.faces import annotate
from fer_bench.inference.files.images import decode_image, encode_png
from fer_bench.inference.live.session import MAX_SMOOTHING, MOST_MODELS, LiveSession, LiveSettings
from fer_bench.inference.predictor import Predictor
from fer_bench.results.stored_run import StoredRun
from fer_bench.ui import models
from fer_bench.ui.images import upload
from fer_bench.ui.live import camera as live
from fer_bench.ui.live import panel
from fer_bench.ui.live.recorder import show_recorder
from fer_bench.ui.videos.source import SAMPLE, SOURCE

INTRODUCTION = (
    "Your webcam's faces, named while you watch. Frames are analysed where this dashboard runs, "
    "and kept nowhere unless you record them."
)
REFRESH = timedelta(seconds=1)
#: Where a visit remembers its models.
CHOSEN = "live-chosen"


def choose_models(runs: Sequence[StoredRun]) -> list[str]:
    """Ids of the runs that the box says, up to `MOST_MODELS`; remembered from page to page."""
    labels = models.run_labels(runs)
    before = st.session_state.get(CHOSEN) or [ui.chosen_run()]
    known = [name for name in before if name in labels] or list(labels)[:1]
    chosen = st.multiselect(
        "Models",
        list(labels),
        default=known,
        max_selections=MOST_MODELS,
        format_func=labels.__getitem__,
        key="live-models",
        wrap=True,
        help=f"Up to {MOST_MODELS}, side by side on the same faces; the first one's answer colours "
        "the box.",
    )
    st.session_state[CHOSEN] = chosen
    if chosen:
        ui.remember_run(chosen[0], "live", usual=next(iter(labels)))
    return chosen


def choose_means() -> tuple[str, str]:
    """The back end and the detector, of those whose files are here."""
    names = upload.usable_detectors()
    with st.container(horizontal=True):
        backend = st.selectbox(
            "Back end",
            [AUTO, *BACKENDS],
            help="How the model runs; auto measures and takes the fastest.",
        )
        detector = st.selectbox(
            "Face detector",
            names,
            index=names.index(DEFAULT_DETECTOR),
            # All of them: a missing one says how to get it.
            help="  \n".join(f"{n}: {escape(DETECTORS.entry(n).summary)}" for n in DETECTORS),
        )
    return backend, detector


def read_servers() -> list[dict[str, Any]] | None:
    """The servers that help browsers to reach us; None where what is configured makes no sense."""
    try:
        return live.ice_servers()
    except FerBenchError as error:
        ui.show_error(error)
        return None


def show_address_hint() -> None:
    if live.hides_camera(st.context.url):
        st.warning(
            "Browsers give a page its camera only over HTTPS or on the machine itself. Whoever "
            "runs this dashboard gets HTTPS by this command; on its own machine it is at "
            "http://localhost.",
            icon=":material/lock_open:",
        )
        st.code("python -m fer_bench app --lan --https", language="bash")


def show_settings(session: LiveSession) -> None:
    """The switches below the picture; they take effect on the next frame."""
    now = session.settings
    with st.container(horizontal=True, gap="medium"):
        mirror = st.toggle("Mirror", now.mirror, key="live-mirror")
        bars = st.toggle("Probability bars", now.bars, key="live-bars")
        figures = st.toggle("FPS and ms", now.figures, key="live-figures")
    smoothing = st.slider(
        "Smoothing",
        0.0,
        MAX_SMOOTHING,
        now.smoothing,
        0.05,
        key="live-smoothing",
        help="How much of what was seen before counts: 0 shows each frame for itself.",
        width=320,
    )
    session.settings = LiveSettings(mirror=mirror, bars=bars, figures=figures, smoothing=smoothing)
    st.caption("Keys: **q** stop, **s** snapshot, **f** figures, **m** mirror.")


def png(session: LiveSession) -> bytes:
    """The last frame as shown.

    Raises:
        FerBenchError: there was none yet.
    """
    shown = session.snapshot()
    if shown is None:
        raise FerBenchError("there is no picture yet: start the camera first")
    return encode_png(shown)


def show_downloads(session: LiveSession, playing: bool) -> None:
    empty = not playing and session.snapshot() is None
    with st.container(horizontal=True, gap="small"):
        st.download_button(
            "Snapshot",
            partial(png, session),  # made when asked for
            "live.png",
            "image/png",
            key="live-snapshot",
            icon=":material/photo_camera:",
            on_click="ignore",
            disabled=empty,
        )
        st.download_button(
            "Session CSV",
            lambda: safe_csv(session.log()),
            "live-session.csv",
            "text/csv",
            icon=":material/download:",
            on_click="ignore",
            disabled=empty,
        )
        st.button("Forget", icon=":material/delete:", on_click=session.clear, disabled=empty)


def show_ways_without_camera() -> None:
    with st.container(horizontal=True, gap="medium", vertical_alignment="center"):
        st.caption("No camera?", width="content")
        st.page_link("pages/image.py", label="Try an image", icon=":material/image:")
        if st.button("Try a sample clip", icon=":material/movie:", type="tertiary"):
            st.session_state[SOURCE] = SAMPLE
            st.switch_page("pages/video.py")


def show_picture(runs: Sequence[str], backend: str, detector: str) -> None:
    """The way out where no video comes through: one picture, through the same models."""
    way_out = st.expander("No live video? Take a picture", on_change="rerun", key="way-out")
    if not way_out.open:  # closed, it must not ask for the camera
        return
    with way_out:
        st.caption("For networks that let no live video through; it needs the camera all the same.")
        taken = st.camera_input("Picture", label_visibility="collapsed")
        if taken is None:
            return
        try:
            image = decode_image(taken.getvalue(), "the picture")
            for run in runs:
                classifier = models.classifier(run, backend)
                found = Predictor(classifier, make_detector(detector)).predict(image)
                numbers = [str(n) for n, _ in enumerate(found.faces, start=1)]
                marked = annotate(image, found.faces, classifier.emotions, names=numbers)
                said = ", ".join(face.emotion for face in found.faces) or "no face"
                name = ui.called(run)
                alt = f"Your picture as {name} sees it: {said}"
                st.image(marked, caption=escape(name), width="stretch", alt=alt)
                if not found.faces:
                    st.info("No face found: look straight at the camera, in good light.")
        except FerBenchError as error:
            ui.show_error(error)


def main() -> None:
    st.title("Live")
    st.caption(INTRODUCTION)
    runs = models.usable_runs()
    if not runs:
        models.no_models()
        return
    camera = live.camera()
    ui.use_style("live/page.css")
    ui.run_script("live/page.js")
    # All that comes and goes stays in here: the video would start anew if it were moved.
    notices = st.container()
    left, right = st.columns([3, 2], gap="large")
    with left:
        chosen = choose_models(runs)
    with right:
        backend, detector = choose_means()
    with notices:
        show_address_hint()
        servers = read_servers()
    if servers is None:
        return
    with st.container(key="live-view"):
        picture, figures = st.columns([3, 2], gap="large")
    with picture:
        playing = live.stream(camera, servers)
        if not playing:
            show_ways_without_camera()
    if chosen:
        camera.models.choose(chosen, backend, detector)
    opening = camera.models.is_busy
    refresh = REFRESH if playing or opening else None
    with figures:
        st.fragment(panel.show, run_every=refresh)(camera, opening)
    show_settings(camera.session)
    show_downloads(camera.session, playing)
    show_recorder(camera, playing)
    models.about_models([run for run in runs if run.id in chosen])
    show_picture(chosen, backend, detector)


ui.within_app()
main()
