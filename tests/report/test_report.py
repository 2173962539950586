"""The report: every number is its record's, nothing is loaded, and foreign text stays text."""

from __future__ import annotations

import json
import re
import shutil
from functools import cache
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from browser_fixtures import BEST, save_runs
from command_fixtures import Fer
from page_fixtures import make_ensemble_record
from record_fixtures import make_predictions, make_record
from table_fixtures import table

from fer_bench.errors import FerBenchError, one_line
from fer_bench.report import (
    ReportContents,
    collect,
    latex_tables,
    markdown_tables,
    methods,
    report_page,
)
from fer_bench.report.formats import LATEX, latex_text
from fer_bench.report.run_figures import run_figures
from fer_bench.results.reports.human_line import HumanLine, Share, add_human_line
from fer_bench.results.reproduce import reproduce_command
from fer_bench.results.store import ResultsStore
from fer_bench.results.stored_run import read_run
from fer_bench.specs.run import ExternalSpec

PAPER_FILES = ("leaderboard.md", "leaderboard.tex", "methods.txt", "references.bib")
HOSTILE = '"><img src=x onerror=alert(1)></script><b>|&_%$#{}~^\\--[x]*`'


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report") / "results"
    save_runs(folder)
    return folder


@pytest.fixture(scope="module")
def contents(root: Path) -> ReportContents:
    return collect(ResultsStore(root))


@pytest.fixture(scope="module")
def page(root: Path, contents: ReportContents) -> str:
    return report_page(ResultsStore(root), contents)


class Reader(HTMLParser):
    """A page's tags with their attributes, its tables as text, and its scripts."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.tables: list[list[list[str]]] = []
        self.texts: list[str] = []
        self.scripts = self.styles = ""
        self._inside = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag in ("script", "style"):
            self._inside = tag
        elif tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")
            self._inside = "cell"

    def handle_endtag(self, tag: str) -> None:
        if tag in ("script", "style", "td", "th"):
            self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside == "script":
            self.scripts += data
        elif self._inside == "style":
            self.styles += data
        elif self._inside == "cell":
            self.tables[-1][-1][-1] += data
        else:
            self.texts.append(data)


@cache
def read(page: str) -> Reader:
    """A page's content; plotly.js in it makes reading slow."""
    return Reader(page)


def table_with(tables: list[list[list[str]]], column: str) -> list[dict[str, str]]:
    """The rows of the first table that has this column."""
    found = next(table for table in tables if column in table[0])
    return [dict(zip(found[0], row, strict=True)) for row in found[1:]]


def markdown_rows(text: str) -> list[list[list[str]]]:
    """The tables of a Markdown document, without its backslashes."""
    blocks = re.findall(r"(?:^\|.*\|$\n?)+", text, re.MULTILINE)
    tables = []
    for block in blocks:
        header, _, *rows = block.splitlines()
        cells = [re.split(r"(?<!\\)\|", line)[1:-1] for line in (header, *rows)]
        tables.append(
            [[re.sub(r"\\([!-/:-@\[-`{-~])", r"\1", c.strip()) for c in row] for row in cells]
        )
    return tables


def latex_rows(text: str) -> list[list[list[str]]]:
    """The tables of a LaTeX document, as what they print."""
    printed = {code: letter for letter, code in reversed(LATEX.items()) if letter not in "\\–"}
    tables = []
    for body in re.findall(r"\\toprule\n(.*?)\\bottomrule", text, re.DOTALL):
        table = []
        for line in body.replace("\\midrule\n", "").splitlines():
            assert line.endswith(r" \\")
            cells = re.split(r"(?<!\\) & ", line[: -len(r" \\")])
            plain = [re.sub(r"-\{\}(?=-)", "-", c.replace("--", "–")) for c in cells]
            for code, letter in printed.items():
                plain = [c.replace(code, letter) for c in plain]
            table.append([c.replace(r"\textbackslash{}", "\\") for c in plain])
        tables.append(table)
    return tables


READERS = {
    "html": lambda root, contents: read(report_page(ResultsStore(root), contents)).tables,
    "markdown": lambda root, contents: markdown_rows(markdown_tables(contents)),
    "latex": lambda root, contents: latex_rows(latex_tables(contents)),
}


# --- numbers -----------------------------------------------------------------------------------


@pytest.mark.parametrize("tables_of", READERS.values(), ids=list(READERS))
def test_every_accuracy_is_its_records(tables_of, root: Path, contents: ReportContents) -> None:
    tables = tables_of(root, contents)
    records = {row["#"]: read_run(root / row["Record"]) for row in table_with(tables, "Record")}
    rows = table_with(tables, "Accuracy (%)")
    assert [row["Model"] for row in rows] == ["resnet18", "resnet18", "vgg16"]
    for row in rows:
        record = records[row["#"]].require_record()
        test = record.metrics["test"]
        low, high = test.accuracy_ci95
        assert row["Accuracy (%)"] == f"{test.accuracy * 100:.1f}"
        assert row["95 % interval"] == f"{low * 100:.1f} – {high * 100:.1f}"
        assert row["Clean (%)"] == f"{record.metrics['test_clean'].accuracy * 100:.1f}"
        assert row["TTA (%)"] == f"{record.metrics['test_tta'].accuracy * 100:.1f}"
        assert row["Macro F1 (%)"] == f"{test.macro_f1 * 100:.1f}"
        assert row["ECE"] == f"{test.ece:.3f}"
        assert row["Seed"] == str(record.spec.seed)
    assert [float(row["Accuracy (%)"]) for row in rows] == sorted(
        (float(row["Accuracy (%)"]) for row in rows), reverse=True
    )


@pytest.mark.parametrize("tables_of", READERS.values(), ids=list(READERS))
def test_what_was_not_trained_has_no_seed_and_no_epochs(tables_of, tmp_path: Path) -> None:
    store = ResultsStore(tmp_path / "results")
    store.save(make_ensemble_record("both", {"one": 0.5, "two": 0.5}))
    (row,) = table_with(tables_of(store.root, collect(store)), "Epochs")
    assert (row["Run"], row["Seed"], row["Epochs"]) == ("Ensemble both", "–", "–")


@pytest.mark.parametrize("tables_of", READERS.values(), ids=list(READERS))
def test_seeds_stand_together_with_mean_and_deviation(
    tables_of, root: Path, contents: ReportContents
) -> None:
    (row,) = table_with(tables_of(root, contents), "Seeds")
    values = [
        read_run(root / "fer2013" / f"resnet18-full-finetune-5-s{seed}")
        .require_record()
        .metrics["test"]
        .accuracy
        * 100
        for seed in (0, 1)
    ]
    assert row["Experiment"] == "resnet18-full-finetune-5"
    assert row["Seeds"] == "2"
    assert row["Accuracy (%), mean ± sd"] == f"{np.mean(values):.1f} ± {np.std(values, ddof=1):.1f}"


def test_a_record_says_how_to_make_it_again(root: Path, page: str) -> None:
    for row in table_with(read(page).tables, "Record"):
        record = read_run(root / row["Record"]).require_record()
        assert row["Command"] == reproduce_command(record)
        assert row["Commit"] == record.environment.git_commit[:10]
        assert row["Data fingerprint"] == record.dataset.fingerprint[:12]


def test_numbers_lead_to_their_records(page: str) -> None:
    tags = read(page).tags
    targets = {attributes["id"] for tag, attributes in tags if tag == "tr" and "id" in attributes}
    links = [attributes["href"] for tag, attributes in tags if tag == "a"]
    assert targets == {f"record-{number}" for number in range(1, 5)}
    assert {link.removeprefix("#") for link in links} == targets


def test_what_is_not_comparable_is_not_ranked(page: str, contents: ReportContents) -> None:
    (one,) = contents.benchmarks
    assert one.others["model"].tolist() == ["keras-cnn"]
    boards = [t for t in read(page).tables if "Accuracy (%)" in t[0]]
    assert [len(board) - 1 for board in boards] == [3, 1]
    assert "keras-cnn" not in markdown_tables(contents) + latex_tables(contents)
    assert "<p>Because of: limit.</p>" in page


def test_people_and_published_figures_stand_beside_the_ranking(root: Path, tmp_path: Path) -> None:
    """On PrivateTest; told by the data's fingerprint and protocol, and never ranked."""
    copied = shutil.copytree(root, tmp_path / "results")
    share = Share(value=0.558, low=0.55, high=0.57)
    line = HumanLine(
        fingerprint="ab" * 32, protocol="official", faces=3_573, votes=35_000,
        label_agreement=share, one_voter=share, best_expected_agreement=0.8, per_emotion={},
    )  # fmt: skip
    add_human_line(copied / "fer2013", line)
    found = collect(ResultsStore(copied))
    page = report_page(ResultsStore(copied), found)
    rows = table_with(read(page).tables, "Published accuracy (%)")
    assert "73.3" in {row["Published accuracy (%)"] for row in rows if row["Model"] == "VGGNet"}
    assert len(found.benchmarks[0].ranked) == 3
    assert "one FER+ voter 55.8" in read(page).scripts
    assert "label on 55.8 % of 3,573 test faces" in page
    assert "Diamonds are figures that others published" in page


def test_runs_without_a_result_say_why(page: str) -> None:
    rows = table_with(read(page).tables, "What happened")
    assert {row["Run"]: row["Status"] for row in rows} == {
        "fer2013/broken": "unreadable",
        "fer2013/vit-b-16-full-finetune-5-s0": "failed",
    }
    assert "out of memory" in str(rows)


def test_figures_are_those_of_the_best_run(page: str) -> None:
    scripts = read(page).scripts
    assert scripts.count("Plotly.newPlot(") == 5  # bars, latency, confusion, classes, calibration
    assert page.count(f">{BEST}</a>") == 3
    assert "One face per call on " in page


def test_without_predictions_or_ranked_runs_a_sentence_takes_their_place(tmp_path: Path) -> None:
    store = ResultsStore(tmp_path)
    store.save(make_record(limit=20, not_comparable_because=["limit"]))
    page = report_page(store, collect(store))
    assert "No run can be ranked" in page
    assert "No run can be ranked" in markdown_tables(collect(store))
    assert "% No run can be ranked" in latex_tables(collect(store))
    assert methods(collect(store)).startswith("No run can be ranked")
    store.save(make_record())
    page = report_page(store, collect(store))
    assert "No calibration: the run has no predictions" in page
    (tmp_path / "fer2013" / BEST / "predictions.parquet").write_text("damaged")
    page = report_page(store, collect(store))
    assert "No calibration: " in page
    assert "predictions.parquet is damaged" in page


def test_a_system_that_names_one_emotion_has_no_figures_of_probabilities(tmp_path: Path) -> None:
    spec = ExternalSpec(external="theirs", answers="labels")
    record = make_record().model_copy(update={"spec": spec, "name": spec.name})
    store = ResultsStore(tmp_path)
    store.save(record, predictions=make_predictions())
    text = report_page(store, collect(store))
    assert "No calibration: the system gave one emotion per image and no probability." in text
    names = [one.name for one in run_figures(store, store.find(spec.name))]
    assert names == ["confusion", "f1", "balance"]


def test_benchmarks_stand_apart_the_most_ranked_first(tmp_path: Path) -> None:
    store = ResultsStore(tmp_path)
    store.save(make_record(dataset="affectnet", accuracy=0.9))
    for seed in (0, 1):
        store.save(make_record(seed=seed))
    found = collect(store)
    assert [one.name for one in found.benchmarks] == [
        "fer2013 · official · 7 emotions · data abababab",
        "affectnet · official · 7 emotions · data a1411535",
    ]
    assert [list(one.ranked["source"]) for one in found.benchmarks] == [[1, 2], [3]]
    assert found.source(3).run.dataset == "affectnet"
    assert [one.name for one in collect(store, "affectnet").benchmarks] == [
        "affectnet · official · 7 emotions · data a1411535"
    ]
    with pytest.raises(FerBenchError, match="no run on the data set 'afectnet': did you mean"):
        collect(store, "afectnet")


def test_a_run_that_went_on_from_another_names_its_record(tmp_path: Path) -> None:
    store = ResultsStore(tmp_path)
    first = make_record(model="vgg16", accuracy=0.4, limit=20, not_comparable_because=["limit"])
    store.save(first)
    store.save(make_record(pretraining=f"results/fer2013/{first.name}"))
    store.save(make_record(seed=1, accuracy=0.5))
    found = collect(store)
    text = markdown_rows(markdown_tables(found))
    assert [row["Pretraining"] for row in table_with(text, "Model")] == ["record 3", "imagenet"]
    records = {row["#"]: row["Record"] for row in table_with(text, "Record")}
    assert records["3"] == f"fer2013/{first.name}"


def test_the_same_records_give_the_same_report(root: Path, page: str) -> None:
    store = ResultsStore(root)
    assert report_page(store, collect(store)) == page


# --- nothing from outside ----------------------------------------------------------------------


def test_nothing_is_loaded_from_anywhere(page: str) -> None:
    found = read(page)
    loading = ("src", "srcset", "action", "data", "poster", "background", "formaction")
    for tag, attributes in found.tags:
        assert tag not in ("link", "iframe", "img", "object", "embed", "base")
        assert not set(attributes) & set(loading)
        assert attributes.get("href", "#").startswith("#")
    assert "url(" not in found.styles
    assert "@import" not in found.styles
    (policy,) = [
        a["content"] for _, a in found.tags if a.get("http-equiv") == "Content-Security-Policy"
    ]
    assert policy.startswith("default-src 'none';")
    assert page.count("plotly.js v") == 1


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose folder and source have names that mean something in every format."""
    root = tmp_path_factory.mktemp("hostile") / "results"
    record = make_record()
    info = record.dataset.model_copy(update={"source": HOSTILE, "protocol": HOSTILE})
    cpu = record.environment.model_copy(update={"cpu": HOSTILE})
    record = record.model_copy(update={"dataset": info, "environment": cpu})
    folder = ResultsStore(root).save(record, predictions=make_predictions())
    folder.rename(folder.with_name(HOSTILE.replace("/", "")))
    ResultsStore(root).save(make_record(model="vgg16", accuracy=0.5))
    return root


@pytest.mark.parametrize("tables_of", READERS.values(), ids=list(READERS))
def test_hostile_names_are_printed_as_they_are(tables_of, hostile: Path) -> None:
    contents = collect(ResultsStore(hostile))
    name = f"fer2013/{HOSTILE.replace('/', '')}"
    assert table_with(tables_of(hostile, contents), "Record")[0]["Record"] == name


def test_hostile_names_bring_no_tags_and_no_scripts(hostile: Path, page: str) -> None:
    store = ResultsStore(hostile)
    found = read(report_page(store, collect(store)))
    assert {tag for tag, _ in found.tags} <= {tag for tag, _ in read(page).tags}
    assert "<img src=x" not in found.scripts
    assert not any("onerror" in attributes for _, attributes in found.tags)
    assert HOSTILE in table_with(found.tables, "Source")[0]["Source"]


def test_a_markdown_row_of_hostile_names_holds_no_html(hostile: Path) -> None:
    text = markdown_tables(collect(ResultsStore(hostile)))
    assert not re.search(r"(?<!\\)<", text)
    assert {len(row) for table in markdown_rows(text)[-1:] for row in table} == {8}


@table(
    ("text", "code"),
    [
        ("50% & more_", r"50\% \& more\_"),
        ("a\\b", r"a\textbackslash{}b"),
        ("--x---y", "-{}-x-{}-{}-y"),
        ("1 – 2", "1 -- 2"),
        ("[2pt]*", "{[}2pt]{*}"),
        ("\\input{/etc/passwd}", r"\textbackslash{}input\{/etc/passwd\}"),
        ("two\nlines\u202e", "two lines"),
    ],
)
def test_latex_prints_text_and_runs_none_of_it(text: str, code: str) -> None:
    assert latex_text(text) == code


def test_a_line_is_one_line() -> None:
    assert one_line(" a\r\nb\x00\tc\u2028d ") == "a b c d"


# --- the command -------------------------------------------------------------------------------


def test_the_command_writes_the_page_and_the_tables(
    root: Path, page: str, contents: ReportContents, tmp_path: Path, fer: Fer
) -> None:
    file, tables = tmp_path / "new" / "report.html", tmp_path / "paper"
    words = ["--results", str(root), "--out", str(file), "--tables", str(tables)]
    code, out, _ = fer("report", *words, "--json")
    assert code == 0
    assert json.loads(out) == {
        "files": [str(file), *(str(tables / name) for name in PAPER_FILES)],
        "benchmarks": [
            {
                "name": "fer2013 · official · 7 emotions · data abababab",
                "ranked": 3,
                "not_ranked": 1,
            }
        ],
        "without_result": ["fer2013/broken", "fer2013/vit-b-16-full-finetune-5-s0"],
    }
    assert file.read_text(encoding="utf-8") == page
    assert (tables / "leaderboard.md").read_text(encoding="utf-8") == markdown_tables(contents)
    assert (tables / "leaderboard.tex").read_text(encoding="utf-8") == latex_tables(contents)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--results", "/no/such/folder"], "/no/such/folder holds no runs to report on; train one"),
        (["--dataset", "fer2014"], "no run on the data set 'fer2014': did you mean 'fer2013'?"),
        (["--out", "/proc/no/report.html"], "cannot write /proc/no"),
    ],
)
def test_bad_input_is_a_sentence(
    root: Path, words: list[str], sentence: str, tmp_path: Path, fer: Fer
) -> None:
    given = ["--results", str(root), "--out", str(tmp_path / "report.html"), *words]
    code, _, err = fer("report", *given)
    assert code == 2
    assert f"error: {sentence}" in err
    assert not list(tmp_path.iterdir())
