"""How many faces of each emotion and split."""

from __future__ import annotations

import shlex
from collections.abc import Mapping

import pandas as pd
import streamlit as st

from fer_bench import plots, ui
from fer_bench.formatting import how_many
from fer_bench.results.leaderboard.glossary import TERMS
from fer_bench.results.leaderboard.headline import Tile
from fer_bench.results.usage import fer_bench_command


def show_balance(
    counts: Mapping[str, Mapping[str, int]], key: str, data: str, protocol: str
) -> None:
    """A chart and a table of the emotions' images in each split of `data`, a name or a path."""
    left, right = st.columns([3, 2], gap="large")
    with left:
        st.header("Class balance")
        n = how_many(sum(sum(split.values()) for split in counts.values()), "image")
        ui.chart(
            plots.class_balance(counts),
            f"balance-{key}",
            f"Class balance of {data}",
            command=fer_bench_command(f"data check {shlex.quote(data)} --protocol {protocol}"),
            n=n,
            protocol=protocol,
        )
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
