"""Figures for a paper: files that say what they show, or pages where no browser can draw."""

from __future__ import annotations

import json
import re
from io import BytesIO
from pathlib import Path
from xml.etree import ElementTree

import pandas as pd
import pytest
from browser_fixtures import BEST, save_runs
from command_fixtures import Fer
from kaleido.errors import BrowserFailedError
from model_fixtures import save_models
from PIL import Image
from record_fixtures import make_history, make_predictions, make_recipe, make_record
from robustness_fixtures import make_robustness, make_transfer

import fer_bench.report
from fer_bench import plots
from fer_bench.errors import FerBenchError
from fer_bench.report import collect
from fer_bench.report.figure_files import (
    COLUMN_MM,
    PaperFigure,
    figure_files,
    paper_figures,
    stamp_png,
    stamp_svg,
)
from fer_bench.report.run_figures import run_figures
from fer_bench.report.study_figures import study_figures
from fer_bench.results.reports.robustness import add_robustness
from fer_bench.results.reports.transfer import add_transfer
from fer_bench.results.reproduce import reproduce_command
from fer_bench.results.store import ResultsStore
from fer_bench.results.stored_run import read_run
from fer_bench.specs.recipe import load_recipe

SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = {"Title": "</title><script>alert(1)</script> – ü", "n": "20 test images"}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("figures") / "results"
    save_runs(folder)
    return folder


@pytest.fixture(scope="module")
def drawn(root: Path) -> dict[str, PaperFigure]:
    store = ResultsStore(root)
    found = paper_figures(store, collect(store), "python -m fer_bench report --figures paper")
    return {one.name.removeprefix("1-fer2013-official-7-emotions-"): one for one in found}


def test_every_figure_of_the_report_is_there(drawn: dict[str, PaperFigure]) -> None:
    assert list(drawn) == [
        "accuracy", "latency-1", "confusion", "f1", "calibration", "roc", "risk-coverage",
    ]  # fmt: skip


#: Figures of one picture or video, and of what only a visitor's own data can show.
OF_ONE_PICTURE = {"probability_bars", "probability_pie"}
OF_A_VIDEO = {"emotion_timeline", "person_shares", "person_timeline"}
OF_DATA = {"agreement_lines"}  # FER+'s votes
NO_FIGURES = {"emotion_colour", "model_colour", "in_words", "si_unit"}
#: The report has the same diagram without its counts.
ALSO_DRAWN = {"reliability_with_counts"}


def test_every_figure_that_pages_draw_from_results_is_written() -> None:
    """A figure that is added to `fer_bench.plots` belongs into one of these files, or above."""
    package = Path(fer_bench.report.__file__).parent
    files = [*package.glob("*.py"), *(package.parent / "studies").glob("*/figures.py")]
    source = "\n".join(file.read_text(encoding="utf-8") for file in files)
    written = {name for name in plots.__all__ if f"plots.{name}(" in source}
    others = OF_ONE_PICTURE | OF_A_VIDEO | OF_DATA | NO_FIGURES | ALSO_DRAWN
    assert written == set(plots.__all__) - others


def test_the_pages_figures_are_those_of_their_first_view(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_runs(tmp_path)
    run = ResultsStore(tmp_path).find(f"fer2013/{BEST}")
    add_robustness(run.folder, make_robustness(run.require_record()))
    add_transfer(run.folder, make_transfer(run.require_record()))
    drawn, left_out = study_figures(collect(ResultsStore(tmp_path)))
    assert [one.name for one in drawn] == [
        "compare-1-forest", "compare-1-agreement", "compare-1-recall", "compare-1-f1",
        "compare-1-curves-accuracy", "compare-1-curves-loss",
        "machine-1-latency-bars", "machine-1-stages",
        "robustness-1-ranking", "robustness-1-by-severity", "robustness-1-by-corruption",
        "transfer", "leak-1",
    ]  # fmt: skip
    assert [one.partition(": ")[0] for one in left_out] == ["figures of page Explain are left out"]
    forest = drawn[0]
    assert forest.title.startswith("Differences of pairs; A: ResNet18, fine-tuned, 5 epochs, B: ")
    assert run.id in [one.id for one in forest.runs]
    for one in drawn:
        if one.name.startswith("machine-1-"):
            assert [shown.id for shown in one.runs] == [run.id]


def test_the_feature_map_needs_the_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FER_BENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("FER_BENCH_DATA", "")
    save_models(tmp_path / "results")
    contents = collect(ResultsStore(tmp_path / "results"))
    _, left_out = study_figures(contents)
    assert "set FER_BENCH_DATA to where they lie" in left_out[-1]
    monkeypatch.setenv("FER_BENCH_DATA", "synthetic:140")
    drawn, left_out = study_figures(contents)
    assert not [one for one in left_out if "Explain" in one]
    (features,) = [one for one in drawn if one.name == "features"]
    assert features.title.startswith("Features, placed by t-SNE, Keras CNN")


def test_backbones_stand_beside_one_another_once_one_has_both_modes(tmp_path: Path) -> None:
    store = ResultsStore(tmp_path)
    store.save(make_record())
    store.save(make_record(mode="frozen", recipe=load_recipe("frozen-20"), accuracy=0.3))
    found = paper_figures(store, collect(store), "")
    (five,) = [one for one in found if one.name.endswith("-backbones")]
    assert [trace.name for trace in five.figure.data] == ["Frozen", "Fully tuned"]
    assert five.facts["Run"].count("fer2013/") == 2


def test_a_figure_says_what_it_shows(root: Path, drawn: dict[str, PaperFigure]) -> None:
    record = read_run(root / "fer2013" / BEST).require_record()
    facts = drawn["confusion"].facts
    assert facts["Title"].startswith("Confusion matrix, ")
    assert facts["n"] == f"{record.metrics['test'].n} test images"
    assert facts["Protocol"] == "official"
    assert facts["Run"] == f"fer2013/{BEST}"
    assert facts["Command"] == "python -m fer_bench report --figures paper"
    assert facts["Run command"] == reproduce_command(record)


def test_a_figure_of_several_runs_names_each(drawn: dict[str, PaperFigure]) -> None:
    facts = drawn["accuracy"].facts
    assert facts["Run"].count("fer2013/") == 3
    assert facts["Run"].startswith(f"fer2013/{BEST}, ")
    assert "Run command" not in facts


def test_names_of_three_lines_have_room(tmp_path: Path) -> None:
    heights = {}
    for recipe in ("mild", "an-augmented-and-weighted-recipe"):
        store = ResultsStore(tmp_path / recipe)
        store.save(make_record(recipe=make_recipe(name=recipe)))
        accuracy = paper_figures(store, collect(store), "")[0].figure
        (name,) = accuracy.layout.yaxis.ticktext[-1:]
        heights[name.count("<br>")] = accuracy.layout.height
    assert heights[2] > heights[0]


def test_an_svg_is_a_column_wide_and_holds_its_facts() -> None:
    plain = b'<svg xmlns="http://www.w3.org/2000/svg" width="336" height="720" ' + (
        b'viewBox="0 0 336 720"><rect width="336" height="720"/></svg>'
    )
    tree = ElementTree.fromstring(stamp_svg(plain, HOSTILE))
    assert tree.get("width") == f"{COLUMN_MM}mm"
    assert tree.get("viewBox") == "0 0 336 720"
    assert tree.findtext(f"{SVG}title") == HOSTILE["Title"]
    assert "n: 20 test images" in (tree.findtext(f"{SVG}desc") or "")
    assert json.loads(tree.findtext(f"{SVG}metadata") or "") == HOSTILE
    assert [child.tag.removeprefix(SVG) for child in tree] == ["title", "desc", "metadata", "rect"]


def test_a_png_is_a_column_wide_and_holds_its_facts() -> None:
    plain = BytesIO()
    Image.new("RGB", (1344, 20)).save(plain, "PNG")
    with Image.open(BytesIO(stamp_png(plain.getvalue(), HOSTILE))) as image:
        assert image.text == HOSTILE
        assert image.width / image.info["dpi"][0] * 25.4 == pytest.approx(COLUMN_MM, abs=0.1)


def test_without_a_browser_the_figures_are_pages_and_a_sentence_says_so(
    root: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    fer: Fer,
) -> None:
    monkeypatch.setenv("BROWSER_PATH", str(tmp_path / "no-browser"))
    folder = tmp_path / "paper"
    code, out, err = fer(
        "report", "--results", root, "--out", tmp_path / "report.html", "--figures", folder
    )
    assert code == 0
    assert "no Chrome or Chromium was found: install one" in err
    names = sorted(path.name for path in folder.iterdir())
    assert len(names) == 7 + 9  # of the report, and of pages
    assert "figures of page Robustness are left out: no run was measured" in err
    assert "figures of page Explain are left out: no run has its weights" in err
    assert {Path(name).suffix for name in names} == {".html"}
    assert all(name in out for name in names)
    page = (folder / "1-fer2013-official-7-emotions-f1.html").read_text(encoding="utf-8")
    assert f'<meta name="Run" content="fer2013/{BEST}">' in page
    assert not re.search(r"<script[^>]* src=", page)


def test_a_browser_that_does_not_start_is_told_from_none(
    drawn: dict[str, PaperFigure], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(**_: object) -> None:
        raise BrowserFailedError("it ended at once")

    monkeypatch.setattr("kaleido.Kaleido", fails)
    files, why = figure_files([drawn["f1"]], tmp_path)
    assert [path.suffix for path in files] == [".html"]
    assert "no Chrome or Chromium would start: mend it" in why


@pytest.mark.parametrize("damaged", [False, True])
def test_answers_that_cannot_be_shown_leave_their_figures_out(
    damaged: bool, tmp_path: Path
) -> None:
    store = ResultsStore(tmp_path)
    table = make_predictions()
    folder = store.save(make_record(), predictions=table[table["split"] == "val"])
    if damaged:
        (folder / "predictions.parquet").write_text("damaged")
    names = [one.name for one in paper_figures(store, collect(store), "")]
    assert [name.rpartition("-")[2] for name in names] == ["accuracy", "confusion", "f1"]
    word = "is damaged" if damaged else "hold no test image"
    with pytest.raises(FerBenchError, match=word):
        run_figures(store, read_run(folder))


@pytest.mark.parametrize("history", [None, make_history(epochs=0)])
def test_without_a_history_there_are_no_curves(
    history: pd.DataFrame | None, tmp_path: Path
) -> None:
    store = ResultsStore(tmp_path)
    run = read_run(store.save(make_record(), history=history))
    assert [one.name for one in run_figures(store, run)] == ["confusion", "f1", "balance"]


def test_a_runs_own_figures_lie_beside_it(
    root: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    fer: Fer,
) -> None:
    store = ResultsStore(root)
    run = store.find(f"fer2013/{BEST}")
    drawn = {one.name: one for one in run_figures(store, run)}
    assert list(drawn) == [
        "accuracy-curve", "loss-curve", "confusion", "f1", "balance",
        "calibration", "roc", "risk-coverage",
    ]  # fmt: skip
    curve = drawn["accuracy-curve"].figure.data[1]
    assert list(curve.y) == store.history(run)["val_accuracy"].tolist()
    assert drawn["confusion"].facts["Run"] == run.id
    monkeypatch.setenv("BROWSER_PATH", str(tmp_path / "no-browser"))
    code, out, err = fer("results", "--figures", run.id, "--results", root, "--json")
    assert code == 0
    assert "no Chrome or Chromium was found" in err
    files = [Path(path) for path in json.loads(out)["files"]]
    assert {path.parent for path in files} == {run.folder / "figures"}
    assert all(path.is_file() for path in files)
    assert [one.id for one in store.runs() if "figures" in one.id] == []


def test_a_run_that_is_not_finished_has_no_figures(tmp_path: Path, fer: Fer) -> None:
    name = ResultsStore(tmp_path).save(make_record(status="failed")).name
    code, _, err = fer("results", "--figures", name, "--results", tmp_path)
    assert code == 2
    assert "is failed: only a finished run has figures" in err
