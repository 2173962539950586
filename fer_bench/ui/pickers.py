"""The boxes that choose runs, and the links and tables that open them."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from fer_bench.formatting import escape
from fer_bench.results.leaderboard.glossary import explain
from fer_bench.results.stored_run import StoredRun
from fer_bench.types import ImageSet
from fer_bench.ui.records import SET_NAMES, called, default_id, merit, titles
from fer_bench.ui.widgets import Columns, in_percents

RUN_PARAMETER = "run"
#: Where a visit remembers its run, `dataset/run`.
CHOSEN = "chosen-run"
#: The first column of a `run_table`: on a narrow screen the next one has room too.
RUN_COLUMN = st.column_config.TextColumn(
    "Run", width=258, pinned=True, help="Click a name to open the run"
)
#: Longer tables scroll in a window of their own.
MOST_ROWS = 15


def chosen_run() -> str | None:
    """The `dataset/run` of the address, else the one chosen on another page of this visit."""
    chosen = st.query_params.get(RUN_PARAMETER) or st.session_state.get(CHOSEN)
    return str(chosen) if chosen else None


def shown(name: str) -> str:
    """What an address calls a run, for a sentence: no longer than one."""
    return f"{called(name):.80}"


def pick_run(choices: Sequence[StoredRun], key: str) -> StoredRun:
    """A select box over runs that follows, and keeps up, the address's `?run=`.

    Without it the run chosen on another page of this visit comes first, then the default one, or
    else the best comparable one. key: different on every page.
    """
    by_id = {run.id: run for run in choices}
    wanted = st.query_params.get(RUN_PARAMETER)
    if wanted and wanted not in by_id:
        st.warning(f"This page has no run {escape(shown(wanted))}; showing another.")
    names = list(by_id)
    usual = default_id() or ""
    if usual not in by_id:
        usual = max(names, key=lambda name: merit(by_id[name]))
    if has_moved(RUN_PARAMETER, key):
        st.session_state[key] = wanted if wanted in by_id else usual
    elif st.session_state.get(key) not in by_id:
        preferred = (wanted, st.session_state.get(CHOSEN))
        st.session_state[key] = next((name for name in preferred if name in by_id), usual)
    chosen = st.selectbox("Run", names, key=key, format_func=called)
    remember_run(chosen, key, usual=usual)
    st.set_page_config(page_title=f"{called(chosen)} · FER Bench")
    return by_id[chosen]


def remember_run(chosen: str, key: str, *, usual: str) -> None:
    """One run for the whole visit: in the address, and for the pages that are opened next.

    Args:
        key: different on every page.
        usual: the one that a new visitor gets, who needs no address for it.
    """
    keep_address(RUN_PARAMETER, [chosen], key, [usual])
    st.session_state[CHOSEN] = chosen


def has_moved(parameter: str, key: str) -> bool:
    """Whether Back, Forward or a link has changed the address since a box that is there kept it."""
    there = key in st.session_state and f"kept-{key}" in st.session_state
    return there and st.session_state[f"kept-{key}"] != st.query_params.get_all(parameter)


def keep_address(parameter: str, chosen: list[str], key: str, usual: Sequence[str]) -> None:
    """Writes a box's choice when it has changed: each writing is a step that Back has to take.

    Args:
        key: of the box.
        usual: what a new visitor gets, who needs no address for it.
    """
    known = f"address-{key}"
    if st.query_params.get_all(parameter) or chosen != st.session_state.get(known, list(usual)):
        st.query_params[parameter] = chosen
    st.session_state[known] = chosen
    st.session_state[f"kept-{key}"] = st.query_params.get_all(parameter)


def pick_images(sets: Sequence[ImageSet]) -> ImageSet:
    """Which images to look at; the first of `sets` unless the visitor asks for others."""
    return st.segmented_control(
        "Images",
        sets,
        default=sets[0],
        required=True,
        format_func=SET_NAMES.__getitem__,
        help=explain("clean"),
    )


def pick_several(
    names: Sequence[str], label: str, *, first: Sequence[str], most: int, explanation: str
) -> list[str]:
    """A box of several runs or bare networks that follows, and keeps up, the address's `?run=`s.

    Args:
        names: `dataset/run` each; the address holds these, the box what people call them.
        first: those chosen at first, after the run chosen on another page of this visit.
    """
    key = f"several-{label}"
    before: list[str] = st.session_state.get(key, [])
    elsewhere = bool(before) and not set(before) & set(names)
    wanted = st.query_params.get_all(RUN_PARAMETER)
    unknown = [name for name in wanted if name not in names]
    if unknown and not elsewhere:
        st.warning(f"Nothing was measured here of {escape(', '.join(map(shown, unknown)))}.")
    known = [name for name in dict.fromkeys(wanted) if name in names]
    visited = [name for name in [st.session_state.get(CHOSEN)] if name in names]
    begin = (known or list(dict.fromkeys([*visited, *first]))[: max(len(first), 1)])[:most]
    if elsewhere or has_moved(RUN_PARAMETER, key):
        # Another machine or other data were chosen, which know none of them: an empty box would
        # show nothing at all.
        st.session_state[key] = begin
    chosen = st.multiselect(
        label,
        names,
        default=None if key in st.session_state else begin,
        max_selections=most,
        format_func=called,
        key=key,
        help=explanation,
        wrap=True,
    )
    keep_address(RUN_PARAMETER, chosen, key, first)
    return chosen


def open_run(name: str) -> None:
    """Leaves for the page of the run `dataset/run`, in the same tab."""
    st.switch_page("pages/run.py", query_params={RUN_PARAMETER: name})


def run_link(name: str, label: str) -> None:
    """A link to the page of the run `dataset/run`."""
    st.page_link(
        "pages/run.py",
        label=label,
        icon=":material/monitoring:",
        query_params={RUN_PARAMETER: name},
    )


def run_table(
    table: pd.DataFrame,
    columns: Columns,
    ids: Sequence[str],
    key: str,
    *,
    alt: str | None = None,
) -> None:
    """A table whose column `title` names runs; a click on a name opens its run.

    Args:
        table: rates in [0, 1]; where it has no `title`, the runs get those that all pages call
            them by.
        columns: as for `data_table`.
        ids: of each row, `dataset/run`; rows of what is no run here open nothing.
    """
    if "title" not in table:
        table = table.assign(title=[called(name) for name in ids])
    with st.container(key=f"opens-{key}"):  # tables.js knows it by this
        event = st.dataframe(
            in_percents(table, columns),
            column_order=[name for name in columns if name in table],
            column_config=columns,
            hide_index=True,
            width="stretch",
            height="content" if len(table) <= MOST_ROWS else "auto",
            placeholder="",
            key=key,
            on_select="rerun",
            selection_mode="single-cell",
            alt=alt,
        )
    selection = getattr(event, "selection", None) or {}
    for row, column in selection.get("cells", []):
        if column == "title" and ids[row] in titles():
            open_run(ids[row])
