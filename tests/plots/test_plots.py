"""The figures show the numbers they are given: values, colours, order, and no markup."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from record_fixtures import make_history

from fer_bench import plots
from fer_bench.emotions import COLOURS, FER2013
from fer_bench.models.build import MODELS
from fer_bench.plots.ranking import log_ticks, pareto_front
from fer_bench.plots.style import MODEL_COLOURS, SPARE_COLOURS, label, model_colour, shortened


@pytest.fixture
def table() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "dataset": "d",
            "run": ["small", "large", "middle", "failed"],
            "title": ["Small", "Large", "Middle", "Failed"],
            "model": ["resnet18", "vgg16", "unheard-of", "vgg16"],
            "test_accuracy": [0.60, 0.70, 0.55, np.nan],
            "ci_low": [0.58, 0.69, 0.50, np.nan],
            "ci_high": [0.63, 0.72, 0.57, np.nan],
            "parameters": [10e6, 100e6, 50e6, 5e6],
            "flops": [1e9, 9e9, np.nan, 1e9],
        }
    )


def test_accuracy_bars_rank_upwards_and_carry_their_intervals(table: pd.DataFrame) -> None:
    bar = plots.accuracy_bars(table).data[0]
    assert list(bar.y) == ["d/middle", "d/small", "d/large"]
    assert list(bar.x) == [0.55, 0.60, 0.70]
    assert bar.error_x.array == pytest.approx([0.02, 0.03, 0.02])
    assert bar.error_x.arrayminus == pytest.approx([0.05, 0.02, 0.01])
    assert bar.marker.color[1:] == (MODEL_COLOURS["resnet18"], MODEL_COLOURS["vgg16"])


def test_accuracy_against_cost_marks_the_pareto_front(table: pd.DataFrame) -> None:
    figure = plots.accuracy_against(table, "parameters", "Parameters")
    front = next(trace for trace in figure.data if trace.name == "Pareto front")
    assert list(front.x) == [10e6, 100e6]
    assert list(front.y) == [0.60, 0.70]
    assert {t.name for t in figure.data} == {"ResNet18", "VGG16", "unheard-of", "Pareto front"}
    assert figure.layout.xaxis.title.text == "Parameters"


def test_runs_without_the_cost_are_left_out(table: pd.DataFrame) -> None:
    figure = plots.accuracy_against(table, "flops", "FLOPs")
    assert {t.name for t in figure.data} == {"ResNet18", "VGG16", "Pareto front"}


def test_figures_of_an_empty_table_are_empty(table: pd.DataFrame) -> None:
    assert list(plots.accuracy_bars(table[:0]).data[0].x) == []
    figure = plots.accuracy_against(table[:0], "parameters", "Parameters")
    assert [list(t.x) for t in figure.data] == [[]]


def test_points_close_together_keep_ticks_of_whole_percents(table: pd.DataFrame) -> None:
    close = table.assign(test_accuracy=[0.61, 0.608, 0.612, 0.61])
    for shown, span in ((close, [0.568, 0.652]), (close[:1], [0.57, 0.65])):
        axis = plots.accuracy_against(shown, "parameters", "Parameters").layout.yaxis
        assert axis.range == pytest.approx(span)


def test_a_legend_of_many_models_leaves_the_points_their_room(table: pd.DataFrame) -> None:
    many = pd.concat([table.assign(model=f"timm:net{i}") for i in range(20)])
    few, more = (plots.accuracy_against(t, "parameters", "Parameters") for t in (table, many))
    assert more.layout.height - few.layout.height == 19 * (20 - 3)


@pytest.mark.parametrize(
    ("cost", "value", "front"),
    [
        ([1, 2, 3], [1, 2, 3], [True, True, True]),
        ([1, 2, 3], [3, 2, 1], [True, False, False]),
        ([1, 1], [2, 3], [False, True]),
        ([1, 1], [2, 2], [True, True]),
        ([1, np.nan, 2], [1, 9, np.nan], [True, False, False]),
        ([], [], []),
    ],
)
def test_the_pareto_front_is_what_nothing_beats(
    cost: list[float], value: list[float], front: list[bool]
) -> None:
    assert pareto_front(cost, value).tolist() == front


def test_log_ticks_are_readable_numbers() -> None:
    ticks = log_ticks(pd.Series([2e6, 8e7]))
    assert list(ticks.values()) == ["1M", "3M", "10M", "30M", "100M", "300M"]
    assert log_ticks(pd.Series([], dtype=float)) == {}


def test_training_curves_draw_both_splits_and_mark_the_chosen_epoch() -> None:
    history = make_history(epochs=4)
    train, val, chosen = plots.training_curve(history, "accuracy", 3).data
    assert list(train.y) == history["train_accuracy"].tolist()
    assert list(val.y) == history["val_accuracy"].tolist()
    assert (chosen.x[0], chosen.y[0]) == (3, history["val_accuracy"][2])
    assert chosen.name == "chosen: epoch 3"
    assert len(plots.training_curve(history, "loss").data) == 2


def test_few_epochs_get_a_tick_each() -> None:
    assert plots.training_curve(make_history(epochs=2), "loss").layout.xaxis.dtick == 1
    assert plots.training_curve(make_history(epochs=60), "loss").layout.xaxis.dtick is None


def test_the_confusion_matrix_writes_each_cell() -> None:
    figure = plots.confusion_matrix([[8, 2], [0, 1234]], ["happy", "sad"], shares=False)
    assert figure.data[0].z.tolist() == [[8, 2], [0, 1234]]
    cells = figure.data[1]
    assert list(cells.text) == ["8", "2", "0", "1,234"]
    assert (cells.x[1], cells.y[1], cells.customdata[1][-1]) == ("sad", "happy", "happy>sad")
    assert figure.layout.yaxis.autorange == "reversed"


def test_shares_are_percents_and_an_absent_class_is_a_dash() -> None:
    figure = plots.confusion_matrix([[0.8, 0.2], [np.nan] * 2], ["happy", "sad"], shares=True)
    assert list(figure.data[1].text) == ["80%", "20%", "–", "–"]
    assert figure.data[0].zmax == 1.0


def test_emotions_have_their_colours_everywhere() -> None:
    per_class = pd.DataFrame({"emotion": FER2013, "f1": np.linspace(0.1, 0.7, 7)})
    bars = plots.per_class_bars(per_class).data[0]
    assert list(bars.marker.color) == [COLOURS[e] for e in FER2013]
    assert list(bars.text)[:2] == ["10.0\N{NO-BREAK SPACE}%", "20.0\N{NO-BREAK SPACE}%"]
    roc = pd.DataFrame(
        {
            "emotion": ["sad", "sad"],
            "false_positive_rate": [0, 1],
            "true_positive_rate": [0, 1],
            "auc": [0.5, 0.5],
        }
    )
    curve = plots.roc_curves(roc).data[1]
    assert curve.line.color == COLOURS["sad"]
    assert curve.name == "sad 0.500"


def test_the_reliability_diagram_leaves_empty_bins_out() -> None:
    bins = pd.DataFrame(
        {"confidence": [np.nan, 0.5, 0.9], "accuracy": [np.nan, 0.4, 0.8], "count": [0, 25, 100]}
    )
    diagonal, curve = plots.reliability_diagram(bins, 0.1).data
    assert list(diagonal.x) == list(diagonal.y) == [0, 1]
    assert (list(curve.x), list(curve.y)) == ([0.5, 0.9], [0.4, 0.8])
    assert list(curve.marker.size) == [13, 20]
    assert curve.name == "this run, ECE 0.100"


def test_class_balance_shows_shares_of_each_split() -> None:
    counts = {"train": {"happy": 30, "sad": 10}, "val": {}, "test": {"happy": 1, "sad": 1}}
    bars = [t for t in plots.class_balance(counts).data if t.type == "bar"]
    assert [(bar.name, list(bar.y)) for bar in bars] == [
        ("train", [0.75, 0.25]),
        ("test", [0.5, 0.5]),
    ]
    assert list(bars[0].customdata) == [30, 10]
    assert list(bars[0].marker.color) == [COLOURS["happy"], COLOURS["sad"]]


def test_a_model_keeps_its_colour() -> None:
    assert model_colour("vit_b_16") == model_colour("ViT-B-16") == MODEL_COLOURS["vit-b-16"]
    assert model_colour("timm:convnext_tiny") == model_colour("timm:convnext_tiny")
    assert len(set(MODEL_COLOURS.values())) == len(MODEL_COLOURS)
    assert not set(MODEL_COLOURS.values()) & set(SPARE_COLOURS)


def test_every_network_of_ours_has_a_colour_of_its_own() -> None:
    named = {name.replace("_", "-") for name in MODELS} | {"ensemble"}
    assert named <= set(MODEL_COLOURS)


def test_labels_cannot_carry_markup(table: pd.DataFrame) -> None:
    assert label("<a href='x'>&") == "&lt;a href='x'&gt;&amp;"
    assert shortened("x" * 40, 10) == "x" * 9 + "…"
    named = table.assign(title=["<b>1</b>", "2", "3", "4"], model="<i>m</i>")
    for figure in (
        plots.accuracy_bars(named),
        plots.accuracy_against(named, "parameters", "Parameters"),
    ):
        drawn = figure.data[0]
        assert "<b>" not in str((drawn.text, drawn.customdata, figure.layout.yaxis.ticktext))
        assert "<i>" not in str(drawn.name)


def test_every_figure_lets_the_page_shine_through() -> None:
    figure = plots.class_balance({"train": {"happy": 1}})
    assert figure.layout.template.layout.paper_bgcolor == "rgba(0,0,0,0)"
    assert figure.layout.template.layout.plot_bgcolor == "rgba(0,0,0,0)"


def test_figures_say_in_words_what_stands_out(
    table: pd.DataFrame, same_sentence: Callable[[str], None]
) -> None:
    """For readers who do not see them: axes, series, the highest and the lowest value."""
    for figure in (
        plots.accuracy_bars(table),
        plots.accuracy_against(table, "parameters", "Parameters"),
        plots.training_curve(make_history(epochs=2), "loss", 2),
        plots.confusion_matrix([[0.9, 0.1], [0.4, 0.6]], ("happy", "sad"), shares=True),
        plots.probability_pie({"happy": 0.75, "sad": 0.25}),
        plots.class_balance({"train": {"happy": 3, "sad": 1}, "test": {}}),
    ):
        same_sentence(plots.in_words(figure))
