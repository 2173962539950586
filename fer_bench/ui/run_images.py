"""A run's images next to what was said about them, where its data are at hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import streamlit as st

from fer_bench.data.dataset import FaceDataset
from fer_bench.errors import FerBenchError
from fer_bench.evaluation.gallery import ImagesById, difference, enlarged
from fer_bench.formatting import escape, how_many, percent
from fer_bench.results.record import RunRecord
from fer_bench.ui.data import ask_for_data, dataset_of
from fer_bench.ui.widgets import gallery, show_error

WIDTH = 112
GALLERY_SIZES = (24, 48, 96)
#: What follows where the data are given.
PICTURES_APPEAR = "and they appear here; the table below needs none"


def data_at_hand(record: RunRecord, key: str, reward: str = PICTURES_APPEAR) -> FaceDataset | None:
    """The data that a run was measured on; where there are none, the page asks for them.

    Args:
        key: of the form that asks.
        reward: what the page does with them, after "Say where yours lie".
    """
    try:
        dataset = dataset_of(record)
    except FerBenchError as error:
        show_error(error)
        dataset = None
    if dataset is None:
        st.info(
            f"The images of {escape(record.dataset.name)} do not come with FER Bench. Say where "
            f"yours lie {reward}.",
            icon=":material/image_search:",
        )
        ask_for_data(key)
        return None
    if warning := difference(record, dataset):
        st.warning(escape(warning), icon=":material/difference:")
    return dataset


def answer_words(row: Any) -> str:
    """What stands under an image: what it is, what it was taken for, and how confidently."""
    names = row.true if row.correct else f"{row.true} → {row.predicted}"
    return f"{names}  \n{percent(row.confidence)}"


def pick_gallery_size() -> int:
    """How many images to show."""
    return st.segmented_control("Shown", GALLERY_SIZES, default=GALLERY_SIZES[0], required=True)


def show_pictures(
    captions: Sequence[tuple[str, str]],
    total: int,
    record: RunRecord,
    key: str,
    width: int = WIDTH,
) -> None:
    """Images by their ids with captions (Markdown), or how to say where the data lie.

    Args:
        total: how many there are, of which these are the first.
        record: of a run that was measured on them.
        key: of the form that asks for the data.
    """
    dataset = data_at_hand(record, key)
    if dataset is None:
        return
    images = ImagesById(dataset)
    pictures = [(enlarged(images[name]), caption) for name, caption in captions if name in images]
    if pictures:
        if len(captions) < total:
            st.caption(f"The first {len(captions)} of {how_many(total, 'image')}.")
        gallery(pictures, width=width)
    else:
        st.info("None of these images is in the data you gave.")
