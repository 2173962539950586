"""Live: the webcam's faces and their emotions, by the model of your choice, while you watch."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from io import BytesIO
from typing import Any

import streamlit as st
from PIL import Image

from fer_bench import ui
from fer_bench.backends.registry import AUTO, BACKENDS
from fer_bench.errors import FerBenchError
from fer_bench.formatting import escape, safe_csv
from fer_bench.inference.detectors.base import DEFAULT_DETECTOR, DETECTORS
from fer_bench.inference.drawing.faces import annotate
from fer_bench.inference.files.images import decode_image
from fer_bench.inference.live.session import MAX_SMOOTHING, LiveSession, LiveSettings
from fer_bench.inference.predictor import Predictor
from fer_bench.results.store import StoredRun
from fer_bench.ui import models
from fer_bench.ui.images import upload
from fer_bench.ui.live import camera as live
from fer_bench.ui.live import panel

INTRODUCTION = (
    "Your webcam's faces, named while you watch. Frames are analysed where this dashboard runs, "
    "and kept nowhere."
)
REFRESH = timedelta(seconds=1)
NOTHING = ""


def choose_models(runs: Sequence[StoredRun]) -> list[str]:
    """Ids of the one or two runs that the boxes say."""
    labels = models.run_labels(runs)
    with st.container(horizontal=True):
        first = st.selectbox(
            "Model", list(labels), format_func=labels.__getitem__, key="live-model"
        )
        second = st.selectbox(
            "Compare with",
            [NOTHING, *(name for name in labels if name != first)],
            format_func=lambda name: labels.get(name, "nothing"),
            key="live-second",  # without one, another first model would take the second away
            help="A second model on the same frames.",
        )
    return [first] if second == NOTHING else [first, second]


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


def prepare(session: LiveSession, runs: Sequence[str], backend: str, detector: str) -> bool:
    """Opens what was chosen, warm, and hands it over; whether the session has models to run.

    After a choice that cannot be opened the session goes on with the one before.
    """
    try:
        factory = live.detector_factory(detector)
        session.use([models.classifier(run, backend) for run in runs], factory)
    except FerBenchError as error:
        ui.show_error(error)
    return bool(session.stats().models)


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
            "Browsers give a page its camera only over HTTPS or on the machine itself. Open this "
            "dashboard through an https:// address, or on its own machine at http://localhost.",
            icon=":material/lock_open:",
        )


def show_settings(session: LiveSession) -> None:
    """The switches below the picture; they take effect on the next frame."""
    with st.container(horizontal=True, gap="medium"):
        mirror = st.toggle("Mirror", value=True)
        bars = st.toggle("Probability bars", value=True)
        figures = st.toggle("FPS and ms", value=True)
    smoothing = st.slider(
        "Smoothing",
        0.0,
        MAX_SMOOTHING,
        LiveSettings().smoothing,
        0.05,
        help="How much of what was seen before counts: 0 shows each frame for itself.",
        width=320,
    )
    session.settings = LiveSettings(mirror=mirror, bars=bars, figures=figures, smoothing=smoothing)


def png(session: LiveSession) -> bytes:
    """The last frame as shown.

    Raises:
        FerBenchError: there was none yet.
    """
    shown = session.snapshot()
    if shown is None:
        raise FerBenchError("there is no picture yet: start the camera first")
    file = BytesIO()
    Image.fromarray(shown).save(file, "PNG")
    return file.getvalue()


def show_downloads(session: LiveSession, playing: bool) -> None:
    empty = not playing and session.snapshot() is None
    with st.container(horizontal=True, gap="small"):
        st.download_button(
            "Snapshot",
            partial(png, session),  # made when asked for
            "live.png",
            "image/png",
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


def show_camera_hint() -> None:
    st.caption(
        "Your browser asks for the camera first. **NotAllowedError** means that it was refused: "
        "allow the camera with the icon beside the page's address, then press Start again. "
        "**NotFoundError**: no camera is connected. **NotReadableError**: another program has it. "
        "The frames go to the machine that runs FER Bench, and none is kept there."
    )


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
                found = Predictor(classifier, live.detector_factory(detector)()).predict(image)
                numbers = [str(n) for n, _ in enumerate(found.faces, start=1)]
                marked = annotate(image, found.faces, classifier.emotions, names=numbers)
                st.image(marked, caption=escape(run), width="stretch")
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
        ready = prepare(camera.session, chosen, backend, detector)
    if not ready or servers is None:
        return
    with left:
        playing = live.stream(camera, servers)
        if not playing:
            show_camera_hint()
        show_settings(camera.session)
        show_downloads(camera.session, playing)
        models.about_models([run for run in runs if run.id in chosen])
        show_picture(chosen, backend, detector)
    with right:
        st.fragment(panel.show, run_every=REFRESH if playing else None)(camera)


ui.within_app()
main()
