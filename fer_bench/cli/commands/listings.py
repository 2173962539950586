"""`list models|datasets|detectors|corruptions|recipes|emotions|published` and `results`."""

from __future__ import annotations

import shlex
from collections.abc import Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fer_bench.cli.console import err, out, print_json, say_next
from fer_bench.cli.options import DEFAULT_RESULTS, Json, Results
from fer_bench.errors import FerBenchError, suggest, unknown_name
from fer_bench.formatting import interval, percent

if TYPE_CHECKING:
    import pandas as pd

    from fer_bench.results.store import ResultsStore
    from fer_bench.results.stored_run import StoredRun

list_app = typer.Typer(help="What there is to choose from.", no_args_is_help=True)


def _show(items: Mapping[str, str], as_json: bool, then: str) -> None:
    """The items, and then the command that takes one of them."""
    if as_json:
        print_json([{"name": name, "summary": summary} for name, summary in items.items()])
        return
    width = max(map(len, items))
    for name, summary in items.items():
        out.print(f"{name:<{width}}  {summary}", markup=False)
    say_next(then)


@list_app.command()
def models(as_json: Json = False) -> None:
    """The networks; any `timm:NAME` and `clip:HF_ID` works too."""
    from fer_bench.models.build import list_models

    _show(list_models(), as_json, "train --model compact_resnet --data YOUR_DATA")


@list_app.command()
def datasets(as_json: Json = False) -> None:
    """The formats that --data accepts."""
    from fer_bench.data.readers.registry import DATASETS

    summaries = {name: DATASETS.entry(name).summary for name in DATASETS}
    _show(summaries, as_json, "data check YOUR_DATA")


@list_app.command()
def detectors(as_json: Json = False) -> None:
    """The face detectors of `predict` and the pages."""
    from fer_bench.inference.detectors.base import DETECTORS

    summaries = {name: DETECTORS.entry(name).summary for name in DETECTORS}
    _show(summaries, as_json, "predict default YOUR_PHOTO --detector yunet")


@list_app.command()
def corruptions(as_json: Json = False) -> None:
    """What `robustness` does to faces, each in five severities."""
    from fer_bench.studies.robustness.corruptions import CORRUPTIONS

    summaries = {name: CORRUPTIONS.entry(name).summary for name in CORRUPTIONS}
    _show(summaries, as_json, "robustness default --data YOUR_DATA")


@list_app.command()
def recipes(as_json: Json = False) -> None:
    """The ways of training; a path of your own YAML file works too."""
    from fer_bench.specs.recipe import load_recipe, recipe_names

    summaries = {name: load_recipe(name).description for name in recipe_names()}
    _show(summaries, as_json, "train --model compact_resnet --recipe strong --data YOUR_DATA")


@list_app.command()
def emotions(as_json: Json = False) -> None:
    """The label sets, in label order."""
    from fer_bench.emotions import EMOTION_SETS

    summaries = {name: ", ".join(labels) for name, labels in EMOTION_SETS.items()}
    _show(summaries, as_json, "train --model compact_resnet --emotions happy,sad --data YOUR_DATA")


@list_app.command()
def published(
    data: Annotated[
        str | None, typer.Option(help="Only figures on this data set, such as fer2013.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Accuracies that others published, each with its source; they stand in no ranking."""
    from fer_bench.results.leaderboard.published import shipped_figures

    known = {figure.data for figure in shipped_figures()}
    if data is not None and data not in known:
        raise FerBenchError(f"no published figure on {data!r:.80}: {suggest(data, known)}")
    figures = [figure for figure in shipped_figures() if data in (None, figure.data)]
    if as_json:
        print_json([figure.model_dump() for figure in figures])
        return
    for figure in figures:
        where = f"{figure.data}, {figure.protocol or 'split not stated'}"
        standing = {"no": "NOT REPRODUCED", "disputed": "disputed"}.get(figure.reproduced or "", "")
        words = [f"{percent(figure.accuracy)}", where, f"{figure.model} ({figure.date})", standing]
        out.print("  ".join(word for word in words if word), markup=False)
        out.print(
            f"       {figure.source}" + (f"  {figure.note}" if figure.note else ""), markup=False
        )
    say_next("results")


def results(
    sort: Annotated[str, typer.Option(help="`accuracy`, `name` or `date`.")] = "accuracy",
    default: Annotated[
        str | None, typer.Option(help="First make this run the one that `default` stands for.")
    ] = None,
    figures: Annotated[
        str | None,
        typer.Option(
            metavar="RUN",
            help="Draw this run's curves and confusion matrix: SVG and PNG files in its folder.",
        ),
    ] = None,
    sets: Annotated[
        str | None,
        typer.Option(
            metavar="RUN",
            help="Write prediction sets into this run's record, or into those of `all` runs, from "
            "the stored predictions; nothing else in it changes.",
        ),
    ] = None,
    store: Results = DEFAULT_RESULTS,
    as_json: Json = False,
) -> None:
    """The stored runs, one line each, by what they are measured on; the comparable ones first.

    Example: python -m fer_bench results --sort date

    Example: python -m fer_bench results --figures default
    """

    columns = {"accuracy": "test_accuracy", "name": "run", "date": "finished_at"}
    if sort not in columns:
        raise unknown_name("sort", sort, columns)
    if default is not None:
        chosen = store.find(default)
        store.mark_default(chosen)
        err.print(f"`default` now stands for {chosen.id}", markup=False)
    if figures is not None:
        _draw(store, figures, as_json)
        return
    if sets is not None:
        _fit_sets(store, sets, as_json)
        return
    runs = store.runs()
    if not runs:
        err.print(
            f"no runs in {store.location}: name the results folder with --results or "
            "FER_BENCH_RESULTS, or train one with `python -m fer_bench train`",
            markup=False,
            soft_wrap=True,
        )
        if not as_json:
            return
    table = _ranked(runs, columns[sort])
    unreadable = {r.id: r.problem for r in runs if r.problem}
    if as_json:
        import json

        rows = json.loads(table.to_json(orient="records", date_format="iso"))
        print_json({"runs": rows, "unreadable": unreadable})
        return
    out.print(
        f"{'test':>7}  {'95 % interval':>16}  {'clean':>7}  {'macro F1':>8}  run, and in words"
    )
    for name, rows in table.groupby("benchmark", sort=False):
        out.print(f"\n{name}", markup=False)
        for row in rows.to_dict("records"):
            out.print(_line(row), markup=False)
    for name, problem in unreadable.items():
        out.print(f"\nunreadable: {name}: {problem}", markup=False)
    best = table[table["comparable"] & (table["status"] == "done")]
    best = best[best["benchmark"] == best["benchmark"].iloc[0]] if len(best) else best
    if len(best) > 1:
        say_next(f"compare {' '.join((best['dataset'] + '/' + best['run']).head(2))}", store)
    else:
        say_next("report --out report.html", store)


def _draw(store: ResultsStore, name: str, as_json: bool) -> None:
    """Writes a run's figures below its folder; says on stderr where they could not be images."""
    from fer_bench.report.figure_files import figure_files
    from fer_bench.report.run_figures import FOLDER, run_figures
    from fer_bench.storage import write_atomically

    run = store.find(name)
    folder = run.folder / FOLDER
    files, remark = figure_files(run_figures(store, run), folder)
    if remark:
        err.print(remark, markup=False)
    try:
        folder.mkdir(exist_ok=True)
        write_atomically(files)
    except OSError as error:
        raise FerBenchError(
            f"cannot write {folder}: {error.strerror or error}; free some space, or copy the run "
            "to a place that can be written"
        ) from None
    if as_json:
        print_json({"run": run.id, "files": list(map(str, files))})
    for path in () if as_json else files:
        out.print(str(path), markup=False)
    if not as_json:
        say_next(f"report --out report.html --figures {shlex.quote(str(folder))}", store)


def _fit_sets(store: ResultsStore, name: str, as_json: bool) -> None:
    """Writes prediction sets into records; says which of `all` have nothing to fit them on."""
    from fer_bench.evaluation.prediction_sets import with_sets

    rows: list[dict[str, Any]] = []
    chosen = [run for run in store.runs() if run.record] if name == "all" else [store.find(name)]
    for run in chosen:
        try:
            record = with_sets(run.require_record(), store.predictions(run))
        except FerBenchError as error:
            if name != "all":
                raise
            rows.append({"run": run.id, "problem": str(error)})
            continue
        store.save(record)
        covered = {one.kind: one.all.coverage for one in record.prediction_sets}
        rows.append({"run": run.id, "coverage": covered})
        if not as_json:
            shares = ", ".join(f"{kind} {percent(value)}" for kind, value in covered.items())
            out.print(f"{run.id}: {shares} of the sets hold the true emotion", markup=False)
    if as_json:
        print_json(rows)
    for row in rows:
        if "problem" in row:
            err.print(f"left out: {row['problem']}", markup=False)


def _ranked(runs: Sequence[StoredRun], column: str) -> pd.DataFrame:
    """`summary_table` with its `benchmark`s one after the other, as numbers across do not compare.

    Those with the most comparable runs come first; `column` sorts the runs of each.
    """
    from fer_bench.results.leaderboard.rankings import ranking_names
    from fer_bench.results.summary import mark_own, summary_table

    table = mark_own(summary_table(runs))
    table["benchmark"] = ranking_names([run.record for run in runs if run.record])
    comparable = table.groupby("benchmark")["comparable"].sum()
    order = {"_size": False, "benchmark": True, "comparable": False, column: column == "run"}
    table = table.assign(_size=table["benchmark"].map(comparable))
    table = table.sort_values([*order], ascending=[*order.values()], na_position="last")
    return table.drop(columns="_size")


def _line(row: dict[Hashable, Any]) -> str:
    likely = interval(row["ci_low"], row["ci_high"])
    numbers = f"{percent(row['test_accuracy']):>7}  {likely:>16}  "
    numbers += f"{percent(row['test_clean_accuracy']):>7}  {percent(row['test_macro_f1']):>8}"
    remark = "" if row["comparable"] else f"  (not comparable: {row['why_not_comparable']})"
    if row["status"] != "done":
        remark += f"  [{row['status']}]"
    return f"{numbers}  {row['dataset']}/{row['run']}  {row['title']}{remark}"
