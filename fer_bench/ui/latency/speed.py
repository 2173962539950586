"""Time per call and per frame of the networks that the visitor picks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from fer_bench import ui
from fer_bench.formatting import escape, how_many, three_digits
from fer_bench.results.leaderboard.headline import Tile
from fer_bench.studies.latency.figures import frame_words, latency_figures
from fer_bench.studies.latency.tables import (
    MeasuredNetwork,
    measurement_table,
    one_per_model,
    remarks,
    stage_table,
)
from fer_bench.ui.records import default_id

#: More networks than this make bars that nobody compares; so many are shown at first.
MOST_NETWORKS, FIRST_NETWORKS = 6, 3
MS = "%.2f ms"
#: Title and figure by kind, as `latency_figures` gives them.
Figures = Mapping[str, tuple[str, go.Figure]]
COLUMNS = {
    "title": st.column_config.TextColumn("Network", width=258),
    "backend": st.column_config.TextColumn("Back end", width=150),
    "precision": st.column_config.TextColumn("Precision", width="small"),
    "median_ms": ui.number("Median", MS, "Per call"),
    "p90_ms": ui.number("p90", MS),
    "p99_ms": ui.number("p99", MS),
    "faces_per_second": ui.number("Faces/s", "%.0f"),
    "ratio": ui.number("× torch-fp32", "%.1f ×", "How many times as fast as eager PyTorch in fp32"),
    "top1_agreement": ui.number(
        "Same emotion", "%.1f %%", "Share of faces given the same emotion as by fp32"
    ),
    "min_cosine": ui.number("Least cosine", "%.4f", "Between its logits and those of fp32"),
    "max_logit_difference": ui.number("Largest Δ logit", "%.3g"),
    "peak_memory_mib": ui.number("Peak memory", "%.0f MiB", "Of a process that runs only this"),
    "share_of_peak": ui.number(
        "Share of peak",
        "%.0f %%",
        "FLOP/s reached over those of this machine's matrix product in the same precision",
    ),
    "open_seconds": ui.number("To open", "%.1f s", "Conversion and first call"),
    "note": st.column_config.TextColumn("Note", width="large"),
}


def pick_networks(here: list[MeasuredNetwork]) -> list[MeasuredNetwork]:
    """The networks to compare, the default run's first."""
    by_name = {m.name: m for m in sorted(here, key=lambda m: m.name != default_id())}
    names = ui.pick_several(
        list(by_name),
        "Networks",
        first=one_per_model(by_name.values(), FIRST_NETWORKS),
        most=MOST_NETWORKS,
        explanation=f"Up to {MOST_NETWORKS} runs, or bare networks without a run, side by side.",
    )
    return [by_name[name] for name in names]


def pick_call(table: pd.DataFrame) -> tuple[int, int]:
    """Threads and batch: the most threads and a single face at first."""
    threads, batches = sorted(table["threads"].unique()), sorted(table["batch"].unique())
    with st.container(horizontal=True, gap="medium"):
        thread = st.segmented_control("Threads", threads, default=threads[-1], required=True)
        batch = st.segmented_control("Faces per call", batches, default=batches[0], required=True)
    return thread, batch


def titled(table: pd.DataFrame) -> pd.DataFrame:
    """The table with its networks as people call them, for figures and sentences."""
    return table.assign(network=table["network"].map(ui.called))


def show_chart(figures: Figures, key: str, table: pd.DataFrame, n: str) -> None:
    title, figure = figures[key]
    ids = list(dict.fromkeys(table["network"]))
    command = ui.command(f"latency {ids[0] if len(ids) == 1 else 'RUN'}")
    ui.chart(figure, key, title, ids, command=command, n=n)


def show_fastest(table: pd.DataFrame) -> None:
    """A tile per network: what `auto` takes there."""
    chosen = table[table["chosen"] & table["median_ms"].notna()]
    rows: list[Any] = list(chosen.itertuples())
    ui.tiles(
        [
            Tile(
                name=escape(ui.called(row.network)),
                value=f"{three_digits(row.median_ms)} ms",
                below=f"{row.backend} · {row.faces_per_second:,.0f} faces/s",
                explanation="The back end that `auto` takes: the fastest that answers as fp32 does",
            )
            for row in rows
        ]
    )


def show_measurements(table: pd.DataFrame, figures: Figures) -> None:
    measured = table[table["error"] == ""]
    show_fastest(measured)
    if measured.empty:
        st.info("Nothing was measured with these threads and this many faces per call.")
    else:
        faces = how_many(int(measured["batch"].iloc[0]), "face")
        show_chart(figures, "latency-bars", measured, f"{faces} per call")
        show_remarks("\\* Notes", remarks(titled(measured), "note"))
        ui.run_table(measured, COLUMNS, list(measured["network"]), "measurements")
    show_remarks("Could not be measured", remarks(titled(table), "error"))


def show_remarks(title: str, said: pd.DataFrame) -> None:
    """Sentences about back ends, readable on a narrow screen; nothing where there are none."""
    if not said.empty:
        lines = [
            f"- **{escape(row.backend)}** ({escape(row.networks)}): {escape(row.remark)}"
            for row in said.itertuples()
        ]
        st.markdown("\n".join([f"**{title}**", "", *lines]))


def show_stages(table: pd.DataFrame, figures: Figures) -> None:
    st.header("A frame from the camera to its emotions")
    if table.empty:
        st.info("No whole frame was timed with these threads.")
        return
    frames = frame_words(table)
    st.caption(f"Medians, {frames}.")
    show_chart(figures, "stages", table, frames)
    ui.download_csv(table, "stages.csv", "stages-csv")


def show_speed(here: list[MeasuredNetwork]) -> None:
    chosen = pick_networks(here)
    if not chosen:
        st.info("Choose a network that was measured on this machine.")
        return
    table, stages = measurement_table(chosen), stage_table(chosen)
    threads, batch = pick_call(table)
    shown = table[(table["threads"] == threads) & (table["batch"] == batch)]
    stages = stages[stages["threads"] == threads]
    figures = latency_figures(titled(shown), titled(stages))
    show_measurements(shown, figures)
    ui.download_csv(table, "latency.csv", "latency-csv")
    show_stages(stages, figures)
