"""The results tables of a README, written from the records between two marks."""

from __future__ import annotations

from collections.abc import Set

import pandas as pd

from fer_bench.errors import FerBenchError
from fer_bench.report.contents import Benchmark, ReportContents
from fer_bench.report.formats import to_markdown
from fer_bench.report.tables import NOTHING, Table, rate, seeds_words
from fer_bench.results.leaderboard.five_models import COPIED_RECIPES, five_models
from fer_bench.results.leaderboard.rankings import WHOLE_SET
from fer_bench.results.titles import model_title
from fer_bench.studies.comparison.seeds import over_seeds
from fer_bench.templates import prose

#: What stands above the table of the protocol that people copy.
COPIED = (
    "The five backbones by the protocol people copy, 20 epochs of a head next to 5 of everything:"
)
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
    """A ranking per benchmark, and the five backbones by the copied protocol in their own table.

    That is there where one of them is frozen and tuned; its runs are not ranked beside longer ones.
    Runs on a part of their data's emotions stand in the report and on the dashboard.
    """
    parts = []
    for one in contents.benchmarks:
        if len(one.ranked):
            record = contents.source(int(one.ranked["source"].iloc[0])).record
            if len(record.dataset.emotions) < WHOLE_SET:
                continue
            parts.append(f"### {prose(one.name.partition(' · data ')[0])}")
            five = five_models(one.ranked, COPIED_RECIPES)
            is_pair = bool(five["model"].duplicated().any())
            ranking = _ranking(one, set(five["run"]) if is_pair else set())
            if ranking.rows:
                parts.append(to_markdown(ranking))
            if is_pair:
                parts += [COPIED, to_markdown(_backbones(five))]
    return "\n\n".join(parts)


def _ranking(one: Benchmark, left_out: Set[str]) -> Table:
    """Trained runs but those, seeds together; where there are no others, frozen ones."""
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
        if row["seeds"] > 1 or row["run"] not in left_out
    )
    header = ("Run", "Id", "Accuracy (%)", "95 % interval", "Clean test (%)", "With TTA (%)")
    return Table(header=header, rows=cells, texts=2)


def _backbones(five: pd.DataFrame) -> Table:
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
