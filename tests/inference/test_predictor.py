"""From an image to faces with emotions: the same pixels give the same logits everywhere."""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from face_fixtures import SAMPLE
from model_fixtures import save_network
from numpy.typing import NDArray
from PIL import Image
from record_fixtures import make_history, make_predictions, make_record
from table_fixtures import table

from fer_bench.backends.select import open_backend
from fer_bench.data.preprocess import to_input
from fer_bench.data.synthetic import read_synthetic
from fer_bench.emotions import FER2013
from fer_bench.errors import FerBenchError, RunFailed
from fer_bench.evaluation.evaluate import predict_probabilities
from fer_bench.inference.classifier import FaceClassifier, open_classifier
from fer_bench.inference.detectors.base import DetectedFace, WholeImage, make_detector
from fer_bench.inference.images import Picture, read_image
from fer_bench.inference.predictor import Predictor
from fer_bench.models.build import build_model
from fer_bench.models.classifier import ModelRequest
from fer_bench.results.store import ResultsStore
from fer_bench.specs.run import ExternalSpec

FACES = read_synthetic(n_per_class=3, size=48, seed=0).images


class TwoFaces:
    """Says that there is a face in the left half and one in the right."""

    name = "two"

    def detect(self, image: NDArray[np.uint8]) -> list[DetectedFace]:
        side = image.shape[0]
        return [DetectedFace(box=(0, 0, side, side)), DetectedFace(box=(side, 0, side, side))]

    detect_frame = detect


class NoFace:
    name = "none"

    def detect(self, image: NDArray[np.uint8]) -> list[DetectedFace]:
        return []

    detect_frame = detect


def classifier(name: str = "compact_resnet", temperature: float = 1.0) -> FaceClassifier:
    torch.manual_seed(0)
    options = {"tiny": True} if name in ("resnet18", "clip_vit_b_32") else {}
    model = build_model(ModelRequest(name=name, emotions=FER2013, options=options))
    return FaceClassifier(
        name=name,
        model=model,
        backend=open_backend("torch-fp32", model),
        temperature=temperature,
    )


@pytest.mark.parametrize("name", ["compact_resnet", "resnet18", "clip_vit_b_32", "emotionlens"])
def test_logits_equal_those_of_training_and_evaluation(name: str) -> None:
    ours = classifier(name)
    with torch.no_grad():
        of_training = ours.model(to_input(FACES, ours.model.input_spec))
    of_use = ours.logits(list(FACES))
    assert torch.allclose(of_use, of_training, atol=1e-5)
    predicted = Predictor(ours, WholeImage()).predict_batch(list(FACES))
    evaluated = predict_probabilities(ours.model, FACES)
    found = np.stack([analysis.faces[0].probabilities for analysis in predicted])
    np.testing.assert_allclose(found, evaluated, atol=1e-5)


def test_crops_of_any_size_go_together() -> None:
    large = np.kron(FACES[0], np.ones((2, 2), np.uint8))
    colour = np.stack([FACES[0]] * 3, -1)
    ours = classifier()
    one_by_one = torch.cat([ours.logits([crop]) for crop in (FACES[0], large, colour)])
    assert torch.allclose(ours.logits([FACES[0], large, colour]), one_by_one, atol=1e-5)
    assert torch.allclose(one_by_one[2], one_by_one[0], atol=1e-4)


def test_the_temperature_scales_the_logits() -> None:
    logits = classifier().logits(list(FACES)).double()
    found = classifier(temperature=2.5).probabilities(FACES)  # an array, too
    np.testing.assert_allclose(found, (logits / 2.5).softmax(1), atol=1e-12)


def test_a_diverged_model_says_so() -> None:
    ours = classifier()
    with torch.no_grad():
        ours.model.head.bias[2] = torch.nan
    with pytest.raises(RunFailed, match="gave logits that are not finite"):
        ours.probabilities(list(FACES))


def test_each_face_gets_its_own_pixels() -> None:
    ours = classifier()
    pair = np.concatenate([FACES[0], FACES[5]], axis=1)
    left, right = Predictor(ours, TwoFaces()).predict(pair).faces
    np.testing.assert_allclose(left.probabilities, ours.probabilities([FACES[0]])[0], atol=1e-6)
    np.testing.assert_allclose(right.probabilities, ours.probabilities([FACES[5]])[0], atol=1e-6)
    assert left.emotion == FER2013[int(left.probabilities.argmax())]
    assert left.score == left.probabilities.max()
    assert right.face.box == (48, 0, 48, 48)


@pytest.mark.parametrize("video", [False, True], ids=["a still", "a frame"])
def test_predict_is_detect_classify_and_name(video: bool) -> None:
    predictor = Predictor(classifier(), make_detector())
    faces = predictor.detect(SAMPLE, video=video)
    rows = predictor.classify(SAMPLE, faces)
    assert len(faces) == 1 and rows.shape == (1, len(FER2013))
    np.testing.assert_allclose(rows.sum(1), 1)
    named = predictor.name(faces[0], rows[0])
    (face,) = predictor.predict(SAMPLE, video=video).faces
    assert (face.face, face.emotion, face.score) == (faces[0], named.emotion, named.score)
    np.testing.assert_array_equal(face.probabilities, rows[0])
    assert predictor.classify(SAMPLE, []).shape == (0, len(FER2013))


def test_threads_share_a_predictor() -> None:
    predictor, image = Predictor(classifier(), make_detector()), read_image(SAMPLE)
    (expected,) = predictor.predict(image).faces
    with ThreadPoolExecutor(4) as pool:
        found = [analysis.faces for analysis in pool.map(predictor.predict, [image] * 8)]
    assert [face.box for (face,) in found] == [expected.box] * 8
    for (face,) in found:
        np.testing.assert_allclose(face.probabilities, expected.probabilities, atol=1e-6)


def test_an_image_without_a_face_is_an_answer() -> None:
    found = Predictor(classifier(), NoFace()).predict(FACES[0])
    assert found.faces == () and found.classify_ms == 0


@pytest.mark.parametrize(
    ("image", "came"),
    [
        (np.zeros((4, 4, 3), np.float32), r"float32 of shape \(4, 4, 3\)"),
        (np.zeros((4, 4, 4), np.uint8), r"uint8 of shape \(4, 4, 4\)"),
        (np.zeros((0, 4), np.uint8), r"uint8 of shape \(0, 4\)"),
    ],
)
def test_what_is_no_image_is_refused(image: np.ndarray, came: str) -> None:
    with pytest.raises(FerBenchError, match=f"expected an image as uint8 array .* got {came}"):
        Predictor(classifier(), WholeImage()).predict(image)


@pytest.mark.parametrize("kind", ["path", "text", "bytes", "pil", "array"])
def test_a_picture_comes_in_any_form(kind: str) -> None:
    data = SAMPLE.read_bytes()
    pictures: dict[str, Picture] = {
        "path": SAMPLE,
        "text": str(SAMPLE),
        "bytes": data,
        "pil": Image.open(io.BytesIO(data)),
        "array": read_image(SAMPLE),
    }
    predictor = Predictor(classifier(), WholeImage())
    (face,) = predictor.predict(pictures[kind]).faces
    (same,) = predictor.predict_batch([pictures["array"]])[0].faces
    assert face.face.box == (0, 0, 512, 512)
    assert np.allclose(face.probabilities, same.probabilities, atol=1e-6)


@table("picture", [None, 3, {"a": 1}, [[0, 1]], object(), torch.zeros(3)])
def test_what_is_no_picture_is_refused(picture: object) -> None:
    with pytest.raises(
        FerBenchError, match="expected a picture as path, bytes, PIL image or uint8"
    ):
        Predictor(classifier(), NoFace()).predict(picture)  # type: ignore[arg-type]


@table(
    "pictures",
    [FACES[0], read_image(SAMPLE), str(SAMPLE), b"one", None, Image.new("RGB", (9, 9))],
    ids=["gray", "rgb", "text", "bytes", "None", "pil"],
)
def test_one_picture_is_no_batch(pictures: object) -> None:
    with pytest.raises(
        FerBenchError, match=r"expected several pictures, .*give one picture to `pre"
    ):
        Predictor(classifier(), NoFace()).predict_batch(pictures)  # type: ignore[arg-type]


def test_an_array_of_pictures_is_a_batch() -> None:
    pictures = np.zeros((3, 40, 30, 3), np.uint8)
    assert len(Predictor(classifier(), NoFace()).predict_batch(pictures)) == 3


@pytest.mark.parametrize(("stored", "used"), [(None, 1.0), (1.7, 1.7)])
def test_a_run_opens_with_its_weights_and_temperature(
    tmp_path: Path, stored: float | None, used: float
) -> None:
    store = ResultsStore(tmp_path)
    record = make_record(model="compact_resnet").model_copy(update={"temperature": stored})
    store.save(record, history=make_history(), predictions=make_predictions())
    run = store.find(record.name)
    with pytest.raises(FerBenchError, match=r"weights of run .* train it again with `python -m"):
        open_classifier(run)
    trained = classifier().model
    save_network(trained, run.folder)
    opened = open_classifier(store.find(record.name), "torch-fp32")
    assert (opened.name, opened.emotions, opened.temperature) == (record.name, FER2013, used)
    assert torch.equal(opened.logits(list(FACES)), classifier().logits(list(FACES)))


def test_a_run_whose_answers_were_imported_has_no_network(tmp_path: Path) -> None:
    spec = ExternalSpec(external="theirs")
    store = ResultsStore(tmp_path)
    store.save(make_record(name=spec.name).model_copy(update={"spec": spec}))
    with pytest.raises(FerBenchError, match="is external, only its answers are stored"):
        open_classifier(store.find(spec.name))


def test_prediction_sets_need_a_stored_run() -> None:
    with pytest.raises(FerBenchError, match="model compact_resnet is no stored run"):
        classifier().set_rule(0.9)
