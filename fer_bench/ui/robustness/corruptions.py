"""Accuracy under each corruption and severity, and what the corruptions look like."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import plotly.graph_objects as go
import streamlit as st

from fer_bench import ui
from fer_bench.errors import FerBenchError
from fer_bench.formatting import escape, how_many, interval, percent
from fer_bench.results.leaderboard.glossary import explain
from fer_bench.results.leaderboard.headline import Tile
from fer_bench.studies.robustness import figures
from fer_bench.studies.robustness.corruptions import SEVERITIES
from fer_bench.studies.robustness.tables import (
    MEAN,
    ReportsByRun,
    RunReport,
    corruptions_of,
    curves,
    in_short,
    robustness_commands,
    settings,
    severity_table,
    summary,
)
from fer_bench.ui.records import default_id
from fer_bench.ui.robustness.reports import corrupted_faces, pick_face

#: More lines than this nobody tells apart; so many are drawn at first.
MOST_RUNS, FIRST_RUNS = 6, 3
#: Longer lists of commands are cut.
MOST_COMMANDS = 5
SUMMARY = {
    "title": ui.RUN_COLUMN,
    "mean_corruption_accuracy": ui.number(
        "Corrupted", ui.PERCENT, "Mean over corruptions and severities", width=85
    ),
    "ci_low": ui.number("from", ui.PERCENT, "95 % interval"),
    "ci_high": ui.number("to", ui.PERCENT, "95 % interval"),
    "clean_accuracy": ui.number(
        "Clean", ui.PERCENT, "The same images as they are, without any corruption"
    ),
    "relative_drop": ui.number("Drop", ui.PERCENT, "Share of the clean accuracy that is lost"),
    "n": ui.number("Images", "localized"),
}


def show_commands(missing: Sequence[str]) -> None:
    """What to type for the runs that could be measured and are not."""
    if missing:
        with st.expander(f"{how_many(len(missing), 'run')} with weights not measured yet"):
            st.code("\n".join(missing[:MOST_COMMANDS]), language="bash", wrap_lines=True)


def pick_runs(group: Sequence[RunReport]) -> list[RunReport]:
    """The runs to look at, the default one first."""
    by_name = {one.name: one for one in sorted(group, key=lambda one: one.name != default_id())}
    names = ui.pick_several(
        list(by_name),
        "Runs",
        first=list(by_name)[:FIRST_RUNS],
        most=MOST_RUNS,
        explanation=f"Up to {MOST_RUNS}, side by side.",
    )
    return [by_name[name] for name in names]


def show_chart(drawn: tuple[str, go.Figure], key: str, runs: Iterable[str], n: int) -> None:
    """A title and a figure of `studies.robustness.figures`, of `n` images."""
    title, figure = drawn
    ids = list(dict.fromkeys(runs))
    run = ids[0] if len(ids) == 1 else "RUN"
    command = ui.command(f"robustness {run} --data fer2013.zip")
    ui.chart(figure, key, title, ids, command=command, n=how_many(n, "test image"))


def show_ranking(group: Sequence[RunReport]) -> None:
    st.header("Mean corruption accuracy")
    table = summary(group)
    drawn = figures.ranking(group, ui.called)
    show_chart(drawn, "robustness-bars", table["run"], group[0].report.tested_on.n)
    ui.run_table(table, SUMMARY, list(table["run"]), "robustness")
    ui.download_csv(table, "robustness.csv", "robustness-csv")


def show_curves(chosen: Sequence[RunReport]) -> None:
    st.header("Accuracy by severity")
    names = [MEAN, *corruptions_of(chosen[0].report)]
    corruption = st.selectbox("Corruption", names, key="corruption")
    table = curves(chosen, corruption)
    drawn = figures.by_severity(chosen, ui.called, corruption)
    show_chart(drawn, "severity-curves", table["run"], chosen[0].report.tested_on.n)
    ui.download_csv(table, "severities.csv", "severities-csv")


def show_heat_map(measured: Sequence[RunReport]) -> None:
    st.header("Corruption × severity")
    by_name = {one.name: one for one in measured}
    chosen = st.selectbox("Run", list(by_name), format_func=ui.called, key="heat-map-run")
    one = by_name[chosen]
    drawn = figures.by_corruption(one, ui.called)
    show_chart(drawn, "severity-heat-map", [chosen], one.report.tested_on.n)
    table = severity_table(one.report)
    ui.download_csv(table.reset_index(), "corruptions.csv", "corruptions-csv")


def show_tiles(one: RunReport) -> None:
    report = one.report
    ui.tiles(
        [
            Tile(
                name="Under corruptions",
                value=percent(report.mean_corruption_accuracy),
                below=interval(*report.mean_corruption_accuracy_ci95),
                explanation=f"{escape(ui.called(one.name))}: mean over corruptions and severities; "
                "below, its 95 % bootstrap interval over the images",
            ),
            Tile(
                name="Clean",
                value=percent(report.clean.accuracy),
                below=interval(*report.clean.accuracy_ci95),
                explanation="the same images as they are",
            ),
            Tile(
                name="Drop",
                value=percent(report.relative_drop),
                explanation="share of the clean accuracy that is lost",
            ),
        ]
    )


def show_faces() -> None:
    st.header("What the corruptions look like")
    try:
        face = pick_face()
    except FerBenchError as error:
        ui.show_error(error)
        return
    severity = st.segmented_control(
        "Severity", SEVERITIES, default=3, required=True, key="severity"
    )
    ui.gallery(corrupted_faces(face, severity), width=144)


def show_corruptions(found: ReportsByRun) -> None:
    groups = settings(found.robustness)
    missing = robustness_commands(
        ui.runs(), [one.name for one in found.robustness], ui.own_results()
    )
    if not groups:
        ui.empty_state(
            "No run measured on corrupted faces yet",
            "Measure the shipped model, some minutes, then reload this page.",
            ui.command("robustness RUN --data fer2013.zip"),
        )
    else:
        short, common = in_short(groups)  # a phone cuts the whole names
        setting = st.selectbox(
            "Measured on",
            list(groups),
            key="setting",
            format_func=short.__getitem__,
            help=explain("official"),
        )
        if common:
            st.caption(common)
        show_ranking(groups[setting])
        chosen = pick_runs(groups[setting])
        if chosen:
            if len(chosen) == 1:
                show_tiles(chosen[0])
            left, right = st.columns(2, gap="large")
            with left:
                show_curves(chosen)
            with right:
                show_heat_map(chosen)
        else:
            st.info("Choose a run to see it under each corruption.")
        show_commands(missing)
    show_faces()
