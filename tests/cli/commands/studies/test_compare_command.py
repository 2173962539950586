"""`python -m fer_bench compare`: its sentence, its document, its file, and what it refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from command_fixtures import Fer
from comparison_fixtures import save_run, save_seeds
from record_fixtures import make_record

from fer_bench.emotions import EXPRESSIO
from fer_bench.results.store import DEFAULT_FILE
from fer_bench.studies.comparison import paired

GOOD, BAD = "vgg16-full-finetune-5-s0", "resnet18-full-finetune-5-s0"


@pytest.fixture
def fer(fer: Fer, tmp_path: Path) -> Fer:
    """Runs `python -m fer_bench compare ...` here over two runs; gives exit code and output."""
    save_seeds(tmp_path / "results", "vgg16", 0.9, [0])
    save_seeds(tmp_path / "results", "resnet18", 0.4, [0])
    return lambda *words: fer("compare", *words, "--results", tmp_path / "results")


def test_the_verdict_comes_first_then_runs_and_pairs(fer: Fer) -> None:
    code, out, err = fer(BAD, GOOD)
    lines = out.splitlines()
    assert code == 0
    assert err.startswith("next: python -m fer_bench report")
    assert lines[0].startswith(f"{GOOD} is better than {BAD} by ")
    assert lines[0].endswith("(McNemar p < 0.001).")
    assert [line.split()[0] for line in lines[3:5]] == ["A", "B"]
    assert lines[3].endswith(GOOD) and lines[4].endswith(BAD)
    assert lines[7].startswith("A - B ")
    assert "140 test images" in lines[-1]


def test_seeds_are_averaged(fer: Fer, tmp_path: Path) -> None:
    save_seeds(tmp_path / "results", "vgg16", 0.9, [1])
    _, out, _ = fer(BAD, GOOD, GOOD.replace("s0", "s1"))
    assert out.startswith("vgg16-full-finetune-5 is better")
    assert " over 2 seeds  vgg16-full-finetune-5\n" in out


def test_json_is_one_document(fer: Fer) -> None:
    code, out, _ = fer(f"fer2013/{BAD}", GOOD, "--split", "val", "--json")
    found = json.loads(out)
    assert code == 0
    assert found["verdict"].startswith(f"{GOOD} is better than {BAD} by ")
    assert (found["images"], found["n"]) == ("val", 70)
    assert [run["run"] for run in found["runs"]] == [GOOD, BAD]
    (pair,) = found["pairs"]
    assert (pair["a"], pair["b"], pair["significant"]) == (GOOD, BAD, True)
    low, high = pair["accuracy_interval"]
    assert 0 < low < pair["accuracy_difference"] < high
    assert pair["p"] == paired.mcnemar_exact(pair["only_a_right"], pair["only_b_right"])
    (experiments,) = found["experiment_pairs"]
    assert (experiments["p_welch"], experiments["seeds_a"]) == (None, 1)
    assert [row["emotion"] for row in found["per_class"]][:2] == ["angry", "disgust"]
    assert found["remarks"][0].startswith("Checkpoints were chosen on these images")


def test_images_that_are_not_named_alike_go_into_a_file(fer: Fer, tmp_path: Path) -> None:
    file = tmp_path / "images.csv"
    _, out, _ = fer(BAD, GOOD, "--csv", str(file), "--json")
    (pair,) = json.loads(out)["pairs"]
    table = pd.read_csv(file)
    assert len(table) == round((1 - pair["same_answer"]) * 140)
    assert (table["answer_A"] != table["answer_B"]).all()
    assert (table["right"] == "A").sum() == pair["only_a_right"]
    code, _, err = fer(BAD, GOOD, "--csv", str(tmp_path / "none" / "images.csv"))
    assert code == 2 and "No such file or directory; choose another file for --csv" in err


def test_default_and_folders_name_runs_too(fer: Fer, tmp_path: Path) -> None:
    results = tmp_path / "results"
    (results / DEFAULT_FILE).write_text(f"fer2013/{GOOD}\n")
    code, out, _ = fer("default", str(results / "fer2013" / BAD), "--json")
    assert (code, [run["run"] for run in json.loads(out)["runs"]]) == (0, [GOOD, BAD])


@pytest.mark.parametrize(
    ("words", "word"),
    [
        ((GOOD,), "two to 26 runs"),
        ((GOOD, GOOD), "given twice"),
        ((GOOD, "vgg"), "unknown run 'vgg'"),
        ((GOOD, BAD, "--split", "train"), "unknown --split 'train'"),
        ((GOOD, "few"), "classes differ"),
        ((GOOD, "bare"), "predictions.parquet"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_bad_input_is_one_sentence(
    refused: Callable[..., str], tmp_path: Path, words: tuple[str, ...], word: str
) -> None:
    results = tmp_path / "results"
    save_run(results, make_record(name="few", emotions=EXPRESSIO))
    bare = save_run(results, make_record(name="bare"))
    (bare.folder / "predictions.parquet").unlink()
    assert word in refused(*words)
