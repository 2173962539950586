"""What came of a video: the time line, the frame at a time, shares and files to keep."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import NDArray

from fer_bench.errors import FerBenchError
from fer_bench.formatting import escape, how_many, percent
from fer_bench.inference.video.reader import read_frame
from fer_bench.results.leaderboard.headline import Tile
from fer_bench.ui.images.faces import safe_stem
from fer_bench.ui.videos.job import VideoJob, VideoReport
from fer_bench.ui.widgets import show_error

#: Where the scrubber stands, seconds; and the start of the span that was clicked last.
TIME, CLICKED = "video-time", "video-clicked"


def figures(report: VideoReport) -> list[Tile]:
    """Length, persons and frames."""
    return [
        Tile(name="Length", value=f"{report.times()[-1]:.1f} s"),
        Tile(name="Persons", value=f"{report.spans()['track'].nunique():,}"),
        Tile(name="Frames analysed", value=f"{len(report.frames):,}"),
        Tile(name="Without a face", value=percent(report.n_no_face / len(report.frames))),
    ]


def headline(job: VideoJob) -> str:
    """Which video it is, and whether it was read to its end."""
    end = ", cancelled: what was analysed until then" if job.is_cancelled else ""
    return f"{escape(job.report.name)}{end}"


def time_now() -> float:
    """Where the scrubber stands, seconds."""
    return float(st.session_state.get(TIME, 0.0))


def rewind() -> None:
    """Puts the scrubber to the start, for another video."""
    for key in (TIME, CLICKED):
        st.session_state.pop(key, None)


def jump(clicked: str | None) -> None:
    """Puts the scrubber to the start of a span that was clicked, once for each click."""
    if clicked is not None and clicked != st.session_state.get(CLICKED):
        st.session_state[CLICKED] = clicked
        st.session_state[TIME] = float(clicked)


def scrubber(report: VideoReport) -> float:
    """A slider over the video's time; seconds."""
    times = report.times()
    if len(times) < 2:
        return times[0]
    st.session_state[TIME] = min(max(time_now(), times[0]), times[-1])
    return float(
        st.slider(
            "Time (s)",
            times[0],
            times[-1],
            step=(times[-1] - times[0]) / (len(times) - 1),
            format="%.2f",
            key=TIME,
        )
    )


def picture_at(report: VideoReport, time_s: float) -> NDArray[np.uint8] | None:
    """The frame of the annotated copy at a time; None, with a sentence, where there is none."""
    if not report.copy.exists():
        st.info("There is no annotated copy, so no frame can be shown.", icon=":material/image:")
        return None
    try:
        return read_frame(report.copy, report.frame_at(time_s).time_s or 0.0)
    except FerBenchError as error:
        show_error(error)
        return None


def faces_at(report: VideoReport, time_s: float) -> pd.DataFrame:
    """A row per emotion: its probability for each person in the frame at a time, in percent."""
    frame = report.frame_at(time_s)
    people = {
        f"Person {track}": 100 * face.probabilities
        for track, face in sorted(
            zip(frame.tracks, frame.faces, strict=True), key=lambda pair: pair[0]
        )
    }
    return pd.DataFrame({"emotion": [emotion.capitalize() for emotion in report.emotions]} | people)


def people_table(report: VideoReport) -> pd.DataFrame:
    """A row per person: when they were seen, how often their emotion changed, its shares."""
    rows = [
        {
            "person": person["track"],
            "from": person["first_s"],
            "to": person["last_s"],
            "changes": person["changes"],
        }
        | {emotion.capitalize(): 100 * share for emotion, share in person["emotions"].items()}
        for person in report.people.document()
    ]
    emotions = [emotion.capitalize() for emotion in report.emotions]
    return pd.DataFrame(rows, columns=["person", "from", "to", "changes", *emotions]).fillna(0.0)


def downloads(report: VideoReport, forget: Callable[[], None]) -> None:
    """Buttons for the table and the annotated copy, and one that deletes both."""
    stem = safe_stem(report.name)
    with st.container(horizontal=True, gap="small"):
        _download("Download CSV", report.table, f"{stem}-faces.csv", "text/csv")
        _download("Download annotated video", report.copy, f"{stem}-faces.mp4", "video/mp4")
        st.button("Forget", icon=":material/delete:", on_click=forget, help="Deletes both files.")


def _download(label: str, path: Path, name: str, kind: str) -> None:
    if path.exists():
        st.download_button(
            label,
            path.read_bytes,  # when asked for
            name,
            kind,
            icon=":material/download:",
            on_click="ignore",
        )


def verdict(report: VideoReport) -> str | None:
    """What to say where no face was found in any frame."""
    if not report.frames or report.n_no_face < len(report.frames):
        return None
    return (
        f"No face found in {how_many(len(report.frames), 'frame')} of {escape(report.name)}. "
        "Larger, frontal faces in good light are found best."
    )
