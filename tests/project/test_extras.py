"""What `pip install .` brings, what each extra adds, and what is said where one is absent."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from fer_bench.errors import EXTRAS, missing_extra

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
OWN = "fer-bench["

#: Runs commands where no package of an extra can be imported: a line of JSON for each.
WITHOUT = """
import contextlib, io, json, sys
hidden = set(json.loads(sys.argv[1]))
class Hide:
    def __init__(self, finder):
        self.finder = finder
    def __getattr__(self, name):
        return getattr(self.finder, name)
    def find_spec(self, name, path=None, target=None):
        hide = name.partition(".")[0] in hidden
        return None if hide else self.finder.find_spec(name, path, target)
sys.meta_path[:] = map(Hide, sys.meta_path)
from fer_bench.cli.main import main
for words in json.loads(sys.argv[2]):
    sys.argv = ["fer_bench", *words]
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main()
        except SystemExit as ended:
            code = ended.code or 0
    print(json.dumps([code, out.getvalue(), err.getvalue()]))
print(json.dumps(sorted(hidden & set(sys.modules))))
"""


def listed(name: str) -> list[str]:
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    bare = [line.partition("#")[0].strip() for line in lines]
    return sorted(line for line in bare if line and not line.startswith("-r"))


def extra(*names: str) -> list[str]:
    every = [line for name in names for line in PROJECT["optional-dependencies"][name]]
    return [line for line in every if not line.startswith(OWN)]


def test_the_lists_of_requirements_are_the_projects() -> None:
    everyday = extra("dashboard", "serve", "fast", "explain")
    assert listed("requirements.txt") == sorted([*PROJECT["dependencies"], *everyday])
    assert listed("requirements-scale.txt") == sorted(extra("scale"))
    assert listed("requirements-dev.txt") == sorted(extra("dev"))


def test_each_package_is_one_of_its_extra_or_comes_with_it() -> None:
    brought_by = packages_distributions()
    comes_with = {"starlette"}  # with fastapi
    for name, packages in EXTRAS.items():
        brought = {re.split(r"[<>=\[]", line)[0].lower() for line in extra(name)}
        for package in packages:
            sources = {source.lower().replace("_", "-") for source in brought_by[package]}
            assert sources & (brought | comes_with), package


def test_any_other_missing_package_is_no_extra() -> None:
    assert missing_extra(ModuleNotFoundError("No module named 'x'", name="x")) is None
    found = missing_extra(ModuleNotFoundError("No module named 'ray.tune'", name="ray.tune"))
    assert found.code == "missing_extra"
    assert "pip install 'fer-bench[scale]'" in str(found)


@pytest.mark.slow
def test_without_extras_a_model_trains_and_names_faces(tmp_path: Path) -> None:
    results = ["--results", str(tmp_path / "results")]
    train = ["train", "--model", "clip_vit_b_32", "--mode", "full", "--recipe", "finetune-5"]
    train += ["--epochs", "1", "--pretraining", "none", "--option", "tiny=true"]
    photo = str(ROOT / "assets" / "samples" / "astronaut.jpg")
    refused = {
        "serve": ["serve"],
        "dashboard": ["app", "--no-browser"],
        "explain": ["data", "labels", "default"],
        "fast": ["predict", "default", photo, "--backend", "openvino-fp32"],
    }
    commands = [
        [*train, "--data", "synthetic", "--device", "cpu", *results, "--json"],
        ["predict", "default", photo, "--json"],
        *refused.values(),
    ]
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, json.dumps(sum(EXTRAS.values(), ())), json.dumps(commands)],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    trained, predicted, *sentences, loaded = map(json.loads, done.stdout.splitlines())
    assert (trained[0], json.loads(trained[1])[0]["status"]) == (0, "done")
    assert (predicted[0], json.loads(predicted[1])[0]["faces"][0]["emotion"]) == (0, "happy")
    for name, (code, _, err) in zip(refused, sentences, strict=True):
        (line,) = [line for line in err.splitlines() if line.startswith("error: ")]
        assert code == 2, line
        assert "Traceback" not in err
        assert f"'fer-bench[{name}]'" in line
    assert loaded == []
