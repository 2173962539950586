"""What every part of the package shares: emotions, inputs of networks, extras and the command."""

from __future__ import annotations

import runpy
import sys
from typing import Any

import pytest
from pydantic import ValidationError

from fer_bench.emotions import emotion_set
from fer_bench.errors import FerBenchError, extra_needed
from fer_bench.types import InputSpec


@pytest.mark.parametrize(
    ("value", "named"),
    [("happy,joy", "happy, happy"), (["sad"], "sad"), ([], "none")],
)
def test_fewer_than_two_different_emotions_are_no_set(value: Any, named: str) -> None:
    with pytest.raises(FerBenchError, match=f"two or more different emotions, got {named}$"):
        emotion_set(value)


@pytest.mark.parametrize(
    ("mean", "std", "sentence"),
    [
        ((0.5,), (0.5,) * 3, "expected 3 means and stds, one per channel, got 1 and 3"),
        ((0.5,) * 3, (0.5, 0.0, 0.5), "expected stds above 0"),
    ],
)
def test_an_input_has_a_mean_and_a_std_above_0_per_channel(
    mean: tuple[float, ...], std: tuple[float, ...], sentence: str
) -> None:
    with pytest.raises(ValidationError, match=sentence):
        InputSpec(size=48, channels=3, mean=mean, std=std)


def test_a_package_of_an_extra_is_named_with_it_and_any_other_as_it_is() -> None:
    with pytest.raises(FerBenchError, match=r"package ray, .*\[scale\]'"), extra_needed():
        raise ModuleNotFoundError("No module named 'ray'", name="ray")
    with pytest.raises(ModuleNotFoundError, match="'elsewhere'"), extra_needed():
        raise ModuleNotFoundError("No module named 'elsewhere'", name="elsewhere")


def test_python_m_is_the_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["fer-bench", "list", "emotions", "--no-such-option"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_module("fer_bench", run_name="__main__")
    assert ended.value.code == 2
    assert "--no-such-option" in capsys.readouterr().err
