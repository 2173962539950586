"""Every page opens, with no results, with good and bad ones; the leaderboard and the run page."""

from __future__ import annotations

import math
import pkgutil
from pathlib import Path

import pytest
from latency_fixtures import make_report, save_reports
from page_fixtures import (
    APP,
    BEST,
    HOSTILE,
    PATIENCE_S,
    Click,
    click_name,
    limited,
    make_ensemble_record,
    notices,
    open_page,
    texts,
    tiles,
)
from record_fixtures import make_predictions, make_recipe, make_record
from streamlit.testing.v1 import AppTest

from fer_bench import ui
from fer_bench.emotions import EXPRESSIO, FERPLUS
from fer_bench.evaluation.confusion import of_set
from fer_bench.results.leaderboard.five_models import FIVE
from fer_bench.results.store import DEFAULT_FILE, ResultsStore, shipped_results
from fer_bench.ui.leaderboard import ranking

PAGES = ("leaderboard", "run", "compare", "errors", "calibration", "latency", "dataset", "labels")


# --- nothing there -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "page", ["leaderboard", "run", "compare", "errors", "calibration", "labels"]
)
def test_without_results_a_page_says_what_to_do(page: str, results: Path) -> None:
    app = open_page(page)
    assert "**No runs yet**  \nRun the demo (synthetic faces, a few minutes)" in texts(app)
    assert app.code[0].value == (
        f"python -m fer_bench run benchmarks/specs/demo.yaml --data synthetic --results {results}"
    )
    assert "0 runs · no data set connected" in texts(app)


def test_without_results_the_dataset_page_draws_synthetic_faces(results: Path) -> None:
    app = open_page("dataset")
    assert tiles(app) == {
        "Train": "224",
        "Val": "28",
        "Test": "28",
        "Clean test": "28",
        "Left out": "0",
    }


@pytest.mark.parametrize("page", PAGES)
def test_every_page_opens_on_good_and_bad_records(page: str, mixed: Path) -> None:
    assert "7 runs · 2 failed · no data set connected" in texts(open_page(page))


def test_no_file_of_ui_hides_a_function_of_its_name() -> None:
    files = {module.name for module in pkgutil.iter_modules(ui.__path__)}
    assert files.isdisjoint(ui.__all__)


def test_the_shipped_results_are_shown_unless_others_are_given(
    results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FER_BENCH_RESULTS")
    shipped = len(ResultsStore(shipped_results()).runs())
    assert f"{shipped} runs · no data set connected" in texts(open_page("home"))


def test_a_default_that_is_gone_is_none(mixed: Path) -> None:
    (mixed / DEFAULT_FILE).write_text("fer2013/gone\n")
    assert open_page("run").selectbox[0].value == BEST


def test_the_default_run_may_come_and_go_while_the_server_runs(mixed: Path) -> None:
    run = mixed / "fer2013" / "vgg16-frozen-frozen-20-s0"
    (mixed / DEFAULT_FILE).write_text(f"fer2013/{run.name}\n")
    measure = "python -m fer_bench latency {} --results " + str(mixed)
    assert open_page("latency").code[0].value == measure.format("default")
    run.rename(mixed / "elsewhere")
    assert open_page("latency").code[0].value == measure.format(BEST)
    (mixed / "elsewhere").rename(run)
    assert open_page("latency").code[0].value == measure.format("default")


def test_a_view_of_another_page_leaves_the_address(mixed: Path) -> None:
    app = open_page("run", BEST, view="Settings")
    app.switch_page("pages/labels.py").run()
    assert "view" not in app.query_params


PREDICTIONS, AGREEMENT = "predictions.parquet", {"view": "Annotators' agreement"}
WITHOUT_VAL = of_set(make_predictions(), "test").to_parquet()
#: A page's address, and a file of the best run that is gone (None) or holds something else.
BROKEN: list[tuple[str, dict[str, str], str, bytes | None]] = [
    ("calibration", {}, PREDICTIONS, None),
    ("calibration", {}, PREDICTIONS, b"PAR1"),
    ("calibration", {}, PREDICTIONS, WITHOUT_VAL),
    ("errors", {}, PREDICTIONS, None),
    ("labels", {}, PREDICTIONS, None),
    ("labels", AGREEMENT, PREDICTIONS, None),
    ("labels", AGREEMENT, "votes.csv", None),
    ("labels", {"view": "What the leak is worth"}, PREDICTIONS, b"PAR1"),
    ("run", {}, "history.csv", b"epoch\n1\n"),
    ("run", {}, "latency.json", b"[]"),
    ("run", {"run": "fer2013/broken"}, "votes.csv", None),
    ("run", {"run": f"fer2013/<b>none</b>{99 * 'x'}"}, "votes.csv", None),
    ("latency", {}, "latency.json", b"{"),
    ("robustness", {}, "robustness.json", b"{"),
]


@pytest.mark.parametrize(("page", "query", "file", "content"), BROKEN)
def test_what_is_missing_or_damaged_is_a_sentence_and_the_rest_is_there(
    page, query, file, content, mixed, same_sentence
):
    if content is None:
        (mixed / BEST / file).unlink(missing_ok=True)
    else:
        (mixed / BEST / file).write_bytes(content)
    app = open_page(page, **{"run": BEST, **query})
    rest = f"{len(app.metric)} tiles, {len(app.dataframe)} tables"
    same_sentence("\n".join([*notices(app), rest]))


# --- home --------------------------------------------------------------------------------------


def test_home_opens_three_doors_and_names_the_best_run(mixed: Path) -> None:
    app = open_page("home")
    assert [heading.value for heading in app.header] == [
        "Smile at your camera", "Choose a model", "Bring your data", "The five backbones",
    ]  # fmt: skip
    assert "Best on fer2013: ResNet18, fine-tuned, 5 epochs, 6" in texts(app).replace("*", "")


def test_home_without_results_keeps_its_doors_and_says_what_to_do(results: Path) -> None:
    app = open_page("home")
    assert [heading.value for heading in app.header][:3] == [
        "Smile at your camera", "Choose a model", "Bring your data",
    ]  # fmt: skip
    assert "No runs yet" in texts(app)
    ResultsStore(results).save(limited())
    assert "No run in a ranking yet" in texts(open_page("home"))


# --- who may enter, and where from -------------------------------------------------------------


def test_a_dashboard_with_a_token_asks_for_it_and_lets_in_who_knows_it(
    mixed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FER_BENCH_TOKEN", "secret")
    app = AppTest.from_file(APP, default_timeout=PATIENCE_S).run()
    assert "This dashboard asks for a token" in texts(app)
    app.text_input[0].set_value("guessed").run()
    assert "That is not the token" in texts(app)
    assert not app.title
    app.text_input[0].set_value("secret").run()
    assert [title.value for title in app.title] == ["FER Bench"]
    assert not app.text_input


def test_other_devices_find_the_pages_by_a_code(
    mixed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FER_BENCH_ADDRESS", "https://bench.example.org:8501/?token=secret")
    app = open_page("run")
    assert app.sidebar.code[0].value == "https://bench.example.org:8501/?token=secret"
    (code,) = app.sidebar.get("image")
    assert code.proto.imgs[0].alt == f"QR code of {app.sidebar.code[0].value}"


# --- leaderboard -------------------------------------------------------------------------------


def test_the_leaderboard_ranks_comparable_runs_alone(mixed: Path) -> None:
    app = open_page("leaderboard")
    table = app.dataframe[0].value
    assert table["run"].tolist() == [
        "resnet18-full-finetune-5-s0",
        "resnet18-full-finetune-5-s1",
        "vgg16-frozen-frozen-20-s0",
    ]
    assert table["test_accuracy"].is_monotonic_decreasing
    assert table["title"].tolist() == [
        "ResNet18, fine-tuned, 5 epochs",
        "ResNet18, fine-tuned, 5 epochs, seed 1",
        "VGG16, frozen",
    ]
    assert tiles(app)["Runs ranked"] == "3"
    assert "test images were read once" in texts(app)


def test_the_leaderboards_names_leave_out_the_split_that_was_chosen_above(results: Path) -> None:
    for seed in (0, 1):
        ResultsStore(results).save(make_record(protocol="kaggle", seed=seed))
    app = open_page("leaderboard")
    table = app.dataframe[0].value
    assert "kaggle" in app.selectbox(key="data").value
    assert sorted(table["title"]) == [
        "ResNet18, fine-tuned, 5 epochs",
        "ResNet18, fine-tuned, 5 epochs, seed 1",
    ]
    assert sorted(table["seed"]) == [0, 1]


def test_runs_that_are_not_comparable_stand_apart_and_say_why(mixed: Path) -> None:
    app = open_page("leaderboard")
    assert "Not ranked" not in texts(app)
    app.toggle(key="not-comparable").set_value(True).run()
    assert "Not ranked" in texts(app)
    _, others = (d.value for d in app.dataframe if "why_not_comparable" in d.value)
    assert others["run"].tolist() == ["keras-cnn-full-finetune-5-limit20-s0"]
    assert others["why_not_comparable"].tolist() == ["limit"]


def test_with_only_such_runs_the_leaderboard_says_so(results: Path) -> None:
    ResultsStore(results).save(limited())
    assert "No comparable run here: runs on synthetic data" in texts(open_page("leaderboard"))


def test_seeds_are_averaged_on_demand_in_table_tiles_and_bars(mixed: Path) -> None:
    app = open_page("leaderboard")
    app.toggle(key="seeds").set_value(True).run()
    table = app.dataframe[0].value
    assert table[["experiment", "seeds", "run"]].values.tolist() == [
        ["resnet18-full-finetune-5", 2, "resnet18-full-finetune-5-s0"],
        ["vgg16-frozen-frozen-20", 1, "vgg16-frozen-frozen-20-s0"],
    ]
    mean, sd = table.loc[0, ["test_accuracy", "test_accuracy_sd"]]
    shown = tiles(app)
    assert shown["Experiments"] == "2"
    assert shown["Best accuracy"] == f"{mean:.1f} %"
    assert table.loc[0, "interval"] == f"{mean - sd:.1f} – {mean + sd:.1f}\N{NO-BREAK SPACE}%"


def test_a_switch_that_would_change_nothing_is_not_there(results: Path) -> None:
    ResultsStore(results).save(make_record())
    app = open_page("leaderboard")
    assert [toggle.key for toggle in app.toggle] == ["tried"]


def test_the_address_says_what_the_leaderboard_is_sorted_by(mixed: Path) -> None:
    first = open_page("leaderboard")
    by_accuracy = first.dataframe[0].value["test_accuracy"].tolist()
    assert by_accuracy == sorted(by_accuracy, reverse=True)
    app = open_page("leaderboard", sort="ECE")
    ece = app.dataframe[0].value["ece"].tolist()
    assert ece == sorted(ece)
    assert tiles(app)["Best accuracy"] == tiles(first)["Best accuracy"]
    app.selectbox(key="sort").set_value("Accuracy").run()
    assert app.dataframe[0].value["test_accuracy"].tolist() == by_accuracy


def test_runs_on_equal_terms_stand_alone_once_all_five_are_there(mixed: Path) -> None:
    recipe = make_recipe(name="equal-terms", epochs=30)
    for n_trained, model in enumerate(FIVE, start=1):
        ResultsStore(mixed).save(make_record(model=model, recipe=recipe, accuracy=0.5))
        app = open_page("leaderboard")
        switches = [toggle.value for toggle in app.toggle if toggle.key == "equal"]
        assert switches == ([] if n_trained == 1 else [n_trained == len(FIVE)])
    assert sorted(app.dataframe[0].value["model"]) == sorted(FIVE)
    app.toggle(key="equal").set_value(False).run()
    assert len(app.dataframe[0].value) == 8


def test_open_filters_stay_open_when_a_switch_above_them_goes(mixed: Path) -> None:
    """Elements without a key are told by their place on the page."""
    recipe = make_recipe(name="equal-terms", epochs=30)
    for model in FIVE:
        ResultsStore(mixed).save(make_record(model=model, recipe=recipe))
    ResultsStore(mixed).save(make_record(model="expressio", emotions=EXPRESSIO))
    app = open_page("leaderboard")
    app.session_state["filters"] = True
    app.run()
    assert "equal" in [toggle.key for toggle in app.toggle]
    app.selectbox[0].select_index(1).run()
    assert "equal" not in [toggle.key for toggle in app.toggle]
    assert app.expander[0].proto.expanded


def test_fewer_emotions_are_a_benchmark_of_their_own(mixed: Path) -> None:
    ResultsStore(mixed).save(make_record(model="expressio", emotions=EXPRESSIO, accuracy=0.9))
    app = open_page("leaderboard")
    whole, few = (
        "fer2013 · official · 7 emotions · data abababab",
        "fer2013 · official · angry, happy, sad, surprise · data abababab",
    )
    assert app.selectbox[0].options == [whole, few]
    assert "expressio" not in app.dataframe[0].value["model"].tolist()
    app.selectbox[0].set_value(few).run()
    assert app.dataframe[0].value["model"].tolist() == ["expressio"]


def test_votes_that_label_alike_are_one_benchmark(results: Path) -> None:
    for votes in ("majority", "soft-majority", "probability"):
        record = make_record(dataset="ferplus", model=f"net-{votes}", emotions=FERPLUS)
        spec = record.spec.model_copy(update={"votes": votes})
        ResultsStore(results).save(record.model_copy(update={"spec": spec}))
    assert open_page("leaderboard").selectbox[0].options == [
        "ferplus · official · majority votes · 8 emotions · data 4404ee22",
        "ferplus · official · probability votes · 8 emotions · data 4404ee22",
    ]


def test_an_ensemble_ranks_without_a_training_time_of_its_own(mixed: Path) -> None:
    ResultsStore(mixed).save(make_ensemble_record("best", {"a": 0.75, "b": 0.25}))
    table = open_page("leaderboard").dataframe[0].value.set_index("run")
    assert table.loc["ensemble-best", "mode"] == "of 2"
    assert math.isnan(table.loc["ensemble-best", "train_seconds"])
    assert table.loc["resnet18-full-finetune-5-s0", "train_seconds"] == 300


def test_filters_narrow_the_table(mixed: Path) -> None:
    app = open_page("leaderboard")
    app.multiselect(key="filter_model").set_value(["vgg16"]).run()
    assert app.dataframe[0].value["model"].tolist() == ["vgg16"]
    app.toggle(key="tried").set_value(True).run()
    assert "No run fits these filters" in texts(app)


def test_runs_without_a_result_are_listed_with_their_sentence(mixed: Path) -> None:
    app = open_page("leaderboard")
    assert app.expander[-1].label == "Runs without a result (3)"
    listed = app.dataframe[-1].value.set_index("Id")
    assert listed["Status"].to_dict() == {
        "fer2013/broken": "unreadable",
        "fer2013/densenet121-full-finetune-5-s0": "interrupted",
        "fer2013/vit-b-16-full-finetune-5-s0": "failed",
    }
    assert listed.loc["fer2013/vit-b-16-full-finetune-5-s0", "What happened"] == HOSTILE


def test_a_new_record_appears_without_a_restart(mixed: Path) -> None:
    app = open_page("leaderboard")
    ResultsStore(mixed).save(make_record(model="emotionlens", accuracy=0.9))
    app.run()
    assert app.dataframe[0].value["model"].iloc[0] == "emotionlens"


def test_published_numbers_have_a_tab_of_their_own_and_no_rank(mixed: Path) -> None:
    """Those on the same test images first; the ranking holds none of them."""
    app = open_page("leaderboard")
    assert [tab.label for tab in app.tabs][:2] == ["Measured here", "Published numbers"]
    ranked = app.tabs[0].dataframe[0].value
    published = open_page("leaderboard", view="Published numbers").tabs[1].dataframe[0].value
    assert published["model"].iloc[0] == "ResMaskingNet and six other CNNs"
    assert published["accuracy"].iloc[0] == pytest.approx(76.82)
    assert not set(published["model"]) & set(ranked["model"])
    assert published["source"].str.startswith("https://").all()


def test_the_box_for_a_paper_offers_its_files_and_their_command(mixed: Path) -> None:
    app = open_page("leaderboard")
    app.session_state["paper"] = True
    app.run()
    app.multiselect(key="paper-columns").set_value(["run", "accuracy"]).run()
    assert {one.label for one in app.get("download_button")} > {
        "leaderboard.tex", "leaderboard.md", "methods.txt", "references.bib"
    }  # fmt: skip
    assert "report --tables paper --columns run,accuracy" in app.code[0].value
    app.multiselect(key="paper-columns").set_value([]).run()  # as the files then: all of them
    assert "report --tables paper --results" in app.code[0].value
    assert not app.exception


@pytest.mark.parametrize("chart", ["accuracy-bars", "accuracy-parameters", "accuracy-latency"])
def test_a_click_on_a_run_of_a_chart_opens_it(mixed: Path, click: Click, chart: str) -> None:
    if chart == "accuracy-latency":
        save_reports(mixed / BEST, [make_report()])
    app = open_page("leaderboard")
    click(chart, BEST)
    app.run()
    assert [title.value for title in app.title] == ["Run"]
    assert app.query_params["run"] == BEST


def test_a_click_on_a_name_of_the_ranking_opens_its_run(mixed: Path) -> None:
    app = click_name(open_page("leaderboard"), "leaderboard", 0)
    assert [title.value for title in app.title] == ["Run"]
    assert app.query_params["run"] == BEST


def test_charts_of_many_runs_show_the_best_and_say_so(
    mixed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ranking, "MOST_BARS", 2)
    monkeypatch.setattr(ranking, "MOST_POINTS", 1)
    app = open_page("leaderboard")
    assert "The best 2 of 3 runs." in texts(app)
    assert "The best 1 of 3 runs." in texts(app)
    for name in (BEST, "fer2013/vgg16-frozen-frozen-20-s0"):
        save_reports(mixed / name, [make_report()])
    said = texts(open_page("leaderboard"))
    assert "see Latency. The best 1 of 2 runs. Not measured there: 1 run." in said
