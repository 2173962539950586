"""Dataset: how many faces of each emotion, what they look like, and what is wrong with them."""

from __future__ import annotations

from collections import Counter

import streamlit as st

from fer_bench import settings, ui
from fer_bench.data.dataset import FaceDataset
from fer_bench.data.notes import data_notes
from fer_bench.errors import FerBenchError
from fer_bench.evaluation.gallery import class_counts, enlarged, samples
from fer_bench.formatting import escape
from fer_bench.results.leaderboard.glossary import explain
from fer_bench.results.leaderboard.rankings import answered_fingerprint
from fer_bench.results.record import DatasetInfo
from fer_bench.specs.run import Protocol
from fer_bench.ui.dataset.audit import SAMPLES, show_audit, show_rows
from fer_bench.ui.dataset.counts import show_balance, show_sizes

RECORDS, SYNTHETIC, OWN = "From the records", "Synthetic faces", "My data"
PROTOCOLS: dict[Protocol, str] = {
    "official": "Training / PublicTest / PrivateTest",
    "kaggle": "a tenth of train held out / the merged test folder",
}


def _name(info: DatasetInfo) -> str:
    sizes = " / ".join(f"{n:,}" for n in info.split_sizes.values())
    return f"{info.name} · {info.protocol} · {sizes}"


def show_records() -> None:
    """What the runs' records say about their data; needs no images."""
    records = [run.record for run in ui.runs() if run.record]
    if not records:
        ui.no_results()
        return
    uses = Counter(map(answered_fingerprint, records))
    # Whole data sets first, and of these the most used.
    records.sort(key=lambda r: (not r.comparable, -uses[answered_fingerprint(r)]))
    known: dict[str, DatasetInfo] = {}
    for record in records:
        known.setdefault(answered_fingerprint(record), record.dataset)
    chosen = st.selectbox(
        "Data set", list(known), format_func=lambda f: _name(known[f]), help=explain(*PROTOCOLS)
    )
    info = known[chosen]
    show_sizes(info.split_sizes, info.clean_test_size, info.n_left_out)
    show_balance(info.class_counts, "records", info.source, info.protocol)
    st.caption("To see the images, their duplicates and leaks, choose “My data” above.")


def show_samples(dataset: FaceDataset) -> None:
    st.header("Samples")
    for emotion in dataset.emotions:
        images = samples(dataset, emotion, SAMPLES)
        if images:
            st.caption(emotion)
            ui.gallery([(enlarged(image), None) for image in images], width=72)


def show_images(source: str) -> None:
    protocol = st.segmented_control(
        "Splits",
        list(PROTOCOLS),
        default="official",
        required=True,
        key="protocol",
        help=explain(*PROTOCOLS),
    )
    dataset = ui.load_data(source, protocol, None, None)
    if (dataset.name, dataset.protocol) == ("fer2013", protocol):
        st.caption(f"Train / val / test: {PROTOCOLS[protocol]}.")
    for note in data_notes(dataset):
        st.caption(f"{escape(note)}.")
    show_sizes(dataset.split_sizes(), int(dataset.clean_test.sum()), len(dataset.left_out))
    show_rows(
        "Left out",
        [(lost.id, lost.reason) for lost in dataset.left_out],
        ["Image", "Why"],
    )
    show_balance(class_counts(dataset), "images", source, protocol)
    show_samples(dataset)
    show_audit(source, dataset)


def main() -> None:
    st.title("Dataset")
    st.caption("What a data set holds: class balance, duplicates, leaks, and its images.")
    choices = [RECORDS, SYNTHETIC, OWN]
    choice = st.segmented_control(
        "Source",
        choices,
        default=RECORDS if ui.runs() else SYNTHETIC,
        required=True,
        label_visibility="collapsed",
        key="source",
    )
    if choice == RECORDS:
        show_records()
        return
    source: str | None = ui.SYNTHETIC
    if choice == OWN:
        source = settings.data_source()
        if source is None:
            st.info("Say where your data set lies; it is read in place and never leaves here.")
        ui.ask_for_data("dataset-data")
    if source is None:
        return
    try:
        show_images(source)
    except FerBenchError as error:
        ui.show_error(error)


ui.within_app()
main()
