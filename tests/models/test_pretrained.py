"""Starting weights: published, from a hub, from a file; and everything that can go wrong."""

from __future__ import annotations

import io
import pickle
import re
import zipfile
from argparse import Namespace
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any
from urllib.error import URLError

import numpy as np
import pytest
import timm
import torch
import torchvision
from external_fixtures import lay_in_hub_cache
from model_fixtures import save_network
from safetensors.torch import save_file
from table_fixtures import table
from test_models import REFERENCES, faces, small

from fer_bench.emotions import EXPRESSIO, FER2013
from fer_bench.errors import FerBenchError
from fer_bench.models.build import build_model
from fer_bench.models.classifier import Classifier, ModelRequest
from fer_bench.models.pretrained import kind_of
from fer_bench.models.state_dict import resize_positions


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """No network, and empty caches below the returned folder."""

    def refuse(*args: Any, **kwargs: Any) -> None:
        raise URLError("Name or service not known")

    monkeypatch.setattr("torch.hub.download_url_to_file", refuse)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    return tmp_path


def start_from(
    place: Path | str, name: str = "resnet18", mode: str = "full", **options: Any
) -> Classifier:
    if name in REFERENCES:
        options = {"tiny": True, **options}
    return build_model(
        ModelRequest(
            name=name, emotions=FER2013, mode=mode, pretraining=str(place), options=options
        )
    )


def same_features(one: Classifier, other: Classifier) -> bool:
    with torch.no_grad():
        return torch.equal(one.features(faces(one)), other.features(faces(one)))


@table(
    ("pretraining", "kind"),
    [
        ("none", "none"),
        ("imagenet", "published"),
        ("openai", "published"),
        ("timm/resnet18.a1_in1k", "hub"),
        ("hf-hub:timm/resnet18.a1_in1k", "hub"),
        ("runs/model.pth", "local"),
        ("./weights", "local"),
        ("~/weights", "local"),
    ],
)
def test_a_pretraining_value_is_one_of_four_kinds(pretraining: str, kind: str) -> None:
    assert kind_of(pretraining) == kind


def test_any_other_pretraining_is_refused() -> None:
    with pytest.raises(FerBenchError, match="unknown pretraining 'imagnet': expected none, imag"):
        start_from("imagnet")


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("resnet18", "resnet18-f37072fd.pth"),
        ("vgg16", "vgg16-397923af.pth"),
        ("densenet121", "densenet121-a639ec97.pth"),
        ("vit_b_16", "vit_b_16-c867db91.pth"),
    ],
)
def test_a_failed_download_names_the_file_and_its_place(
    name: str, file: str, offline: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = offline / "hub" / "checkpoints" / file
    with pytest.raises(FerBenchError) as caught:
        build_model(ModelRequest(name=name, emotions=FER2013, pretraining="imagenet"))
    message = str(caught.value)
    assert f"https://download.pytorch.org/models/{file} at {place}" in message
    assert message.endswith("or use --pretraining none")
    assert "\n" not in message
    assert capsys.readouterr().out == ""  # stdout belongs to results


@table(
    ("name", "pretraining", "repository"),
    [
        ("timm:test_resnet", "imagenet", "timm/test_resnet.r160_in1k"),
        ("timm:test_resnet", "someone/weights", "someone/weights"),
        ("resnet18", "someone/weights", "someone/weights"),
        ("clip_vit_b_32", "imagenet", "openai/clip-vit-base-patch32"),
        ("clip_vit_b_32", "someone/clip", "someone/clip"),
        ("clip:someone/clip", "none", "someone/clip"),
    ],
)
def test_a_hub_that_cannot_be_reached_is_one_sentence(
    name: str, pretraining: str, repository: str, offline: Path
) -> None:
    with pytest.raises(FerBenchError) as caught:
        build_model(ModelRequest(name=name, emotions=FER2013, pretraining=pretraining))
    message = str(caught.value)
    folder = f"models--{repository.replace('/', '--')}"
    assert str(offline / "hub" / folder) in message
    assert message.endswith("or use --pretraining none")
    assert "\n" not in message


def test_a_damaged_file_in_the_cache_is_one_sentence(offline: Path) -> None:
    cached = offline / "hub" / "checkpoints" / "resnet18-f37072fd.pth"
    cached.parent.mkdir(parents=True)
    cached.write_bytes(b"half a download")
    with pytest.raises(FerBenchError, match=r"resnet18-f37072fd\.pth"):
        build_model(ModelRequest(name="resnet18", emotions=FER2013, pretraining="imagenet"))


def test_published_weights_fill_the_backbone(offline: Path) -> None:
    """A stand-in for torchvision's file, in its cache, classifier and all."""
    published = build_model(ModelRequest(name="resnet18", emotions=FER2013))
    cached = offline / "hub" / "checkpoints" / "resnet18-f37072fd.pth"
    cached.parent.mkdir(parents=True)
    classifier = {"fc.weight": torch.zeros(1000, 512), "fc.bias": torch.zeros(1000)}
    torch.save({**published.backbone.state_dict(), **classifier}, cached)
    request = ModelRequest(
        name="resnet18", emotions=EXPRESSIO, pretraining="imagenet", options={"input_size": 32}
    )
    model = build_model(request)
    assert same_features(model, published)
    assert model(faces(model)).shape == (3, 4)
    assert model.provenance.weights == "ResNet18_Weights.IMAGENET1K_V1"


@pytest.mark.parametrize(
    ("pretraining", "repository"),
    [("imagenet", "timm/test_resnet.r160_in1k"), ("someone/faces", "someone/faces")],
)
def test_a_timm_models_weights_come_from_a_hubs_cache(
    pretraining: str, repository: str, offline: Path
) -> None:
    """As timm itself writes a repository, which holds the classifier, too."""
    published = timm.create_model("test_resnet", num_classes=10)
    timm.models.save_for_hf(published, offline / "theirs", safe_serialization=True)
    lay_in_hub_cache(offline / "theirs", offline / "hub", repository)
    request = ModelRequest(name="timm:test_resnet", emotions=FER2013, pretraining=pretraining)
    model = build_model(request)
    with torch.no_grad():
        expected = published.eval().forward_head(
            published.forward_features(faces(model)), pre_logits=True
        )
    torch.testing.assert_close(model.features(faces(model)), expected)
    assert model.provenance.weights == repository


def test_a_folder_of_timms_says_how_its_weights_want_their_images(tmp_path: Path) -> None:
    published = timm.create_model("test_resnet", num_classes=10)
    published.pretrained_cfg |= {"mean": (0.1, 0.2, 0.3), "interpolation": "bilinear"}
    timm.models.save_for_hf(published, tmp_path, safe_serialization=True)
    for place in (tmp_path, tmp_path / "model.safetensors"):
        spec = start_from(place, "timm:test_resnet").input_spec
        assert (spec.mean, spec.interpolation) == ((0.1, 0.2, 0.3), "bilinear")
    with pytest.raises(FerBenchError, match=r"holds a test_resnet .*, expected test_vit"):
        start_from(tmp_path, "timm:test_vit")


#: ConvNeXt's layers as its authors' files name them, and as timm does.
AUTHORS_NAMES = (
    (r"^stem\.", "downsample_layers.0."),
    (r"^stages\.(\d+)\.downsample", r"downsample_layers.\1"),
    (r"\.blocks\.", "."),
    (r"conv_dw", "dwconv"),
    (r"mlp\.fc", "pwconv"),
    (r"^head\.norm", "norm"),
)


def test_files_of_a_networks_authors_are_read_by_timms_own_names(tmp_path: Path) -> None:
    theirs = timm.create_model("test_convnext", num_classes=10)
    state = theirs.state_dict()
    for ours, authors in AUTHORS_NAMES:
        state = {re.sub(ours, authors, name): tensor for name, tensor in state.items()}
    torch.save({"model": state}, tmp_path / "w.pth")
    model = start_from(tmp_path / "w.pth", "timm:test_convnext")
    with torch.no_grad():
        expected = theirs.eval().forward_head(
            theirs.forward_features(faces(model)), pre_logits=True
        )
    torch.testing.assert_close(model.features(faces(model)), expected)


def test_a_hubs_weights_are_taken_without_their_classifier(offline: Path) -> None:
    published = torchvision.models.resnet18(num_classes=5).eval()
    (offline / "theirs").mkdir()
    save_file(published.state_dict(), offline / "theirs" / "model.safetensors")
    lay_in_hub_cache(offline / "theirs", offline / "hub", "someone/faces")
    request = ModelRequest(
        name="resnet18",
        emotions=FER2013,
        pretraining="someone/faces",
        options={"input_size": 32},
    )
    model = build_model(request)
    published.fc = torch.nn.Identity()
    with torch.no_grad():
        torch.testing.assert_close(model.features(faces(model)), published(faces(model)))


def test_a_timm_model_that_nobody_trained_has_no_weights() -> None:
    with pytest.raises(FerBenchError, match=r"timm has no weights for test_vit4: use .* none"):
        start_from("imagenet", "timm:test_vit4")


@pytest.mark.parametrize("name", REFERENCES)
def test_tiny_networks_have_no_published_weights(name: str) -> None:
    with pytest.raises(FerBenchError, match=f"no published weights fit the tiny {name}"):
        start_from("imagenet", name)


@pytest.mark.parametrize("name", ["expressio", "emotionlens", "keras_cnn", "compact_resnet"])
def test_seed_networks_have_no_published_weights(name: str) -> None:
    with pytest.raises(FerBenchError, match=rf"{name} has no published weights: .*none or a local"):
        start_from("imagenet", name)


@table(
    "name",
    [*REFERENCES, "expressio", "emotionlens", "keras_cnn", "compact_resnet", "timm:test_vit"],
)
def test_a_local_state_dict_fills_the_backbone(name: str, tmp_path: Path) -> None:
    model = small(name)
    options = dict(model.request.options)
    torch.save(model.backbone.state_dict(), tmp_path / "w.pth")
    save_file(model.backbone.state_dict(), tmp_path / "w.safetensors")
    torch.manual_seed(7)
    for file in ("w.pth", "w.safetensors"):
        started = start_from(tmp_path / file, name, **options)
        assert same_features(started, model)
        assert started.provenance.weights == "local file"


PREFIXES = ("", "module.", "_orig_mod.", "model.", "module.backbone.")
WRAPPERS = ("state_dict", "model", "model_state_dict", "net", "model_ema", "teacher", "params")


@table(
    ("wrappers", "prefix"),
    [
        *product([(), ("model",), ("model", "state_dict")], PREFIXES),
        *product([(wrapper,) for wrapper in WRAPPERS if wrapper != "model"], ("", "model.")),
    ],
)
def test_what_training_scripts_save_is_opened(
    wrappers: tuple[str, ...], prefix: str, tmp_path: Path
) -> None:
    """Alone or in a checkpoint, from a wrapped network, without counters as old files."""
    model = small("resnet18")
    state = model.backbone.state_dict()
    saved: Any = {f"{prefix}{k}": v for k, v in state.items() if "num_batches" not in k}
    for wrapper in reversed(wrappers):
        saved = {"epoch": 3, wrapper: saved, "optimizer": {"state": {0: {"step": torch.ones(1)}}}}
    torch.save(saved, tmp_path / "w.pt")
    assert same_features(start_from(tmp_path / "w.pt"), model)


@table("name", [*REFERENCES, "emotionlens", "compact_resnet"])
def test_a_whole_classifier_of_several_processes_is_opened(name: str, tmp_path: Path) -> None:
    model = small(name)
    state = {f"module.{k}": v for k, v in model.state_dict().items() if "num_batches" not in k}
    torch.save({"net": state, "acc": 71.2}, tmp_path / "w.pth")
    assert same_features(start_from(tmp_path / "w.pth", name, **model.request.options), model)


@pytest.mark.parametrize(
    "extra", [Namespace(lr=0.1, layers=[1, 2]), np.float64(91.2), np.float32(1), [np.int64(3)]]
)
def test_options_and_scores_next_to_the_weights_are_read(extra: object, tmp_path: Path) -> None:
    model = small("resnet18")
    torch.save({"state_dict": model.backbone.state_dict(), "args": extra}, tmp_path / "w.pth")
    assert same_features(start_from(tmp_path / "w.pth"), model)


@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin"])
def test_a_folders_weights_are_found(name: str, tmp_path: Path) -> None:
    model = small("resnet18")
    write = save_file if name.endswith("s") else torch.save
    write(model.backbone.state_dict(), tmp_path / name)
    assert same_features(start_from(tmp_path), model)


State = dict[str, torch.Tensor]


def diverged(state: State) -> State:
    state["bn1.running_var"][3] = float("inf")
    return state


def parts(state: State) -> State:
    """Tensors of one block, as `nn.Sequential` numbers a network's layers."""
    return {k: v for k, v in state.items() if k.startswith("bn1.")}


def of_both(state: State) -> State:
    return {f"{who}.{k}": v for who in ("student", "teacher") for k, v in state.items()}


@table(
    ("content", "sentence"),
    [
        (of_both, r"hold 2 networks .* student\. and teacher\."),
        (
            lambda state: {"student": state, "teacher": state, "epoch": 3},
            r"holds 2 state dicts \(student, teacher\) and nothing",
        ),
        (
            lambda state: {f"{block}.{k}": v for block in "45" for k, v in parts(state).items()},
            r"do not fit: of 72 tensors expected, 60 missing",
        ),
        (diverged, r"in 1 tensors \(first: bn1\.running_var\)"),
        (
            lambda state: {"epoch": 3, "model": {"layers": 18}},
            r"holds no state dict: .* under state_dict, model",
        ),
    ],
)
def test_a_file_that_holds_not_one_whole_network_is_refused(
    content: Callable[[State], object], sentence: str, tmp_path: Path
) -> None:
    torch.save(content(small("resnet18").backbone.state_dict()), tmp_path / "w.pth")
    with pytest.raises(FerBenchError, match=sentence):
        start_from(tmp_path / "w.pth")


def test_of_a_model_and_its_average_the_model_is_taken_and_it_says_so(tmp_path: Path) -> None:
    state = small("resnet18").backbone.state_dict()
    torch.save({"model": state, "model_ema": {}, "ema": state}, tmp_path / "w.pth")
    with pytest.warns(UserWarning, match=r"holds the weights model and .* ema: model is taken"):
        start_from(tmp_path / "w.pth")


def test_former_names_of_vits_layers_are_understood_and_their_shapes_checked(
    tmp_path: Path,
) -> None:
    model = small("vit_b_16")
    old = {
        k.replace(".mlp.0.", ".mlp.linear_1.").replace(".mlp.3.", ".mlp.linear_2."): v
        for k, v in model.backbone.state_dict().items()
    }
    torch.save(old, tmp_path / "old.pth")
    assert same_features(start_from(tmp_path / "old.pth", "vit_b_16"), model)
    narrow = {k: v[:8] if "linear_1" in k else v for k, v in old.items()}
    torch.save(narrow, tmp_path / "narrow.pth")
    with pytest.raises(FerBenchError, match=r"do not fit: size mismatch for encoder\..*"):
        start_from(tmp_path / "narrow.pth", "vit_b_16")


@pytest.mark.parametrize("name", ["resnet18", "clip_vit_b_32", "keras_cnn", "timm:test_resnet"])
def test_the_folder_of_a_run_is_a_start_for_other_emotions(name: str, tmp_path: Path) -> None:
    model = small(name)
    save_network(model, tmp_path)
    request = ModelRequest(
        name=name,
        emotions=EXPRESSIO,
        pretraining=str(tmp_path),
        options=model.request.options,
    )
    started = build_model(request)
    assert same_features(started, model)
    assert started(faces(started)).shape == (3, 4)


def test_old_densenet_names_are_understood(tmp_path: Path) -> None:
    model = small("densenet121")
    old = {
        k.replace(".norm1.", ".norm.1.").replace(".conv2.", ".conv.2."): v
        for k, v in model.backbone.state_dict().items()
    }
    assert old.keys() != model.backbone.state_dict().keys()
    torch.save(old, tmp_path / "old.pth")
    assert same_features(start_from(tmp_path / "old.pth", "densenet121"), model)


def test_position_embeddings_are_resampled_to_another_input_size(tmp_path: Path) -> None:
    model = small("vit_b_16")
    torch.save(model.backbone.state_dict(), tmp_path / "w.pth")
    larger = start_from(tmp_path / "w.pth", "vit_b_16", input_size=64)
    assert larger.backbone.encoder.pos_embedding.shape == (1, 65, 64)
    assert larger(faces(larger)).shape == (3, 7)


def test_resampling_keeps_the_class_token_and_a_constant_grid() -> None:
    positions = torch.cat([torch.zeros(1, 1, 8), torch.ones(1, 16, 8)], dim=1)
    resized = resize_positions(positions, 26)
    assert resized.shape == (1, 26, 8)
    assert torch.equal(resized[:, 0], torch.zeros(1, 8))
    torch.testing.assert_close(resized[:, 1:], torch.ones(1, 25, 8))


@pytest.mark.parametrize(("held", "count"), [(7, 26), (17, 24)])
def test_positions_that_make_no_square_stay_as_they_are(held: int, count: int) -> None:
    positions = torch.zeros(1, held, 8)
    assert resize_positions(positions, count) is positions


def test_weights_that_do_not_fit_are_told_with_counts(tmp_path: Path) -> None:
    state = small("resnet18").backbone.state_dict()
    state["conv1.weight"] = torch.zeros(64, 1, 7, 7)
    state["surprise"] = torch.zeros(1)
    del state["bn1.bias"], state["bn1.weight"]
    torch.save(state, tmp_path / "w.pth")
    with pytest.raises(
        FerBenchError,
        match=r"of \d+ tensors expected, 2 missing \(first: bn1.weight\), 1 unknown \(first: "
        r"surprise\), 1 of another shape \(first: conv1.weight, expected \(64, 3, 7, 7\), got "
        r"\(64, 1, 7, 7\)\)",
    ):
        start_from(tmp_path / "w.pth")


@pytest.mark.parametrize("file", ["w.pth", "w.safetensors"])
def test_a_file_that_is_no_weights_is_one_sentence(file: str, tmp_path: Path) -> None:
    (tmp_path / file).write_bytes(b"not weights at all")
    with pytest.raises(FerBenchError, match=r"cannot read weights from .*undamaged"):
        start_from(tmp_path / file)


def zipped(**members: str) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, text in members.items():
            archive.writestr(name.replace("_", "/", 1), text)
    return content.getvalue()


@table(
    ("content", "sentence"),
    [
        (b"", "it is empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "it is a Git LFS pointer"),
        (b"\n<!DOCTYPE html><html>", "it is a web page: its download failed"),
        (b"\x89HDF\r\n\x1a\n0", "it is an HDF5 file, as Keras"),
        (zipped(net_weights="x"), "it is a zip of net/weights: unpack it"),
        (zipped(net_code="x", **{"net_data.pkl": "x"}), "it is a TorchScript program"),
    ],
)
def test_what_came_in_place_of_weights_is_said(
    content: bytes, sentence: str, tmp_path: Path
) -> None:
    for name in ("w.pth", "w.safetensors"):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(FerBenchError, match=f"cannot read weights from .*{name}: {sentence}"):
            start_from(tmp_path / name)


def test_safetensors_are_read_whatever_they_are_called(tmp_path: Path) -> None:
    model = small("resnet18")
    save_file(model.backbone.state_dict(), tmp_path / "w.pth")
    torch.save(model.backbone.state_dict(), tmp_path / "w.safetensors")
    for name in ("w.pth", "w.safetensors"):
        assert same_features(start_from(tmp_path / name), model)


def test_a_missing_file_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "best.pth").touch()
    with pytest.raises(FerBenchError, match=r"did you mean 'best\.pth'\?"):
        start_from(tmp_path / "bets.pth")
    with pytest.raises(FerBenchError, match=r"has best\.pth: name the file"):
        start_from(tmp_path)
    with pytest.raises(FerBenchError, match=r"no weights at .*nothing\.pth"):
        start_from(tmp_path / "nothing.pth")


class Trap:
    """Unpickling it would create a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_a_pickle_is_never_run(tmp_path: Path) -> None:
    (tmp_path / "w.pth").write_bytes(pickle.dumps(Trap(tmp_path / "sprung"), protocol=2))
    torch.save({"x": Trap(tmp_path / "sprung")}, tmp_path / "zip.pth")
    for file in ("w.pth", "zip.pth"):
        with pytest.raises(FerBenchError, match="pickled models are refused"):
            start_from(tmp_path / file)
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("reason", ["Name or service not known", "Connection refused"])
@pytest.mark.parametrize("proxies", [{}, {"https": "http://proxy.invalid:3128"}])
def test_without_a_network_the_hub_is_not_asked_again_and_again(
    proxies: dict[str, str], reason: str, offline: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreachable(*_: object, **__: object) -> None:
        raise OSError(reason)

    asked: list[object] = []
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("fer_bench.hubs.network.getproxies", lambda: proxies)
    monkeypatch.setattr("socket.create_connection", unreachable)
    monkeypatch.setattr("time.sleep", asked.append)  # what the hub's client does between tries
    with pytest.raises(FerBenchError, match=r"\(there is no network: .*use --pretraining none"):
        build_model(
            ModelRequest(name="clip_vit_b_32", emotions=("happy", "sad"), pretraining="imagenet")
        )
    assert asked == []
