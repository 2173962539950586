"""What a live session says of itself next to the picture: pace, faces, the last minute."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from fer_bench import plots
from fer_bench.formatting import NBSP, escape, how_many, percent
from fer_bench.inference.live.session import LiveStats
from fer_bench.inference.predictor import FacePrediction
from fer_bench.ui.live.camera import Camera
from fer_bench.ui.records import titles
from fer_bench.ui.widgets import empty_state, text_colour

FACES_LISTED = 6
CHART_HEIGHT = 260
FIGURE_WIDTH = 108
#: The numbers' key, by which page.css sets them next to a phone's video.
NUMBERS = "live-numbers"
#: Streamlit's badge colours that come nearest to the emotions' own.
BADGES = {
    "angry": "red",
    "disgust": "green",
    "fear": "violet",
    "happy": "orange",
    "sad": "blue",
    "surprise": "blue",
    "neutral": "gray",
    "contempt": "orange",
}


def show(camera: Camera, opening: bool) -> None:
    """Everything that changes while the camera runs.

    Args:
        opening: whether models were being opened when the page was drawn.
    """
    if opening and not camera.models.is_busy:
        st.rerun()  # the page stops asking every second
    stats = camera.session.stats()
    with st.container():  # what follows keeps its place, and so is drawn anew in place
        _show_state(stats, camera)
    if not stats.playing:
        empty_state(
            "Smile",
            "Press **Start**: boxes, emotions and their probabilities appear on the picture, and "
            "here how fast it goes and the last minute as a chart.",
        )
        return
    _show_figures(stats)
    with st.container():
        _show_faces(stats)
    timeline = camera.session.timeline()
    if len(timeline) > 1:
        data, specification = plots.emotion_timeline(timeline, text_colour())
        st.vega_lite_chart(data, specification, height=CHART_HEIGHT, width="stretch")
    _show_counts(stats)


def _titles(runs: Sequence[str]) -> list[str]:
    """What people call runs that a session knows by their names."""
    called = {name.partition("/")[2]: title for name, title in titles().items()}
    return [called.get(run, run) for run in runs]


def _names(stats: LiveStats) -> str:
    return " and ".join(map(escape, _titles(stats.models)))


def _milliseconds(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:.0f}{NBSP}ms" if value < 1000 else f"{value / 1000:.1f}{NBSP}s"


def _show_figures(stats: LiveStats) -> None:
    age = stats.overlay_age_ms
    figures = {
        "Video": (f"{stats.fps:.0f}{NBSP}fps", "Frames sent back."),
        "Analyses": (
            f"{stats.analyses_per_second:.0f}{NBSP}/s",
            "Frames that the models finished; always the newest one is next.",
        ),
        "Age": (
            _milliseconds(age.p90 if age else None),
            "From the frame that was analysed to the one it is drawn on; nine in ten are younger.",
        ),
        "Detect": (_milliseconds(stats.detect_ms), "Finding the faces of a frame, median."),
        "Classify": (
            _milliseconds(stats.classify_ms),
            "Naming their emotions, all faces and models together, median.",
        ),
    }
    with st.container(horizontal=True, gap="small", key=NUMBERS):
        for name, (value, explanation) in figures.items():
            st.metric(name, value, help=explanation, border=True, width=FIGURE_WIDTH)


def _named(prediction: FacePrediction) -> str:
    colour = BADGES.get(prediction.emotion, "gray")
    return f":{colour}-badge[{escape(prediction.emotion)} {percent(prediction.score)}]"


def _show_faces(stats: LiveStats) -> None:
    st.markdown(f"**{how_many(len(stats.faces), 'face')} now**")
    for face in stats.faces[:FACES_LISTED]:
        answers = (face.prediction, *face.others)
        if len(answers) == 1:
            st.markdown(f"Face {face.track} {_named(face.prediction)}")
            continue
        lines = zip(
            _titles(stats.models), answers, strict=False
        )  # while models change, one may be new
        named = "  \n".join(f"{_named(answer)} {escape(model)}" for model, answer in lines)
        st.markdown(f"Face {face.track}  \n{named}")
    if len(stats.faces) > FACES_LISTED:
        st.caption(f"and {len(stats.faces) - FACES_LISTED} more")


def _show_counts(stats: LiveStats) -> None:
    counts = f"{how_many(stats.frames, 'frame')}, {stats.analysed:,} analysed"
    counts += f", by {_names(stats)}." if stats.models else "."
    if age := stats.overlay_age_ms:
        counts += f" Median age of an overlay: {_milliseconds(age.p50)}."
    st.caption(counts)


def _show_state(stats: LiveStats, camera: Camera) -> None:
    """What is wrong, if anything is, and whether models are on their way."""
    if sentence := stats.error or camera.problem or camera.models.problem:
        st.error(escape(sentence), icon=":material/error:")
    if camera.models.is_busy:
        words = "Opening the model …"
        if stats.models:
            words = (
                f"Opening what you chose; until it is ready, the answers are by {_names(stats)}."
            )
        elif not stats.playing:
            words += " you can press Start already."
        st.info(words, icon=":material/hourglass_top:")
    if not stats.playing or stats.fps > 0:
        return
    if stats.frames == 0:
        st.info("Waiting for the camera's first frame …", icon=":material/hourglass_top:")
    else:
        st.warning(
            "The camera sends nothing any more: see that it is plugged in and that no other "
            "program took it, then press Stop and Start.",
            icon=":material/videocam_off:",
        )
