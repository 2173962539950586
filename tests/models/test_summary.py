"""The summary of a network: its rows add up, for every architecture, with nothing downloaded."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command_fixtures import Fer
from external_fixtures import LABEL_TEXT, write_onnx
from model_fixtures import SECOND_RUN, save_models
from table_fixtures import table
from torch import nn

from fer_bench.emotions import FER2013
from fer_bench.inference.classifier import load_run_model
from fer_bench.models.build import MODELS
from fer_bench.models.classifier import ModelRequest
from fer_bench.models.flops import count_flops, count_parameters
from fer_bench.models.summary import outline, summarize
from fer_bench.results.store import ResultsStore


@table("name", MODELS)
def test_rows_add_up_to_the_whole_network(name: str) -> None:
    model = outline(ModelRequest(name=name, emotions=FER2013))
    found = summarize(model)
    assert (found.parameters, found.trainable) == count_parameters(model)
    assert sum(layer.parameters for layer in found.layers) == found.parameters
    assert sum(layer.trainable for layer in found.layers) == found.trainable
    assert found.flops == count_flops(model) == sum(layer.flops for layer in found.layers)
    assert min(layer.flops for layer in found.layers) >= 0
    assert found.layers[-1].output == (7,)
    names = [layer.name for layer in found.layers]
    assert len(set(names)) == len(names)


def test_the_operations_of_an_onnx_file_are_unknown_and_its_parameters_counted(
    fer: Fer, tmp_path: Path
) -> None:
    """Alone, and with a layer that PyTorch computes."""
    results = tmp_path / "results"
    external = "evaluate --data synthetic --trained-on held-out --name theirs --value-range 0,1"
    file = write_onnx(tmp_path / "theirs.onnx", channels=1)
    words = ("--model", f"onnx:{file}", "--labels", LABEL_TEXT, "--results", results)
    assert fer(*external.split(), *words)[0] == 0
    code, out, err = fer("summary", "external-theirs", "--results", results, "--json")
    assert code == 0, err
    alone = json.loads(out)
    assert alone["flops"] is None
    model = load_run_model(ResultsStore(results).find("external-theirs"))
    model.head = nn.Linear(7, 7)
    both = summarize(model)
    assert both.flops is None
    assert both.parameters == alone["parameters"] + 7 * 7 + 7
    assert sum(layer.parameters for layer in both.layers) == both.parameters
    code, out, _ = fer("summary", "external-theirs", "--results", results)
    assert code == 0 and out.splitlines()[-1].endswith("–")


def test_a_layer_is_what_its_definition_says() -> None:
    found = summarize(outline(ModelRequest(name="resnet18", emotions=FER2013)))
    first = found.layers[0]
    assert (first.kind, first.output) == ("Conv2d", (64, 112, 112))
    assert first.parameters == 64 * 3 * 7 * 7
    assert first.flops == 2 * 64 * 3 * 7 * 7 * 112 * 112


def test_frozen_networks_train_their_head_alone() -> None:
    found = summarize(outline(ModelRequest(name="resnet18", emotions=FER2013, mode="frozen")))
    assert {layer.name.partition(".")[0] for layer in found.layers if layer.trainable} == {"head"}
    assert found.trainable == 512 * 7 + 7


def test_the_command_prints_a_table_json_and_a_figure(fer: Fer, tmp_path: Path) -> None:
    figure = tmp_path / "layers.html"
    code, text, _ = fer("summary", "expressio", "--figure", str(figure))
    assert code == 0
    heading, *rows, total = text.rstrip().splitlines()
    assert heading.split() == ["layer", "kind", "output", "parameters", "trainable", "FLOPs"]
    assert "input 1 x 48 x 48" in total
    assert "Operations for one image" in figure.read_text()
    code, text, _ = fer("summary", "expressio", "--json")
    document = json.loads(text)
    assert len(document["layers"]) == len(rows)
    assert f"{document['parameters']:,}" in total


def test_a_run_is_summarised_with_its_own_network(fer: Fer, tmp_path: Path) -> None:
    save_models(tmp_path, SECOND_RUN)
    code, text, _ = fer("summary", "default", "--results", str(tmp_path), "--json")
    assert code == 0
    assert json.loads(text)["model"] == "keras_cnn"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["resnet"], "unknown run 'resnet'"),
        (["timm:nothing_at_all"], "nothing_at_all"),
        (["resnet18", "--option", "size=48"], "size"),
        (["resnet18", "--mode", "half"], "unknown --mode 'half'"),
        (["default", "--option", "input_size=48"], "--mode and --option are for models"),
        (["resnet18", "--figure", "layers.png"], "expected --figure FILE.html"),
    ],
)
def test_bad_input_is_one_sentence(words: list[str], message: str, fer: Fer) -> None:
    code, text, err = fer("summary", *words)
    assert (code, text) == (2, "")
    assert message in err
    assert "Traceback" not in err
