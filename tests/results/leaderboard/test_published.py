"""Published figures: validated entries, their listing, and their marks on a figure."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from command_fixtures import Fer
from record_fixtures import make_record
from table_fixtures import table

from fer_bench import plots
from fer_bench.emotions import EXPRESSIO
from fer_bench.errors import FerBenchError
from fer_bench.results.leaderboard.published import (
    about,
    published_table,
    read_published,
    shipped_figures,
)

ENTRY = """
- data: fer2013
  protocol: official
  model: VGG
  accuracy: 0.727
  source: https://arxiv.org/abs/1612.02903
  date: 2016
"""


def test_every_shipped_figure_has_a_source_and_a_year() -> None:
    figures = shipped_figures()
    assert len(figures) >= 30
    assert all(figure.source.startswith("https://") and figure.date >= 2013 for figure in figures)
    unreproduced = {figure.model for figure in figures if figure.reproduced == "no"}
    assert unreproduced == {"ResEmoteNet"}


def test_only_figures_on_the_same_images_stand_beside_a_record() -> None:
    found = about(make_record().dataset)
    assert [f.model for f in found[:2]] == [
        "ResMaskingNet and six other CNNs",
        "eight CNNs together",
    ]
    assert {(f.data, f.protocol) for f in found} == {("fer2013", "official")}
    assert about(make_record(emotions=EXPRESSIO).dataset) == []
    assert about(make_record(protocol="kaggle").dataset) == []


FAULTS = [
    (ENTRY.replace("0.727", "72.7"), "entry 1: accuracy: Input should be less than 1, got 72.7"),
    (ENTRY.replace("https", "ftp"), "entry 1: source: "),
    (ENTRY.replace("  source: https://arxiv.org/abs/1612.02903\n", ""), "source: Field required"),
    (ENTRY.replace("model:", "modle:"), "unknown key 'modle'; did you mean 'model'?"),
    (ENTRY.replace("official", "private"), "protocol: "),
    (ENTRY + ENTRY, "VGG of https://arxiv.org/abs/1612.02903 stands in it twice"),
    ("model: VGG", "expected a list of figures"),
    ("- [", "cannot read"),
    ("- 3", "entry 1: the document"),
]


@table(("text", "sentence"), FAULTS)
def test_a_wrong_entry_is_one_sentence(text: str, sentence: str, tmp_path: Path) -> None:
    file = tmp_path / "published.yaml"
    file.write_text(text)
    with pytest.raises(FerBenchError) as error:
        read_published(file)
    assert sentence in str(error.value) and "\n" not in str(error.value)


def test_the_command_lists_them(fer: Fer) -> None:
    code, out, _ = fer("list", "published", "--json")
    assert code == 0 and len(json.loads(out)) == len(shipped_figures())
    _, out, _ = fer("list", "published", "--data", "ferplus")
    assert out.startswith(
        "83.9\N{NO-BREAK SPACE}%  ferplus, official  VGG13 of the FER+ authors (2016)"
    )
    code, _, err = fer("list", "published", "--data", "fer2031")
    assert code == 2 and "did you mean 'fer2013'" in err


def test_marks_and_line_change_no_bar() -> None:
    table = pd.DataFrame(
        {
            "dataset": ["x"],
            "run": ["a"],
            "title": ["a"],
            "model": ["vgg16"],
            "test_accuracy": [0.7],
            "ci_low": [0.68],
            "ci_high": [0.72],
        }
    )
    plain = plots.accuracy_bars(table)
    marked = plots.accuracy_bars(
        table, voters=0.558, published=published_table(about(make_record().dataset))
    )
    assert marked.data[0] == plain.data[0]
    assert len(marked.data[1].x) == 13 and set(marked.data[1].y) == {"Published, not ranked"}
    assert marked.data[1].marker.symbol.count("diamond-open") == 1
    assert marked.layout.shapes[0].x0 == 0.558
    assert marked.layout.annotations[0].text == "one FER+ voter 55.8\N{NO-BREAK SPACE}%"
