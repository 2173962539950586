"""The opt-in history of analysed pictures: off unless a visitor turns it on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import streamlit as st

from fer_bench.errors import FerBenchError
from fer_bench.formatting import escape, how_many, percent
from fer_bench.inference.history import History, HistoryEntry
from fer_bench.settings import Settings
from fer_bench.ui.access import VARIABLE as ALLOW
from fer_bench.ui.access import may_name_paths
from fer_bench.ui.images.analysis import Result, Treatment
from fer_bench.ui.images.faces import drawn, face_table, shortened
from fer_bench.ui.widgets import gallery, show_error

if TYPE_CHECKING:
    from fer_bench.inference.classifier import FaceClassifier

#: Names the folder or bucket in place of the visitor.
VARIABLE = "FER_BENCH_HISTORY"
#: As many of the newest entries are shown.
SHOWN = 12
#: Longest side of a stored picture, pixels.
STORED_SIDE = 1280
ON, STORED, MESSAGE = "history-on", "history-stored", "history-message"


def show_history(
    results: Sequence[Result], treatment: Treatment, classifiers: Mapping[str, FaceClassifier]
) -> None:
    """The switch, where pictures go, what was stored, and the button that deletes it."""
    with st.expander("History", icon=":material/history:"):
        if not (Settings().history or may_name_paths()):
            st.caption(
                "No picture is stored. This server is open to other machines, so visitors cannot "
                f"name a folder on it: whoever runs it sets {escape(VARIABLE)}, or "
                f"{escape(ALLOW)}=1 to allow it."
            )
            return
        on = st.toggle("Keep the pictures that I analyse here", key=ON)
        if said := st.session_state.pop(MESSAGE, None):
            st.info(said)
        try:
            history = _ask_for_place()
            _say_where(history if on else None, on)
            if history is None:
                return
            if on:
                _keep(history, results, treatment, classifiers)
            if on or st.toggle("Show what was kept before", key="history-shown"):
                _show(history)
        except FerBenchError as error:
            show_error(error)


def _ask_for_place() -> History | None:
    """The history's folder or bucket; None until it is named.

    Raises:
        FerBenchError: it cannot be opened.
    """
    if given := Settings().history:
        history = History(given)
        st.caption(
            f"{escape(VARIABLE)} says that the history lies in {escape(history.url)}. Everyone who "
            "opens this page can look at it and delete it."
        )
        return history
    place = st.text_input(
        "Folder or bucket",
        placeholder="/path/to/history or s3://bucket/history",
        key="history-place",
        help="A folder on the machine that runs FER Bench, or any URL that fsspec opens; "
        f"{VARIABLE} sets it for everybody.",
    ).strip()
    return History(place) if place else None


def _say_where(history: History | None, on: bool) -> None:
    if not on:
        st.caption("Off: no picture and no result is stored.")
    elif history is None:
        st.caption("Say where to keep them; until then nothing is stored.")
    else:
        st.caption(
            "On: every picture analysed on this page is stored, with its boxes and its faces, in "
            f"**{escape(history.url)}**, as seen from the machine that runs FER Bench. It stays "
            "there until you delete it."
        )


def _keep(
    history: History,
    results: Sequence[Result],
    treatment: Treatment,
    classifiers: Mapping[str, FaceClassifier],
) -> None:
    """Stores what is not stored yet; the same picture again only if it was analysed otherwise.

    Raises:
        FerBenchError: the place cannot be written.
    """
    stored = st.session_state.setdefault(STORED, set())
    emotions = {run: classifier.emotions for run, classifier in classifiers.items()}
    for result in results:
        mark = (history.url, result.picture.key, treatment, tuple(result.analyses))
        if result.error or mark in stored:
            continue
        run = next(iter(result.analyses))
        table = face_table([result], emotions)
        rows = [{str(k): v for k, v in row.dropna().items()} for _, row in table.iterrows()]
        image = drawn(result, treatment, run, emotions[run], STORED_SIDE)
        history.add(result.picture.name, image, rows)
        stored.add(mark)


def _show(history: History) -> None:
    """The newest entries, and the way to be rid of all of them.

    Raises:
        FerBenchError: the storage cannot be read.
    """
    entries = history.entries(limit=SHOWN)
    pictures, damaged = [], history.damaged
    for entry in entries:
        try:
            pictures.append((_image(history, history.url, entry.id), _caption(entry)))
        except FerBenchError:
            damaged += 1
    if damaged:
        st.warning(f"{how_many(damaged, 'picture')} there cannot be read.")
    elif not entries:
        st.caption("Nothing is kept there.")
        return
    gallery(pictures, width=160)
    with st.popover("Delete the history", icon=":material/delete:"):
        st.markdown(f"Every picture kept in **{escape(history.url)}** is deleted for good.")
        st.button(
            "Delete all of them",
            type="primary",
            key="history-delete",
            on_click=_delete,
            args=(history,),
        )


@st.cache_data(max_entries=2 * SHOWN, show_spinner=False)
def _image(_history: History, url: str, entry: str) -> bytes:
    from fer_bench.inference.images import decode_image

    data = _history.image(entry)
    decode_image(data, entry)  # what lies there may be damaged
    return data


def _caption(entry: HistoryEntry) -> str:
    """What stands under a stored picture, Markdown."""
    first = entry.rows[0] if entry.rows else {}
    emotion, score = first.get("emotion", "no face"), first.get("score")
    words = f"{emotion} {percent(score)}" if isinstance(score, (int, float)) else str(emotion)
    return f"{escape(shortened(entry.name))}  \n{escape(words)}  \n{entry.time:%Y-%m-%d %H:%M} UTC"


def _delete(history: History) -> None:
    """Deletes everything and turns the history off, or the page's picture would be kept again."""
    _image.clear()
    st.session_state[STORED] = set()
    st.session_state[ON] = False
    try:
        message = f"{how_many(history.delete_all(), 'picture')} deleted; the history is off."
    except FerBenchError as error:
        message = escape(error)
    st.session_state[MESSAGE] = message
