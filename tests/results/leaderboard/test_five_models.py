"""The five backbones beside one another: one recipe a mode, one run a bar."""

from __future__ import annotations

import pytest
from record_fixtures import make_recipe, make_record, stored

from fer_bench import plots
from fer_bench.results.leaderboard.five_models import FIVE, five_models
from fer_bench.results.record import RunRecord
from fer_bench.results.summary import summary_table


def full(model: str, recipe: str, accuracy: float = 0.65, seed: int = 0) -> RunRecord:
    return make_record(model=model, recipe=make_recipe(name=recipe), accuracy=accuracy, seed=seed)


def frozen(model: str, size: int = 224) -> RunRecord:
    recipe = make_recipe(name="frozen-20", epochs=20)
    return make_record(
        name=f"{model}-frozen-{size}", model=model, mode="frozen", recipe=recipe, input_size=size
    )


def chosen(*records: RunRecord) -> list[tuple[str, str, str]]:
    table = five_models(summary_table([stored(record) for record in records]))
    return list(table[["model", "mode", "recipe"]].itertuples(index=False, name=None))


def test_frozen_comes_before_full_in_the_order_of_the_five() -> None:
    records = [full("vgg16", "finetune-5"), frozen("vgg16"), full("resnet18", "finetune-5")]
    assert chosen(*records) == [
        ("resnet18", "full", "finetune-5"),
        ("vgg16", "frozen", "frozen-20"),
        ("vgg16", "full", "finetune-5"),
    ]


def test_budgets_are_never_mixed() -> None:
    short = [full(model, "finetune-5") for model in FIVE]
    begun = full("resnet18", "equal-terms", accuracy=0.9)
    assert {recipe for *_, recipe in chosen(*short, begun)} == {"finetune-5"}
    whole = [full(model, "equal-terms") for model in FIVE]
    assert {recipe for *_, recipe in chosen(*short, *whole)} == {"equal-terms"}


def test_of_several_sizes_and_seeds_one_run_stands_for_a_model() -> None:
    records = [frozen("resnet18", 64), frozen("resnet18", 48), full("vgg16", "finetune-5", seed=1)]
    table = five_models(summary_table([stored(record) for record in records]))
    assert table["input_size"].tolist() == [48, 224]


def test_other_networks_make_an_empty_figure() -> None:
    table = five_models(summary_table([stored(full("keras_cnn", "strong"))]))
    assert table.empty
    assert all(len(bar.x) == 0 for bar in plots.frozen_and_full(table).data)


def test_bars_show_accuracy_and_interval_and_end_in_the_run() -> None:
    record = full("vit_b_16", "finetune-5")
    figure = plots.frozen_and_full(five_models(summary_table([stored(record)])))
    bars = figure.data[1]
    accuracy = record.metrics["test"].accuracy
    assert list(bars.x) == [f"ViT-B/16<br>{100 * accuracy:.1f}\N{NO-BREAK SPACE}%"]
    assert list(bars.y) == [pytest.approx(accuracy)]
    assert bars.customdata[0][-1] == f"fer2013/{record.name}"


def test_what_nothing_was_learned_by_is_called_random_features() -> None:
    recipe = make_recipe(name="frozen-20")
    record = make_record(mode="frozen", recipe=recipe, pretraining="none")
    figure = plots.frozen_and_full(five_models(summary_table([stored(record)])))
    assert [bar.name for bar in figure.data] == ["Frozen: random features", "Fully tuned"]
