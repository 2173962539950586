"""Leaderboard: every finished run, ranked on the test images by accuracy."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import pandas as pd
import streamlit as st

from fer_bench import ui
from fer_bench.formatting import escape, interval, percent
from fer_bench.report import (
    REFERENCES,
    ReportContents,
    bibtex,
    collect,
    latex_tables,
    markdown_tables,
    methods,
)
from fer_bench.report.tables import LEADERBOARD
from fer_bench.results.leaderboard.glossary import explain
from fer_bench.results.leaderboard.headline import Tile
from fer_bench.results.summary import run_ids
from fer_bench.studies.comparison.seeds import over_seeds
from fer_bench.ui.comparison.runs import RUNS_PARAMETER
from fer_bench.ui.leaderboard import ranking
from fer_bench.ui.leaderboard.paper import show_paper
from fer_bench.ui.leaderboard.references import show_published

INTRODUCTION = (
    "Which model is how accurate? Every checkpoint trained here was chosen on validation images, "
    "the test images were read once, and every accuracy has its 95 % interval. How external "
    "systems were chosen stands on their pages. Runs differ in epochs, "
    "recipe and pretraining: **Epochs** and **Budget** say by how much. **Clean** leaves out test "
    "images that also occur in train or val."
)


def main() -> None:
    st.title("Leaderboard")
    st.markdown(INTRODUCTION, help=explain("official", "kaggle", "clean", "tta", "ece"))
    if not ui.runs():
        ui.no_results()
        return
    table = ui.table()
    table = table[table["status"] == "done"]
    if table.empty:
        ui.empty_state("No finished runs yet", "Runs appear here as soon as they are done.")
        ranking.show_without_result()
        return
    table = ranking.chosen_benchmark(table)
    table = ranking.filtered(ranking.on_equal_terms(table))
    table = table.sort_values("test_accuracy", ascending=False, kind="stable")
    ranked, others = table[table["comparable"]], table[~table["comparable"]]
    several = len(over_seeds(table)) < len(table)
    with st.container(horizontal=True, gap="medium", vertical_alignment="bottom"):
        order = ranking.pick_order()
        averaged = several and st.toggle("Average over seeds", key="seeds", bind="query-params")
        show_all = not others.empty and st.toggle(
            "Show runs that are not comparable", value=ranked.empty, key="not-comparable"
        )
    if table.empty:
        st.info("No run fits these filters: take one away.", icon=":material/filter_alt:")
    elif ranked.empty:
        st.info(
            "No comparable run here: runs on synthetic data or on a part of the images are never "
            "ranked.",
            icon=":material/info:",
        )
    else:
        ui.show_views(
            {
                "Measured here": lambda: show_ranking(
                    over_seeds(ranked) if averaged else ranked, order
                ),
                "Published numbers": partial(show_published, ranked),
            }
        )
    if show_all:
        st.header("Not ranked")
        unranked = over_seeds(others) if averaged else others
        ranking.show_table(unranked, "not-ranked", order, why=True)
    if not table.empty:
        show_paper(LEADERBOARD, paper_files)
    ranking.show_without_result()


def paper_files(columns: Sequence[str]) -> dict[str, Callable[[], str]]:
    """The chosen data set's tables, methods and references, each made when it is asked for."""
    makers: dict[str, Callable[[ReportContents], str]] = {
        "leaderboard.tex": partial(latex_tables, columns=columns),
        "leaderboard.md": partial(markdown_tables, columns=columns),
        "methods.txt": methods,
        REFERENCES: bibtex,
    }
    return {name: partial(written, make, st.session_state["data"]) for name, make in makers.items()}


def written(make: Callable[[ReportContents], str], benchmark: str) -> str:
    """One file about one benchmark.

    Raises:
        FerBenchError: the records cannot be read.
    """
    contents = collect(ui.results_store())
    chosen = tuple(one for one in contents.benchmarks if one.name == benchmark)
    return make(replace(contents, benchmarks=chosen))


def show_ranking(ranked: pd.DataFrame, order: str) -> None:
    best = ranked.iloc[0]
    ui.tiles(
        [
            Tile(
                name="Best accuracy",
                value=percent(best["test_accuracy"]),
                below=interval(best["ci_low"], best["ci_high"]),
                explanation=escape(best["title"]),
            ),
            Tile(
                name="Experiments" if "seeds" in ranked else "Runs ranked", value=f"{len(ranked):,}"
            ),
            Tile(name="Models", value=str(ranked["model"].nunique())),
        ]
    )
    ranking.show_table(ranked, "leaderboard", order)
    if len(ranked) > 1:
        best_two = run_ids(ranked.head(2))
        st.page_link(
            "pages/compare.py",
            label="Is the most accurate really better than the next?",
            icon=":material/compare_arrows:",
            query_params={RUNS_PARAMETER: ",".join(best_two)},
        )
    ranking.show_charts(ranked)


ui.within_app()
main()
