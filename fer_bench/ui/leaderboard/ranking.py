"""The leaderboard's parts: which runs are compared, their table, and the charts next to it."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from fer_bench import plots
from fer_bench.formatting import escape, how_many, interval
from fer_bench.results.leaderboard.five_models import FIVE
from fer_bench.results.leaderboard.glossary import TERMS, explain
from fer_bench.results.leaderboard.rankings import ranking_names
from fer_bench.results.summary import run_ids
from fer_bench.studies.latency.tables import FP32_TIME, MeasuredNetwork, fp32_milliseconds, machines
from fer_bench.ui.latency.budget import BUDGET_VIEW
from fer_bench.ui.leaderboard.references import bars_with_references, show_people
from fer_bench.ui.pickers import RUN_COLUMN, open_run, run_table
from fer_bench.ui.records import called, command, measured, runs, table
from fer_bench.ui.widgets import PERCENT, VIEW_PARAMETER, chart, download_csv, number

FILTERS = {"model": "Model", "mode": "Mode", "recipe": "Recipe", "pretraining": "Pretraining"}
#: The recipe that trains every network alike.
EQUAL_TERMS = "equal-terms"
#: More bars than this are no longer a picture.
MOST_BARS = 25
#: More points than this hide one another, and take long to draw.
MOST_POINTS = 200
#: In titles; the data set that was chosen says it for the whole table, whose names are cut.
DATA_WORDS = r", (FER\+|\w+ split)"

#: What the tables can be sorted by: a column, and whether its least value stands first.
ORDERS = {
    "Accuracy": ("test_accuracy", False),
    "Clean accuracy": ("test_clean_accuracy", False),
    "Accuracy with TTA": ("test_accuracy_tta", False),
    "Macro F1": ("test_macro_f1", False),
    "ECE": ("ece", True),
    "Calibrated ECE": ("calibrated_ece", True),
    "Epochs": ("epochs", True),
    "Budget": ("budget", True),
    "Parameters": ("parameters", True),
}

#: In reading order; on a narrow screen the first two are what one sees.
COLUMNS = {
    "title": RUN_COLUMN,
    "why_not_comparable": st.column_config.TextColumn("Why not ranked"),
    "test_accuracy": number("Accuracy", PERCENT, width=85),
    "test_accuracy_sd": number(
        "± sd", PERCENT, "Sample standard deviation over seeds; empty for one seed"
    ),
    "seeds": st.column_config.NumberColumn("Seeds", help="Runs averaged"),
    "interval": st.column_config.TextColumn("95 % interval"),
    "can_be_tried": st.column_config.CheckboxColumn(
        "Can be tried", help="Its weights are here: Live, Try an image and the API can use it"
    ),
    "epochs": number("Epochs", "%d", "Passes over the images"),
    "budget": st.column_config.TextColumn(
        "Budget",
        help="Floating-point operations of the whole training (P: 10^15, T: 10^12); empty for "
        "frozen runs",
    ),
    "recipe": st.column_config.TextColumn("Recipe", width=130),
    "seed": number("Seed", "%d"),
    "test_clean_accuracy": number("Clean", PERCENT, TERMS["clean"]),
    "test_accuracy_tta": number("With TTA", PERCENT, TERMS["tta"]),
    "test_macro_f1": number("Macro F1", PERCENT, TERMS["macro f1"]),
    "test_balanced_accuracy": number("Balanced", PERCENT, TERMS["balanced"]),
    "ece": number("ECE", "%.3f", TERMS["ece"]),
    "calibrated_ece": number("Calibrated ECE", "%.3f", TERMS["calibrated ece"]),
    "pretraining": st.column_config.TextColumn("Pretraining", width=330),
    "parameters": number("Parameters", "compact"),
    "input_size": number("Input", "%d px"),
    "train_seconds": number("Training", "%d s"),
    "hardware": st.column_config.TextColumn("Hardware"),
    "run": st.column_config.TextColumn("Id", help="What commands call it"),
}


def _benchmarks(table: pd.DataFrame) -> pd.Series[str]:
    """What each run is measured on; numbers across do not compare."""
    readable = [run for run in runs() if run.record]
    names = ranking_names([run.require_record() for run in readable])
    known = {run.id: name for run, name in zip(readable, names, strict=True)}
    return run_ids(table).map(known)


def _most_runs_first(benchmarks: pd.Series[str], comparable: pd.Series[bool]) -> list[str]:
    ranked = benchmarks[comparable].value_counts()
    return sorted(benchmarks.unique(), key=lambda name: (-ranked.get(name, 0), name))


def chosen_benchmark(runs_table: pd.DataFrame) -> pd.DataFrame:
    """The runs of one data set, protocol and label set, which the reader chooses."""
    benchmarks = _benchmarks(runs_table)
    names = _most_runs_first(benchmarks, runs_table["comparable"])
    chosen = st.selectbox(
        "Data set", names, key="data", bind="query-params", help=explain("official", "kaggle")
    )
    of_chosen: pd.DataFrame = runs_table.loc[benchmarks == chosen]
    return of_chosen


def headline_runs() -> pd.DataFrame:
    """The comparable runs of the benchmark that has most of them, best test accuracy first."""
    runs_table = table()
    done = runs_table[(runs_table["status"] == "done") & runs_table["comparable"]]
    if done.empty:
        return done
    benchmarks = _benchmarks(done)
    first = _most_runs_first(benchmarks, done["comparable"])[0]
    chosen: pd.DataFrame = done.loc[benchmarks == first]
    return chosen.sort_values("test_accuracy", ascending=False, kind="stable", ignore_index=True)


def on_equal_terms(runs_table: pd.DataFrame) -> pd.DataFrame:
    """The runs that one recipe trained alike, where there are such and the reader wants no more.

    At first they alone are shown once all five backbones are among them.
    """
    equal = runs_table["recipe"] == EQUAL_TERMS
    models = set(runs_table.loc[equal, "model"])
    if len(models) < 2:
        return runs_table
    alone = st.toggle(
        "Equal terms only",
        value=models.issuperset(FIVE),
        key="equal",
        bind="query-params",
        help="Runs of the recipe `equal-terms`: the same epochs, augmentation and choice on val. "
        "Without it, runs of different budgets stand in one list.",
    )
    return runs_table[equal] if alone else runs_table


def filtered(runs_table: pd.DataFrame) -> pd.DataFrame:
    """The runs that fit the filters; an empty filter lets everything through."""
    # Its state is the visit's: the page would fold it as soon as the switch above it comes or goes.
    with st.expander("Filters", icon=":material/filter_alt:", key="filters", on_change="rerun"):
        for place, (column, name) in zip(st.columns(len(FILTERS)), FILTERS.items(), strict=True):
            options = sorted(runs_table[column].dropna().unique())
            wanted = place.multiselect(
                name,
                options,
                placeholder="All",
                key=f"filter_{column}",
                wrap=True,
                bind="query-params",
            )
            if wanted:
                runs_table = runs_table[runs_table[column].isin(wanted)]
        if st.toggle("Can be tried", key="tried", bind="query-params", help="Weights are here"):
            runs_table = runs_table[runs_table["can_be_tried"]]
    return runs_table


def pick_order() -> str:
    """What the reader sorts the tables by, which the address keeps; one of `ORDERS`."""
    return st.selectbox(
        "Sort by",
        list(ORDERS),
        key="sort",
        bind="query-params",
        width=190,
        help="The table; the charts show the best accuracy first. ECE, epochs, budget and "
        "parameters begin with the least.",
    )


def show_table(runs_table: pd.DataFrame, key: str, order: str, *, why: bool = False) -> None:
    """One ranking in an order of `ORDERS`, with its CSV download; a click on a name opens it."""
    column, least_first = ORDERS[order]
    runs_table = runs_table.sort_values(column, ascending=least_first, kind="stable")
    shown = runs_table.assign(title=runs_table["title"].str.replace(DATA_WORDS, "", regex=True))
    shown["train_seconds"] = runs_table["train_seconds"].where(runs_table["train_seconds"] > 0)
    shown["epochs"] = runs_table["epochs"].where(runs_table["epochs"] > 0)
    if "seed" in shown:  # what was not trained is drawn from none
        shown["seed"] = shown["seed"].where(shown["epochs"] > 0)
    shown["budget"] = [plots.si_unit(value) for value in runs_table["budget"]]
    shown["interval"] = [
        interval(low, high)
        for low, high in zip(runs_table["ci_low"], runs_table["ci_high"], strict=True)
    ]
    run_table(
        shown,
        {name: column for name, column in COLUMNS.items() if why or name != "why_not_comparable"},
        list(run_ids(runs_table)),
        key,
        alt=f"{how_many(len(shown), 'run')}, sorted by {order}",
    )
    download_csv(runs_table, f"{key}.csv", f"{key}-csv")


def show_charts(ranked: pd.DataFrame) -> None:
    """Accuracy, and accuracy against cost."""
    left, right = st.columns(2, gap="large")
    with left:
        st.header("Accuracy")
        if len(ranked) > MOST_BARS:
            st.caption(f"The best {MOST_BARS} of {len(ranked):,} runs.")
        clicked = chart(
            bars_with_references(ranked.head(MOST_BARS)),
            "accuracy-bars",
            "Test accuracy with 95 % intervals",
            run_ids(ranked.head(MOST_BARS)),
            command=command("report --figures figures"),
            selectable=True,
        )
        if clicked:
            open_run(clicked)
        show_people(ranked)
    with right:
        st.header("Accuracy against cost")
        _show_cost(ranked)


def _show_cost(ranked: pd.DataFrame) -> None:
    """Accuracy over what it costs; latency first, where any of these runs was measured."""
    names = set(run_ids(ranked))
    timed = [m for m in measured() if m.name in names]
    costs = {"milliseconds": "Latency"} if timed else {}
    costs |= {"parameters": "Parameters", "flops": "FLOPs per image", "budget": "Training budget"}
    cost = st.segmented_control(
        "Cost",
        list(costs),
        default=next(iter(costs)),
        required=True,
        format_func=costs.__getitem__,
        label_visibility="collapsed",
        key="cost",
        bind="query-params",
        wrap=True,
    )
    if cost == "milliseconds":
        _show_latency(ranked, timed)
        return
    if len(ranked) > MOST_POINTS:
        st.caption(f"The best {MOST_POINTS} of {len(ranked):,} runs.")
    shown = ranked.head(MOST_POINTS)
    figure = plots.accuracy_against(shown, cost, costs[cost])
    _cost_chart(figure, f"accuracy-{cost}", costs[cost], shown)


def _cost_chart(figure: go.Figure, key: str, cost: str, shown: pd.DataFrame) -> None:
    clicked = chart(
        figure,
        key,
        f"Test accuracy over {cost.lower()}, with the Pareto front",
        run_ids(shown),
        command=command("report --figures figures"),
        selectable=True,
    )
    if clicked:
        open_run(clicked)


def _show_latency(ranked: pd.DataFrame, timed: Sequence[MeasuredNetwork]) -> None:
    """Accuracy over milliseconds per face on one machine."""
    names = machines(timed)
    machine = st.selectbox("Machine", names) if len(names) > 1 else names[0]
    times = run_ids(ranked).map(fp32_milliseconds(timed, machine))
    shown = ranked.assign(milliseconds=times).dropna(subset="milliseconds")
    drawn = shown.head(MOST_POINTS)
    figure = plots.accuracy_against(drawn, "milliseconds", FP32_TIME, unit=" ms")
    _cost_chart(figure, "accuracy-latency", f"milliseconds per face on {machine}", drawn)
    how = "by the fastest back end that computes in fp32, as the accuracy was measured"
    words = [
        f"One face per call on {escape(machine)}, {how}; bf16 and int8 are faster, and name "
        "a few faces otherwise: see Latency."
    ]
    if len(shown) > MOST_POINTS:
        words.append(f"The best {MOST_POINTS} of {len(shown):,} runs.")
    if unmeasured := len(ranked) - len(shown):
        words.append(f"Not measured there: {how_many(unmeasured, 'run')}.")
    st.caption(" ".join(words))
    st.page_link(
        "pages/latency.py",
        label=BUDGET_VIEW,
        icon=":material/speed:",
        query_params={VIEW_PARAMETER: BUDGET_VIEW},
    )


def show_without_result() -> None:
    """Failed, unfinished and unreadable runs, each with its sentence."""
    rows = []
    for run in runs():
        if run.record is None:
            rows.append((called(run.id), "unreadable", run.problem, run.id))
        elif run.record.status != "done":
            reason = run.record.error or "still running"
            rows.append((called(run.id), run.record.status, reason, run.id))
    if rows:
        with st.expander(f"Runs without a result ({len(rows)})", icon=":material/warning:"):
            st.dataframe(
                pd.DataFrame(rows, columns=["Run", "Status", "What happened", "Id"]),
                hide_index=True,
                width="stretch",
            )
