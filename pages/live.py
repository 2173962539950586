"""Live: the webcam's faces and their emotions, by the model of your choice, while you watch."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import streamlit as st

from fer_bench import ui
from fer_bench.errors import FerBenchError
from fer_bench.ui import models
from fer_bench.ui.live import camera as live
from fer_bench.ui.live import panel
from fer_bench.ui.live.controls import choose_means, choose_models, show_downloads, show_settings
from fer_bench.ui.live.recorder import show_recorder
from fer_bench.ui.live.without_camera import (
    show_address_hint,
    show_picture,
    show_ways_without_camera,
)

INTRODUCTION = (
    "Your webcam's faces, named while you watch. Frames are analysed where this dashboard runs, "
    "and kept nowhere unless you record them."
)
REFRESH = timedelta(seconds=1)


def read_servers() -> list[dict[str, Any]] | None:
    """The servers that help browsers to reach us; None where what is configured makes no sense."""
    try:
        return live.ice_servers()
    except FerBenchError as error:
        ui.show_error(error)
        return None


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
    with notices:
        models.warn_of_address([run.id for run in runs])
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
    else:
        notices.info("Choose a model: until then the last choice's answers go on.")
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
