"""ONNX files of other forms than most: their ends, and what has to be said or is refused."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from external_fixtures import COLOUR, LABEL_TEXT, SIDE, write_onnx
from onnx import TensorProto, helper

from fer_bench.emotions import FER2013
from fer_bench.errors import FerBenchError, RunFailed
from fer_bench.evaluation.evaluate import predict_probabilities
from fer_bench.models.build import open_external
from fer_bench.models.classifier import Classifier
from fer_bench.models.export_metadata import ExportMetadata
from fer_bench.models.external.onnx_graph import add_metadata
from fer_bench.types import InputSpec

SAID = {"labels": LABEL_TEXT, "colour": "rgb", "value_range": "0,1"}


def changed(path: Path, change: Callable[[Any], None]) -> Path:
    proto = onnx.load(write_onnx(path))
    change(proto)
    onnx.save(proto, path)
    return path


def as_double(proto: Any) -> None:
    proto.graph.node[-1].CopyFrom(
        helper.make_node("Cast", ["logits_inside"], ["scores"], to=TensorProto.DOUBLE)
    )
    proto.graph.output[0].type.tensor_type.elem_type = TensorProto.DOUBLE


def with_four_axes(proto: Any) -> None:
    axes = helper.make_tensor("axes", TensorProto.INT64, [2], [2, 3])
    proto.graph.initializer.append(axes)
    proto.graph.node[-1].CopyFrom(
        helper.make_node("Unsqueeze", ["logits_inside", "axes"], ["scores"])
    )
    proto.graph.output[0].CopyFrom(
        helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["batch", 7, 1, 1])
    )


def in_a_branch(proto: Any) -> None:
    """The last step is within an If, whose graphs see the tensors around them."""
    branches = {
        f"{word}_branch": helper.make_graph(
            [helper.make_node("Identity", ["logits"], [word])],
            word,
            [],
            [helper.make_tensor_value_info(word, TensorProto.FLOAT, ["batch", 7])],
        )
        for word in ("then", "else")
    }
    proto.graph.node[1].output[0] = proto.graph.node[2].input[0] = "logits"
    proto.graph.initializer.append(helper.make_tensor("yes", TensorProto.BOOL, [], [True]))
    proto.graph.node[-1].CopyFrom(helper.make_node("If", ["yes"], ["scores"], **branches))


@pytest.mark.parametrize("change", [as_double, with_four_axes, in_a_branch])
def test_outputs_of_another_form_answer_as_plain_ones(
    change: Callable[[Any], None], tmp_path: Path
) -> None:
    plain, other = write_onnx(tmp_path / "plain.onnx"), changed(tmp_path / "other.onnx", change)
    answers = [
        predict_probabilities(open_external(f"onnx:{path}", SAID).classifier(FER2013), COLOUR)
        for path in (plain, other)
    ]
    np.testing.assert_allclose(answers[1], answers[0], atol=1e-6)


def as_it_is(proto: Any) -> None:
    pass


def with_two_inputs(proto: Any) -> None:
    proto.graph.input.append(helper.make_tensor_value_info("age", TensorProto.FLOAT, [1]))


def of_two_axes(proto: Any) -> None:
    proto.graph.input[0].CopyFrom(
        helper.make_tensor_value_info("input", TensorProto.FLOAT, ["batch", 3 * SIDE * SIDE])
    )


def of_an_unknown_step(proto: Any) -> None:
    proto.graph.node[-1].op_type = "Guess"


def of_one_output(proto: Any) -> None:
    proto.graph.node[-1].CopyFrom(
        helper.make_node("ReduceMean", ["logits_inside"], ["scores"], axes=[1], keepdims=1)
    )
    proto.graph.output[0].type.tensor_type.shape.dim[1].dim_value = 1


@pytest.mark.parametrize(
    ("change", "said", "sentence"),
    [
        (with_two_inputs, {}, r"has 2 inputs \(input, age\)"),
        (of_two_axes, {}, "has 2 axes: expected 4"),
        (of_an_unknown_step, {}, "ONNX Runtime cannot open"),
        (of_one_output, {}, r"gives values of shape \(8, 1\) for 8 faces"),
        (as_it_is, {"colour": "gray", "mean": "0.4,0.5,0.6", "std": "1"}, "one --mean"),
    ],
)
def test_a_network_that_is_no_classifier_of_faces_is_refused(
    change: Callable[[Any], None], said: dict[str, Any], sentence: str, tmp_path: Path
) -> None:
    path = changed(tmp_path / "m.onnx", change)
    with pytest.raises(FerBenchError, match=sentence) as caught:
        open_external(f"onnx:{path}", SAID | said)
    assert "\n" not in str(caught.value)


def test_axes_that_may_be_either_have_to_be_said(tmp_path: Path) -> None:
    def with_open_axes(proto: Any) -> None:
        for axis in (1, 2, 3):
            proto.graph.input[0].type.tensor_type.shape.dim[axis].dim_param = f"axis_{axis}"

    path = changed(tmp_path / "m.onnx", with_open_axes)
    said = SAID | {"input_size": SIDE}
    with pytest.raises(FerBenchError, match=r"the order of its axes \(--layout nchw or nhwc"):
        open_external(f"onnx:{path}", said)
    assert "NCHW" in " ".join(open_external(f"onnx:{path}", said | {"layout": "nchw"}).notes)


def test_of_two_yaml_files_one_must_go(tmp_path: Path) -> None:
    path = write_onnx(tmp_path / "m.onnx")
    for suffix in (".yaml", ".yml"):
        path.with_suffix(suffix).write_text("colour: rgb\n")
    with pytest.raises(FerBenchError, match=r"m\.yaml and m\.yml both describe m\.onnx"):
        open_external(f"onnx:{path}", SAID)


@pytest.mark.parametrize(
    ("missing", "sentence"),
    [
        ("onnx", r"onnx is not installed: pip install onnx onnxruntime"),
        ("onnxruntime.capi", r"onnxruntime is not installed .*: pip install onnx onnxruntime"),
        ("onnxruntime", r"onnxruntime is not installed .*: pip install onnxruntime"),
    ],
)
def test_without_its_packages_the_extra_is_named(
    missing: str, sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_onnx(tmp_path / "m.onnx")
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(FerBenchError, match=sentence):
        open_external(f"onnx:{path}", SAID)


def opened(tmp_path: Path) -> Classifier:
    return open_external(f"onnx:{write_onnx(tmp_path / 'm.onnx')}", SAID).classifier(FER2013)


def test_pytorch_cannot_trace_an_onnx_file(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="which PyTorch cannot look into"):
        torch.jit.trace(opened(tmp_path), torch.zeros(1, 3, SIDE, SIDE))


def test_faces_of_another_side_fail_the_run_and_not_the_model(tmp_path: Path) -> None:
    with pytest.raises(RunFailed, match="ONNX Runtime could not run the network"):
        opened(tmp_path)(torch.zeros(1, 3, SIDE + 1, SIDE))


def test_an_export_of_ours_says_itself_how_it_wants_its_faces(tmp_path: Path) -> None:
    spec = InputSpec(size=SIDE, channels=3, mean=(0.0,) * 3, std=(1.0,) * 3)
    proto = onnx.load(write_onnx(tmp_path / "m.onnx", names=("faces", "logits")))
    add_metadata(proto, ExportMetadata(model="resnet18", emotions=FER2013, input_spec=spec))
    onnx.save(proto, tmp_path / "m.onnx")
    with pytest.raises(FerBenchError, match=r"is an export of FER Bench .*: leave colour out"):
        open_external(f"onnx:{tmp_path / 'm.onnx'}", {"colour": "bgr"})
    found = open_external(f"onnx:{tmp_path / 'm.onnx'}", {})
    assert found.emotions == FER2013
