"""The published weights of the five reference models, from files as they really are, offline."""

from __future__ import annotations

import socket
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from published_fixtures import FILES, lay_published, manifest
from torch import nn
from torchvision import models as tv
from transformers import CLIPImageProcessor, CLIPModel

from fer_bench.benchmark import Runner, Source, plan
from fer_bench.config import load_yaml
from fer_bench.data.preprocess import to_input
from fer_bench.emotions import FER2013
from fer_bench.models.build import build_model
from fer_bench.models.classifier import Classifier, ModelRequest
from fer_bench.results.store import ResultsStore
from fer_bench.specs.run import RunSpec
from fer_bench.specs.sweep import Sweep

CLIP = "openai/clip-vit-base-patch32"
FIVE_MODELS = Path(__file__).parents[1].parent / "benchmarks" / "specs" / "five-models.yaml"
#: One epoch is as good as twenty to see that a run starts from the weights and ends.
TWELVE = [
    spec.model_copy(update={"epochs": 1, "recipe": spec.recipe.model_copy(update={"epochs": 1})})
    for spec in plan(load_yaml(Sweep, FIVE_MODELS), limit=2)
]


@pytest.fixture(scope="module")
def downloads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("downloads")
    lay_published(place / "torch", place / "hub")
    return place


@pytest.fixture(autouse=True)
def no_network(downloads: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Filled caches, no HF_HUB_OFFLINE, and a network where no name resolves."""

    def no_such_name(*_: object, **__: object) -> None:
        raise socket.gaierror("Name or service not known")

    sleep = time.sleep

    def never(seconds: float) -> None:
        if seconds < 0.1:  # for another program's end, and not for a network
            sleep(seconds)
            return
        raise AssertionError(f"something waits {seconds} s to try again")

    monkeypatch.setenv("TORCH_HOME", str(downloads / "torch"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(downloads / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("fer_bench.hubs.network.getproxies", dict)
    monkeypatch.setattr("socket.getaddrinfo", no_such_name)
    monkeypatch.setattr("time.sleep", never)


def start(name: str, **changes: Any) -> Classifier:
    return build_model(ModelRequest(name=name, emotions=FER2013, pretraining="imagenet", **changes))


def torchvisions_own(name: str) -> nn.Module:
    net = tv.get_model(name, weights="IMAGENET1K_V1")
    if name == "vgg16":
        net.classifier[6] = nn.Identity()
    else:
        setattr(net, {"resnet18": "fc", "vit_b_16": "heads"}.get(name, "classifier"), nn.Identity())
    return net.eval()


def test_published_files_have_the_tensors_that_are_on_the_servers() -> None:
    assert {name: len(manifest(name)) for name in FILES} == {
        "resnet18": 102,
        "vgg16": 32,
        "densenet121": 606,
        "vit_b_16": 152,
        "clip_vit_b_32": 400,
    }


@pytest.mark.parametrize("name", ["resnet18", "vgg16", "densenet121", "vit_b_16"])
def test_features_are_torchvisions_own_to_the_last_bit(name: str) -> None:
    model, x = start(name), torch.randn(2, 3, 224, 224)
    with torch.no_grad():
        features = model.features(x)
        assert torch.equal(features, torchvisions_own(name)(x))
    assert features.std() > 0
    assert model.provenance.weights.endswith("_Weights.IMAGENET1K_V1")


def test_features_are_transformers_own_to_the_last_bit(downloads: Path) -> None:
    model, x = start("clip_vit_b_32"), torch.randn(2, 3, 224, 224)
    (snapshot,) = downloads.glob("hub/*/snapshots/*")
    whole = CLIPModel.from_pretrained(snapshot).eval()
    with torch.no_grad():
        pooled = whole.vision_model(pixel_values=x).pooler_output
        assert torch.equal(model.features(x), whole.visual_projection(pooled))
    assert model.provenance.weights == CLIP


def test_clip_starts_from_its_file_by_path(downloads: Path) -> None:
    (file,) = downloads.glob("hub/*/snapshots/*/pytorch_model.bin")
    request = ModelRequest(name="clip_vit_b_32", emotions=FER2013, pretraining=str(file))
    by_path, x = build_model(request), torch.randn(1, 3, 224, 224)
    with torch.no_grad():
        assert torch.equal(by_path.features(x), start("clip_vit_b_32").features(x))


def test_a_cache_with_another_commit_of_clip_serves_offline(
    downloads: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (snapshot,) = downloads.glob("hub/*/snapshots/*")
    repository = tmp_path / snapshot.parents[1].name
    (repository / "snapshots").mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("e" * 40)
    (repository / "snapshots" / ("e" * 40)).symlink_to(snapshot)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    assert start("clip_vit_b_32").provenance.weights == CLIP


def test_loading_clip_leaves_no_thread_behind_that_asks_the_hub() -> None:
    start("clip_vit_b_32")
    assert not [t.name for t in threading.enumerate() if "auto_conversion" in t.name]


@pytest.mark.parametrize("name", FILES)
def test_input_is_that_of_the_libraries_own_transforms(name: str, downloads: Path) -> None:
    """Within one gray level; a face is already cut out, so its margins are not cut off again."""
    rng = np.random.default_rng(0)
    faces = rng.integers(0, 256, (2, 48, 48), dtype=np.uint8)
    pictures = [Image.fromarray(face).convert("RGB") for face in faces]
    if name == "clip_vit_b_32":
        (snapshot,) = downloads.glob("hub/*/snapshots/*")
        processor = CLIPImageProcessor.from_pretrained(snapshot)
        expected = processor(pictures, return_tensors="pt")["pixel_values"]
    else:
        transforms = tv.get_model_weights(name).IMAGENET1K_V1.transforms(resize_size=224)
        expected = torch.stack([transforms(picture) for picture in pictures])
    spec = start(name).input_spec
    difference = (to_input(faces, spec) - expected) * torch.tensor(spec.std).view(3, 1, 1) * 255
    assert float(difference.abs().max()) <= 1.01


@pytest.mark.parametrize("spec", TWELVE, ids=lambda spec: spec.name)
def test_each_of_the_twelve_runs_finishes(spec: RunSpec, tmp_path: Path) -> None:
    runner = Runner(store=ResultsStore(tmp_path), weights=None)
    record = runner.run(spec, Source(data="synthetic").load(spec))
    assert record.status == "done"
    assert record.model is not None
    assert record.model.provenance.weights not in ("", "none")
    assert len(TWELVE) == 12
