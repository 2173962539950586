"""Commands and code to copy: each names its run, and is one that the command line knows."""

from __future__ import annotations

import ast
import shlex

import pytest
from command_fixtures import Fer

from fer_bench.results.usage import Usage, usages

ALL = usages("fer2013/run-s0")


@pytest.mark.parametrize("use", [u for u in ALL if u.language == "bash"], ids=lambda u: u.purpose)
def test_every_command_exists_and_names_the_run(use: Usage, fer: Fer) -> None:
    words = shlex.split(use.code)
    assert words[:3] == ["python", "-m", "fer_bench"]
    assert "fer2013/run-s0" in words
    code, out, _ = fer(words[3], "--help")
    assert code == 0
    for option in (word for word in words if word.startswith("--")):
        assert option in out


def test_python_is_valid_and_names_the_run() -> None:
    (code,) = [use.code for use in ALL if use.language == "python"]
    calls = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Call)]
    assert ast.unparse(calls[0]) == "fer_bench.load('fer2013/run-s0')"


def test_another_results_folder_and_odd_names_are_passed_on() -> None:
    for use in usages("x/it's", results="my results"):
        if use.language == "bash":
            words = shlex.split(use.code)
            assert "x/it's" in words
            assert words[words.index("--results") + 1] == "my results"
        else:
            assert """fer_bench.load("x/it's", results='my results')""" in use.code
