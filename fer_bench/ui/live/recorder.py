"""Recording on page Live: asked for by the visitor, kept in their folder until it is deleted."""

from __future__ import annotations

import streamlit as st

from fer_bench.formatting import escape, how_many
from fer_bench.inference.live.recording import LONGEST_S, Recording
from fer_bench.ui.live.camera import Camera
from fer_bench.ui.videos.source import RECORDING, SOURCE, visitor_folder


def show_recorder(camera: Camera, playing: bool) -> None:
    """While the camera runs a switch that records; and the way to what was recorded."""
    wanted = playing and st.toggle(
        "Record",
        key="live-record",
        help=f"At most {LONGEST_S / 60:.0f} minutes, into a temporary folder of the machine that "
        "runs FER Bench. Delete it when you like; it is deleted when you leave.",
    )
    if wanted and camera.recording is None:
        camera.recording = Recording(visitor_folder().new_recording())
    elif camera.recording is not None and not wanted:
        _finish(camera)
    if camera.recording is not None and camera.recording.is_on:
        st.badge("Recording", icon=":material/fiber_manual_record:", color="red")
    _show_recordings()


def _finish(camera: Camera) -> None:
    recording, camera.recording = camera.recording, None
    if recording is not None:
        recording.finish()
        if recording.problem is not None:
            st.error(escape(recording.problem), icon=":material/error:")


def _show_recordings() -> None:
    folder = visitor_folder()
    if not (recordings := folder.recordings()):
        return
    with st.container(horizontal=True, gap="small", vertical_alignment="center"):
        st.markdown(how_many(len(recordings), "recording"))
        if st.button("Open in Videos", icon=":material/movie:"):
            st.session_state[SOURCE] = RECORDING
            st.switch_page("pages/video.py")
        st.button("Delete", icon=":material/delete:", on_click=folder.delete_recordings)
