"""Saving and loading a classifier."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from model_fixtures import save_network
from table_fixtures import table
from test_models import EVERY, faces, small, train_one_step

from fer_bench.errors import FerBenchError
from fer_bench.models.lora import merge_lora
from fer_bench.models.weights import load_model, model_files, read_model_document


@table("name", EVERY)
@table("mode", ["full", "frozen"])
def test_a_loaded_model_gives_identical_logits(name: str, mode: str, tmp_path: Path) -> None:
    model = small(name, mode=mode, head=(8,), head_dropout=0.1)
    train_one_step(model)
    save_network(model, tmp_path)
    loaded = load_model(tmp_path)
    with torch.no_grad():
        assert torch.equal(loaded(faces(model)), model(faces(model)))
    assert loaded.request == model.request
    assert loaded.input_spec == model.input_spec
    assert loaded.provenance == model.provenance
    assert sorted(p.name for p in tmp_path.iterdir()) == ["model.json", "model.safetensors"]


def test_where_the_weights_came_from_survives(tmp_path: Path) -> None:
    """And loading does not go there again."""
    model = small("resnet18")
    model.request = replace(model.request, pretraining="imagenet")
    save_network(model, tmp_path)
    assert load_model(tmp_path).request.pretraining == "imagenet"


def test_merged_lora_weights_load_as_plain_ones(tmp_path: Path) -> None:
    model = small("vit_b_16", mode="lora")
    with pytest.raises(FerBenchError, match="merge_lora"):
        model_files(model)
    train_one_step(model)
    merge_lora(model)
    save_network(model, tmp_path)
    with torch.no_grad():
        assert torch.equal(load_model(tmp_path)(faces(model)), model(faces(model)))


def test_float16_halves_the_file_and_loads_as_float32(tmp_path: Path) -> None:
    model = small("resnet18")
    save_network(model, tmp_path / "full")
    save_network(model, tmp_path / "half", dtype="float16")
    sizes = [(tmp_path / d / "model.safetensors").stat().st_size for d in ("full", "half")]
    assert sizes[1] < 0.51 * sizes[0]
    loaded = load_model(tmp_path / "half")
    assert {p.dtype for p in loaded.parameters()} == {torch.float32}
    with torch.no_grad():
        torch.testing.assert_close(loaded(faces(model)), model(faces(model)), atol=5e-3, rtol=5e-3)


def test_values_beyond_float16_are_refused(tmp_path: Path) -> None:
    model = small("resnet18")
    with torch.no_grad():
        model.head.weight[0, 0] = 1e6
    with pytest.raises(FerBenchError, match=r"1 tensors do not fit float16 \(first: head.weight\)"):
        model_files(model, dtype="float16")


def test_saving_again_replaces_both_files(tmp_path: Path) -> None:
    save_network(small("resnet18"), tmp_path)
    save_network(small("keras_cnn"), tmp_path)
    assert load_model(tmp_path).request.name == "keras_cnn"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "expected JSON"),
        ("[]", "it has no schema_version"),
        ('{"schema_version": 1, "surprise": 0}', "model.json"),
    ],
)
def test_a_damaged_card_is_one_sentence(content: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "model.json").write_text(content)
    with pytest.raises(FerBenchError, match=message):
        read_model_document(tmp_path)


def newer(card: Path) -> None:
    document = json.loads(card.read_text())
    card.write_text(json.dumps(document | {"schema_version": 2, "new": True}))


def of_no_network(card: Path) -> None:
    document = json.loads(card.read_text())
    document["request"] |= {"name": "onnx:m.onnx", "architecture": {"bytes": 10}}
    card.write_text(json.dumps(document))


def of_another_network(card: Path) -> None:
    save_network(small("keras_cnn"), card.parent / "other")
    (card.parent / "other" / card.name).replace(card)


@table(
    ("spoil", "message"),
    [
        (Path.unlink, r"no model in .*: expected model\.json there"),
        (
            lambda card: card.with_name("model.safetensors").unlink(),
            r"no weights in .*: expected model\.safetensors",
        ),
        (
            lambda card: os.truncate(card.with_name("model.safetensors"), 5000),
            "the file is damaged",
        ),
        (
            lambda card: card.with_name("model.safetensors").write_text(
                "version https://git-lfs.github.com/spec/v1"
            ),
            "the file is a Git LFS pointer",
        ),
        (newer, r"newer FER Bench: .* reads schema 1, the file has 2"),
        (of_no_network, r"describes a network that cannot be built \(KeyError: 'parameters'\)"),
        (of_another_network, r"do not fit: of 12 tensors expected, 10 missing"),
    ],
)
def test_a_folder_that_holds_no_whole_model_is_refused(
    spoil: Callable[[Path], None], message: str, tmp_path: Path
) -> None:
    save_network(small("resnet18"), tmp_path)
    spoil(tmp_path / "model.json")
    with pytest.raises(FerBenchError, match=message):
        load_model(tmp_path)
