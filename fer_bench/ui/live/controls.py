"""What the visitor sets on Live, and takes away from it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import streamlit as st

from fer_bench import ui
from fer_bench.backends.registry import AUTO, BACKENDS
from fer_bench.errors import FerBenchError
from fer_bench.formatting import escape, safe_csv
from fer_bench.inference.detectors.base import DEFAULT_DETECTOR, DETECTORS
from fer_bench.inference.images import encode_png
from fer_bench.inference.live.session import MAX_SMOOTHING, MOST_MODELS, LiveSession, LiveSettings
from fer_bench.results.stored_run import StoredRun
from fer_bench.ui import models
from fer_bench.ui.images import upload

#: Where a visit remembers its models.
CHOSEN = "live-chosen"


def choose_models(runs: Sequence[StoredRun]) -> list[str]:
    """Ids of the runs that the box says, up to `MOST_MODELS`; remembered from page to page."""
    labels = models.run_labels(runs)
    before = st.session_state.get(CHOSEN) or [ui.chosen_run()]
    wanted = st.query_params.get(ui.RUN_PARAMETER)
    if wanted in labels and wanted not in before:  # a link to it
        before = [wanted]
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
