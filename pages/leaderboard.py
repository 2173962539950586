"""Leaderboard: every finished run, ranked on the test images by accuracy."""

from collections.abc import Sequence
from urllib.parse import quote

import pandas as pd
import streamlit as st

from fer_bench import plots, ui
from fer_bench.display import Tile, as_percents, escape, how_many, interval, percent
from fer_bench.results.describe import benchmark
from fer_bench.results.latency_tables import MeasuredNetwork, machines, milliseconds_per_face
from fer_bench.results.seeds import over_seeds
from fer_bench.ui.comparison import RUNS_PARAMETER

INTRODUCTION = (
    "Models that read emotions from faces, trained and tested the same way: each checkpoint was "
    "chosen on validation images, the test images were read once, and every accuracy stands with "
    "its 95 % interval. **Clean** leaves out test images that also occur in train or val."
)
FILTERS = {"model": "Model", "mode": "Mode", "recipe": "Recipe", "pretraining": "Pretraining"}
#: More bars than this are no longer a picture.
MOST_BARS = 25
#: More points than this hide one another, and take long to draw.
MOST_POINTS = 200
#: Longer tables scroll in a window of their own.
MOST_ROWS = 15
RATES = (
    "test_accuracy",
    "test_accuracy_sd",
    "test_clean_accuracy",
    "test_accuracy_tta",
    "test_macro_f1",
    "test_balanced_accuracy",
)

PERCENT = "%.1f %%"
COLUMNS = {
    "link": st.column_config.LinkColumn(
        "Run", display_text=r"\?run=[^/]*/(.*)$", width=290, pinned=True, help="Open the run"
    ),
    "experiment": st.column_config.TextColumn(
        "Experiment", width=290, pinned=True, help="A run's name without its seed"
    ),
    "why_not_comparable": st.column_config.TextColumn("Why not ranked"),
    "model": st.column_config.TextColumn("Model"),
    "mode": st.column_config.TextColumn("Mode", width="small"),
    "recipe": st.column_config.TextColumn("Recipe", width=110),
    "pretraining": st.column_config.TextColumn("Pretraining", width="small"),
    "seeds": st.column_config.NumberColumn("Seeds", help="Runs averaged"),
    "test_accuracy": st.column_config.NumberColumn("Accuracy", format=PERCENT),
    "test_accuracy_sd": st.column_config.NumberColumn(
        "± sd", format=PERCENT, help="Sample standard deviation over seeds; empty for one seed"
    ),
    "interval": st.column_config.TextColumn("95 % interval"),
    "test_clean_accuracy": st.column_config.NumberColumn("Clean", format=PERCENT),
    "test_accuracy_tta": st.column_config.NumberColumn(
        "With TTA", format=PERCENT, help="Test-time augmentation"
    ),
    "test_macro_f1": st.column_config.NumberColumn("Macro F1", format=PERCENT),
    "test_balanced_accuracy": st.column_config.NumberColumn("Balanced", format=PERCENT),
    "ece": st.column_config.NumberColumn("ECE", format="%.3f", help="Calibration; less is better"),
    "parameters": st.column_config.NumberColumn("Parameters", format="compact"),
    "input_size": st.column_config.NumberColumn("Input", format="%d px"),
    "train_seconds": st.column_config.NumberColumn("Training", format="%d s"),
    "hardware": st.column_config.TextColumn("Hardware"),
}


def chosen_benchmark(table: pd.DataFrame) -> pd.DataFrame:
    """The runs of one data set, protocol and label set: numbers across them do not compare."""
    known = {ui.run_id(run): benchmark(run.record) for run in ui.runs() if run.record}
    benchmarks = (table["dataset"] + "/" + table["run"]).map(known)
    ranked = benchmarks[table["comparable"]].value_counts()
    names = sorted(benchmarks.unique(), key=lambda name: (-ranked.get(name, 0), name))
    return table[benchmarks == st.selectbox("Data set", names)]


def filtered(table: pd.DataFrame) -> pd.DataFrame:
    """The runs that fit the filters; an empty filter lets everything through."""
    with st.expander("Filters", icon=":material/filter_alt:"):
        for place, (column, name) in zip(st.columns(len(FILTERS)), FILTERS.items(), strict=True):
            options = sorted(table[column].dropna().unique())
            wanted = place.multiselect(name, options, placeholder="All", key=f"filter-{column}")
            if wanted:
                table = table[table[column].isin(wanted)]
    return table


def show_table(table: pd.DataFrame, key: str, *, why: bool = False) -> None:
    """One ranking, each row linked to its run, with its CSV download."""
    shown = as_percents(table, RATES)
    shown["train_seconds"] = table["train_seconds"].where(table["train_seconds"] > 0)
    if "run" in shown:
        shown["link"] = [
            f"run?run={quote(f'{d}/{r}')}"
            for d, r in zip(shown["dataset"], shown["run"], strict=True)
        ]
        shown["interval"] = [
            interval(low, high) for low, high in zip(shown["ci_low"], shown["ci_high"], strict=True)
        ]
    st.dataframe(
        shown,
        column_order=[c for c in COLUMNS if c in shown and (why or c != "why_not_comparable")],
        column_config=COLUMNS,
        hide_index=True,
        width="stretch",
        height="content" if len(shown) <= MOST_ROWS else "auto",
        placeholder="–",
        key=key,
    )
    ui.download_csv(table, f"{key}.csv", f"{key}-csv")


def show_charts(ranked: pd.DataFrame) -> None:
    left, right = st.columns(2, gap="large")
    with left:
        st.subheader("Accuracy")
        if len(ranked) > MOST_BARS:
            st.caption(f"The best {MOST_BARS} of {len(ranked):,} runs.")
        ui.chart(plots.accuracy_bars(ranked.head(MOST_BARS)), "accuracy-bars")
    with right:
        st.subheader("Accuracy against cost")
        show_cost(ranked)


def show_cost(ranked: pd.DataFrame) -> None:
    """Accuracy over what it costs; latency first, where any of these runs was measured."""
    names = set(ranked["dataset"] + "/" + ranked["run"])
    measured = [m for m in ui.measured() if m.name in names]
    costs = {"milliseconds": "Latency"} if measured else {}
    costs |= {"parameters": "Parameters", "flops": "FLOPs per image"}
    cost = st.segmented_control(
        "Cost",
        list(costs),
        default=next(iter(costs)),
        required=True,
        format_func=costs.get,
        label_visibility="collapsed",
    )
    if cost == "milliseconds":
        show_latency(ranked, measured)
        return
    if len(ranked) > MOST_POINTS:
        st.caption(f"The best {MOST_POINTS} of {len(ranked):,} runs.")
    best = ranked.head(MOST_POINTS)
    ui.chart(plots.accuracy_against(best, cost, costs[cost]), "accuracy-cost")


def show_latency(ranked: pd.DataFrame, measured: Sequence[MeasuredNetwork]) -> None:
    """Accuracy over milliseconds per face on one machine."""
    names = machines(measured)
    machine = st.selectbox("Machine", names) if len(names) > 1 else names[0]
    times = (ranked["dataset"] + "/" + ranked["run"]).map(milliseconds_per_face(measured, machine))
    shown = ranked.assign(milliseconds=times).dropna(subset="milliseconds")
    figure = plots.accuracy_against(
        shown.head(MOST_POINTS), "milliseconds", "Milliseconds per face", unit=" ms"
    )
    ui.chart(figure, "accuracy-latency")
    how = "by the fastest back end that answers as fp32 does"
    words = [f"One face per call on {escape(machine)}, {how}."]
    if len(shown) > MOST_POINTS:
        words.append(f"The best {MOST_POINTS} of {len(shown):,} runs.")
    if unmeasured := len(ranked) - len(shown):
        words.append(f"Not measured there: {how_many(unmeasured, 'run')}.")
    st.caption(" ".join(words))
    st.page_link(
        "pages/latency.py",
        label=ui.BUDGET_VIEW,
        icon=":material/speed:",
        query_params={ui.VIEW_PARAMETER: ui.BUDGET_VIEW},
    )


def show_without_result() -> None:
    """Failed, unfinished and unreadable runs, each with its sentence."""
    rows = []
    for run in ui.runs():
        if run.record is None:
            rows.append((ui.run_id(run), "unreadable", run.problem))
        elif run.record.status != "done":
            rows.append((ui.run_id(run), run.record.status, run.record.error or "still running"))
    if rows:
        with st.expander(f"Runs without a result ({len(rows)})", icon=":material/warning:"):
            st.dataframe(
                pd.DataFrame(rows, columns=["Run", "Status", "What happened"]),
                hide_index=True,
                width="stretch",
            )


def main() -> None:
    st.title("Leaderboard")
    st.markdown(INTRODUCTION)
    if not ui.runs():
        ui.no_results()
        return
    table = ui.table()
    table = table[table["status"] == "done"]
    if table.empty:
        ui.empty_state("No finished runs yet", "Runs appear here as soon as they are done.")
        show_without_result()
        return
    table = filtered(chosen_benchmark(table))
    table = table.sort_values("test_accuracy", ascending=False, kind="stable")
    ranked, others = table[table["comparable"]], table[~table["comparable"]]
    with st.container(horizontal=True, gap="medium"):
        averaged = st.toggle("Average over seeds")
        show_all = st.toggle("Show runs that are not comparable", value=ranked.empty)
    if ranked.empty:
        st.info(
            "No comparable run here: runs on synthetic data or on a part of the images are never "
            "ranked.",
            icon=":material/info:",
        )
    else:
        show_ranking(ranked, averaged=averaged)
    if show_all and not others.empty:
        st.subheader("Not ranked")
        show_table(over_seeds(others) if averaged else others, "not-ranked", why=True)
    show_without_result()


def show_ranking(ranked: pd.DataFrame, *, averaged: bool) -> None:
    best = ranked.iloc[0]
    ui.tiles(
        [
            Tile(
                name="Best accuracy",
                value=percent(best["test_accuracy"]),
                below=interval(best["ci_low"], best["ci_high"]),
                explanation=escape(best["run"]),
            ),
            Tile(name="Runs ranked", value=f"{len(ranked):,}"),
            Tile(name="Models", value=str(ranked["model"].nunique())),
        ]
    )
    show_table(over_seeds(ranked) if averaged else ranked, "leaderboard")
    if len(ranked) > 1:
        best_two = ranked["dataset"].head(2) + "/" + ranked["run"].head(2)
        st.page_link(
            "pages/compare.py",
            label="Is the first really better than the second?",
            icon=":material/compare_arrows:",
            query_params={RUNS_PARAMETER: ",".join(best_two)},
        )
    show_charts(ranked)


ui.within_app()
main()
