"""`evaluate --model`: a network from elsewhere becomes a run like any other."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import numpy as np
import pytest
from api_fixtures import opened
from command_fixtures import Fer
from data_fixtures import kaggle_files, zipped
from external_fixtures import LABEL_TEXT, write_onnx
from huggingface_hub import ModelCard

import fer_bench
from fer_bench.emotions import FER2013
from fer_bench.errors import FerBenchError
from fer_bench.results.reproduce import reproduce_command
from fer_bench.results.store import ResultsStore
from fer_bench.results.summary import summary_table
from fer_bench.studies.explain.heat_map import explain

RUN = "external-theirs"
SAMPLE = "assets/samples/astronaut.jpg"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return zipped(tmp_path_factory.mktemp("data") / "fer2013.zip", kaggle_files())


@pytest.fixture
def evaluate(fer: Fer, data: Path, tmp_path: Path) -> Fer:
    """`evaluate` of a gray ONNX network, which is called theirs.onnx."""
    file = write_onnx(tmp_path / "theirs.onnx", channels=1)

    def call(*words: object, labels: str = LABEL_TEXT) -> tuple[int, str, str]:
        return fer(
            "evaluate", "--model", f"onnx:{file}", "--labels", labels, "--value-range", "0,1",
            "--name", "theirs", "--data", data, "--results", tmp_path / "results", *words,
        )  # fmt: skip

    return call


def test_it_is_stored_like_any_run(evaluate: Fer, tmp_path: Path) -> None:
    code, out, err = evaluate("--json", "--trained-on", "held-out", "--licence", "MIT")
    assert code == 0
    document = json.loads(out)
    store = ResultsStore(tmp_path / "results")
    run = store.find(RUN)
    record = run.require_record()
    assert document["run"] == f"{run.dataset}/{RUN}"
    assert document["accuracy"] == record.metrics["test"].accuracy
    assert record.dataset.emotions == FER2013
    assert (record.spec.model, record.spec.trained_on) == ("onnx:theirs.onnx", "held-out")
    assert run.has_weights and summary_table([run])["can_be_tried"].tolist() == [True]
    assert "its outputs are logits" in err and str(tmp_path) not in record.model_dump_json()
    table = store.predictions(run)
    assert set(table["split"]) == {"test"} or set(table["split"]) == {"val", "test"}


def test_its_record_names_the_command_that_makes_it_again(
    evaluate: Fer, fer: Fer, data: Path, tmp_path: Path
) -> None:
    assert evaluate()[0] == 0
    store = ResultsStore(tmp_path / "results")
    first = store.find(RUN).require_record()
    words = shlex.split(reproduce_command(first))[3:]
    words = [str(data) if word == first.dataset.source else word for word in words]
    words = [w.replace("onnx:", f"onnx:{tmp_path}/") for w in words]
    assert fer(*words, "--results", tmp_path / "again")[0] == 0
    again = ResultsStore(tmp_path / "again").find(RUN).require_record()
    assert again.metrics == first.metrics and again.spec == first.spec


def test_whatever_takes_a_run_takes_it(evaluate: Fer, fer: Fer, data: Path, tmp_path: Path) -> None:
    assert evaluate()[0] == 0
    results = ("--results", tmp_path / "results")
    code, out, _ = fer("predict", RUN, SAMPLE, "--json", *results)
    face = json.loads(out)["results"][0]["faces"][0] if "results" in out else None
    assert code == 0 and (face is None or face["emotion"] in FER2013)
    code, out, _ = fer("evaluate", RUN, "--data", data, "--tta-views", 2, "--json", *results)
    assert code == 0 and json.loads(out)["tta"] == "flip"
    code, out, _ = fer(
        "latency", RUN, "--batch", 1, "--threads", 1, "--seconds", 0.01, "--json", *results,
        "--backend", "onnxruntime-fp32,torch-fp32",
    )  # fmt: skip
    rows = {row["backend"]: row["error"] for row in json.loads(out)["measurements"]}
    assert code == 0 and rows["onnxruntime-fp32"] is None
    assert "is an ONNX file, which PyTorch does not compute" in rows["torch-fp32"]
    code, _, _ = fer("robustness", RUN, "--data", data, "--limit", 7, "--json", *results)
    assert code == 0
    predictor = fer_bench.load(RUN, results=tmp_path / "results", backend="auto")
    found = predictor.predict(SAMPLE)
    assert all(np.isclose(face.probabilities.sum(), 1) for face in found.faces)
    with opened(tmp_path / "results", backend="auto", run=RUN) as client:
        sent = client.post("/v1/predict", files={"files": Path(SAMPLE).read_bytes()}).json()
    assert sent["results"][0]["faces"][0]["emotion"] == found.faces[0].emotion
    with pytest.raises(FerBenchError, match="is an ONNX file, which gives no gradients"):
        explain(predictor.classifier, np.zeros((24, 24), np.uint8))


@pytest.mark.parametrize(
    ("words", "licence"), [(("--licence", "CC BY-NC 4.0"), "CC BY-NC 4.0"), ((), "not recorded")]
)
def test_its_licence_goes_wherever_it_goes(
    evaluate: Fer, fer: Fer, tmp_path: Path, words: tuple[str, ...], licence: str
) -> None:
    assert evaluate(*words)[0] == 0
    push = ("push", RUN, "hf:org/name", "--data", "synthetic", "--results", tmp_path / "results")
    assert fer(*push, "--out", tmp_path / "model")[0] == 0
    assert fer(*push, "--out", tmp_path / "space", "--space", "streamlit")[0] == 0
    for folder in ("model", "space"):
        data = ModelCard.load(tmp_path / folder / "README.md").data
        assert (data.get("license"), data.get("license_name")) == ("other", licence)
    licences = (tmp_path / "space" / "LICENSES.txt").read_text()
    assert licences.startswith("FER Bench: MIT")
    assert f"model.onnx, weights from elsewhere: {licence}\n" in licences
    with opened(tmp_path / "results", backend="auto", run=RUN) as client:
        (model,) = client.get("/v1/models").json()["models"]
    assert model["terms"] == f"weights from elsewhere (licence: {licence})"


def test_emotions_that_only_one_side_knows_are_said(evaluate: Fer, tmp_path: Path) -> None:
    labels = LABEL_TEXT.replace("Fear", "contempt")
    code, out, err = evaluate("--json", labels=labels)
    assert code == 0
    assert "it does not know fear: images of them are left out" in err
    assert "the data have no contempt: left out of its answers" in err
    emotions = json.loads(out)["emotions"]
    assert emotions == [e for e in FER2013 if e != "fear"]
    run = ResultsStore(tmp_path / "results").runs()[0]
    assert run.name == "external-theirs-6-classes"


def test_an_earlier_record_is_replaced_only_with_force(
    evaluate: Fer,
) -> None:
    assert evaluate()[0] == 0
    code, _, err = evaluate()
    assert code == 2 and "is already there" in err and "--force" in err
    assert evaluate("--force")[0] == 0


def test_a_model_that_saw_the_test_images_stands_in_no_ranking(
    evaluate: Fer, tmp_path: Path
) -> None:
    assert evaluate("--trained-on", "in-sample")[0] == 0
    record = ResultsStore(tmp_path / "results").find(RUN).require_record()
    assert "trained on these test images" in record.not_comparable_because


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ((), "expected a run, or --model such as onnx:FILE"),
        (("default", "--model", "onnx:m.onnx"), "expected a run, or --model"),
        (("--model", "onnx:m.onnx", "--tta"), "leave --split and --tta out"),
        (("--model", "onnx:m.onnx"), "cannot read m.onnx"),
        (("--model", "timm:resnet18"), "no classifier of its own: train it"),
        (("--model", "onnx:m.onnx", "--trained-on", "perhaps"), "unknown --trained-on"),
    ],
)
def test_what_does_not_fit_is_one_sentence(
    words: tuple[str, ...], sentence: str, fer: Fer, tmp_path: Path
) -> None:
    code, out, err = fer("evaluate", *words, "--data", "synthetic", "--results", tmp_path / "r")
    assert (code, out) == (2, "") and "\n" not in err.strip()
    assert sentence in err


@pytest.mark.parametrize("command", ["train", "latency"])
def test_other_commands_say_how_to_make_it_a_run(command: str, fer: Fer, tmp_path: Path) -> None:
    name = ("--model", "onnx:m.onnx") if command == "train" else ("onnx:m.onnx",)
    where = ("--results", tmp_path / "r")
    data = ("--data", "synthetic") if command == "train" else ()
    code, _, err = fer(command, *name, *where, *data)
    assert code == 2 and "evaluate --model onnx:m.onnx" in err
