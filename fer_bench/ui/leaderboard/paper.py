"""What of the leaderboard goes into a paper: which columns, and files to keep."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import streamlit as st

from fer_bench.ui.records import command

FIRST_COLUMNS = ("run", "accuracy", "interval", "clean", "f1", "ece")


@st.fragment
def show_paper(
    columns: Mapping[str, str],
    files: Callable[[Sequence[str]], Mapping[str, Callable[[], str]]],
) -> None:
    """A box that asks for the columns and offers the files.

    Args:
        columns: titles of all that a table may have, by name.
        files: content by file name, for columns; called when a file is asked for.
    """
    paper = st.expander("For a paper", icon=":material/article:", on_change="rerun", key="paper")
    if not paper.open:  # the boxes, and what colours the command, take a visitor's time
        return
    with paper:
        chosen = st.multiselect(
            "Columns",
            list(columns),
            default=FIRST_COLUMNS,
            format_func=columns.__getitem__,
            key="paper-columns",
        )
        st.caption(
            "Tables hold all ranked runs of this data set: the leaderboard with these columns, "
            "mean ± sd over seeds, recall of each emotion, and the best runs tested two by two."
        )
        with st.container(horizontal=True, gap="small"):
            for name, content in files(chosen).items():
                st.download_button(
                    name,
                    content,
                    name,
                    key=f"paper-{name}",
                    icon=":material/download:",
                    on_click="ignore",
                )
        columns_words = f" --columns {','.join(chosen)}" if chosen else ""  # without it, all
        st.code(command(f"report --tables paper{columns_words}"), language="bash", wrap_lines=True)
