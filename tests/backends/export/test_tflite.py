"""TFLite files. Where litert-torch is not installed, a stand-in keeps an ONNX network in them."""

from __future__ import annotations

import importlib.util
import io
import json
import sys
import zipfile
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from export_fixtures import COMPARED, write
from numpy.typing import NDArray
from test_models import faces, small

from fer_bench.backends.base import Unavailable
from fer_bench.backends.export.tflite import TfliteFile
from fer_bench.backends.onnx import open_session, to_onnx
from fer_bench.errors import FerBenchError
from fer_bench.models.classifier import Classifier

ZIP = b"PK\x03\x04"


class Converted:
    """What `litert_torch.convert` gives."""

    def __init__(self, model: Classifier, sample: tuple[torch.Tensor]) -> None:
        if model.request.name.startswith("timm:"):
            raise RuntimeError("Lowering not found: aten._upsample_bicubic2d_aa.default")
        print("[START] LiteRT-Torch Convert")  # noqa: T201 (as the real one does)
        self.network = to_onnx(model)

    def export(self, path: str) -> None:
        Path(path).write_bytes(self.network)


class Interpreter:
    """What `ai_edge_litert.interpreter.Interpreter` is: one face at a time."""

    def __init__(self, path: str) -> None:
        try:
            self.session = open_session(Path(path).read_bytes().partition(ZIP)[0], 1)
        except FerBenchError:
            raise ValueError("Could not open the model") from None
        self.face = self.logits = np.empty(0)

    def allocate_tensors(self) -> None: ...

    def get_input_details(self) -> list[dict[str, int]]:
        return [{"index": 0}]

    def get_output_details(self) -> list[dict[str, int]]:
        return [{"index": 1}]

    def set_tensor(self, index: int, face: NDArray[Any]) -> None:
        assert index == 0
        assert len(face) == 1
        self.face = face

    def invoke(self) -> None:
        self.logits = self.session.run(None, {"faces": self.face})[0]

    def get_tensor(self, index: int) -> NDArray[Any]:
        assert index == 1
        return self.logits


@pytest.fixture(autouse=True)
def _litert(monkeypatch: pytest.MonkeyPatch) -> None:
    if importlib.util.find_spec("litert_torch"):
        return
    converter, interpreters = ModuleType("litert_torch"), ModuleType("interpreter")
    converter.convert = Converted  # type: ignore[attr-defined]
    interpreters.Interpreter = Interpreter  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "litert_torch", converter)
    monkeypatch.setitem(sys.modules, "ai_edge_litert", ModuleType("ai_edge_litert"))
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", interpreters)


def test_a_network_gives_the_same_answers_from_a_file_and_says_what_it_needs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, out = small("vgg16"), tmp_path / "model.tflite"
    export = write(model, out, "tflite")
    assert capsys.readouterr().out == ""
    assert (export.format, export.precision) == ("tflite", "fp32")
    assert export.agreement.n == len(COMPARED.images)
    assert export.agreement.max_logit_difference < 1e-4
    x = faces(model, 3)
    with torch.no_grad():
        torch.testing.assert_close(TfliteFile().open(out)(x), model(x), atol=1e-4, rtol=1e-4)
    with zipfile.ZipFile(out) as archive:
        said = json.loads(archive.read("fer_bench.json"))
    assert said["run"] == "some-run"
    assert json.loads(said["emotions"]) == list(model.emotions)
    assert json.loads(said["input_spec"])["size"] == 48


def test_a_network_that_litert_cannot_hold_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="timm:test_vit cannot be converted to TFLite: Lowering"):
        write(small("timm:test_vit"), tmp_path / "model.tflite", "tflite")
    assert list(tmp_path.iterdir()) == []


def archive(metadata: str) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as new:
        new.writestr("fer_bench.json", metadata)
    return content.getvalue()


DAMAGED = archive("{}" * 99)[:44] + b"\xff" * 8 + archive("{}" * 99)[52:]


@pytest.mark.parametrize("content", [b"", b"a few bytes", ZIP, archive("[" * 60_000), DAMAGED])
def test_a_file_that_is_not_ours_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "model.tflite").write_bytes(content)
    with pytest.raises(FerBenchError, match=r"model\.tflite is no export of FER Bench"):
        TfliteFile().open(tmp_path / "model.tflite")


def test_a_file_of_ours_whose_network_is_damaged_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    write(small("vgg16"), path, "tflite")
    network, _, archive = path.read_bytes().partition(ZIP)
    path.write_bytes(b"\0" * len(network) + ZIP + archive)
    with pytest.raises(FerBenchError, match=r"model\.tflite is damaged \(.*\): export the run"):
        TfliteFile().open(path)
