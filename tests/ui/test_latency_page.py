"""The Latency page, what the leaderboard and the run page show of latency, and the budget."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from latency_fixtures import (
    LAPTOP,
    NO_COMPILER,
    SERVER,
    UNFAITHFUL,
    make_measurement,
    make_report,
    save_reports,
)
from page_fixtures import BEST, open_page, plain, text_tables, texts, tiles
from record_fixtures import make_record
from streamlit.testing.v1 import AppTest
from streamlit.testing.v1.element_tree import Multiselect

from fer_bench.results.store import ResultsStore
from fer_bench.ui.latency.budget import BUDGET_VIEW

SECOND, FROZEN = "fer2013/resnet18-full-finetune-5-s1", "fer2013/vgg16-frozen-frozen-20-s0"
LIMITED = "fer2013/keras-cnn-full-finetune-5-limit20-s0"
TITLES = {
    BEST: "ResNet18, fine-tuned, 5 epochs",
    SECOND: "ResNet18, fine-tuned, 5 epochs, seed 1",
    FROZEN: "VGG16, frozen",
    LIMITED: "keras-cnn, fine-tuned, 5 epochs, 20 images",
}
BARE = "networks/clip_vit_b_32-224px"
ON_SERVER, ON_LAPTOP = f"{SERVER} (AMX), 2 cores", f"{LAPTOP} (AMX), 2 cores"


@pytest.fixture
def measured(mixed: Path) -> Path:
    """Three runs and a bare network on a server, one of the runs on a laptop too."""
    save_reports(mixed / BEST, [make_report(eager=40), make_report(cpu=LAPTOP, eager=80)])
    save_reports(mixed / FROZEN, [make_report(eager=20)])
    save_reports(mixed / LIMITED, [make_report(eager=2)])
    save_reports(mixed / BARE, [make_report(eager=100, input_size=224, weights="random")])
    return mixed


def measurements(app: AppTest) -> pd.DataFrame:
    table: pd.DataFrame = app.dataframe[0].value
    return table


def networks(app: AppTest) -> Multiselect:
    """The box of the networks to compare."""
    return app.multiselect(key="several-Networks")


def view(app: AppTest, name: str) -> AppTest:
    app.query_params["view"] = name
    return app.run()


def budget(app: AppTest) -> AppTest:
    """The page with its control for a budget open."""
    return view(app, BUDGET_VIEW)


# --- the page ----------------------------------------------------------------------------------


def test_with_nothing_measured_the_page_says_what_to_do(mixed: Path) -> None:
    app = open_page("latency")
    assert "**No latency measured yet**  \nMeasure the shipped model" in texts(app)
    assert app.code[0].value == f"python -m fer_bench latency {BEST} --results {mixed}"


def test_the_page_opens_on_the_machine_of_most_networks(measured: Path) -> None:
    app = open_page("latency")
    assert app.selectbox(key="machine").options == [ON_SERVER, ON_LAPTOP]
    assert networks(app).value == [LIMITED, BEST, FROZEN]
    assert networks(app).options == [
        TITLES[LIMITED], TITLES[BEST], TITLES[FROZEN], "CLIP ViT-B/32, 224 px",
    ]  # fmt: skip
    assert "amx_bf16 · governor performance" in texts(app)
    assert len(app.get("plotly_chart")) == 2


def test_the_address_holds_ids_and_the_box_their_names(measured: Path) -> None:
    app = open_page("latency", FROZEN)
    assert networks(app).value == [FROZEN]
    networks(app).set_value([FROZEN, BARE]).run()
    assert app.query_params["run"] == [FROZEN, BARE]
    networks(app).set_value([]).run()
    assert "run" not in app.query_params
    assert "Choose a network that was measured on this machine." in texts(app)


def test_a_run_of_the_address_that_was_not_measured_is_named(measured: Path) -> None:
    app = open_page("latency", SECOND)
    assert f"Nothing was measured here of {TITLES[SECOND]}." in texts(app)
    assert networks(app).value == [LIMITED, BEST, FROZEN]


def test_a_tile_tells_what_auto_takes(measured: Path) -> None:
    assert tiles(open_page("latency")) == {
        TITLES[LIMITED]: "0.2 ms",
        TITLES[BEST]: "4 ms",
        TITLES[FROZEN]: "2 ms",
    }


def test_the_table_has_every_back_end_of_the_call(measured: Path) -> None:
    app = open_page("latency", BEST)
    table = measurements(app).set_index("backend")
    assert len(table) == 8
    assert table.loc["torch-fp32", ["median_ms", "ratio"]].tolist() == [40.0, 1.0]
    assert table.loc["openvino-bf16", ["median_ms", "ratio"]].tolist() == [5.0, 8.0]
    assert table.loc["openvino-bf16", "top1_agreement"] == pytest.approx(99.4)
    app.segmented_control[0].set_value(1).run()
    app.segmented_control[1].set_value(8).run()
    table = measurements(app).set_index("backend")
    assert set(table["threads"]) == {1}
    assert table.loc["torch-fp32", "median_ms"] == 40 * 2 * 4.5
    assert table.loc["torch-fp32", "faces_per_second"] == pytest.approx(8000 / 360)


def test_errors_and_notes_are_sentences(measured: Path) -> None:
    shown = texts(open_page("latency"))
    names = f"({TITLES[LIMITED]}; {TITLES[BEST]}; {TITLES[FROZEN]})"
    assert "**Could not be measured**" in shown
    assert f"- **torch-compile** {names}: {NO_COMPILER}" in shown
    assert f"- **onnxruntime-int8** {names}: {UNFAITHFUL}" in shown


def test_a_network_that_could_not_be_measured_says_why_alone(results: Path) -> None:
    ResultsStore(results).save(make_record())
    failed = make_report().model_copy(update={"measurements": [make_measurement(median=None)]})
    save_reports(results / BEST, [failed])
    app = open_page("latency")
    shown = texts(app)
    assert "Nothing was measured with these threads and this many faces per call." in shown
    assert f"- **torch-fp32** ({TITLES[BEST]}): {NO_COMPILER}" in shown
    assert not app.metric
    app = budget(app)
    assert "0 of 1 run fit." in texts(app)
    assert not app.dataframe


def test_an_address_opens_its_run_on_a_machine_that_measured_it(measured: Path) -> None:
    save_reports(measured / SECOND, [make_report(cpu=LAPTOP, eager=10)])
    app = open_page("latency", SECOND)
    assert app.selectbox(key="machine").value == ON_LAPTOP
    assert networks(app).value == [SECOND]
    assert tiles(app) == {TITLES[SECOND]: "1 ms"}


def test_stages_are_those_of_the_threads_chosen(measured: Path) -> None:
    app = open_page("latency")
    assert "Medians, frames of 640 × 480 pixels with 1 face." in texts(app)
    app.segmented_control[0].set_value(1).run()
    assert "No whole frame was timed with these threads." in texts(app)


def test_details_name_the_network_and_the_machine(measured: Path) -> None:
    app = view(open_page("latency"), "Details")
    app.selectbox(key="details-network").set_value(BARE).run()
    network, machine, packages = (dict(table.values.tolist()) for table in text_tables(app))
    assert (network["Weights"], network["Input size"]) == ("random", "224")
    assert network["Auto@2"] == "openvino-int8"
    assert (machine["CPU"], machine["Threads"]) == (SERVER, "1, 2")
    assert machine["GFLOP/s, bf16@2"] == "2052"
    assert packages and all(name == name.lower() for name in packages)


def test_a_damaged_file_is_one_sentence_and_the_others_show(measured: Path) -> None:
    (measured / FROZEN / "latency.json").write_text("{")
    app = open_page("latency")
    assert "latency.json is damaged, it is not valid JSON" in plain(app.warning[0].value)
    assert len(networks(app).options) == len({LIMITED, BEST, BARE})


def test_a_new_report_appears_without_a_restart(measured: Path) -> None:
    app = open_page("latency")
    save_reports(measured / SECOND, [make_report(eager=10)])
    app.run()
    assert TITLES[SECOND] in networks(app).options


# --- which model for my budget? ----------------------------------------------------------------


def test_a_budget_is_answered_with_the_best_comparable_run(measured: Path) -> None:
    app = budget(open_page("latency"))
    answer = plain(app.success[0].value)
    assert answer.startswith(f"{TITLES[BEST]} is the most accurate of the 2")
    assert "openvino-int8 reaches 57.1 frames per second" in answer
    assert "2 of 4 runs fit." in texts(app)
    assert "- 1 × not comparable (drawn faces, or a part of the images)" in texts(app)
    assert "- 1 × not measured on this machine" in texts(app)
    table = app.dataframe[0].value
    assert table["title"].tolist() == [TITLES[BEST], TITLES[FROZEN]]
    assert table["fits"].tolist() == [True, True]


def test_milliseconds_are_a_budget_too(measured: Path) -> None:
    app = budget(open_page("latency"))
    app.segmented_control[0].set_value("Milliseconds per face").run()
    app.number_input[0].set_value(3.0).run()
    assert f"{TITLES[FROZEN]} is the only run that fits" in plain(app.success[0].value)
    assert "- 1 × slower than 3 ms per face" in texts(app)


def test_the_recall_of_an_emotion_rules_runs_out(measured: Path) -> None:
    app = budget(open_page("latency"))
    app.slider(key="budget-recall-fear").set_value(100).run()
    fear = make_record().metrics["test"].per_class["fear"].recall * 100
    answer = plain(app.warning[0].value)
    assert f"{TITLES[BEST]} comes closest: its recall of fear is {round(fear, 1):g} %" in answer
    assert "- 2 × recall of fear under 100 %" in texts(app)
    assert not app.success


def test_the_minimum_of_all_emotions_holds_for_each(measured: Path) -> None:
    app = budget(open_page("latency"))
    app.slider(key="budget-recall").set_value(95).run()
    assert len(app.slider) == 8
    assert "0 of 4 runs fit." in texts(app)
    assert "recall of happy under 95 %" in texts(app)


def test_without_a_measured_run_the_budget_says_what_to_do(results: Path) -> None:
    ResultsStore(results).save(make_record())
    save_reports(results / BARE, [make_report()])
    app = budget(open_page("latency"))
    assert "No run that stands in a ranking" in texts(app)


# --- elsewhere ---------------------------------------------------------------------------------


def test_the_leaderboard_sets_accuracy_against_latency(measured: Path) -> None:
    app = open_page("leaderboard")
    assert app.segmented_control[0].options == [
        "Latency", "Parameters", "FLOPs per image", "Training budget",
    ]  # fmt: skip
    shown = texts(app)
    assert f"One face per call on {ON_SERVER}, by the fastest back end" in shown
    assert "Not measured there: 1 run." in shown
    app.selectbox[-1].set_value(ON_LAPTOP).run()
    assert "Not measured there: 2 runs." in texts(app)


def test_a_leaderboard_without_latency_starts_with_parameters(mixed: Path) -> None:
    save_reports(mixed / LIMITED, [make_report()])  # not ranked: no reason for a chart
    app = open_page("leaderboard")
    assert app.segmented_control[0].options == [
        "Parameters", "FLOPs per image", "Training budget",
    ]  # fmt: skip


def test_the_run_page_has_a_tile_per_machine(measured: Path) -> None:
    shown = tiles(open_page("run", BEST))
    assert (shown[ON_SERVER], shown[ON_LAPTOP]) == ("4 ms", "8 ms")
    assert ON_SERVER not in tiles(open_page("run", SECOND))
