"""Videos that a visitor gives: uploads, files of this machine, recordings of page Live."""

from __future__ import annotations

import math
import shutil
import tempfile
import weakref
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import numpy as np
import streamlit as st
from PIL import Image

from fer_bench.errors import FerBenchError
from fer_bench.formatting import escape, file_size
from fer_bench.inference.files.inputs import VIDEO_SUFFIXES, find_inputs
from fer_bench.inference.video.writer import add_pictures, as_frame
from fer_bench.ui.access import may_name_paths
from fer_bench.ui.images.upload import SAMPLE_FILE
from fer_bench.ui.widgets import show_error

SAMPLE, UPLOAD, PATH, RECORDING = "Sample", "Upload", "File", "Recording"
SOURCE, FOLDER = "video-source", "video-folder"
#: The sample: its side in pixels, frames, and their rate; the photograph moves by so many pixels.
SIDE, FRAMES, RATE, WANDER = 360, 40, Fraction(10), 24
#: Of an upload, MB; it passes through the server's memory.
LARGEST_UPLOAD = 500


@dataclass(frozen=True, kw_only=True)
class Video:
    """A file to analyse and what the visitor calls it."""

    path: Path
    name: str


class VisitorFolder:
    """A temporary folder that goes with the visit, or with the server."""

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="fer-bench-video-"))
        self._end = weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)

    def recordings(self) -> list[Path]:
        """What page Live recorded, newest first."""
        return sorted(self.path.glob("recording-*.mp4"), reverse=True)

    def new_recording(self) -> Path:
        """A name for the next one."""
        return self.path / f"recording-{datetime.now():%Y-%m-%d-%H-%M-%S}.mp4"

    def delete_recordings(self) -> None:
        """Deletes them for good."""
        for path in self.recordings():
            path.unlink(missing_ok=True)


def visitor_folder() -> VisitorFolder:
    """This visitor's; made when it is first asked for."""
    if FOLDER not in st.session_state:
        st.session_state[FOLDER] = VisitorFolder()
    return cast(VisitorFolder, st.session_state[FOLDER])


def ask_for_video() -> Video | None:
    """A sample, an upload, a file of this machine or a recording; maybe none yet."""
    recordings = visitor_folder().recordings()
    sources = [
        SAMPLE,
        UPLOAD,
        *([PATH] if may_name_paths() else []),
        *([RECORDING] if recordings else []),
    ]
    if st.session_state.get(SOURCE) not in sources:
        st.session_state[SOURCE] = sources[0]
    source = st.segmented_control(
        "Video", sources, required=True, key=SOURCE, label_visibility="collapsed", width="stretch"
    )
    if source == SAMPLE:
        st.caption("A photograph by NASA (Eileen Collins, public domain) that moves for 4 seconds.")
        return Video(path=_sample(), name="sample.mp4")
    if source == RECORDING:
        return _ask_for_recording(recordings)
    return _ask_for_file() if source == PATH else _ask_for_upload()


def _sample() -> Path:
    """The clip that needs no file of the visitor's; drawn when it is first asked for."""
    path = visitor_folder().path / "sample.mp4"
    if path.exists():
        return path
    with Image.open(SAMPLE_FILE) as photo, av.open(str(path), "w") as output:
        pictures = add_pictures(output, SIDE, SIDE, RATE, 1 / RATE)
        for number in range(FRAMES):
            turn = 2 * math.pi * number / FRAMES
            left, top = (round(WANDER * (1 + part)) for part in (math.sin(turn), math.cos(turn)))
            seen = photo.convert("RGB").crop((left + 60, top, left + 60 + SIDE, top + SIDE))
            frame = as_frame(np.asarray(seen))
            frame.pts, frame.time_base = number, 1 / RATE
            output.mux(pictures.encode(frame))
        output.mux(pictures.encode(None))
    return path


def _ask_for_upload() -> Video | None:
    given = st.file_uploader(
        "A video",
        type=[suffix.removeprefix(".") for suffix in VIDEO_SUFFIXES],
        key="video-file",
        max_upload_size=LARGEST_UPLOAD,
        label_visibility="collapsed",
    )
    if given is None:
        return None
    path = visitor_folder().path / f"upload-{given.file_id}{Path(given.name).suffix}"
    if not path.exists():
        for old in path.parent.glob("upload-*"):
            old.unlink(missing_ok=True)
        try:
            path.write_bytes(given.getbuffer())
        except OSError as error:
            path.unlink(missing_ok=True)
            reason = f"cannot write {path.parent}: {error.strerror}; free some space there"
            show_error(FerBenchError(reason))
            return None
    return Video(path=path, name=given.name)


def _ask_for_file() -> Video | None:
    text = st.text_input(
        "A video of the machine that runs FER Bench",
        placeholder="/path/to/clip.mp4",
        key="video-path",
    ).strip()
    if not text:
        return None
    try:
        files = find_inputs([text]).files
        if len(files) > 1 or not files[0].is_video:
            what = f"{len(files):,} files" if len(files) > 1 else "no video"
            raise FerBenchError(
                f"expected one video, {text} is {what}; for those there are the page Try an image "
                "and `python -m fer_bench predict`"
            )
    except FerBenchError as error:
        show_error(error)
        return None
    return Video(path=files[0].path, name=files[0].path.name)


def _ask_for_recording(recordings: list[Path]) -> Video:
    path = st.selectbox(
        "Recordings of page Live",
        recordings,
        format_func=lambda path: f"{path.stem} · {file_size(path)}",
        key="video-recording",
    )
    st.button(
        "Delete the recordings",
        icon=":material/delete:",
        on_click=visitor_folder().delete_recordings,
    )
    st.caption(f"They are gone when you leave: `{escape(path.parent)}` is a temporary folder.")
    return Video(path=path, name=path.name)
