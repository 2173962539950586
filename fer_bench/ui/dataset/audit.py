"""Duplicates and leaks among a data set's images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas as pd
import streamlit as st

from fer_bench import ui
from fer_bench.data.dataset import FaceDataset
from fer_bench.evaluation.gallery import ImagesById, enlarged
from fer_bench.formatting import escape, how_many
from fer_bench.results.leaderboard.headline import Tile

if TYPE_CHECKING:  # torch loads only when an audit is asked for
    from fer_bench.data.audit import Duplicates, Group

SAMPLES = 8
GROUPS_SHOWN = 6
ALL_GROUPS, CONFLICTING = "All groups", "Label conflicts"


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
        with st.expander(f"{title} ({how_many(len(rows), 'row')})"):
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
