"""The figures of latency show the numbers they are given: bars, marks, stages, and no markup."""

from __future__ import annotations

import pandas as pd
import pytest
from latency_fixtures import make_report, make_stages

from fer_bench import plots
from fer_bench.plots.style import MODEL_COLOURS
from fer_bench.studies.latency.tables import MeasuredNetwork, measurement_table, stage_table


def measured(name: str, model: str, eager: float) -> MeasuredNetwork:
    return MeasuredNetwork(name=name, model=model, report=make_report(eager=eager))


@pytest.fixture
def table() -> pd.DataFrame:
    """Two networks, ten back ends each, of which two failed; two threads, batch 1."""
    rows = measurement_table([measured("a", "resnet18", 20), measured("b", "vgg16", 100)])
    return rows[(rows["threads"] == 2) & (rows["batch"] == 1)]


def test_each_network_has_its_bars_in_its_models_colour(table: pd.DataFrame) -> None:
    first, second = (t for t in plots.latency_bars(table).data if t.type == "bar")
    assert (first.name, second.name) == ("a", "b")
    assert first.marker.color == MODEL_COLOURS["resnet18"]
    assert second.marker.color == MODEL_COLOURS["vgg16"]
    by_backend = dict(zip(first.y, first.x, strict=True))
    assert by_backend["torch-fp32"] == 20
    assert by_backend["openvino-int8"] == 2
    assert "torch-compile" not in by_backend


def test_networks_of_one_model_differ_in_their_pattern(table: pd.DataFrame) -> None:
    alike = table.assign(model="resnet18")
    bars = [t for t in plots.latency_bars(alike).data if t.type == "bar"]
    assert [bar.marker.pattern.shape for bar in bars] == ["", "/"]


def test_marks_and_words_stand_beside_their_bar(table: pd.DataFrame) -> None:
    bar, p90, p99, *_ = plots.latency_bars(table).data
    assert p90.x[0] == pytest.approx(20 * 1.2)
    assert p99.x[0] == pytest.approx(20 * 1.6)
    assert bar.error_x.array[0] == pytest.approx(20 * 0.6)
    assert p99.text[0] == "20 ms · 1.0×"
    assert dict(zip(p99.y, p99.text, strict=True))["onnxruntime-int8"] == "5 ms · 4.0× *"
    assert bar.offsetgroup == p90.offsetgroup == p99.offsetgroup


def test_one_call_that_was_held_up_does_not_shrink_the_bars(table: pd.DataFrame) -> None:
    table = table[table["network"] == "a"]
    table.loc[table["backend"] == "openvino-int8", ["p90_ms", "p99_ms"]] = [600.0, 900.0]
    figure = plots.latency_bars(table)
    bar, p90, p99, *_ = figure.data
    end = 20 * 1.6
    assert (p99.x[-1], bar.error_x.array[-1]) == (end, end - 2)
    assert pd.isna(p90.x[-1])
    assert p99.marker.symbol[-1] == "arrow-right"
    assert p99.text[-1] == "2 ms · 10.0×"
    assert figure.layout.xaxis.range[1] < 2 * end


def test_without_eager_fp32_the_words_have_no_ratio(table: pd.DataFrame) -> None:
    p99 = plots.latency_bars(table.assign(ratio=float("nan"))).data[2]
    assert p99.text[0] == "20 ms"


def test_stages_stack_up_to_their_total() -> None:
    stages = [make_stages("torch-fp32", 20.0), make_stages("openvino-int8", 2.0)]
    report = make_report().model_copy(update={"stages": stages})
    network = MeasuredNetwork(name="a", model="resnet18", report=report)
    figure = plots.stage_bars(stage_table([network]))
    *bars, words = figure.data
    assert [bar.name for bar in bars] == ["detect", "preprocess", "model", "rest"]
    assert [list(bar.x) for bar in bars] == [[12, 12], [0.5, 0.5], [20, 2], [1, 1]]
    assert list(words.x) == [33.5, 15.5]
    assert list(words.text) == ["33.5 ms · 30 fps", "15.5 ms · 65 fps"]
    assert figure.layout.barmode == "stack"
    assert list(figure.layout.yaxis.ticktext) == [
        "a<br>torch-fp32, haar",
        "a<br>openvino-int8, haar",
    ]


def test_figures_of_an_empty_table_are_empty(table: pd.DataFrame) -> None:
    marks = plots.latency_bars(table[:0]).data
    assert [trace.name for trace in marks] == ["p90", "p99"]
    assert all(len(trace.x) == 0 for trace in plots.stage_bars(stage_table([])).data)


def test_labels_cannot_carry_markup(table: pd.DataFrame) -> None:
    hostile = "<b>x</b>"
    bars = plots.latency_bars(table.assign(network=hostile, backend=hostile))
    stages = plots.stage_bars(
        stage_table([measured("a", "resnet18", 20)]).assign(network=hostile, detector=hostile)
    )
    drawn = (
        bars.data[0].name,
        bars.data[0].hovertemplate,
        bars.data[0].y,
        stages.layout.yaxis.ticktext,
    )
    assert hostile not in str(drawn)
    assert "&lt;b&gt;x" in str(drawn)


def test_a_latency_is_read_in_milliseconds() -> None:
    table = pd.DataFrame(
        {
            "dataset": "d",
            "run": ["a", "b"],
            "title": ["A", "B"],
            "model": ["resnet18", "resnet18"],
            "test_accuracy": [0.6, 0.7],
            "milliseconds": [0.7321, 2.5],
        }
    )
    figure = plots.accuracy_against(table, "milliseconds", "Milliseconds per face", unit=" ms")
    assert [tuple(row) for row in figure.data[0].customdata] == [
        ("0.732 ms", "d/a"),
        ("2.5 ms", "d/b"),
    ]
    assert list(figure.layout.xaxis.ticktext)[:6] == ["0.1", "0.15", "0.2", "0.3", "0.5", "0.7"]
