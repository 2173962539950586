"""Exports: every network as a file, read again, gives the same answers; what is refused and why."""

from __future__ import annotations

import hashlib
import json
import resource
import sys
from pathlib import Path

import onnx
import pytest
import torch
from export_fixtures import BLACK, CALIBRATION, COMPARED, trained, write
from face_fixtures import stand_in_yunet
from test_models import EVERY, faces, small
from torch import Tensor, nn

import fer_bench
from fer_bench.backends.base import Unavailable
from fer_bench.backends.export.export import FORMATS, check_target, export_model
from fer_bench.backends.onnx import open_session, read_metadata
from fer_bench.emotions import FER2013
from fer_bench.errors import FerBenchError, RunFailed
from fer_bench.models.classifier import Classifier
from fer_bench.models.ensemble import EnsembleMember, make_ensemble
from fer_bench.models.export_metadata import describe

FILES = {"onnx": "model.onnx", "openvino": "model.xml"}
ROOT = Path(fer_bench.__file__).parents[2]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a whole model.onnx, model.xml and model.bin."""
    folder = tmp_path_factory.mktemp("exports")
    model = small("clip_vit_b_32")
    for format, name in FILES.items():
        write(model, folder / name, format)
    return folder


def require_same_answers(model: Classifier, out: Path, format: str) -> None:
    """The file gives the network's logits, for any number of faces."""
    forward = FORMATS.load(format)().open(out)
    for n in (1, 5):
        x = faces(model, n)
        with torch.no_grad():
            torch.testing.assert_close(forward(x), model(x), atol=1e-4, rtol=1e-4)


# What a file is


@pytest.mark.parametrize("format", FILES)
@pytest.mark.parametrize("name", EVERY)
def test_every_network_gives_the_same_answers_from_a_file(
    name: str, format: str, tmp_path: Path
) -> None:
    model, out = small(name), tmp_path / FILES[format]
    export = write(model, out, format)
    assert (export.format, export.precision, export.calibration) == (format, "fp32", None)
    assert export.agreement.n == len(COMPARED.images)
    assert export.agreement.top1_agreement == 1
    assert export.agreement.max_logit_difference < 1e-4
    assert export.accuracies is not None
    assert export.accuracies.change == 0
    require_same_answers(model, out, format)
    metadata = describe(model, run="some-run", temperature=1.5)
    assert FORMATS.load(format)().read_metadata(out) == metadata
    for file in export.files:
        content = (tmp_path / file.name).read_bytes()
        assert (len(content), hashlib.sha256(content).hexdigest()) == (file.bytes, file.sha256)
        for place in (ROOT, Path(torch.__file__).parents[1], tmp_path):  # of the machine it is from
            assert str(place).encode() not in content


@pytest.mark.parametrize("format", FILES)
def test_an_ensemble_is_one_network(format: str, tmp_path: Path) -> None:
    members = [(small("keras_cnn"), 0.25, 0.8), (small("vgg16"), 0.75, 1.3)]  # gray and RGB
    ensemble = make_ensemble(
        [EnsembleMember(model=m, weight=w, temperature=t) for m, w, t in members]
    )
    write(ensemble, tmp_path / FILES[format], format)
    require_same_answers(ensemble, tmp_path / FILES[format], format)


def test_a_stranger_finds_all_that_the_network_needs(written: Path) -> None:
    proto = onnx.load(written / "model.onnx")
    onnx.checker.check_model(proto)
    said = {entry.key: entry.value for entry in proto.metadata_props}
    assert json.loads(said.pop("emotions")) == list(FER2013)
    assert json.loads(said.pop("input_spec")) == {
        "size": 32,
        "channels": 3,
        "mean": [0.48145466, 0.4578275, 0.40821073],
        "std": [0.26862954, 0.26130258, 0.27577711],
        "interpolation": "bicubic",
        "face_margin": 0.0,
    }
    assert said == {
        "fer_bench": fer_bench.__version__,
        "model": "clip_vit_b_32",
        "run": "some-run",
        "precision": "fp32",
        "temperature": "1.5",
        "colour_order": "RGB",
        "preprocessing": "crop the face, convert it to RGB, resize it to 32 x 32 (bicubic, "
        "antialiased), divide by 255, subtract the mean and divide by the std of each channel: "
        "float32 (batch, 3, 32, 32); softmax(logits / temperature) are the probabilities",
    }
    taken, given = open_session(written / "model.onnx", 1).get_inputs(), proto.graph.output
    assert [(one.name, one.shape) for one in taken] == [("faces", ["batch", 3, 32, 32])]
    assert [one.name for one in given] == ["logits"]


def test_gray_networks_say_how_gray_is_made() -> None:
    said = describe(small("keras_cnn")).as_strings()
    assert said["colour_order"] == "gray"
    assert "gray (0.299 R + 0.587 G + 0.114 B)" in said["preprocessing"]


# int8


@pytest.mark.parametrize(
    ("format", "name", "steps"), [("openvino", "resnet18", 12), ("onnx", "vit_b_16", 40)]
)
def test_int8_answers_as_fp32_does(format: str, name: str, steps: int, tmp_path: Path) -> None:
    model = trained(name, steps)
    export = write(model, tmp_path / FILES[format], format, CALIBRATION)
    assert export.precision == "int8"
    assert export.calibration is not None
    assert (export.calibration.faces, export.calibration.n) == ("synthetic train", 21)
    assert "nncf" in export.packages
    assert export.agreement.top1_agreement >= 20 / 21
    assert export.agreement.mean_cosine > 0.995
    assert export.agreement.max_logit_difference > 0.01  # it is quantised indeed
    handler = FORMATS.load(format)()
    assert handler.read_metadata(tmp_path / FILES[format]).precision == "int8"
    assert handler.open(tmp_path / FILES[format])(faces(model, 5)).shape == (5, 7)


def test_int8_on_other_faces_than_it_was_calibrated_for_is_refused(tmp_path: Path) -> None:
    model, out = trained("vit_b_16", 10), tmp_path / "model.xml"
    write(model, out, "openvino")
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    with pytest.raises(RunFailed, match=r"differs too much .* not kept: .* of 21 faces of synth"):
        write(model, out, "openvino", BLACK)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before


# Networks that cannot be exported


class Noisy(nn.Module):
    """Answers another thing each time."""

    def forward(self, x: Tensor) -> Tensor:
        return x + torch.randn_like(x)


class Undecided(nn.Module):
    """Takes a path that depends on what the tensor holds."""

    def forward(self, x: Tensor) -> Tensor:
        return x if bool(x.sum() > 0) else -x


class Broken(nn.Module):
    """Divides by zero."""

    def forward(self, x: Tensor) -> Tensor:
        return x / 0


@pytest.mark.parametrize(
    ("last", "format", "error", "message"),
    [
        (
            Noisy(),
            "onnx",
            RunFailed,
            "differs too much .* was not kept: a probability",
        ),
        (Undecided(), "onnx", Unavailable, "vgg16 cannot be converted to ONNX: "),
        (Broken(), "openvino", RunFailed, "not kept: its logits are not finite"),
    ],
)
def test_a_network_that_a_file_cannot_stand_for_leaves_none(
    last: nn.Module, format: str, error: type[FerBenchError], message: str, tmp_path: Path
) -> None:
    model = small("vgg16")
    model.head = nn.Sequential(model.head, last)
    with pytest.raises(error, match=message) as raised:
        write(model, tmp_path / FILES[format], format)
    assert "\n" not in str(raised.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("format", "file", "missing", "message"),
    [
        ("onnx", "model.onnx", "onnxscript", "pip install onnx onnxscript"),
        ("onnx", "model.onnx", "onnxruntime", "pip install onnxruntime"),
        ("openvino", "model.xml", "openvino", "pip install openvino"),
        ("tflite", "model.tflite", "litert_torch", "pip install litert-torch"),
    ],
)
def test_a_package_that_is_not_installed_is_named(
    format: str,
    file: str,
    missing: str,
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(Unavailable, match=message):
        write(small("vgg16"), tmp_path / file, format)
    assert list(tmp_path.iterdir()) == []


# Where it may be written


@pytest.mark.parametrize(
    ("name", "format", "message"),
    [
        ("model.txt", "onnx", r"expected a file that ends in \.onnx, got 'model\.txt'"),
        ("model.onnx", "openvino", r"expected a file that ends in \.xml, got 'model\.onnx'"),
        ("model", "tflite", r"expected a file that ends in \.tflite, got 'model'"),
        ("nowhere/model.onnx", "onnx", "there is no folder .*nowhere: make it first"),
        ("", "onnx", r"is a folder: expected a file, such as .*model\.onnx"),
        ("model.onnx", "onxn", "unknown export format 'onxn': did you mean 'onnx'"),
        ("x" * 300 + ".onnx", "onnx", "File name too long; choose another file"),
    ],
)
def test_a_target_that_is_none_is_refused(
    name: str, format: str, message: str, tmp_path: Path
) -> None:
    with pytest.raises(FerBenchError, match=message):
        check_target(tmp_path / name, format)


def test_tflite_has_no_int8(tmp_path: Path) -> None:
    with pytest.raises(FerBenchError, match="no int8 here: choose format onnx or openvino"):
        check_target(tmp_path / "model.tflite", "tflite", "int8")


@pytest.mark.parametrize(
    ("there", "out", "format"),
    [
        ("model.onnx", "model.onnx", "onnx"),
        ("model.bin", "model.xml", "openvino"),
        ("model.tflite", "model.tflite", "tflite"),
    ],
)
def test_a_file_that_is_no_export_is_replaced_only_when_told(
    there: str, out: str, format: str, tmp_path: Path
) -> None:
    (tmp_path / there).write_bytes(b"the only copy of a thesis")
    with pytest.raises(FerBenchError, match=f"{there} is there already and is no whole export"):
        check_target(tmp_path / out, format)
    assert check_target(tmp_path / out, format, force=True)[0] == tmp_path / out


def test_an_export_is_replaced_unasked_and_a_damaged_one_when_told(tmp_path: Path) -> None:
    model, out = small("vgg16"), tmp_path / "model.xml"
    write(model, out, "openvino")
    write(model, out, "openvino")
    whole = out.read_bytes()
    out.write_bytes(whole[:-1000])
    with pytest.raises(FerBenchError, match="no whole export of FER Bench: choose another --out"):
        write(model, out, "openvino")
    metadata = describe(model)
    export_model(model, out, "openvino", metadata=metadata, faces=COMPARED, force=True)
    assert len(out.read_bytes()) > len(whole) - 1000
    assert sorted(file.name for file in tmp_path.iterdir()) == ["model.bin", "model.xml"]


def test_a_folder_that_takes_no_files_is_named() -> None:
    with pytest.raises(FerBenchError, match=r"cannot write /proc/self/model\.onnx: .*; free some"):
        write(small("vgg16"), Path("/proc/self/model.onnx"))


def test_a_full_disk_leaves_what_was_there(written: Path, tmp_path: Path) -> None:
    model, out = small("vgg16"), tmp_path / "model.onnx"
    before = (written / "model.onnx").read_bytes()
    out.write_bytes(before)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5_000, limits[1]))
    try:
        with pytest.raises(FerBenchError, match=r"cannot write .*model\.onnx: File too large"):
            write(model, out)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [file.name for file in tmp_path.iterdir()] == ["model.onnx"]
    assert out.read_bytes() == before


# Files that are not ours, or damaged


def test_an_onnx_file_that_is_not_ours_is_refused(tmp_path: Path) -> None:
    (tmp_path / "yunet.onnx").write_bytes(stand_in_yunet())
    for read in (read_metadata, lambda path: open_session(path, 1)):
        with pytest.raises(FerBenchError, match=r"yunet\.onnx is no export of FER Bench"):
            read(tmp_path / "yunet.onnx")


@pytest.mark.parametrize("keep", [0, 100, 100_000, -1])
def test_a_damaged_onnx_file_is_refused(keep: int, written: Path, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes((written / "model.onnx").read_bytes()[:keep])
    with pytest.raises(FerBenchError, match=r"damaged|no export") as raised:
        open_session(path, 1)
    assert "\n" not in str(raised.value)


def test_an_onnx_file_of_ours_whose_network_is_damaged_is_refused(
    written: Path, tmp_path: Path
) -> None:
    proto = onnx.load(written / "model.onnx")
    del proto.graph.node[3:]
    onnx.save(proto, tmp_path / "model.onnx")
    with pytest.raises(FerBenchError, match=r"model\.onnx is damaged \(.*\): export the run again"):
        open_session(tmp_path / "model.onnx", 1)


def test_an_onnx_file_whose_metadata_are_damaged_is_refused(written: Path, tmp_path: Path) -> None:
    proto = onnx.load(written / "model.onnx")
    for entry in proto.metadata_props:
        entry.value = "{" if entry.key == "input_spec" else entry.value
    onnx.save(proto, tmp_path / "model.onnx")
    with pytest.raises(FerBenchError, match="says about its emotions and input is damaged"):
        read_metadata(tmp_path / "model.onnx")


@pytest.mark.parametrize("format", FILES)
def test_a_file_that_is_not_there_is_named(format: str, tmp_path: Path) -> None:
    with pytest.raises(FerBenchError, match=f"cannot read .*{FILES[format]}"):
        FORMATS.load(format)().open(tmp_path / FILES[format])


@pytest.mark.parametrize(("file", "keep"), [("model.xml", 2_000), ("model.bin", 100)])
def test_a_damaged_openvino_network_is_refused(
    file: str, keep: int, written: Path, tmp_path: Path
) -> None:
    for name in ("model.xml", "model.bin"):
        content = (written / name).read_bytes()
        (tmp_path / name).write_bytes(content[:keep] if name == file else content)
    with pytest.raises(FerBenchError, match="missing, damaged or no OpenVINO network"):
        FORMATS.load("openvino")().open(tmp_path / "model.xml")


def test_an_openvino_network_that_is_not_ours_is_refused(written: Path, tmp_path: Path) -> None:
    network = (written / "model.xml").read_text(encoding="utf-8")
    (tmp_path / "model.xml").write_text(
        network.replace("<fer_bench>", "<other>").replace("</fer_bench>", "</other>"),
        encoding="utf-8",
    )
    (tmp_path / "model.bin").write_bytes((written / "model.bin").read_bytes())
    with pytest.raises(FerBenchError, match=r"model\.xml is no export of FER Bench"):
        FORMATS.load("openvino")().read_metadata(tmp_path / "model.xml")
