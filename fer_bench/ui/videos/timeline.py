"""A video's persons over time: the time line, the frame at a time, and shares of time."""

from __future__ import annotations

import shlex

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import streamlit as st
from numpy.typing import NDArray
from streamlit.elements.lib.column_types import ColumnConfig

from fer_bench import plots
from fer_bench.errors import FerBenchError
from fer_bench.formatting import how_many
from fer_bench.inference.video.reader import read_frame
from fer_bench.ui.records import command
from fer_bench.ui.videos.job import VideoReport
from fer_bench.ui.widgets import chart, show_error

#: Where the scrubber stands, seconds; and the start of the span that was clicked last.
TIME, CLICKED = "video-time", "video-clicked"
PERCENT = "%.0f %%"
COLUMNS: dict[str, ColumnConfig] = {
    "person": st.column_config.NumberColumn("Person", width="small"),
    "emotion": st.column_config.TextColumn("Emotion", width="small"),
    "from": st.column_config.NumberColumn("From", format="%.2f s", width="small"),
    "to": st.column_config.NumberColumn("To", format="%.2f s", width="small"),
    "changes": st.column_config.NumberColumn("Changes", width="small"),
}


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


def show_chart(figure: go.Figure, key: str, title: str, report: VideoReport) -> str | None:
    """A figure of the video's frames; a click gives what `widgets.chart` does."""
    return chart(
        figure,
        key,
        f"{title}, {report.name}",
        [report.run],
        command=command(f"predict {report.run} {shlex.quote(report.name)}"),
        n=how_many(len(report.frames), "frame"),
        selectable=key == "video-timeline",
    )


@st.fragment
def show_time(report: VideoReport) -> None:
    """The time line, a slider, and the frame there with what its faces show."""
    figure = plots.person_timeline(report.spans(), at=time_now())
    jump(show_chart(figure, "video-timeline", "Persons over time", report))
    time_s = scrubber(report)
    left, right = st.columns([3, 2], gap="large")
    picture = picture_at(report, time_s)
    if picture is not None:
        left.image(picture, width="stretch", alt=f"The frame at {time_s:.2f} s, its faces boxed")
    with right:
        show_table(faces_at(report, time_s))


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


def show_people(report: VideoReport) -> None:
    """The time line with its scrubber, and each person's shares of time."""
    show_time(report)
    st.header("Shares of time")
    show_chart(plots.person_shares(report.spans()), "video-shares", "Shares of time", report)
    show_table(people_table(report))
