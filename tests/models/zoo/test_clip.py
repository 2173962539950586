"""CLIP: any size of it, from a folder, and zero-shot by text prompts."""

from __future__ import annotations

import string
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from model_fixtures import save_network
from safetensors.torch import save_file
from test_models import faces, snapshot
from transformers import (
    CLIPConfig,
    CLIPImageProcessor,
    CLIPModel,
    CLIPTextConfig,
    CLIPTokenizer,
    CLIPVisionConfig,
    CLIPVisionModelWithProjection,
)

from fer_bench.emotions import FER2013
from fer_bench.errors import FerBenchError
from fer_bench.models.build import build_model
from fer_bench.models.classifier import Classifier, ModelRequest
from fer_bench.models.flops import count_parameters
from fer_bench.models.weights import load_model
from fer_bench.models.zoo.prompts import TEMPLATES


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole CLIP with its tokenizer, tiny and random, saved as Hugging Face does."""
    place = tmp_path_factory.mktemp("clip")
    torch.manual_seed(0)
    vocabulary = ["<|startoftext|>", "<|endoftext|>"]
    for character in string.ascii_lowercase + "-":
        vocabulary += [character, f"{character}</w>"]
    tokens = {token: number for number, token in enumerate(vocabulary)}
    CLIPTokenizer(vocab=tokens, merges=[], model_max_length=77).save_pretrained(place)
    shape = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
    }
    text = CLIPTextConfig(
        **shape, vocab_size=len(tokens), bos_token_id=0, eos_token_id=1, pad_token_id=1
    )
    vision = CLIPVisionConfig(**shape, image_size=64, patch_size=16)
    config = CLIPConfig(
        text_config=text.to_dict(), vision_config=vision.to_dict(), projection_dim=16
    )
    CLIPModel(config).save_pretrained(place)
    return place


def open_clip(
    pretraining: object, mode: str = "full", name: str = "clip_vit_b_32", **options: int
) -> Classifier:
    return build_model(
        ModelRequest(
            name=name, emotions=FER2013, mode=mode, pretraining=str(pretraining), options=options
        )
    )


@pytest.mark.parametrize("by_prefix", [False, True])
def test_a_folder_of_a_whole_clip_opens(folder: Path, by_prefix: bool) -> None:
    model = open_clip("imagenet", name=f"clip:{folder}") if by_prefix else open_clip(folder)
    reference = CLIPModel.from_pretrained(folder).eval()
    x = faces(model)
    with torch.no_grad():
        pooled = reference.vision_model(pixel_values=x).pooler_output
        torch.testing.assert_close(model.features(x), reference.visual_projection(pooled))
    assert (model.input_spec.size, model.feature_size) == (64, 16)
    assert model.input_spec.interpolation == "bicubic"


def test_a_file_of_such_a_folder_is_the_network_that_the_folder_describes(folder: Path) -> None:
    file, whole = open_clip(folder / "model.safetensors"), open_clip(folder)
    with torch.no_grad():
        assert torch.equal(file.features(faces(file)), whole.features(faces(whole)))


def test_a_folder_of_the_vision_tower_alone_opens(tmp_path: Path) -> None:
    """With its own activation, which no tensor tells."""
    shape = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1}
    config = CLIPVisionConfig(
        **shape, num_attention_heads=2, image_size=64, patch_size=16, hidden_act="gelu"
    )
    reference = CLIPVisionModelWithProjection(config).eval()
    reference.save_pretrained(tmp_path)
    CLIPImageProcessor(image_mean=[0.4] * 3).save_pretrained(tmp_path)
    model = open_clip(tmp_path)
    x = faces(model)
    with torch.no_grad():
        torch.testing.assert_close(model.features(x), reference(pixel_values=x).image_embeds)
    assert model.input_spec.mean == (0.4,) * 3


def test_openais_names_are_refused_with_who_reads_them(tmp_path: Path) -> None:
    torch.save({"visual.class_embedding": torch.ones(768)}, tmp_path / "ViT-B-32.pt")
    with pytest.raises(FerBenchError, match=r"timm:vit_base_patch32_clip_quickgelu_224"):
        open_clip(tmp_path / "ViT-B-32.pt")


def test_a_folder_that_is_not_there_is_no_repository(folder: Path) -> None:
    with pytest.raises(FerBenchError, match=rf"there is no folder .*did you mean '{folder.name}'"):
        open_clip("imagenet", name=f"clip:{folder}x")


def test_the_dimensions_alone_make_a_random_clip(folder: Path) -> None:
    model = open_clip("none", name=f"clip:{folder}")
    assert model.provenance.weights == "none"
    assert model(faces(model)).shape == (3, 7)


def test_another_input_size_resamples_the_positions(folder: Path) -> None:
    model = open_clip(folder, input_size=96)
    assert model.input_spec.size == 96
    assert model(faces(model)).shape == (3, 7)


def test_zero_shot_compares_faces_with_prompts(folder: Path) -> None:
    model = open_clip(folder, mode="zero-shot")
    x = faces(model)
    whole = CLIPModel.from_pretrained(folder).eval()
    tokenizer = CLIPTokenizer.from_pretrained(folder)
    prompts = [template.format("happy") for template in TEMPLATES]
    with torch.no_grad():
        text = whole.text_model(**tokenizer(prompts, padding=True, return_tensors="pt"))
        happy = F.normalize(whole.text_projection(text.pooler_output), dim=-1).mean(0)
        pooled = whole.vision_model(pixel_values=x).pooler_output
        image = F.normalize(whole.visual_projection(pooled), dim=-1)
        expected = whole.logit_scale.exp() * image @ F.normalize(happy, dim=-1)
        logits = model(x)
    torch.testing.assert_close(logits[:, FER2013.index("happy")], expected, atol=1e-4, rtol=1e-4)
    assert logits.shape == (3, 7)
    assert len({round(v, 4) for v in logits[0].tolist()}) == 7  # every emotion its own prompts
    assert count_parameters(model)[1] == 0


def test_a_zero_shot_model_loads_without_its_text_tower(folder: Path, tmp_path: Path) -> None:
    model = open_clip(folder, mode="zero-shot")
    save_network(model, tmp_path)
    loaded = load_model(tmp_path)
    with torch.no_grad():
        assert torch.equal(loaded(faces(model)), model(faces(model)))


def test_a_clip_from_elsewhere_loads_without_its_hub(folder: Path, tmp_path: Path) -> None:
    model = open_clip("imagenet", name=f"clip:{folder}", input_size=96)
    model.request.architecture["_name_or_path"] = "nowhere/to-be-found"
    save_network(model, tmp_path)
    loaded = load_model(tmp_path)
    assert snapshot(loaded).keys() == snapshot(model).keys()
    with torch.no_grad():
        assert torch.equal(loaded(faces(model)), model(faces(model)))


def test_zero_shot_without_weights_is_refused() -> None:
    with pytest.raises(FerBenchError, match=r"zero-shot .* needs trained weights: .* got none"):
        open_clip("none", mode="zero-shot")


def test_zero_shot_needs_the_text_tower(folder: Path, tmp_path: Path) -> None:
    vision_only = open_clip("none", tiny=True).backbone.state_dict()
    save_file(vision_only, tmp_path / "vision.safetensors")
    with pytest.raises(FerBenchError, match="needs CLIP's text tower and tokenizer"):
        open_clip(tmp_path / "vision.safetensors", mode="zero-shot", tiny=True)


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ('{"model_type": "bert"}', "is a model of type bert: expected a CLIP"),
        ('{"architecture": "resnet18"}', "is no Hugging Face model: expected a CLIP"),
    ],
)
def test_a_folder_of_another_kind_of_model_is_refused(
    config: str, sentence: str, tmp_path: Path
) -> None:
    (tmp_path / "config.json").write_text(config)
    with pytest.raises(FerBenchError, match=sentence):
        open_clip(tmp_path)


def test_an_incomplete_clip_is_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes((folder / "config.json").read_bytes())
    state = CLIPModel.from_pretrained(folder).state_dict()
    del state["logit_scale"]
    save_file(state, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(FerBenchError, match=r"1 tensors of CLIP are missing \(first: logit_scale"):
        open_clip(tmp_path)
