"""The results tables of a README, written from the records between two marks."""

from __future__ import annotations

from fer_bench.errors import FerBenchError
from fer_bench.report.contents import Benchmark, ReportContents
from fer_bench.report.formats import to_markdown
from fer_bench.report.tables import NOTHING, Table, rate, seeds_words
from fer_bench.results.leaderboard.five_models import five_models
from fer_bench.results.leaderboard.rankings import WHOLE_SET
from fer_bench.results.titles import model_title
from fer_bench.studies.comparison.seeds import over_seeds
from fer_bench.templates import prose

START, END = "<!-- results -->", "<!-- /results -->"


def with_results(text: str, contents: ReportContents) -> str:
    """A README whose tables between `START` and `END` are those of the records.

    Raises:
        FerBenchError: the marks are not there once each, the start first.
    """
    before, start, rest = text.partition(START)
    _, end, after = rest.partition(END)
    if not (start and end) or START in rest or END in before + after:
        raise FerBenchError(
            f"the README needs one line `{START}` and, below it, one `{END}`: the tables are "
            "written between them"
        )
    return f"{before}{START}\n\n{readme_tables(contents)}\n\n{END}{after}"


def readme_tables(contents: ReportContents) -> str:
    """A ranking per benchmark, and the five backbones frozen next to full where both are there.

    Runs on a part of their data's emotions stand in the report and on the dashboard.
    """
    parts = []
    for one in contents.benchmarks:
        if len(one.ranked):
            record = contents.source(int(one.ranked["source"].iloc[0])).record
            if len(record.dataset.emotions) < WHOLE_SET:
                continue
            parts += [f"### {prose(one.name.partition(' · data ')[0])}", to_markdown(_ranking(one))]
        five = _backbones(one)
        if five is not None:
            parts += ["The five backbones, frozen next to fully tuned:", to_markdown(five)]
    return "\n\n".join(parts)


def _ranking(one: Benchmark) -> Table:
    """Trained runs, seeds together; where there are no others, frozen ones."""
    trained = one.ranked[one.ranked["mode"] != "frozen"]
    rows = over_seeds(trained if len(trained) else one.ranked)
    cells = tuple(
        (
            str(row["title"]) + (f", mean of {row['seeds']} seeds" if row["seeds"] > 1 else ""),
            str(row["run"] if row["seeds"] == 1 else row["experiment"]),
            seeds_words(row),
            _between(row["ci_low"], row["ci_high"]) if row["seeds"] == 1 else NOTHING,
            rate(row["test_clean_accuracy"]),
            rate(row["test_accuracy_tta"]),
        )
        for row in rows.to_dict("records")
    )
    header = ("Run", "Id", "Accuracy (%)", "95 % interval", "Clean test (%)", "With TTA (%)")
    return Table(header=header, rows=cells, texts=2)


def _backbones(one: Benchmark) -> Table | None:
    five = five_models(one.ranked)
    if not five["model"].duplicated().any():
        return None
    frozen = five[five["mode"] == "frozen"]
    learned = "random features" if (frozen["pretraining"] == "none").all() else "frozen"
    recipe = five.loc[five["mode"] == "full", "recipe"].iloc[0]
    accuracy = {
        (row["model"], row["mode"]): f"{rate(row['test_accuracy'])} "
        f"({_between(row['ci_low'], row['ci_high'])}){_features_in(row['extractor'])}"
        for row in five.to_dict("records")
    }
    cells = tuple(
        (model_title(model), *(accuracy.get((model, mode), NOTHING) for mode in ("frozen", "full")))
        for model in dict.fromkeys(five["model"])
    )
    header = (
        "Backbone, accuracy (%)",
        f"Frozen, {learned} and their precision" if learned != "frozen" else "Frozen",
        f"Full, {recipe}",
    )
    return Table(header=header, rows=cells, texts=1)


def _features_in(extractor: object) -> str:
    """`, int8`: what a frozen run's features were computed in; which is fastest differs."""
    return f", {extractor.partition('-')[2]}" if isinstance(extractor, str) and extractor else ""


def _between(low: float, high: float) -> str:
    return f"{rate(low)} – {rate(high)}"
