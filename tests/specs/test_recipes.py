"""The shipped recipes: those named after projects are theirs, and every one says what it does."""

from __future__ import annotations

from pathlib import Path

import pytest
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


def test_views_are_chosen_by_their_number() -> None:
    spec = specify(model="resnet18", mode="full", recipe="strong", tta_views=10)
    assert (spec.tta, spec.name) == ("ten-crop", "resnet18-full-strong-10-views-s0")
    with pytest.raises(FerBenchError, match=r"no .* has 3 views: expected one of 1 \(none\), 2"):
        specify(model="resnet18", mode="full", recipe="strong", tta_views=3)


IDLE = {
    "schedule: {name: plateau, warmup_epochs: 2}": "for the schedules constant and cosine, got pla",
    "schedule: {name: one-cycle, warmup_epochs: 2}": "constant and cosine, got one-cycle: leave it",
    "augmentation: {blur: 0.1, noise: 0.2}": "blur, noise would degrade no image with degrade 0: ",
}


@table("line", IDLE)
def test_settings_that_would_change_nothing_are_refused(line: str, tmp_path: Path) -> None:
    file = tmp_path / "idle.yaml"
    file.write_text(f"name: idle\nepochs: 5\n{line}\n")
    with pytest.raises(FerBenchError, match=IDLE[line]):
        load_recipe(str(file))


@table("key", ["learning_rates: {resnet_18: 0.1}", "optimizers: {resnet_18: {lr: 0.1}}"])
def test_settings_for_an_unknown_model_are_refused(key: str, tmp_path: Path) -> None:
    file = tmp_path / "misspelt.yaml"
    file.write_text(f"name: misspelt\nepochs: 5\n{key}\n")
    with pytest.raises(FerBenchError, match=r"unknown model 'resnet_18'.*resnet18"):
        specify(model="resnet18", mode="full", recipe=str(file))
