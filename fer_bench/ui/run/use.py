"""Ways to use a run, and its files."""

from __future__ import annotations

import streamlit as st

from fer_bench import ui
from fer_bench.formatting import escape, file_size
from fer_bench.results.record import RunRecord
from fer_bench.results.reproduce import reproduce_command
from fer_bench.results.stored_run import StoredRun
from fer_bench.results.usage import usages
from fer_bench.specs.run import ExternalSpec

TRY_PAGES = (
    ("pages/live.py", "Try it live", ":material/videocam:"),
    ("pages/image.py", "Try it on an image", ":material/image:"),
)


def show_uses(run: StoredRun, record: RunRecord) -> None:
    """Ways to use the run, its name filled in, and how to get it again."""
    if isinstance(record.spec, ExternalSpec) and not record.spec.model:
        st.info(
            "FER Bench did not run this system: only its answers are stored, so it cannot be tried "
            "here. The command below scores answers like these.",
            icon=":material/info:",
        )
    elif not run.has_weights:
        st.info(
            "This run's weights are not here, so it cannot be tried. The command below trains it "
            "again; add `--results` with a folder of your own.",
            icon=":material/info:",
        )
    else:
        with st.container(horizontal=True):
            for page, label, icon in TRY_PAGES:
                st.page_link(page, label=label, icon=icon, query_params={ui.RUN_PARAMETER: run.id})
        for use in usages(run.id, ui.own_results()):
            st.markdown(f"**{use.purpose}**")
            st.code(use.code, language=use.language, wrap_lines=True)
    st.header("Reproduce")
    st.code(reproduce_command(record), language="bash", wrap_lines=True)


def show_files(run: StoredRun) -> None:
    for file in sorted(run.folder.iterdir()):
        if file.is_file() and not file.name.startswith("."):
            st.download_button(
                f"{escape(file.name)} · {file_size(file)}",
                file.read_bytes,
                file.name,
                key=f"file-{file.name}",
                icon=":material/download:",
                on_click="ignore",
            )
