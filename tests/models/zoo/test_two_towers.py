"""CLIP's relatives: zero-shot and frozen answers are those of transformers itself."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sentencepiece
import torch
from command_fixtures import Fer
from external_fixtures import COLOUR, lay_in_hub_cache
from huggingface_hub import constants
from model_fixtures import save_network
from PIL import Image
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    AlignConfig,
    AlignModel,
    AlignProcessor,
    AutoModel,
    AutoProcessor,
    EfficientNetImageProcessor,
    PreTrainedTokenizerFast,
    Siglip2Config,
    Siglip2ImageProcessor,
    Siglip2Model,
    Siglip2Processor,
    SiglipConfig,
    SiglipImageProcessor,
    SiglipModel,
    SiglipProcessor,
    SiglipTokenizer,
    ViTConfig,
    ViTModel,
)

from fer_bench.emotions import FER2013
from fer_bench.errors import FerBenchError
from fer_bench.evaluation.evaluate import predict_probabilities
from fer_bench.models.build import build_model
from fer_bench.models.classifier import Classifier, ModelRequest
from fer_bench.models.weights import load_model
from fer_bench.models.zoo.prompts import TEMPLATES, load_prompts, prompts_for
from fer_bench.results.reproduce import reproduce_command
from fer_bench.results.store import ResultsStore

WORDS = sorted({word for texts in prompts_for(FER2013, {}) for t in texts for word in t.split()})
TOWER = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
}
VISION = TOWER | {"image_size": 32, "patch_size": 8}
TEXT = TOWER | {"vocab_size": 64, "max_position_embeddings": 24, "projection_size": 32}


def by_words(place: Path, *more: str) -> PreTrainedTokenizerFast:
    """A tokenizer that knows the words of the built-in prompts, in tokenizer.json as Gemma's."""
    vocabulary = {word: number for number, word in enumerate(["<pad>", "<unk>", *WORDS])}
    inner = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(
        tokenizer_object=inner,
        pad_token="<pad>",
        unk_token="<unk>",
        model_input_names=["input_ids", *more],
    )


def by_pieces(place: Path) -> SiglipTokenizer:
    """SigLIP's own tokenizer, of a tiny SentencePiece model."""
    place.mkdir(parents=True, exist_ok=True)
    lines = [text for texts in prompts_for(FER2013, {}) for text in texts] * 4
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines), model_prefix=str(place / "spiece"), vocab_size=60,
        hard_vocab_limit=False, minloglevel=2,
    )  # fmt: skip
    return SiglipTokenizer(str(place / "spiece.model"), model_max_length=24)


def save_siglip(place: Path, tokenizer: Callable[[Path], Any] = by_pieces) -> Path:
    torch.manual_seed(0)
    SiglipModel(SiglipConfig(text_config=TEXT, vision_config=VISION)).save_pretrained(place)
    SiglipProcessor(
        SiglipImageProcessor(size={"height": 32, "width": 32}), tokenizer(place)
    ).save_pretrained(place)
    return place


def save_siglip2(place: Path) -> Path:
    """With free sides: its image tower takes patches."""
    torch.manual_seed(0)
    vision = TOWER | {"patch_size": 8, "num_patches": 16}
    Siglip2Model(Siglip2Config(text_config=TEXT, vision_config=vision)).save_pretrained(place)
    Siglip2Processor(
        Siglip2ImageProcessor(patch_size=8, max_num_patches=16), by_words(place)
    ).save_pretrained(place)
    return place


def save_align(place: Path) -> Path:
    """Of convolutions, with a temperature; it sees the middle of faces, from -1 to 1."""
    torch.manual_seed(0)
    vision = {
        "image_size": 32,
        "width_coefficient": 0.1,
        "depth_coefficient": 0.1,
        "initializer_range": 0.5,
    }
    config = AlignConfig(text_config=TEXT, vision_config=vision, projection_dim=32)
    AlignModel(config).save_pretrained(place)
    faces = EfficientNetImageProcessor(
        size={"height": 40, "width": 40}, crop_size={"height": 32, "width": 32}, resample=2,
        do_center_crop=True, rescale_factor=1 / 127.5, rescale_offset=True, do_normalize=False,
        include_top=False,
    )  # fmt: skip
    AlignProcessor(faces, by_words(place, "attention_mask")).save_pretrained(place)
    return place


KINDS: dict[str, Callable[[Path], Path]] = {
    "siglip": save_siglip,
    "siglip2, fixed side": lambda place: save_siglip(place, by_words),
    "siglip2, free sides": save_siglip2,
    "align": save_align,
}


def zero_shot(place: object, prompts: dict[str, tuple[str, ...]] | None = None) -> Classifier:
    return build_model(
        ModelRequest(
            name=f"clip:{place}",
            emotions=FER2013,
            mode="zero-shot",
            pretraining="imagenet",
            prompts=prompts or {},
        )
    )


def theirs(place: Path, texts: list[str]) -> Any:
    """What transformers itself gives for `COLOUR` and texts."""
    processor = AutoProcessor.from_pretrained(place)
    patches = {"patch_size": 8, "max_num_patches": 16}  # its own are the published models'
    inputs = processor(
        text=texts,
        images=[Image.fromarray(image) for image in COLOUR],
        padding="max_length",
        max_length=TEXT["max_position_embeddings"],
        truncation=True,
        return_tensors="pt",
        **(patches if isinstance(processor, Siglip2Processor) else {}),
    )
    with torch.no_grad():
        return AutoModel.from_pretrained(place).eval()(**inputs)


ONE_EACH = {emotion: (f"a {emotion} face",) for emotion in FER2013}


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_zero_shot_answers_as_transformers(kind: str, tmp_path: Path) -> None:
    place = KINDS[kind](tmp_path / "theirs")
    model = zero_shot(place, ONE_EACH)
    logits = theirs(place, [texts[0] for texts in ONE_EACH.values()]).logits_per_image
    expected = logits.double().softmax(1).numpy()  # the bias is the same for all
    found = predict_probabilities(model, COLOUR)
    np.testing.assert_allclose(found, expected, atol=2e-5)
    assert found.std(1).min() > 1e-5
    save_network(model, tmp_path / "run")
    loaded = predict_probabilities(load_model(tmp_path / "run"), COLOUR)
    np.testing.assert_allclose(loaded, found, atol=1e-7)  # convolutions vary in their last bits


def test_several_prompts_are_averaged_as_directions(tmp_path: Path) -> None:
    place = save_siglip(tmp_path / "theirs")
    texts = [TEMPLATES[0].format("happy"), "a face", "happy"]
    model = zero_shot(place, ONE_EACH | {"happy": tuple(texts)})
    embedded = theirs(place, texts).text_embeds
    mean = torch.nn.functional.normalize(embedded.mean(0), dim=-1)
    row = model.head.linear.weight[FER2013.index("happy")]
    torch.testing.assert_close(row / row.norm(), mean, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_its_features_are_the_image_embeddings(kind: str, tmp_path: Path) -> None:
    place = KINDS[kind](tmp_path / "theirs")
    model = build_model(
        ModelRequest(name=f"clip:{place}", emotions=FER2013, mode="frozen", pretraining="imagenet")
    )
    assert [n for n, p in model.named_parameters() if p.requires_grad] == [
        "head.weight", "head.bias",
    ]  # fmt: skip
    from fer_bench.data.preprocess import to_input

    with torch.no_grad():
        features = model.features(to_input(COLOUR, model.input_spec))
    expected = theirs(place, ["a face"]).image_embeds
    torch.testing.assert_close(
        torch.nn.functional.normalize(features, dim=-1), expected, atol=1e-5, rtol=1e-4
    )


def test_it_comes_from_the_hubs_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = save_siglip(tmp_path / "theirs")
    lay_in_hub_cache(place, tmp_path / "hub", "someone/siglip")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    model = zero_shot("someone/siglip")
    assert model.provenance.weights == "someone/siglip"
    np.testing.assert_array_equal(
        predict_probabilities(model, COLOUR), predict_probabilities(zero_shot(place), COLOUR)
    )


@pytest.mark.parametrize(
    ("missing", "sentence"),
    [
        ("model.safetensors", "has no model.safetensors"),
        ("preprocessor_config.json", "does not say how it wants its faces"),
        ("spiece.model", "has no tokenizer"),
    ],
)
def test_what_is_not_whole_is_refused(missing: str, sentence: str, tmp_path: Path) -> None:
    place = save_siglip(tmp_path / "theirs")
    for file in place.iterdir():
        also = missing == "preprocessor_config.json" and file.name == "processor_config.json"
        tokens = missing == "spiece.model" and "token" in file.name
        if file.name == missing or also or tokens:
            file.unlink()
    with pytest.raises(FerBenchError, match=sentence):
        zero_shot(place)


def without_its_scale(place: Path) -> None:
    file = place / "model.safetensors"
    kept = {k: v for k, v in load_file(file).items() if k != "logit_scale"}
    save_file(kept, file, metadata={"format": "pt"})


def of_one_tower(place: Path) -> None:
    ViTModel(ViTConfig(**VISION)).save_pretrained(place)


def seen_larger(place: Path) -> None:
    SiglipImageProcessor(size={"height": 48, "width": 48}).save_pretrained(place)
    (place / "processor_config.json").unlink(missing_ok=True)


def cut_off(place: Path) -> None:
    os.truncate(place / "model.safetensors", 500)


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (without_its_scale, r"1 tensors are missing \(first: logit_scale\)"),
        (of_one_tower, "of type vit, which has no get_image_features"),
        (seen_larger, "cannot be run on 48 px faces"),
        (cut_off, "cannot be opened as a model of two towers"),
    ],
)
def test_what_is_no_model_of_two_towers_is_refused(
    spoil: Callable[[Path], None], sentence: str, tmp_path: Path
) -> None:
    spoil(save_siglip(tmp_path / "theirs"))
    with pytest.raises(FerBenchError, match=sentence):
        zero_shot(tmp_path / "theirs")


@pytest.mark.parametrize(
    ("pretraining", "origin"),
    [("none", "none"), ("someone/tuned", "someone/tuned"), ("LOCAL", "local file")],
)
def test_its_weights_may_come_from_elsewhere(
    pretraining: str, origin: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = save_siglip(tmp_path / "theirs")
    lay_in_hub_cache(place, tmp_path / "hub", "someone/tuned")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    torch.manual_seed(1)
    model = build_model(
        ModelRequest(
            name=f"clip:{place}",
            emotions=FER2013,
            pretraining=str(place) if pretraining == "LOCAL" else pretraining,
        )
    )
    theirs = SiglipModel.from_pretrained(place).vision_model.state_dict()
    ours = model.backbone.model.vision_model.state_dict()
    same = all(torch.equal(ours[name], value) for name, value in theirs.items())
    assert (model.provenance.weights, same) == (origin, origin != "none")


PROMPT_FILES = {
    "p.yaml": "Anger: an angry face\nhappy: [a smile, joy]\n",
    "p.txt": "# mine\nAnger: an angry face\n\nhappy: a smile\nhappiness: joy\n",
    "record.json": json.dumps(
        {"spec": {"prompts": {"angry": ["an angry face"], "happy": ["a smile", "joy"]}}}
    ),
}


@pytest.mark.parametrize("name", sorted(PROMPT_FILES))
def test_prompts_come_from_a_file(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(PROMPT_FILES[name])
    found = load_prompts(tmp_path / name)
    assert found == {"angry": ("an angry face",), "happy": ("a smile", "joy")}
    assert prompts_for(("happy", "angry"), found) == [("a smile", "joy"), ("an angry face",)]


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("p.txt", "happy\n", "line 1: expected `emotion: text`, got 'happy'"),
        ("p.txt", "", "holds no prompts"),
        ("p.txt", "hapy: a smile\n", "unknown emotion 'hapy'.*'happy'"),
        ("p.yaml", "happy: ''\n", "empty text for happy"),
        ("p.yaml", "- happy\n", "p.yaml"),
        ("p.yaml", "happy: [1, {}]\n", "p.yaml"),
        ("p.json", "{}", "expected the record of a run"),
        ("none.txt", None, "cannot read"),
    ],
)
def test_prompts_that_are_none_are_refused(
    name: str, content: str | None, sentence: str, tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(FerBenchError, match=sentence) as caught:
        load_prompts(tmp_path / name)
    assert (caught.value.code == "unknown_name") == ("unknown" in sentence)


def test_every_emotion_needs_a_prompt(tmp_path: Path) -> None:
    with pytest.raises(FerBenchError, match="no text for angry, disgust, fear"):
        zero_shot(save_siglip(tmp_path / "theirs"), {"happy": ("a smile",)})


def test_a_record_keeps_its_prompts_and_its_command_takes_them_from_there(
    fer: Fer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    save_siglip(tmp_path / "theirs")
    texts = "".join(f"{emotion}: {texts[0]}\n" for emotion, texts in ONE_EACH.items())
    (tmp_path / "p.txt").write_text(texts)
    words = ("train", "--model", "clip:theirs", "--mode", "zero-shot", "--data", "synthetic:0")
    assert fer(*words, "--limit", 7, "--prompts", "p.txt")[0] == 0
    (first,) = ResultsStore(tmp_path / "results").runs()
    again = shlex.split(reproduce_command(first.require_record()))[3:]
    assert fer(*again, "--results", "again")[0] == 0
    (second,) = ResultsStore(tmp_path / "again").runs()
    assert second.require_record().metrics == first.require_record().metrics
    assert second.name == first.name and "-prompts-" in first.name
    code, _, err = fer(
        *words[:3], "--mode", "frozen", "--recipe", "frozen-20", "--prompts", "p.txt"
    )
    assert code == 2 and "only the mode zero-shot reads prompts" in err
