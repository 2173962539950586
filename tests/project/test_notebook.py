"""The notebooks are what their sources say, and run from top to bottom on drawn faces."""

from __future__ import annotations

import base64
import io
import re
import zipfile
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbformat import NotebookNode
from PIL import ExifTags, Image

from fer_bench.results.store import ResultsStore
from scripts.write_notebooks import NOTEBOOKS, ROOT, names, notebook_text, repository

#: Seven emotions: guessing is right this often.
CHANCE = 1 / 7
#: Figures that each notebook draws.
FIGURES = {
    "quickstart": 3,
    "five_models": 2,
    "data_exploration": 1,
    "evaluation": 2,
    "inference": 1,
    "model_experiments": 2,
}


def test_there_is_a_notebook_for_each_source() -> None:
    assert names() == sorted(FIGURES)
    assert sorted(path.stem for path in NOTEBOOKS.glob("*.ipynb")) == names()


@pytest.mark.parametrize("name", sorted(FIGURES))
def test_the_committed_notebook_is_that_of_its_source(name: str) -> None:
    text = (NOTEBOOKS / f"{name}.ipynb").read_text(encoding="utf-8")
    assert text == notebook_text(name), "run `python -m scripts.write_notebooks`"
    cells = nbformat.reads(text, as_version=4).cells
    assert not any(cell.get("outputs") for cell in cells)
    place = f"{repository().removeprefix('https://github.com/')}/blob/main/notebooks/{name}.ipynb"
    assert f"(https://colab.research.google.com/github/{place})" in cells[0].source
    assert f"(https://kaggle.com/kernels/welcome?src=https://github.com/{place})" in cells[0].source
    assert f'REPOSITORY = "{repository()}"' in cells[1].source
    assert ("lead nowhere yet" in cells[0].source) == ("OWNER" in repository())


@pytest.fixture
def execute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Runs a notebook in an empty folder; gives what it printed, and its figures are counted."""
    monkeypatch.setenv("FER_BENCH_DATA", "synthetic")
    monkeypatch.setenv("FER_BENCH_RESULTS", str(tmp_path / "results"))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    # Another test runs beside: two that want all cores slow each other many times over.
    monkeypatch.setenv("OMP_NUM_THREADS", "1")

    def run(name: str, folder: Path = tmp_path) -> str:
        notebook = nbformat.reads(notebook_text(name), as_version=4)
        resources = {"metadata": {"path": str(folder)}}
        NotebookClient(notebook, timeout=570, resources=resources).execute()
        outputs = [o for cell in notebook.cells for o in cell.get("outputs", [])]
        drawn = [o for o in outputs if "application/vnd.plotly.v1+json" in o.get("data", {})]
        assert len(drawn) == FIGURES[name]
        shown = [o.data["image/png"] for o in outputs if "image/png" in o.get("data", {})]
        run.shown = [Image.open(io.BytesIO(base64.b64decode(png))).size for png in shown]
        return printed(outputs)

    return run


def printed(outputs: list[NotebookNode]) -> str:
    """What cells wrote on standard output."""
    return "".join(o.text for o in outputs if o.output_type == "stream" and o.name == "stdout")


def accuracies(folder: Path, mode: str = "full") -> list[float]:
    """Test accuracies of the runs of a mode."""
    records = [run.require_record() for run in ResultsStore(folder).runs()]
    return [r.metrics["test"].accuracy for r in records if r.spec.mode == mode]


def test_the_quickstart_runs(execute, tmp_path: Path) -> None:
    text = execute("quickstart")
    assert "synthetic" in text
    assert text.count("(95 %: ") == 2
    assert len(accuracies(tmp_path / "results", "frozen")) == 1
    (full,) = accuracies(tmp_path / "results")
    assert full > 4 * CHANCE


@pytest.mark.timeout(600)  # ten runs, beside other tests
def test_the_five_models_end_in_a_results_folder(execute, tmp_path: Path) -> None:
    text = execute("five_models")
    assert len(accuracies(tmp_path / "results", "frozen")) == 5
    full = accuracies(tmp_path / "results")
    assert len(full) == 5
    assert min(full) > 1.5 * CHANCE
    assert max(full) > 4 * CHANCE
    with zipfile.ZipFile(tmp_path / "results.zip") as archive:
        assert {name.partition("/")[0] for name in archive.namelist()} == {"results"}
    assert re.search(r"results\.zip \d", text)


def test_the_data_are_explored(execute) -> None:
    text = execute("data_exploration")
    assert "280 images, 280 distinct" in text
    assert "held-out images that stand in train: 0" in text


def test_a_run_is_evaluated(execute, tmp_path: Path) -> None:
    text = execute("evaluation")
    (accuracy,) = accuracies(tmp_path / "results")
    assert accuracy > 4 * CHANCE
    agreeing, all_of_them = map(int, re.search(r"(\d+) of (\d+) figures agree", text).groups())
    assert agreeing == all_of_them > 10


def test_pictures_are_named(execute, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A telephone's, too, which lies on its side in the file."""
    photo, exif = tmp_path / "photo.jpg", Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    astronaut = Image.open(ROOT / "assets/samples/astronaut.jpg").crop((0, 0, 400, 512))
    astronaut.transpose(Image.Transpose.ROTATE_90).save(photo, exif=exif, quality=95)
    monkeypatch.setenv("PHOTO", str(photo))
    text = execute("inference", ROOT / "notebooks")
    assert re.search(r"happy \d+%", text)
    assert execute.shown == [(400, 512)]


@pytest.mark.timeout(600)  # four runs, beside other tests
def test_an_experiment_ends_in_a_verdict(execute, tmp_path: Path) -> None:
    text = execute("model_experiments")
    assert text.count("seed ") == 4
    assert min(accuracies(tmp_path / "results")) > 3 * CHANCE


def test_without_data_the_notebook_says_what_to_do_and_goes_on(
    execute, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("FER_BENCH_DATA")
    blocked = tmp_path / "blocked"
    blocked.mkdir()
    (blocked / "kagglehub.py").write_text("raise ImportError('not here')\n")
    monkeypatch.setenv("PYTHONPATH", f"{blocked}:{ROOT}")
    text = execute("data_exploration")
    assert "`pip install kagglehub`, or download https://www.kaggle.com/datasets/" in text
    assert "drawn faces" in text
