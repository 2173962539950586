"""The command `export`: what it writes, prints and records, and the faces it compares on."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from command_fixtures import Fer
from data_fixtures import encoded, face, kaggle_files, zipped
from model_fixtures import save_models, save_network
from PIL import Image
from record_fixtures import make_record

from fer_bench.backends.export.export import export_model
from fer_bench.backends.export.verify import Faces
from fer_bench.backends.onnx import read_metadata, to_onnx
from fer_bench.benchmark import Source
from fer_bench.benchmark.export import calibration_faces, comparison_faces
from fer_bench.data.synthetic import read_synthetic
from fer_bench.emotions import EXPRESSIO, FER2013
from fer_bench.errors import FerBenchError
from fer_bench.evaluation.evaluate import predict_probabilities
from fer_bench.inference.classifier import load_run_model, open_classifier
from fer_bench.inference.detectors.base import make_detector
from fer_bench.inference.predictor import Predictor
from fer_bench.models.build import build_model
from fer_bench.models.classifier import ModelRequest
from fer_bench.models.export_metadata import describe
from fer_bench.results.reports.exports import Export, add_export, read_exports
from fer_bench.results.store import DEFAULT, ResultsStore

ROOT = Path(__file__).parents[3]
RUN = "keras_cnn-full-finetune-5-s0"


@pytest.fixture
def results(tmp_path: Path) -> Path:
    save_models(tmp_path / "results", f"fer2013/{RUN}")
    return tmp_path / "results"


@pytest.fixture
def export(fer: Fer, results: Path, monkeypatch: pytest.MonkeyPatch) -> Fer:
    """Runs `export RUN --results ... WORDS` here; gives exit code, stdout and stderr."""
    monkeypatch.delenv("FER_BENCH_DATA", raising=False)

    def call(*words: str, run: str = RUN) -> tuple[int, str, str]:
        return fer("export", run, "--results", results, *words)

    return call


def test_an_export_is_compared_on_validation_faces_and_recorded(
    export: Fer, results: Path, tmp_path: Path
) -> None:
    data, out = zipped(tmp_path / "fer2013.zip", kaggle_files()), tmp_path / "model.onnx"
    code, text, err = export("--out", str(out), "--data", str(data), "--json")
    assert code == 0, err
    document = json.loads(text)
    folder = results / "fer2013" / RUN
    assert document.pop("run") == RUN
    assert document.pop("path") == str(out)
    assert document.pop("recorded") == str(folder / "exports.json")
    assert [Export.model_validate(document)] == read_exports(folder)
    assert (document["format"], document["precision"]) == ("onnx", "fp32")
    assert (document["agreement"]["faces"], document["agreement"]["n"]) == ("fer2013 val", 14)
    accuracies = document["accuracies"]
    assert accuracies["n"] == 14
    assert accuracies["exported"] == accuracies["pytorch"]
    assert {"torch", "onnx", "onnxruntime"} == set(document["packages"])
    assert read_metadata(out).run == RUN


def test_without_data_drawn_faces_are_compared_and_the_report_says_so(
    export: Fer, results: Path, tmp_path: Path
) -> None:
    for _ in range(2):
        code, text, err = export("--format", "openvino", "--out", str(tmp_path / "model.xml"))
        assert code == 0, err
    assert f"{RUN} → model.xml and model.bin, openvino fp32, 9.4 MB" in text
    assert "compared on    28 faces, synthetic\nsame emotion   100.0\N{NO-BREAK SPACE}%\n" in text
    assert "accuracy" not in text  # drawn faces say nothing about it
    assert [one.format for one in read_exports(results / "fer2013" / RUN)] == ["openvino"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--int8"], "--int8 measures the network on training faces first: add --calibration PATH"),
        (["--calibration", "synthetic"], "--calibration is for --int8"),
        (["--format", "tflite", "--int8", "--calibration", "synthetic"], "has no int8 here"),
        (["--format", "onxn"], "unknown export format 'onxn': did you mean 'onnx'?"),
        (["--format", "openvino"], "expected a file that ends in .xml, got 'model.onnx'"),
        (["--data", "nowhere.zip"], "the data source 'nowhere.zip' does not exist"),
    ],
)
def test_bad_input_is_one_sentence_and_writes_nothing(
    words: list[str], message: str, export: Fer, tmp_path: Path
) -> None:
    code, text, err = export("--out", str(tmp_path / "model.onnx"), *words)
    assert (code, text) == (2, "")
    (line,) = [line for line in err.splitlines() if line.strip()]
    assert line.startswith("error: ")
    assert message in line
    assert not (tmp_path / "model.onnx").exists()


def test_a_file_that_is_no_export_is_kept(export: Fer, tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"another's")
    code, _, err = export("--out", str(tmp_path / "model.onnx"))
    assert code == 2
    assert "replace it with --force" in err
    assert (tmp_path / "model.onnx").read_bytes() == b"another's"


def test_an_unknown_run_is_named(export: Fer, tmp_path: Path) -> None:
    code, _, err = export("--out", str(tmp_path / "model.onnx"), run="keras_cn")
    assert code == 2
    assert "unknown run 'keras_cn'" in err


def test_a_network_whose_answers_are_not_finite_fails(
    export: Fer, results: Path, tmp_path: Path
) -> None:
    model = build_model(ModelRequest(name="keras_cnn", emotions=FER2013))
    torch.nn.init.constant_(next(model.head.parameters()), 3e38)
    save_network(model, results / "fer2013" / RUN)
    code, text, err = export("--format", "openvino", "--out", str(tmp_path / "model.xml"))
    assert (code, text) == (1, "")
    assert "its logits are not finite" in err
    assert not (tmp_path / "model.xml").exists()
    assert read_exports(results / "fer2013" / RUN) == []


def test_an_export_that_cannot_be_recorded_is_kept_and_it_is_said(
    export: Fer, results: Path, tmp_path: Path
) -> None:
    folder = results / "fer2013" / RUN
    (folder / "exports.json").mkdir()
    out = tmp_path / "model.xml"
    code, text, err = export("--format", "openvino", "--out", str(out), "--json")
    assert code == 0
    assert json.loads(text)["recorded"] is None
    assert f"the export is whole, but not recorded: {folder / 'exports.json'} cannot be read" in err
    assert out.is_file()


# exports.json


@pytest.fixture
def made(tmp_path: Path) -> Export:
    """An export's numbers."""
    model = build_model(ModelRequest(name="keras_cnn", emotions=FER2013))
    drawn = Faces(images=read_synthetic(n_per_class=3).images, source="synthetic")
    out = tmp_path / "model.xml"
    return export_model(model, out, "openvino", metadata=describe(model), faces=drawn)


def test_one_export_is_kept_for_each_format_and_precision(made: Export, tmp_path: Path) -> None:
    int8 = made.model_copy(update={"precision": "int8"})
    again = made.model_copy(update={"exported_at": made.exported_at.replace(year=2030)})
    onnx = made.model_copy(update={"format": "onnx"})
    for one in (made, int8, onnx, again):
        add_export(tmp_path, one)
    assert read_exports(tmp_path) == [onnx, again, int8]


def test_a_folder_without_exports_has_none(tmp_path: Path) -> None:
    assert read_exports(tmp_path) == []


def test_exports_cannot_be_kept_where_a_file_has_the_folder_s_name(
    made: Export, tmp_path: Path
) -> None:
    (tmp_path / "run").touch()
    with pytest.raises(FerBenchError, match=r"could not save exports\.json in .*run: File exists"):
        add_export(tmp_path / "run", made)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is damaged"),
        (b"[]", "is damaged"),
        (b'{"exports": [{}]}', r"is damaged \(exports\.0\.format: Field required\): delete it"),
        (b'{"exports": [], "more": 1}', r"is damaged \(more: "),
        (b'{"schema_version": 2, "news": []}', "was written by a newer FER Bench"),
    ],
)
def test_a_damaged_exports_file_is_refused_and_left(
    content: bytes, message: str, made: Export, tmp_path: Path
) -> None:
    (tmp_path / "exports.json").write_bytes(content)
    with pytest.raises(FerBenchError, match=message):
        add_export(tmp_path, made)
    assert (tmp_path / "exports.json").read_bytes() == content


# Faces to calibrate and to compare on


def test_calibration_takes_training_faces_and_comparison_none_of_them(tmp_path: Path) -> None:
    files = kaggle_files(per_class=4, held=2)
    held = sorted(name for name in files if "PublicTest" in name)
    training = sorted(name for name in files if "Training" in name)
    for name, twin in zip(held[:9], training, strict=False):
        files[name] = files[twin]  # as 568 of FER2013's test images stand in its training set
    source, record = Source(data=str(zipped(tmp_path / "fer2013.zip", files))), make_record()
    calibration = calibration_faces(record, source)
    assert (len(calibration.images), calibration.source) == (28, "fer2013 train")
    assert len(comparison_faces(record, source, FER2013).images) == 14
    compared = comparison_faces(record, source, FER2013, calibration=calibration)
    seen = {image.tobytes() for image in calibration.images}
    assert len(compared.images) == 5
    assert not seen & {image.tobytes() for image in compared.images}


def test_comparison_leaves_out_what_the_model_does_not_know_and_takes_so_many(
    tmp_path: Path,
) -> None:
    source = Source(data=str(zipped(tmp_path / "fer2013.zip", kaggle_files())))
    record = make_record(emotions=EXPRESSIO)
    faces = comparison_faces(record, source, EXPRESSIO)
    assert np.bincount(faces.labels, minlength=4).tolist() == [2, 2, 2, 2]
    few = comparison_faces(record, source, EXPRESSIO, 3)
    assert few.images.tobytes() == comparison_faces(record, source, EXPRESSIO, 3).images.tobytes()
    assert len(few.images) == len(few.labels) == 3


def test_data_with_a_test_part_only_are_compared_on_it_and_cannot_calibrate(
    tmp_path: Path,
) -> None:
    files = {f"test/{emotion}/{i}.png": encoded(face(i)) for i, emotion in enumerate(FER2013)}
    source, record = Source(data=str(zipped(tmp_path / "own.zip", files))), make_record()
    assert comparison_faces(record, source, FER2013).source.endswith(" test")
    with pytest.raises(FerBenchError, match=r"the train split of own\.zip is empty"):
        calibration_faces(record, source)


def test_data_all_of_which_calibrate_leave_nothing_to_compare_on() -> None:
    source, record = Source(data="synthetic"), make_record()
    everything = Faces(images=read_synthetic(n_per_class=40).images, source="all")
    with pytest.raises(FerBenchError, match="no face to compare on that the model knows"):
        comparison_faces(record, source, FER2013, calibration=everything)


# Without FER Bench

STRANGER = """
import runpy, sys
sys.modules["torch"] = sys.modules["fer_bench"] = None  # importing them fails
script, model, *faces = sys.argv[1:]
for face in faces:
    sys.argv = [script, model, face]
    try:
        runpy.run_path(script)
    except SystemExit as ended:
        print(ended)
"""


def test_the_example_finds_the_face_with_neither_fer_bench_nor_torch(tmp_path: Path) -> None:
    run = ResultsStore(ROOT / "results").find(DEFAULT)
    classifier = open_classifier(run, "torch-fp32")
    drawn = read_synthetic(n_per_class=3, seed=0)
    metadata = describe(classifier.model, temperature=classifier.temperature)
    compared = Faces(images=drawn.images, source="synthetic")
    export_model(classifier.model, tmp_path / "m.onnx", "onnx", metadata=metadata, faces=compared)
    photo = Image.open(ROOT / "assets/samples/astronaut.jpg")
    photo.save(tmp_path / "whole.png")
    lying = Image.Exif()
    lying[0x0112] = 6  # turn clockwise to see it
    photo.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "lying.jpg", exif=lying, quality=95)
    deep = np.asarray(photo)[..., ::-1].astype(np.uint16) * 257
    (tmp_path / "deep.png").write_bytes(bytes(cv2.imencode(".png", deep)[1]))
    Image.new("RGB", (320, 240), "white").save(tmp_path / "blank.png")
    (tmp_path / "text.png").write_text("no picture")
    names = ["whole.png", "lying.jpg", "deep.png", "blank.png", "text.png"]
    done = subprocess.run(
        [sys.executable, "-c", STRANGER, ROOT / "scripts/onnx_example.py", "m.onnx", *names],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    *smiles, blank, text = done.stdout.splitlines()
    (face,) = Predictor(classifier, make_detector()).predict(photo).faces
    assert face.emotion == "happy"
    for smile in smiles:  # another box about the face, resized by another library
        emotion, share = smile.split()
        assert emotion == "happy" and abs(int(share.rstrip("%")) / 100 - face.score) < 0.1
    assert len(smiles) == 3
    assert blank == "no face"
    assert text == "text.png cannot be read: expected a JPEG, PNG, WebP or TIFF"


def test_the_guide_shows_the_example_that_is_tested() -> None:
    script = (ROOT / "scripts/onnx_example.py").read_text(encoding="utf-8").split('"""\n\n', 1)[1]
    guide = (ROOT / "docs/guides/serving.md").read_text(encoding="utf-8")
    assert f"```python\n{script}```" in guide


def test_an_export_evaluated_as_a_network_from_elsewhere_answers_as_its_run(
    fer: Fer, tmp_path: Path
) -> None:
    """The shipped default as ONNX is the run itself: every face gets the same emotion."""
    file = tmp_path / "default.onnx"
    run = ResultsStore(ROOT / "results").find(DEFAULT)
    file.write_bytes(to_onnx(load_run_model(run)))
    code, _, err = fer(
        "evaluate", "--model", f"onnx:{file}", "--data", "synthetic", "--limit", 40,
        "--results", tmp_path / "results",
    )  # fmt: skip
    assert code == 0 and "labels and preprocessing are its own" in err
    (stored,) = ResultsStore(tmp_path / "results").runs()
    faces = read_synthetic(n_per_class=5, seed=3).images
    found, expected = (predict_probabilities(load_run_model(one), faces) for one in (stored, run))
    assert (found.argmax(1) == expected.argmax(1)).all()
    np.testing.assert_allclose(found, expected, atol=1e-5)
