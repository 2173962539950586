"""What a paper takes from the records: chosen columns, emotions, pairs, methods and references."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from browser_fixtures import save_runs
from record_fixtures import make_recipe, make_record

from fer_bench.errors import FerBenchError
from fer_bench.formatting import interval, percent
from fer_bench.report import ReportContents, bibtex, collect, latex_tables, markdown_tables, methods
from fer_bench.report.methods import CITED_FOR_DATA, CITED_FOR_MODELS, REFERENCES
from fer_bench.report.tables import rate
from fer_bench.results.record import ClassMetrics
from fer_bench.results.store import ResultsStore
from fer_bench.specs.recipe import Optimizer
from fer_bench.specs.run import ExternalSpec

RUNS = 3
SHARE = {"start_share": 0.25, "modes": ("full",)}


@pytest.fixture(scope="module")
def contents(tmp_path_factory: pytest.TempPathFactory) -> ReportContents:
    root = tmp_path_factory.mktemp("paper") / "results"
    save_runs(root)
    return collect(ResultsStore(root))


def markdown_table(text: str, under: str) -> list[list[str]]:
    """The cells of the first table below a heading."""
    lines = text.split(f"{under}\n\n", 1)[1].split("\n\n", 1)[0].splitlines()
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]


def test_columns_are_those_that_were_chosen_words_first(contents: ReportContents) -> None:
    text = markdown_tables(contents, ["accuracy", "interval", "run"])
    header = next(line for line in text.splitlines() if line.startswith("| \\#"))
    assert header == "| \\# | Run | Accuracy (%) | 95 % interval |"
    assert (
        "Macro F1 (\\%) \\\\" not in latex_tables(contents, ["run", "accuracy"]).split("seeds")[0]
    )


def test_an_unknown_column_is_a_sentence(contents: ReportContents) -> None:
    with pytest.raises(FerBenchError, match="unknown column 'acuracy': did you mean 'accuracy'"):
        markdown_tables(contents, ["acuracy"])


def test_each_emotion_has_its_recall(contents: ReportContents) -> None:
    header, _, *rows = markdown_table(markdown_tables(contents), "### Recall of each emotion")
    record = contents.source(1).record
    assert header[2:] == [f"{emotion.capitalize()} (%)" for emotion in record.dataset.emotions]
    assert len(rows) == RUNS
    recalls = [one.recall for one in record.metrics["test"].per_class.values()]
    assert rows[0][2:] == [f"{recall * 100:.1f}" for recall in recalls]


def test_a_rate_halfway_between_two_is_rounded_up_as_browsers_round_tables() -> None:
    run = ResultsStore(Path("results")).find("ensemble-with-emotionlens")
    precision = run.require_record().metrics["test"].per_class["fear"].precision
    assert precision == 0.6025
    said = (rate(precision), percent(precision), interval(precision, np.float32(0.7)))
    assert said == ("60.3", "60.3\N{NO-BREAK SPACE}%", "60.3 – 70.0\N{NO-BREAK SPACE}%")


def test_runs_are_tested_two_by_two(contents: ReportContents) -> None:
    header, _, *rows = markdown_table(markdown_tables(contents), "### The best 3, two by two")
    assert header == [
        "First", "Second", "Points ahead", "95 % interval", "p", "Holm p", "Significant",
    ]  # fmt: skip
    assert len(rows) == RUNS * (RUNS - 1) / 2
    assert {row[0] for row in rows} <= {
        contents.source(n).title for n in contents.benchmarks[0].ranked["source"]
    }


def test_an_emotion_without_test_images_has_no_recall(tmp_path: Path) -> None:
    record = make_record()
    test = record.metrics["test"]
    calm = ClassMetrics(precision=0, recall=0, f1=0, support=0)
    changed = test.model_copy(update={"per_class": test.per_class | {"disgust": calm}})
    ResultsStore(tmp_path).save(
        record.model_copy(update={"metrics": record.metrics | {"test": changed}})
    )
    found = collect(ResultsStore(tmp_path))
    header, _, row = markdown_table(markdown_tables(found), "### Recall of each emotion")
    assert row[header.index("Disgust (%)")] == "–"
    assert "–" not in row[header.index("Fear (%)") :]


def test_the_methods_name_data_training_choice_and_tests(contents: ReportContents) -> None:
    text = methods(contents)
    record = contents.source(1).record
    for said in (
        f"{record.dataset.split_sizes['train']:,} training",
        record.dataset.fingerprint[:12],
        "all weights are trained by the recipe `finetune-5`",
        "VGG16: a linear head is trained on frozen features",
        "2 seeds",
        "95 % bootstrap intervals",
        "exact McNemar tests with Holm's correction",
        f"FER Bench {record.environment.fer_bench}",
    ):
        assert said in text
    assert text.count("\n") == 1


def test_each_training_is_described_by_its_own_settings(tmp_path: Path) -> None:
    """Networks with an optimizer of their own, one recipe's name with other settings, teachers."""
    store = ResultsStore(tmp_path)
    own = Optimizer(name="adamw", lr=1e-3, weight_decay=0.1)
    recipe = make_recipe().model_copy(update={"optimizers": {"vgg16": own}})
    for number, (model, changes) in enumerate(
        [("resnet18", {}), ("vgg16", {}), ("densenet121", {"batch_size": 8, "cutmix": 1.0})]
    ):
        changed = recipe.model_copy(update=changes)
        store.save(make_record(model=model, seed=number, recipe=changed))
    taught = make_record(seed=3, recipe=recipe)
    spec = taught.spec.model_copy(update={"teachers": ("one", "two")})
    store.save(taught.model_copy(update={"spec": spec, "name": spec.name}))
    text = methods(collect(store))
    adam = "Adam, peak learning rate 0.001, weight decay 0"
    assert set(re.findall(r"`finetune-5` \((.*?)\)", text)) == {
        f"AdamW, peak learning rate 0.001, weight decay 0.1 for VGG16; {adam} for ResNet18, "
        "constant schedule, batches of 64, 5 epochs",
        f"{adam}, constant schedule, batches of 64, distilled from 2 teachers at 0.7 of the loss, "
        "5 epochs",
        f"{adam}, constant schedule, batches of 8, CutMix 1, 5 epochs",
    }


def test_references_are_of_what_the_ranked_runs_use(contents: ReportContents) -> None:
    assert re.findall(r"^@\w+\{(\w+),", bibtex(contents), re.MULTILINE) == [
        "ferbench", "goodfellow2013challenges", "he2016deep", "simonyan2015very",
        "mcnemar1947note", "holm1979simple",
    ]  # fmt: skip


def test_what_deviates_from_the_usual_stands_in_both(tmp_path: Path) -> None:
    """FER+ labels, a temperature, random weights, a share of the start; and what was imported."""
    store = ResultsStore(tmp_path)
    random = make_record(pretraining="none")
    votes = random.spec.model_copy(update={"votes": "majority"})
    store.save(random.model_copy(update={"spec": votes, "temperature": 2}))
    store.save(make_record(seed=3))
    store.save(make_record(seed=1, recipe=make_recipe().model_copy(update=SHARE)))
    theirs = ExternalSpec(external="theirs")
    store.save(make_record(name=theirs.name, seed=2).model_copy(update={"spec": theirs}))
    contents = collect(store)
    text = methods(contents)
    for said in (
        "from imagenet weights or random weights, 2 seeds",
        "mixed with 25% of the weights they started from",
        "1 further run combined finished networks or imported answers.",
    ):
        assert said in text
    keys = re.findall(r"^@\w+\{(\w+),", bibtex(contents), re.MULTILINE)
    assert {"barsoum2016training", "guo2017calibration"} <= set(keys)


@pytest.mark.parametrize("key", [*CITED_FOR_DATA.values(), *CITED_FOR_MODELS.values()])
def test_everything_that_may_be_cited_has_an_entry(key: str) -> None:
    assert f"{{{key},\n" in (files("fer_bench.report") / REFERENCES).read_text(encoding="utf-8")
