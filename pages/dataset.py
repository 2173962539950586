"""Dataset: how many faces of each emotion, what they look like, and what is wrong with them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import pandas as pd
import streamlit as st

from fer_bench import plots, settings, ui
from fer_bench.data.dataset import FaceDataset
from fer_bench.errors import FerBenchError
from fer_bench.evaluation.gallery import ImagesById, class_counts, enlarged, samples
from fer_bench.formatting import escape, how_many
from fer_bench.results.leaderboard.glossary import TERMS, explain
from fer_bench.results.leaderboard.headline import Tile
from fer_bench.results.record import DatasetInfo
from fer_bench.specs.run import Protocol

if TYPE_CHECKING:  # torch loads only when an audit is asked for
    from fer_bench.data.audit import Duplicates, Group

RECORDS, SYNTHETIC, OWN = "From the records", "Synthetic faces", "My data"
PROTOCOLS: dict[Protocol, str] = {
    "official": "Training / PublicTest / PrivateTest",
    "kaggle": "a tenth of train held out / the merged test folder",
}
SAMPLES = 8
GROUPS_SHOWN = 6
ALL_GROUPS, CONFLICTING = "All groups", "Label conflicts"


def show_balance(counts: Mapping[str, Mapping[str, int]], key: str) -> None:
    left, right = st.columns([3, 2], gap="large")
    with left:
        st.header("Class balance")
        n = how_many(sum(sum(split.values()) for split in counts.values()), "image")
        ui.chart(plots.class_balance(counts), f"balance-{key}", "Class balance", n=n)
    with right:
        st.header("Images")
        table = pd.DataFrame(counts).rename_axis("emotion").reset_index()
        st.dataframe(
            table,
            column_config={
                "emotion": "Emotion",
                **{
                    split: st.column_config.NumberColumn(split.capitalize(), format="localized")
                    for split in counts
                },
            },
            hide_index=True,
            width="stretch",
        )
        ui.download_csv(table, "class-counts.csv", f"counts-{key}")


def show_sizes(sizes: Mapping[str, int], clean_test: int, left_out: int) -> None:
    ui.tiles(
        [
            *(Tile(name=split.capitalize(), value=f"{n:,}") for split, n in sizes.items()),
            Tile(
                name="Clean test",
                value=f"{clean_test:,}",
                explanation=TERMS["clean"],
            ),
            Tile(
                name="Left out",
                value=f"{left_out:,}",
                explanation="images that could not be read or labelled",
            ),
        ]
    )


def _name(info: DatasetInfo) -> str:
    sizes = " / ".join(f"{n:,}" for n in info.split_sizes.values())
    return f"{info.name} · {info.protocol} · {sizes}"


def show_records() -> None:
    """What the runs' records say about their data; needs no images."""
    records = [run.record for run in ui.runs() if run.record]
    if not records:
        ui.no_results()
        return
    uses = Counter(record.dataset.fingerprint for record in records)
    # Whole data sets first, and of these the most used.
    records.sort(key=lambda r: (not r.comparable, -uses[r.dataset.fingerprint]))
    known: dict[str, DatasetInfo] = {}
    for record in records:
        known.setdefault(record.dataset.fingerprint, record.dataset)
    chosen = st.selectbox(
        "Data set", list(known), format_func=lambda f: _name(known[f]), help=explain(*PROTOCOLS)
    )
    info = known[chosen]
    show_sizes(info.split_sizes, info.clean_test_size, info.n_left_out)
    show_balance(info.class_counts, "records")
    st.caption("To see the images, their duplicates and leaks, choose “My data” above.")


def show_samples(dataset: FaceDataset) -> None:
    st.header("Samples")
    for emotion in dataset.emotions:
        images = samples(dataset, emotion, SAMPLES)
        if images:
            st.caption(emotion)
            ui.gallery([(enlarged(image), None) for image in images], width=72)


def show_duplicates(found: Duplicates, images: ImagesById, kind: str) -> None:
    ui.tiles(
        [
            Tile(name=f"{kind} groups", value=f"{found.n_groups:,}"),
            Tile(
                name="Label conflicts",
                value=f"{found.n_conflicting:,}",
                explanation="groups whose images carry different labels",
            ),
            Tile(
                name="Leaks into train",
                value=f"{found.n_held_out_in_train:,}",
                explanation="val and test images that also stand in train",
            ),
            Tile(name="Test in val", value=f"{found.n_test_in_val:,}"),
        ]
    )
    groups = pick_groups(found, kind)
    for group in groups[:GROUPS_SHOWN]:
        shown = [
            (enlarged(images[name]), f"{emotion or 'no label'}, {escape(part) or 'no part'}")
            for name, emotion, part in zip(group.ids, group.emotions, group.parts, strict=True)
            if name in images
        ][:SAMPLES]
        if shown:
            ui.gallery(shown, width=104)
    show_rows(
        f"These groups, {kind.lower()}",
        [
            (number, name, emotion, part)
            for number, group in enumerate(groups, start=1)
            for name, emotion, part in zip(group.ids, group.emotions, group.parts, strict=True)
        ],
        ["Group", "Image", "Emotion", "Part"],
    )
    show_rows(
        f"All leaks, {kind.lower()}",
        [
            (leak.id, leak.part, leak.emotion, leak.twin_id, leak.twin_emotion)
            for leak in (*found.held_out_in_train, *found.test_in_val)
        ],
        ["Image", "Part", "Emotion", "Its twin", "Twin's emotion"],
    )


def pick_groups(found: Duplicates, kind: str) -> Sequence[Group]:
    """All groups, or those whose images carry different labels."""
    if not found.n_conflicting:
        return found.groups
    chosen = st.segmented_control(
        "Groups",
        [ALL_GROUPS, CONFLICTING],
        default=ALL_GROUPS,
        required=True,
        key=f"groups-{kind}",
        label_visibility="collapsed",
    )
    conflicting = [group for group in found.groups if group.conflicting]
    return conflicting if chosen == CONFLICTING else found.groups


def show_rows(title: str, rows: Sequence[tuple[object, ...]], columns: list[str]) -> None:
    if rows:
        with st.expander(f"{title} ({len(rows):,} rows)"):
            table = pd.DataFrame(rows, columns=columns)
            st.dataframe(table, hide_index=True, width="stretch")
            ui.download_csv(table, "audit.csv", f"csv-{title}")


def show_audit(source: str, dataset: FaceDataset) -> None:
    st.header("Duplicates and leaks")
    if st.button("Audit the images", icon=":material/troubleshoot:"):
        st.session_state["audited"] = source
    if st.session_state.get("audited") != source:
        st.caption("Compares every image with every other: seconds for FER2013, once.")
        return
    findings = ui.audit_of(source)
    st.caption(f"{findings.n:,} images, {findings.n_distinct:,} of them distinct.")
    images = ImagesById(dataset)
    exact, near = st.tabs(["Exact copies", "Near copies"])
    with exact:
        show_duplicates(findings.exact, images, "Exact")
    with near:
        show_duplicates(findings.near, images, "Near")


def show_images(source: str) -> None:
    protocol = st.segmented_control(
        "Splits",
        list(PROTOCOLS),
        default="official",
        required=True,
        key="protocol",
        help=explain(*PROTOCOLS),
    )
    st.caption(f"Train / val / test: {PROTOCOLS[protocol]}.")
    dataset = ui.load_data(source, protocol, None, None)
    show_sizes(dataset.split_sizes(), int(dataset.clean_test.sum()), len(dataset.left_out))
    show_rows(
        "Left out",
        [(lost.id, lost.reason) for lost in dataset.left_out],
        ["Image", "Why"],
    )
    show_balance(class_counts(dataset), "images")
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
