"""What the dashboard's pages share: cached records, the run picker, safe text, empty states.

The only file of the library that imports Streamlit.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import plotly.graph_objects as go
import streamlit as st
from PIL import Image

import fer_bench
from fer_bench import settings
from fer_bench.config import Protocol
from fer_bench.data.base import FaceDataset
from fer_bench.display import Tile, escape, setting
from fer_bench.errors import FerBenchError
from fer_bench.results.csv_export import safe_csv
from fer_bench.results.describe import summary_table
from fer_bench.results.record import RunRecord
from fer_bench.results.store import ResultsStore, StoredRun

if TYPE_CHECKING:  # torch loads only when an audit is asked for
    from fer_bench.data.audit import Audit

#: How a record's metrics are called on the pages, in reading order.
SET_NAMES = {"test": "Test", "test_clean": "Clean test", "val": "Validation"}
TEXT_COLOURS = {"light": "#1c2024", "dark": "#e8eaef"}
RUN_PARAMETER = "run"
TILE_WIDTH = 164
SYNTHETIC = "synthetic"

# --- records -----------------------------------------------------------------------------------


def results_root() -> Path:
    """The folder of records: `FER_BENCH_RESULTS`, or `results/` beside `app.py`."""
    given = os.environ.get("FER_BENCH_RESULTS")
    return Path(given) if given else Path(fer_bench.__file__).parents[1] / "results"


def _state(root: Path) -> str:
    """A digest that changes as soon as any record is added, changed or removed."""
    digest = hashlib.sha256()
    for file in sorted(root.glob("*/*/record.json")):
        stat = file.stat()
        digest.update(f"{file}{stat.st_mtime_ns}{stat.st_size}".encode())
    return digest.hexdigest()


@st.cache_resource(max_entries=2, show_spinner="Reading the records …")
def _load(root: str, state: str) -> tuple[list[StoredRun], pd.DataFrame]:
    stored = ResultsStore(Path(root)).runs()
    return stored, summary_table(stored)


def runs() -> list[StoredRun]:
    """Every stored run; parsed once, and again when the folder changes. Not to be modified."""
    root = results_root()
    return _load(str(root), _state(root))[0]


def table() -> pd.DataFrame:
    """`summary_table` of `runs()`; the caller's own copy."""
    root = results_root()
    return _load(str(root), _state(root))[1].copy()


def history(run: StoredRun) -> pd.DataFrame | None:
    """A run's epochs so far, or None where it has none.

    Raises:
        FerBenchError: the file is damaged.
    """
    return _part(run, "history.csv")


def predictions(run: StoredRun) -> pd.DataFrame | None:
    """A run's predictions, or None where it has none.

    Raises:
        FerBenchError: the file is damaged.
    """
    return _part(run, "predictions.parquet")


def _part(run: StoredRun, file: str) -> pd.DataFrame | None:
    path = run.folder / file
    if not path.exists():
        return None
    return _read_part(str(results_root()), run, file, path.stat().st_mtime_ns)


@st.cache_data(max_entries=16, show_spinner=False, hash_funcs={StoredRun: lambda r: str(r.folder)})
def _read_part(root: str, run: StoredRun, file: str, changed: int) -> pd.DataFrame:
    store = ResultsStore(Path(root))
    return store.history(run) if file == "history.csv" else store.predictions(run)


def run_id(run: StoredRun) -> str:
    """What stands in a page's address: `?run=<dataset>/<run>`."""
    return f"{run.dataset}/{run.name}"


def pick_run(choices: Sequence[StoredRun], key: str) -> StoredRun:
    """A select box over runs that follows, and keeps up, the address's `?run=`.

    Without it the best comparable run comes first. key: different on every page.
    """
    by_id = {run_id(run): run for run in choices}
    wanted = st.query_params.get(RUN_PARAMETER)
    if wanted is not None and wanted not in by_id:
        st.warning(f"This page has no run {escape(wanted)}; showing another.")
    names = list(by_id)
    first = wanted if wanted in by_id else max(names, key=lambda name: _merit(by_id[name]))
    chosen = st.selectbox("Run", names, index=names.index(first), key=key)
    st.query_params[RUN_PARAMETER] = chosen
    return by_id[chosen]


def _merit(run: StoredRun) -> tuple[bool, float]:
    """Orders runs: comparable ones by test accuracy, then the others."""
    test = run.record.metrics.get("test") if run.record else None
    return (bool(run.record and run.record.comparable), test.accuracy if test else -1.0)


# --- text --------------------------------------------------------------------------------------


def show_error(error: FerBenchError) -> None:
    """An error's sentence; never a traceback."""
    st.error(escape(error), icon=":material/error:")


def empty_state(title: str, hint: str, command: str | None = None) -> None:
    """A page with nothing to show: what is missing and what to do about it."""
    with st.container(border=True):
        st.markdown(f"**{title}**  \n{hint}")
        if command:
            st.code(command, language="bash", wrap_lines=True)


def no_results() -> None:
    """The empty state of every page that reads records."""
    empty_state(
        "No runs yet",
        "Run the demo (synthetic faces, a few minutes), then reload this page.",
        "python -m fer_bench run benchmarks/specs/demo.yaml --data synthetic",
    )


def status_line() -> None:
    """How many runs there are and whether data are at hand: the app's one line of state."""
    stored = runs()
    failed = sum(run.record is None or run.record.status == "failed" for run in stored)
    parts = [f"{len(stored):,} run{'' if len(stored) == 1 else 's'}"]
    if failed:
        parts.append(f"{failed} failed")
    parts.append("data set connected" if settings.data_source() else "no data set connected")
    st.caption(" · ".join(parts))


# --- widgets -----------------------------------------------------------------------------------


def tiles(figures: Sequence[Tile]) -> None:
    """Figures in boxes of one size that wrap on narrow screens."""
    with st.container(horizontal=True, gap="small"):
        for tile in figures:
            st.metric(
                tile.name,
                tile.value,
                delta=tile.below,
                delta_color="off",
                delta_arrow="off",
                help=tile.explanation,
                border=True,
                width=TILE_WIDTH,
                height="stretch",
            )


def badges(record: RunRecord) -> None:
    """A run's status unless it is done, and the reasons, if any, that keep it out of rankings."""
    if record.status == "done" and record.comparable:
        return
    with st.container(horizontal=True, gap="small"):
        if record.status != "done":
            st.badge(record.status, color="red" if record.status == "failed" else "blue")
        for reason in record.not_comparable_because:
            st.badge(f"not comparable: {escape(reason)}", color="orange")


def chart(figure: go.Figure, key: str) -> None:
    """A figure in the page's width and theme, without Plotly's tool bar."""
    theme = st.context.theme.type
    if theme in TEXT_COLOURS:
        colour = TEXT_COLOURS[theme]
        figure.update_layout(font_color=colour)
        figure.update_xaxes(tickfont_color=colour, title_font_color=colour)
        figure.update_yaxes(tickfont_color=colour, title_font_color=colour)
    st.plotly_chart(
        figure, width="stretch", theme="streamlit", key=key, config={"displayModeBar": False}
    )


def gallery(pictures: Sequence[tuple[Image.Image, str | None]], width: int) -> None:
    """Pictures with their captions (Markdown) in rows that wrap."""
    with st.container(horizontal=True, gap="small"):
        for picture, caption in pictures:
            st.image(picture, caption=caption, width=width)


def download_csv(frame: pd.DataFrame, file_name: str, key: str) -> None:
    """A button that saves the table; cells that look like formulae are defused."""
    st.download_button(
        "Download CSV",
        safe_csv(frame),
        file_name,
        "text/csv",
        key=key,
        icon=":material/download:",
        on_click="ignore",
    )


def value_table(values: Mapping[str, object]) -> None:
    """Names and values as a two-column table; nested mappings as `outer.inner`."""
    flat = pd.json_normalize(dict(values)).astype(object).iloc[0] if values else pd.Series()
    rows = pd.DataFrame({"Setting": flat.index, "Value": [setting(v) for v in flat]})
    st.dataframe(rows, hide_index=True, width="stretch", height="content")


# --- data --------------------------------------------------------------------------------------


def ask_for_data(key: str) -> None:
    """A form that asks once for the data's place and remembers it."""
    with st.form(key):
        place = st.text_input(
            "Where your data set lies",
            value=settings.data_source() or "",
            placeholder="/path/to/fer2013.zip",
            help="Kaggle's FER2013 zip or folder, fer2013.csv, or a folder of images by emotion. "
            "It stays on this machine; FER_BENCH_DATA sets it too.",
        )
        if st.form_submit_button("Remember", icon=":material/folder_open:") and place.strip():
            try:
                settings.remember_data_source(place.strip())
            except FerBenchError as error:
                show_error(error)
                return
            st.rerun()


@st.cache_resource(max_entries=2, show_spinner="Reading the images …")
def load_data(
    source: str, protocol: Protocol, emotions: tuple[str, ...] | None, limit: int | None
) -> FaceDataset:
    """`data.loading.load_dataset`, kept in memory between visits."""
    from fer_bench.data.loading import load_dataset

    return load_dataset(source, protocol=protocol, emotions=emotions, limit=limit)


def dataset_of(record: RunRecord) -> FaceDataset | None:
    """The data a run was measured on; None until the user says where they lie.

    Raises:
        FerBenchError: the data cannot be read.
    """
    drawn = record.dataset.name == SYNTHETIC  # its source, `synthetic:SEED`, draws it again
    source = record.dataset.source if drawn else settings.data_source()
    if source is None:
        return None
    return load_data(source, record.spec.protocol, record.spec.emotions, record.spec.limit)


@st.cache_resource(max_entries=2, show_spinner="Comparing every image with every other …")
def audit_of(source: str) -> Audit:
    """`data.audit.audit` of a source, kept in memory between visits.

    Raises:
        FerBenchError: the data cannot be read.
    """
    from fer_bench.data.audit import audit
    from fer_bench.data.loading import read_source

    return audit(read_source(source))
