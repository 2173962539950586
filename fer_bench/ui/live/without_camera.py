"""The ways on where a browser gives no camera, or no live video."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from fer_bench import ui
from fer_bench.errors import FerBenchError
from fer_bench.formatting import escape
from fer_bench.inference.detectors.base import make_detector
from fer_bench.inference.drawing.faces import annotate
from fer_bench.inference.images import decode_image
from fer_bench.inference.predictor import Predictor
from fer_bench.ui import models
from fer_bench.ui.live import camera as live
from fer_bench.ui.videos.source import SAMPLE, SOURCE


def show_address_hint() -> None:
    if live.hides_camera(st.context.url):
        st.warning(
            "Browsers give a page its camera only over HTTPS or on the machine itself. Whoever "
            "runs this dashboard gets HTTPS by this command; on its own machine it is at "
            "http://localhost.",
            icon=":material/lock_open:",
        )
        st.code("python -m fer_bench app --lan --https", language="bash")


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
                prediction = Predictor(classifier, make_detector(detector)).predict(image)
                numbers = [str(n) for n, _ in enumerate(prediction.faces, start=1)]
                marked = annotate(image, prediction.faces, classifier.emotions, names=numbers)
                emotions = ", ".join(face.emotion for face in prediction.faces) or "no face"
                name = ui.called(run)
                alt = f"Your picture as {name} sees it: {emotions}"
                st.image(marked, caption=escape(name), width="stretch", alt=alt)
                if not prediction.faces:
                    st.info("No face found: look straight at the camera, in good light.")
        except FerBenchError as error:
            ui.show_error(error)
