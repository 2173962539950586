"""Networks from elsewhere: their answers are those of their own library, or they are refused."""

from __future__ import annotations

import io
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from external_fixtures import (
    COLOUR,
    GRAY,
    HF_MODELS,
    LABEL_TEXT,
    LABELS,
    SIDE,
    Program,
    lay_in_hub_cache,
    save_vit,
    small_faces,
    write_onnx,
)
from huggingface_hub import constants
from model_fixtures import save_network
from numpy.typing import NDArray
from PIL import Image
from transformers import pipeline

from fer_bench.emotions import FER2013, canonical
from fer_bench.errors import FerBenchError
from fer_bench.evaluation.evaluate import predict_probabilities
from fer_bench.models.build import build_model, open_external
from fer_bench.models.classifier import ModelRequest
from fer_bench.models.flops import count_flops, count_parameters
from fer_bench.models.weights import load_model

ONE = {"labels": LABEL_TEXT, "colour": "rgb", "value_range": "0,1"}
ORDER = [[canonical(name) for name in LABELS].index(emotion) for emotion in FER2013]


def softmax(values: NDArray[np.float32]) -> NDArray[np.float64]:
    shifted = np.exp(values.astype(np.float64) - values.max(1, keepdims=True))
    return shifted / shifted.sum(1, keepdims=True)


def by_hand(path: Path, faces: NDArray[Any]) -> NDArray[np.float32]:
    session = onnxruntime.InferenceSession(path)
    name = session.get_inputs()[0].name
    size = 1 if session.get_inputs()[0].shape[0] == 1 else len(faces)
    parts = [faces[n : n + size] for n in range(0, len(faces), size)]
    return np.concatenate([session.run(None, {name: part})[0] for part in parts])


def ours(name: str, options: dict[str, Any], images: NDArray[np.uint8]) -> NDArray[np.float64]:
    return predict_probabilities(open_external(name, options).classifier(FER2013), images)


MEAN, STD = np.array([0.4, 0.5, 0.6], np.float32), np.array([0.2, 0.25, 0.3], np.float32)
LAYOUTS: list[tuple[dict[str, Any], dict[str, Any], Any]] = [
    ({}, {}, lambda x: x),
    ({}, {"colour": "bgr"}, lambda x: x[:, ::-1]),
    ({}, {"value_range": "0,255"}, lambda x: x * 255),
    ({}, {"value_range": "-1,1"}, lambda x: x * 2 - 1),
    (
        {},
        {"value_range": "0,1", "mean": "0.4,0.5,0.6", "std": "0.2,0.25,0.3"},
        lambda x: (x - MEAN[:, None, None]) / STD[:, None, None],
    ),
    (
        {},
        {"colour": "bgr", "value_range": "0,255", "mean": "10,20,30", "std": "2"},
        lambda x: (x[:, ::-1] * 255 - np.array([10, 20, 30], np.float32)[:, None, None]) / 2,
    ),
    ({"nhwc": True}, {"value_range": "0,255"}, lambda x: x.transpose(0, 2, 3, 1) * 255),
    ({"nhwc": True}, {"colour": "bgr"}, lambda x: x[:, ::-1].transpose(0, 2, 3, 1)),
    ({"batch": 1}, {}, lambda x: x),
    ({"names": ("faces", "logits")}, {"colour": "bgr"}, lambda x: x[:, ::-1]),
    ({"names": ("logits", "faces")}, {}, lambda x: x),
    ({"kind": onnx.TensorProto.FLOAT16}, {}, lambda x: x.astype(np.float16)),
    (
        {"kind": onnx.TensorProto.UINT8},
        {"value_range": "0,255"},
        lambda x: np.rint(x * 255).astype(np.uint8),
    ),
    ({"sides": ("height", "width")}, {"input_size": SIDE}, lambda x: x),
]  # fmt: skip


@pytest.mark.parametrize(("made", "said", "prepare"), LAYOUTS)
def test_an_onnx_file_answers_as_by_hand(
    made: dict[str, Any], said: dict[str, Any], prepare: Any, tmp_path: Path
) -> None:
    scale = 0.05 / 255 if "255" in str(said.get("value_range")) else 0.05
    path = write_onnx(tmp_path / "m.onnx", scale=scale, **made)
    faces = np.ascontiguousarray(prepare(small_faces(COLOUR)))
    if faces.dtype == np.float64:
        faces = faces.astype(np.float32)
    expected = softmax(by_hand(path, faces))[:, ORDER]
    np.testing.assert_allclose(ours(f"onnx:{path}", ONE | said, COLOUR), expected, atol=1e-5)


@pytest.mark.parametrize("channels", [1, 3])
def test_gray_faces_reach_one_channel_or_all_three(channels: int, tmp_path: Path) -> None:
    path = write_onnx(tmp_path / "m.onnx", channels=channels)
    faces = np.repeat(small_faces(GRAY), channels, 1)
    options = ONE | {"colour": "gray"}
    expected = softmax(by_hand(path, faces))[:, ORDER]
    np.testing.assert_allclose(ours(f"onnx:{path}", options, GRAY), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("ends", "said", "note"),
    [
        (("Softmax",), {}, "are probabilities (each picture's sum to 1): no softmax is added"),
        ((), {}, "are logits (from"),
        (("Sigmoid",), {"outputs": "logits"}, "are logits, as said"),
        (("Sigmoid",), {"outputs": "probabilities"}, "are probabilities, as said"),
    ],
)
def test_a_softmax_follows_only_what_is_none_yet(
    ends: tuple[str, ...], said: dict[str, Any], note: str, tmp_path: Path
) -> None:
    path = write_onnx(tmp_path / "m.onnx", ends=ends)
    values = by_hand(path, small_faces(COLOUR))
    expected = softmax(values) if "logits" in note else values / values.sum(1, keepdims=True)
    np.testing.assert_allclose(
        ours(f"onnx:{path}", ONE | said, COLOUR), expected[:, ORDER], atol=1e-5
    )
    assert note in " ".join(open_external(f"onnx:{path}", ONE | said).notes)


def test_an_output_may_be_left_out(tmp_path: Path) -> None:
    path = write_onnx(tmp_path / "m.onnx", outputs=8)
    found = ours(f"onnx:{path}", ONE | {"labels": f"-,{LABEL_TEXT}"}, COLOUR)
    expected = softmax(by_hand(path, small_faces(COLOUR))[:, 1:])[:, ORDER]
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_yaml_file_next_to_it_says_the_same(tmp_path: Path) -> None:
    path = write_onnx(tmp_path / "m.onnx")
    (tmp_path / "m.yaml").write_text(
        "labels: [Anger, Disgust, Fear, Happiness, Neutral, Sadness, Surprise]\n"
        "colour: RGB\nmean: 0.5\nstd: [0.5, 0.5, 0.5]\n"
    )
    said = ONE | {"mean": "0.5", "std": "0.5"}
    found = ours(f"onnx:{path}", {}, COLOUR)
    np.testing.assert_array_equal(found, ours(f"onnx:{path}", said, COLOUR))
    # What is said wins.
    other = ours(f"onnx:{path}", {"colour": "bgr"}, COLOUR)
    np.testing.assert_array_equal(other, ours(f"onnx:{path}", said | {"colour": "bgr"}, COLOUR))


def test_one_of_several_outputs_is_taken_by_name(tmp_path: Path) -> None:
    two = write_onnx(tmp_path / "two.onnx", also=True)
    one = write_onnx(tmp_path / "one.onnx")
    found = ours(f"onnx:{two}", ONE | {"output": "scores"}, COLOUR)
    np.testing.assert_array_equal(found, ours(f"onnx:{one}", ONE, COLOUR))


def test_a_stored_one_opens_without_its_file(tmp_path: Path) -> None:
    path = write_onnx(tmp_path / "m.onnx", batch=1)
    model = open_external(f"onnx:{path}", ONE).classifier(FER2013)
    before = predict_probabilities(model, COLOUR)
    save_network(model, tmp_path / "run")
    path.unlink()
    loaded = load_model(tmp_path / "run")
    np.testing.assert_array_equal(predict_probabilities(loaded, COLOUR), before)
    assert count_parameters(loaded) == (3 * SIDE * SIDE * 7 + 7, 0)
    assert count_flops(loaded) is None
    assert "/" not in loaded.request.name


def test_weights_in_a_file_next_to_it_come_along(tmp_path: Path) -> None:
    path = write_onnx(tmp_path / "m.onnx")
    expected = ours(f"onnx:{path}", ONE, COLOUR)
    onnx.save(
        onnx.load(path), path, save_as_external_data=True, location="m.data", size_threshold=0
    )
    assert (tmp_path / "m.data").is_file()
    np.testing.assert_array_equal(ours(f"onnx:{path}", ONE, COLOUR), expected)


FAULTS: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({}, {}, r"does not say its emotions \(--labels .* nor the order of its colours \(--colour"),
    ({}, {"colour": "rgb", "value_range": "0,1"}, "does not say what its 7 outputs are.*--labels"),
    ({}, ONE | {"labels": "angry,happy"}, r"has 7 outputs, got 2 labels \(angry, happy\)"),
    ({}, ONE | {"labels": "a,b,c,d,e,f,g"}, "unknown emotion 'a'"),
    ({}, ONE | {"labels": LABEL_TEXT.replace("Fear", "mad")}, "2 outputs for angry"),
    ({}, ONE | {"labels": "happy,-,-,-,-,-,-"}, "names 1 emotions"),
    ({"channels": 4}, ONE, r"shape \(4, 16, 16\): expected 1 \(gray\) or 3"),
    ({"channels": 4}, ONE | {"layout": "nchw"}, "pictures of 4 channels: expected 1"),
    ({"channels": 1}, ONE, "one channel, got --colour rgb"),
    ({"sides": (16, 20)}, ONE, "16 x 20 px: expected a square"),
    ({"sides": ("h", "w")}, ONE, "does not say the side of its input"),
    ({}, ONE | {"input_size": 48}, "takes faces of 16 px, got --input-size 48"),
    ({"batch": 4}, ONE, "takes 4 faces at a time"),
    ({"also": True}, ONE, r"has 2 outputs \(scores, flat\).*--option output=NAME"),
    ({"also": True}, ONE | {"output": "probs"}, "has no output 'probs'"),
    ({"ends": ("Sigmoid",)}, ONE, "between 0 and 1 that do not sum to 1.*outputs=logits"),
    ({}, ONE | {"outputs": "probabilities"}, "are no probabilities"),
    ({"nan": True}, ONE, "not finite"),
    ({}, ONE | {"value_range": "1,0"}, "expected --value-range LOW,HIGH"),
    ({}, ONE | {"mean": "0.5"}, "mean and std go together"),
    ({}, ONE | {"mean": "0.5,0.5", "std": "1"}, "got 2 values for --mean"),
    ({}, ONE | {"mean": "0.5", "std": "0"}, "expected --std above 0"),
    (
        {},
        {"labels": LABEL_TEXT, "colour": "rgb", "mean": "127", "std": "50"},
        "say --value-range too",
    ),
    ({}, ONE | {"color": "rgb"}, "unknown key 'color'; did you mean 'colour'"),
    ({}, ONE | {"value_range": "white"}, "value_range"),
    ({"kind": onnx.TensorProto.INT64}, ONE, "holds no pixels"),
    ({"kind": onnx.TensorProto.UINT8}, ONE, "expected --value-range 0,255"),
]


@pytest.mark.parametrize(("made", "said", "sentence"), FAULTS)
def test_what_is_unclear_is_refused_with_its_option(
    made: dict[str, Any], said: dict[str, Any], sentence: str, tmp_path: Path
) -> None:
    path = write_onnx(tmp_path / "m.onnx", **made)
    with pytest.raises(FerBenchError, match=sentence) as caught:
        open_external(f"onnx:{path}", said)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [(None, "cannot read"), (b"", "is empty"), (b"\x93NUMPY no", "damaged")],
)
def test_what_is_no_onnx_file_is_refused(
    content: bytes | None, sentence: str, tmp_path: Path
) -> None:
    path = tmp_path / "m.onnx"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(FerBenchError, match=sentence):
        open_external(f"onnx:{path}", ONE)


@pytest.mark.parametrize("cut", [False, True])
def test_weights_that_are_not_next_to_it_are_named(cut: bool, tmp_path: Path) -> None:
    path = write_onnx(tmp_path / "m.onnx")
    onnx.save(
        onnx.load(path), path, save_as_external_data=True, location="m.data", size_threshold=0
    )
    data = tmp_path / "m.data"
    data.write_bytes(data.read_bytes()[:100]) if cut else data.unlink()
    with pytest.raises(FerBenchError, match=r"keeps its weights in m\.data, which is not whole"):
        open_external(f"onnx:{path}", ONE)


@pytest.mark.parametrize("kind", sorted(HF_MODELS))
def test_a_transformers_model_answers_as_its_pipeline(kind: str, tmp_path: Path) -> None:
    folder = HF_MODELS[kind](tmp_path / "theirs")
    pictures = [Image.fromarray(image) for image in COLOUR]
    theirs = pipeline("image-classification", model=str(folder))(pictures, top_k=7)
    by_name = [{canonical(one["label"]): one["score"] for one in scores} for scores in theirs]
    expected = [[scores[emotion] for emotion in FER2013] for scores in by_name]
    np.testing.assert_allclose(ours(f"hf:{folder}", {}, COLOUR), expected, atol=1e-5)
    model = open_external(f"hf:{folder}", {}).classifier(FER2013)
    save_network(model, tmp_path / "run")
    stored = predict_probabilities(load_model(tmp_path / "run"), GRAY)
    np.testing.assert_allclose(stored, predict_probabilities(model, GRAY), atol=1e-6)


def test_a_transformers_model_comes_from_the_hubs_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = save_vit(tmp_path / "theirs")
    commit = lay_in_hub_cache(folder, tmp_path / "hub", "someone/faces")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    found = open_external("hf:someone/faces", {})
    assert (found.name, found.version) == ("hf:someone/faces", commit)
    np.testing.assert_array_equal(
        predict_probabilities(found.classifier(FER2013), COLOUR),
        ours(f"hf:{folder}", {}, COLOUR),
    )
    with pytest.raises(FerBenchError, match=r"someone/other .*name a folder that holds it"):
        open_external("hf:someone/other", {})


def test_labels_that_are_no_emotions_are_left_out_and_said(tmp_path: Path) -> None:
    names = (*LABELS[:6], "Sleepy")
    found = open_external(f"hf:{save_vit(tmp_path / 'm', names)}", {})
    assert "surprise" not in found.emotions and len(found.emotions) == 6
    assert "left out, the others' share is 1 without them: Sleepy" in " ".join(found.notes)


def unnamed(folder: Path) -> None:
    save_vit(folder, tuple(f"LABEL_{n}" for n in range(7)))


def without_processor(folder: Path) -> None:
    (save_vit(folder) / "preprocessor_config.json").unlink()


def pickled(folder: Path) -> None:
    (save_vit(folder) / "model.safetensors").unlink()
    torch.save({}, folder / "pytorch_model.bin")


def damaged(folder: Path) -> None:
    file = save_vit(folder) / "model.safetensors"
    file.write_bytes(file.read_bytes()[:500])


def without_head(folder: Path) -> None:
    config = (save_vit(folder) / "config.json").read_text()
    (folder / "config.json").write_text(config.replace('"hidden_size": 32', '"hidden_size": 48'))


def several_at_once(folder: Path) -> None:
    config = (save_vit(folder) / "config.json").read_text()
    (folder / "config.json").write_text(
        config.replace("{", '{"problem_type": "multi_label_classification",', 1)
    )


def of_no_kind(folder: Path) -> None:
    (save_vit(folder) / "config.json").write_text('{"model_type": "none_such"}')


def stretched(folder: Path) -> None:
    save_vit(folder, size={"height": 32, "width": 48})


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (unnamed, "calls its outputs LABEL_0.*--labels"),
        (without_processor, "expected preprocessor_config.json"),
        (pickled, r"no model\.safetensors, and pickled weights .* never opened"),
        (damaged, "cannot be opened as an image classifier"),
        (without_head, "hf:.*(do not fit|cannot be opened)"),
        (several_at_once, "several labels for one face"),
        (of_no_kind, "no configuration that transformers can read"),
        (stretched, "in a way that FER Bench does not have"),
    ],
)
def test_a_transformers_model_that_is_unclear_is_refused(
    spoil: Any, sentence: str, tmp_path: Path
) -> None:
    folder = tmp_path / "theirs"
    spoil(folder)
    with pytest.raises(FerBenchError, match=sentence) as caught:
        open_external(f"hf:{folder}", {})
    assert "\n" not in str(caught.value)


def test_unnamed_outputs_may_be_named(tmp_path: Path) -> None:
    folder = tmp_path / "theirs"
    unnamed(folder)
    named = ours(f"hf:{folder}", {"labels": LABEL_TEXT}, COLOUR)
    np.testing.assert_allclose(named, ours(f"hf:{save_vit(tmp_path / 'b')}", {}, COLOUR), atol=1e-6)


PROGRAM = {"labels": LABEL_TEXT, "colour": "bgr", "value_range": "0,255"}


@pytest.mark.parametrize("kind", ["torchscript", "pt2"])
def test_a_program_answers_as_pytorch_runs_it(kind: str, tmp_path: Path) -> None:
    program, path = Program().eval(), tmp_path / "program.pt2"
    if kind == "torchscript":
        torch.jit.save(torch.jit.script(program), path)
        said = PROGRAM | {"input_size": SIDE, "layout": "nchw"}
    else:
        torch.export.save(torch.export.export(program, (torch.zeros(1, 3, SIDE, SIDE),)), path)
        said = PROGRAM
    faces = torch.from_numpy(np.ascontiguousarray(small_faces(COLOUR)[:, ::-1])) * 255
    with torch.no_grad():
        expected = program(faces).double().softmax(1).numpy()[:, ORDER]
    np.testing.assert_allclose(ours(f"{kind}:{path}", said, COLOUR), expected, atol=1e-5)
    assert "name only files of people you trust" in " ".join(
        open_external(f"{kind}:{path}", said).notes
    )


class Harmful:
    """What a pickle may do when it is opened."""

    def __reduce__(self) -> Any:
        return pytest.fail, ("a pickle was opened",)


def with_entry(path: Path, name: str, content: bytes) -> None:
    torch.export.save(torch.export.export(Program(), (torch.zeros(1, 3, SIDE, SIDE),)), path)
    with zipfile.ZipFile(path) as old:
        kept = {entry: old.read(entry) for entry in old.namelist() if not entry.endswith(name)}
        root = old.namelist()[0].partition("/")[0]
    with zipfile.ZipFile(path, "w") as new:
        for entry, value in (kept | {f"{root}/{name}": content}).items():
            new.writestr(entry, value)


def torch_pickle() -> bytes:
    buffer = io.BytesIO()
    torch.save(Harmful(), buffer)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("data/sample_inputs/model.pt", torch_pickle()),
        ("data/constants/opaque_obj_0", pickle.dumps(Harmful())),
        ("data/constants/custom_obj_0", b"anything"),
        ("data/aotinductor/model/code.so", b"\x7fELF"),
        ("data/weights/model_weights_config.json", b'{"config": {"w": {"use_pickle": true}}}'),
        ("data/constants/model_constants_config.json", b'{"c": {"path_name": "opaque_obj_1"}}'),
        ("extra/shapes.json", b'{"expr_str": "__import__(\'os\').abort()"}'),
        ("extra/broken.json", b"{"),
        ("extra/deep.json", b"[" * 60_000),
    ],
)
def test_an_exported_program_with_pickles_or_code_is_not_opened(
    name: str, content: bytes, tmp_path: Path
) -> None:
    with_entry(tmp_path / "m.pt2", name, content)
    with pytest.raises(FerBenchError, match="is not opened"):
        open_external(f"pt2:{tmp_path / 'm.pt2'}", PROGRAM)


@pytest.mark.parametrize("kind", ["torchscript", "pt2"])
@pytest.mark.parametrize("modern", [False, True])
def test_a_plain_pickle_is_not_opened(kind: str, modern: bool, tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    torch.save(Harmful(), path, _use_new_zipfile_serialization=modern)
    with pytest.raises(FerBenchError, match=r"never opened|holds no exported program"):
        open_external(f"{kind}:{path}", PROGRAM)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("onx:model.onnx", "unknown model 'onx:model.onnx': did you mean 'onnx:FILE'"),
        ("hf:", "'hf:' names no model: expected hf:ID or hf:FOLDER"),
        ("resnet18", "no classifier of its own: train it"),
        ("hf:./nowhere", r"there is no folder '\./nowhere'"),
    ],
)
def test_a_name_that_is_none_is_refused(name: str, sentence: str) -> None:
    with pytest.raises(FerBenchError, match=sentence):
        open_external(name, {})


def test_an_unknown_prefix_names_a_near_one() -> None:
    with pytest.raises(FerBenchError, match=r"unknown model source 'onx': did you mean 'onnx'"):
        build_model(ModelRequest(name="onx:model.onnx", emotions=FER2013))
