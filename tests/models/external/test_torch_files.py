"""TorchScript and exported programs: of other outputs, damaged, or more than ONNX can hold."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from external_fixtures import COLOUR, LABEL_TEXT, SIDE, Program
from model_fixtures import save_network
from torch import Tensor, nn

from fer_bench.emotions import FER2013
from fer_bench.errors import FerBenchError
from fer_bench.evaluation.evaluate import predict_probabilities
from fer_bench.models.build import open_external
from fer_bench.models.weights import load_model

SAID = {"labels": LABEL_TEXT, "colour": "rgb", "value_range": "0,1"}
SCRIPT = SAID | {"input_size": SIDE, "layout": "nchw"}


class Alone(nn.Module):
    """A program that gives its one output in a tuple."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = Program()

    def forward(self, x: Tensor) -> tuple[Tensor]:
        return (self.inner(x),)


class WithFeatures(nn.Module):
    """A program of two outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = Program()

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.inner(x), x.flatten(1)


class Noisy(nn.Module):
    """A program that never answers the same face alike."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = Program()

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.inner(x)
        return out + torch.rand_like(out)


class Inexpressible(nn.Module):
    """A program with a step that ONNX has no operator for."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = Program()

    def forward(self, x: Tensor) -> Tensor:
        return torch.special.i0e(self.inner(x))


class OfTwo(nn.Module):
    """A program that compares two pictures."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = Program()

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        out: Tensor = self.inner(x) - self.inner(y)
        return out


def script(program: nn.Module, path: Path) -> Path:
    torch.jit.save(torch.jit.script(program.eval()), path)
    return path


def export(program: nn.Module, path: Path, inputs: int = 1) -> Path:
    faces = (torch.zeros(1, 3, SIDE, SIDE),) * inputs
    torch.export.save(torch.export.export(program.eval(), faces), path)
    return path


@pytest.mark.parametrize("kind", ["torchscript", "pt2"])
def test_a_stored_program_opens_without_its_file(kind: str, tmp_path: Path) -> None:
    write, said = (script, SCRIPT) if kind == "torchscript" else (export, SAID)
    path = write(Alone(), tmp_path / "program.pt2")
    model = open_external(f"{kind}:{path}", said).classifier(FER2013)
    before = predict_probabilities(model, COLOUR)
    save_network(model, tmp_path / "run")
    path.unlink()
    loaded = load_model(tmp_path / "run")
    np.testing.assert_array_equal(predict_probabilities(loaded, COLOUR), before)


def half(name: str) -> Callable[[Path], Path]:
    """An archive that has the files of its format, and nothing in them."""

    def write(path: Path) -> Path:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(f"m/{name}", "{}")
        return path

    return write


@pytest.mark.parametrize(
    ("kind", "write", "sentence"),
    [
        ("torchscript", lambda path: export(Program(), path), "name it pt2:"),
        ("torchscript", half("code/__torch__.py"), "is damaged"),
        ("pt2", half("models/model.json"), "is damaged"),
        ("torchscript", lambda path: path, "cannot read"),
        (
            "torchscript",
            lambda path: script(WithFeatures(), path),
            "it gives tuple",
        ),
        ("torchscript", lambda path: script(Noisy(), path), "gives other values"),
        ("torchscript", lambda path: script(Inexpressible(), path), "cannot be converted to ONNX"),
        ("pt2", lambda path: export(OfTwo(), path, 2), "one input, pictures, got 2"),
    ],
)
def test_a_program_that_cannot_be_kept_as_onnx_is_refused(
    kind: str, write: Callable[[Path], Path], sentence: str, tmp_path: Path
) -> None:
    path = write(tmp_path / "program.pt2")
    with pytest.raises(FerBenchError, match=sentence) as caught:
        open_external(f"{kind}:{path}", SCRIPT if kind == "torchscript" else SAID)
    assert "\n" not in str(caught.value)
