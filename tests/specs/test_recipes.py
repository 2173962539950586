"""The shipped recipes: those named after projects are theirs, and every one says what it does."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from table_fixtures import table

from fer_bench.benchmark import specify
from fer_bench.emotions import FER2013
from fer_bench.errors import FerBenchError
from fer_bench.evaluation.tta import views_of
from fer_bench.models.build import build_model
from fer_bench.models.classifier import ModelRequest
from fer_bench.models.flops import count_parameters
from fer_bench.specs.recipe import load_recipe, recipe_names

ONE_CYCLE = """
name: mine
epochs: 3
optimizer: {name: sgd, lr: 0.1%s}
schedule: {name: one-cycle%s}
"""


def test_resnet18_weighted_is_the_project_it_is_named_after() -> None:
    recipe = load_recipe("resnet18-weighted")
    assert (recipe.optimizer.name, recipe.optimizer.lr, recipe.batch_size) == ("adam", 1e-3, 64)
    assert (recipe.epochs, recipe.early_stopping) == (100, 10)
    assert (recipe.class_weights, recipe.label_smoothing) == (True, 0.1)
    assert len(views_of(recipe.tta)) == 5
    model = build_model(
        ModelRequest(
            name="resnet18",
            emotions=FER2013,
            head=recipe.head,
            head_dropout=recipe.head_dropout,
            options={"input_size": 48},
        )
    )
    assert [type(layer).__name__ for layer in model.head] == [
        "Linear",
        "BatchNorm1d",
        "ReLU",
        "Dropout",
        "Linear",
    ]
    assert model.head[3].p == 0.5
    assert count_parameters(model) == (11_310_151, 11_310_151)


def test_emotionlens_varies_brightness() -> None:
    assert load_recipe("emotionlens").augmentation.brightness > 0


@table("name", recipe_names())
def test_every_shipped_recipe_opens(name: str) -> None:
    assert load_recipe(name).name == name


def test_a_momentum_that_one_cycle_would_override_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(ONE_CYCLE % (", momentum: 0.8", ""))
    with pytest.raises(FerBenchError, match=r"would override the optimizer's 0\.8: leave momentum"):
        load_recipe(str(file))
    file.write_text(ONE_CYCLE % (", momentum: 0.8", ", cycle_momentum: false"))
    assert load_recipe(str(file)).optimizer.momentum == 0.8
    file.write_text(ONE_CYCLE % ("", ""))
    assert load_recipe(str(file)).schedule.cycle_momentum


@table(
    "line, sentence",
    [
        ("epochs: 50", "is not valid YAML: line 4 has the key 'epochs' again: keep one"),
        ("batch_size: 0100", "0100 means one number to some readers, another to others"),
        ("batch_size: 1:30", "1:30 means one number to some readers, another to others"),
        ("mixup: true", "mixup: expected a number, got true: say how much"),
        ("head: [64, yes]", "head.1: expected a number, got true: say how much"),
        ("schedule: {patience: true}", "schedule.patience: expected a number, got true"),
        (
            "schedule: {name: one-cycle, warmup_epochs: 2}",
            "schedule.warmup_epochs does nothing without schedule constant or cosine: leave it out",
        ),
        (
            "schedule: {name: cosine, patience: 5}",
            "schedule.patience does nothing without schedule plateau: leave it out, or set that",
        ),
        ("schedule: {cycle_momentum: false}", "cycle_momentum does nothing without schedule one-"),
        (
            "optimizer: {name: adamw, nesterov: false}",
            "optimizer.nesterov does nothing without sgd",
        ),
        (
            "optimizers: {vgg16: {name: adam, momentum: 0.8}}",
            "optimizers.vgg16.momentum does nothing without sgd",
        ),
        (
            "optimizers: {vgg16: {lr: 0.1}}\nlearning_rates: {vgg16: 0.2}",
            "vgg16 has a rate in optimizers and in learning_rates: keep one of them",
        ),
        (
            "augmentation: {blur: 0.1}",
            "augmentation.blur does nothing without augmentation.degrade: leave it out, or set",
        ),
    ],
)
def test_what_a_recipe_says_is_in_force_or_refused(
    tmp_path: Path, line: str, sentence: str
) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(f"\nname: mine\nepochs: 3\n{line}\n")
    with pytest.raises(FerBenchError) as refused:
        load_recipe(str(file))
    assert str(refused.value).startswith(str(file)) and sentence in str(refused.value)


@table("name", recipe_names())
def test_a_recipe_that_is_written_out_whole_is_read(name: str, tmp_path: Path) -> None:
    recipe, file = load_recipe(name), tmp_path / "whole.yaml"
    file.write_text(yaml.safe_dump(recipe.model_dump(mode="json")))
    assert load_recipe(str(file)) == recipe


def test_switches_and_numbers_as_text_are_read(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("name: mine\nepochs: '3'\noptimizer: {lr: 1e-4}\nclass_weights: true\n")
    recipe = load_recipe(str(file))
    assert (recipe.epochs, recipe.optimizer.lr, recipe.class_weights) == (3, 1e-4, True)


def test_settings_of_a_model_that_is_none_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    for setting in ("learning_rates: {resnet_18: 0.1}", "optimizers: {resnet_18: {lr: 0.1}}"):
        file.write_text(f"name: mine\nepochs: 3\n{setting}\n")
        with pytest.raises(FerBenchError) as refused:
            specify(model="resnet18", mode="full", recipe=str(file))
        sentence = "unknown model (in recipe mine) 'resnet_18': did you mean 'resnet18'"
        assert str(refused.value).startswith(sentence)


def test_views_are_chosen_by_their_number() -> None:
    spec = specify(model="resnet18", mode="full", recipe="strong", tta_views=10)
    assert (spec.tta, spec.name) == ("ten-crop", "resnet18-full-strong-10-views-s0")
    with pytest.raises(FerBenchError, match=r"no .* has 3 views: expected one of 1 \(none\), 2"):
        specify(model="resnet18", mode="full", recipe="strong", tta_views=3)
