"""The network on many faces: mean heat maps of each emotion, and the map of its features."""

from __future__ import annotations

from typing import Literal

import streamlit as st

from fer_bench import ui
from fer_bench.evaluation.gallery import enlarged
from fer_bench.formatting import escape, how_many, percent
from fer_bench.studies.explain.figures import placed_features
from fer_bench.ui.explain.computed import (
    Subject,
    computed,
)

HEAT_SIZES = (70, 210, 700)
COLOURINGS: dict[Literal["true", "predicted", "correct"], str] = {
    "true": "True emotion",
    "predicted": "Predicted emotion",
    "correct": "Right or wrong",
}


def show_mean_heat(subject: Subject) -> None:
    from fer_bench.studies.explain.mean_heat import mean_heats

    n = st.segmented_control(
        "Test images looked at",
        HEAT_SIZES,
        default=HEAT_SIZES[1],
        required=True,
        key="explain-n",
        help="At most, equally many of each emotion, evenly spread over the test images.",
    )
    network, data = subject.classifier, subject.dataset
    summary = computed(
        subject,
        ("mean heat", n),
        lambda progress: mean_heats(network, data, n_images=n, progress=progress),
    )
    st.caption(
        "The mean face of each emotion under the mean of its faces' heat maps for that emotion. "
        "The peak is the mean map's maximum: at 100 % the same place decides for every face."
    )
    ui.gallery(
        [
            (
                enlarged(one.overlay(), 216),
                f"**{escape(one.emotion)}**  \npeak {percent(one.peak)}, {how_many(one.n, 'face')}",
            )
            for one in summary
        ],
        width=168,
    )


def show_feature_map(subject: Subject) -> None:
    from fer_bench.studies.explain.feature_map import feature_map

    colour_by = st.segmented_control(
        "Colour",
        list(COLOURINGS),
        default="true",
        required=True,
        format_func=COLOURINGS.__getitem__,
        key="explain-colour",
    )
    table = computed(
        subject,
        "feature map",
        lambda progress: feature_map(subject.classifier.model, subject.dataset, progress=progress),
    )
    (title, figure), n = placed_features(table, colour_by), how_many(len(table), "test image")
    title = f"{title}, {ui.called(subject.run)}"
    ui.chart(figure, "explain-map", title, [subject.run], n=n)
    total = subject.dataset.split_sizes()["test"]
    some = f", evenly spread over all {total:,}" if len(table) < total else ""
    st.caption(
        f"{how_many(len(table), 'test image')}{some}, placed by t-SNE: neighbours here are "
        "neighbours in feature space; the distance between groups and their size mean little."
    )
    ui.download_csv(table, "features.csv", "explain-csv")
