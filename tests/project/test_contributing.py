"""CONTRIBUTING.md is true: its examples apply to the tree as it is, and what they add works."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from PIL import Image
from streamlit.testing.v1 import AppTest

import fer_bench
from fer_bench.emotions import FER2013
from fer_bench.results.record import RunRecord

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
#: The examples by headline.
EXAMPLES = dict(re.findall(r"^### (.*?)\n.*?^```diff\n(.*?)^```", GUIDE, re.MULTILINE | re.DOTALL))


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project with all examples applied."""
    copy = tmp_path_factory.mktemp("contributed")
    for folder in ("fer_bench", "pages", "assets"):
        shutil.copytree(ROOT / folder, copy / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("app.py", "pyproject.toml"):
        shutil.copy(ROOT / file, copy)
    for diff in EXAMPLES.values():
        subprocess.run(["git", "apply"], input=diff, cwd=copy, text=True, check=True)
    return copy


def run(tree: Path, *words: str) -> str:
    """What the changed project's command prints."""
    done = subprocess.run(
        [sys.executable, "-m", "fer_bench", *words],
        cwd=tree,
        env=os.environ | {"PYTHONPATH": str(tree)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_there_is_an_example_of_each_kind(tree: Path) -> None:
    assert list(EXAMPLES) == ["A model", "A data set", "A recipe", "A corruption", "A page"]


def test_examples_are_formatted_like_the_rest(tree: Path) -> None:
    for arguments in (["format", "--check"], ["check"]):
        done = subprocess.run(
            ["ruff", *arguments, "--no-cache", "."],
            cwd=tree,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout


def test_the_model_is_trained_on_the_data_set_by_the_recipe(tree: Path, tmp_path: Path) -> None:
    faces = tmp_path / "lab"
    faces.mkdir()
    for number in range(20):
        for shade, emotion in enumerate(FER2013):
            face = Image.new("L", (48, 48), 30 * shade + number)
            face.save(faces / f"{emotion}_s01_{number:03}.jpg")
    run(
        tree, "train", "--model", "tiny_cnn", "--data", str(faces), "--recipe", "short",
        "--pretraining", "none", "--results", str(tmp_path / "results"),
    )  # fmt: skip
    (record,) = (tmp_path / "results").glob("lab_faces/tiny_cnn-full-short*/record.json")
    assert RunRecord.model_validate_json(record.read_bytes()).dataset.name == "lab_faces"


def test_the_corruption_is_listed(tree: Path) -> None:
    assert "inverted" in run(tree, "list", "corruptions")


def test_the_page_shows_runs(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FER_BENCH_RESULTS", str(ROOT / "results"))
    page = AppTest.from_file(str(tree / "pages/newest.py"), default_timeout=60).run()
    assert not page.exception
    assert page.title[0].value == "Newest"
    assert len(page.dataframe[0].value) == 10


@pytest.mark.parametrize("path", sorted(set(re.findall(r"`([a-z_.]+/[a-z_/.]+)`", GUIDE))))
def test_what_the_guide_names_is_there(path: str) -> None:
    assert (ROOT / path).exists()


@pytest.mark.parametrize("target", sorted(set(re.findall(r"`just ([a-z-]+)", GUIDE))))
def test_the_targets_it_names_are_in_the_justfile(target: str) -> None:
    assert re.search(rf"^{target}( .*)?:", (ROOT / "justfile").read_text(), re.MULTILINE)


def test_the_citation_is_of_the_changelogs_newest_release() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    (version, day), *_ = re.findall(r"^## (\d\S*) \((\S+)\)$", changes, re.MULTILINE)
    assert (citation["version"], str(citation["date-released"])) == (version, day)
    assert version == fer_bench.__version__
