"""The data set behind the pages: asked for once, then cached."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st

from fer_bench import settings
from fer_bench.data.dataset import FaceDataset
from fer_bench.data.readers.registry import DATASETS
from fer_bench.errors import FerBenchError
from fer_bench.formatting import escape
from fer_bench.results.record import RunRecord
from fer_bench.settings import Settings
from fer_bench.specs.run import Protocol
from fer_bench.ui.access import VARIABLE, may_name_paths
from fer_bench.ui.widgets import show_error

if TYPE_CHECKING:  # torch loads only when an audit is asked for
    from fer_bench.data.audit import Audit

SYNTHETIC = "synthetic"
#: Where a visit keeps what it has seen of its data.
STATES = "data-states"
FORMATS = "What FER Bench reads"
#: In place of the list of all formats, which stands below the sentence.
LISTED = f"expected a folder, an archive or a table of a kind that “{FORMATS}” below lists"


def ask_for_data(key: str) -> None:
    """A form that asks once for the data's path and remembers it; see `access.may_name_paths`."""
    if given := Settings().data:
        st.caption(f"FER\\_BENCH\\_DATA says that the data lie at {escape(given)}.")
        return
    if not may_name_paths():
        st.caption(
            "This server is open to other machines, so visitors cannot name files on it: whoever "
            f"runs it sets {escape('FER_BENCH_DATA')}, or {escape(VARIABLE)}=1 to allow it."
        )
        return
    known = settings.data_source()
    with st.form(key):
        place = st.text_input(
            "Where your data set lies",
            value=known or "",
            placeholder="/path/to/fer2013.zip",
            help="It stays on this machine; FER_BENCH_DATA sets it too.",
        )
        if st.form_submit_button("Connect", icon=":material/folder_open:") and place.strip():
            try:
                if settings.exists(place.strip()):
                    _require_data(place.strip())
                settings.remember_data_source(place.strip())
            except FerBenchError as error:
                if error.expected:
                    error.expected = LISTED
                show_error(error)
            else:
                st.rerun()
    if known:
        st.button(
            "Forget this data set",
            icon=":material/link_off:",
            key=f"{key}-forget",
            on_click=settings.forget_data_source,
            help="The files stay where they are; FER Bench no longer looks there.",
        )
    with st.expander(FORMATS):
        names = {name: DATASETS.entry(name).summary for name in DATASETS}
        st.markdown("\n".join(f"- **{name}**: {escape(what)}" for name, what in names.items()))


def _require_data(place: str) -> None:
    """Refuses what is no data set.

    Raises:
        FerBenchError: nothing there, or nothing that FER Bench reads.
    """
    from fer_bench.data.load import read_source

    st.session_state.pop(STATES, None)
    with st.spinner("Looking at the data …"):
        read_source(place)


def data_state(source: str) -> str:
    """What tells data, and FER+'s votes next to them, from what lay there before.

    Looked up once in a visit, as folders may be large: a page that is reloaded shows what changed.

    Raises:
        FerBenchError: the data cannot be read.
    """
    from fer_bench.data.files.archive import content_digest
    from fer_bench.data.readers.ferplus import ROWS_FILE, VOTES_FILE

    states: dict[str, str] = st.session_state.setdefault(STATES, {})
    if source not in states and settings.exists(source):
        path = Path(source).expanduser()
        beside = [path.resolve().parent / name for name in (VOTES_FILE, ROWS_FILE)]
        votes = [content_digest(file) for file in beside if file.is_file()]
        states[source] = " ".join([content_digest(path), *votes])
    return states.get(source, "")


def load_data(
    source: str, protocol: Protocol, emotions: tuple[str, ...] | None, limit: int | None
) -> FaceDataset:
    """`data.load.load_dataset`, cached in memory between visits, until the data change."""
    return _load_data(source, data_state(source), protocol, emotions, limit)


@st.cache_resource(max_entries=2, show_spinner="Reading the images …")
def _load_data(
    source: str,
    state: str,
    protocol: Protocol,
    emotions: tuple[str, ...] | None,
    limit: int | None,
) -> FaceDataset:
    from fer_bench.data.load import load_dataset

    return load_dataset(source, protocol=protocol, emotions=emotions, limit=limit)


def dataset_of(record: RunRecord) -> FaceDataset | None:
    """The data a run was measured on; None until the user says where they lie.

    Raises:
        FerBenchError: the data cannot be read.
    """
    # `synthetic:SEED` draws it again; of anything else, a path too, a record is not believed.
    drawn = record.dataset.name == SYNTHETIC == record.dataset.source.partition(":")[0]
    source = record.dataset.source if drawn else settings.data_source()
    if source is None:
        return None
    spec = record.spec
    if spec.votes:  # the votes are not read, and FER2013's own labels would choose other faces
        return load_data(source, spec.protocol, None, None)
    return load_data(source, spec.protocol, spec.emotions, spec.limit)


def audit_of(source: str) -> Audit:
    """`data.audit.audit` of a source, cached in memory between visits, until the data change.

    Raises:
        FerBenchError: the data cannot be read.
    """
    return _audit_of(source, data_state(source))


@st.cache_resource(max_entries=2, show_spinner="Comparing every image with every other …")
def _audit_of(source: str, state: str) -> Audit:
    from fer_bench.data.audit import audit
    from fer_bench.data.load import read_source

    return audit(read_source(source))
