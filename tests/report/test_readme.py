"""The README's results tables are those of the shipped records."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_fixtures import Fer
from record_fixtures import make_record

from fer_bench.errors import FerBenchError
from fer_bench.report import collect, with_results
from fer_bench.results.store import ResultsStore
from fer_bench.specs.recipe import load_recipe

ROOT = Path(__file__).parents[2]
MARKS = "<!-- results -->\n<!-- /results -->"


def test_the_shipped_readme_is_that_of_the_shipped_records() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    made = with_results(text, collect(ResultsStore(ROOT / "results")))
    assert made == text, "run `python -m fer_bench report --readme README.md`"


def test_seeds_stand_together_and_backbones_beside_one_another(tmp_path: Path) -> None:
    store = ResultsStore(tmp_path)
    for seed, accuracy in enumerate((0.5, 0.7)):
        store.save(make_record(seed=seed, accuracy=accuracy, pretraining="none"))
    frozen = load_recipe("frozen-20")
    store.save(make_record(mode="frozen", recipe=frozen, accuracy=0.3, pretraining="none"))
    text = with_results(f"a {MARKS} b", collect(store))
    assert text.startswith("a <!-- results -->\n\n### fer2013 · official · 7 emotions\n")
    assert text.endswith("<!-- /results --> b")
    assert "mean of 2 seeds" in text
    assert " ± " in text
    assert "Frozen, random features" in text
    assert "| ResNet18 | " in text


def test_the_copied_protocol_has_a_table_of_its_own(tmp_path: Path) -> None:
    store = ResultsStore(tmp_path)
    for mode, recipe in (("frozen", "frozen-20"), ("full", "finetune-5"), ("full", "strong")):
        store.save(make_record(mode=mode, recipe=load_recipe(recipe), pretraining="none"))
    tables = with_results(MARKS, collect(store))
    ranking, _, own = tables.partition("by the protocol people copy")
    assert "ResNet18, strong recipe" in ranking
    assert "ResNet18, fine-tuned" not in ranking
    assert "Full, finetune-5" in own


@pytest.mark.parametrize("text", ["", "<!-- results -->", f"{MARKS} {MARKS}", MARKS[::-1]])
def test_a_readme_without_its_marks_is_left_as_it_is(text: str, tmp_path: Path, fer: Fer) -> None:
    ResultsStore(tmp_path / "results").save(make_record())
    readme = tmp_path / "README.md"
    readme.write_text(text)
    words = ["--results", tmp_path / "results", "--out", tmp_path / "report.html"]
    code, _, err = fer("report", *words, "--readme", readme)
    assert code == 2
    assert "the README needs one line `<!-- results -->`" in err
    assert readme.read_text() == text
    assert not (tmp_path / "report.html").exists()


def test_writing_again_changes_nothing(tmp_path: Path) -> None:
    store = ResultsStore(tmp_path)
    store.save(make_record())
    once = with_results(MARKS, collect(store))
    assert with_results(once, collect(store)) == once
    with pytest.raises(FerBenchError):
        with_results("no marks", collect(store))
