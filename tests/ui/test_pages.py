"""Every page opens, with no results, with good and bad ones; the leaderboard and the run page."""

from __future__ import annotations

import math
import pkgutil
from pathlib import Path

import pytest
from page_fixtures import (
    BEST,
    HOSTILE,
    limited,
    make_ensemble_record,
    notices,
    open_page,
    texts,
    tiles,
)
from record_fixtures import make_predictions, make_recipe, make_record

from fer_bench import ui
from fer_bench.emotions import EXPRESSIO, FERPLUS
from fer_bench.evaluation.confusion import of_set
from fer_bench.results.leaderboard.five_models import FIVE
from fer_bench.results.locks import run_lock
from fer_bench.results.store import ResultsStore
from fer_bench.specs.run import ExternalSpec

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
    ("run", {"run": "fer2013/<b>none</b>"}, "votes.csv", None),
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
    assert not app.exception


# --- run ---------------------------------------------------------------------------------------


def test_the_run_page_says_what_is_known_of_an_external_system(mixed: Path) -> None:
    spec = ExternalSpec(external="theirs", source="https://example.org/x", licence="MIT")
    record = make_record(name=spec.name).model_copy(
        update={"spec": spec, "model": None, "training": None}
    )
    ResultsStore(mixed).save(record, predictions=make_predictions())
    app = open_page("run", f"fer2013/{spec.name}", view="Use")
    said = texts(app)
    assert "**Trained on these test images:** not known" in said
    assert "**Source:** https://example.org/x" in said and "**Training:** not said" in said
    assert "FER Bench did not run this system" in said
    assert "Curves" not in [tab.label for tab in app.tabs]


def test_the_run_page_opens_on_the_best_run(mixed: Path) -> None:
    app = open_page("run")
    test = make_record().metrics["test"]
    assert app.selectbox[0].value == BEST
    assert tiles(app)["Accuracy"] == f"{test.accuracy * 100:.1f} %"
    assert [t.label for t in app.tabs] == [
        "Curves", "Classes", "Use", "Settings", "Data", "Environment", "Files",
    ]  # fmt: skip


def test_the_address_opens_a_tab_of_the_run_and_no_other_is_made(mixed: Path) -> None:
    app = open_page("run", BEST, view="Use")
    assert app.code[-1].value.startswith("python -m fer_bench train --model resnet18 --mode full")
    assert not app.get("plotly_chart") and not app.dataframe
    without_classes = open_page("run", "fer2013/densenet121-full-finetune-5-s0", view="Classes")
    assert len(without_classes.get("plotly_chart")) == 2


def test_the_run_page_opens_on_the_default_run(mixed: Path) -> None:
    name = "vgg16-frozen-frozen-20-s0"
    (mixed / "default.txt").write_text(f"fer2013/{name}\n")
    assert open_page("run").selectbox[0].value == f"fer2013/{name}"


def test_an_address_opens_its_run(mixed: Path) -> None:
    app = open_page("run", "fer2013/vgg16-frozen-frozen-20-s0")
    assert app.selectbox[0].value == "fer2013/vgg16-frozen-frozen-20-s0"


def test_choosing_a_run_changes_the_address(mixed: Path) -> None:
    app = open_page("run", BEST)
    app.selectbox[0].set_value("fer2013/broken").run()
    assert app.query_params["run"] == "fer2013/broken"
    assert "record.json is not valid JSON" in texts(app)
    app.selectbox[0].set_value(BEST).run()
    assert app.query_params["run"] == BEST
    assert tiles(app)


def test_a_failed_run_shows_its_error_as_plain_text(mixed: Path) -> None:
    app = open_page("run", "fer2013/vit-b-16-full-finetune-5-s0")
    assert HOSTILE in texts(app)
    assert "<script>" not in app.error[0].value
    assert "](javascript" not in app.error[0].value


def test_a_running_run_shows_its_progress(mixed: Path) -> None:
    with run_lock(mixed / "fer2013" / "densenet121-full-finetune-5-s0"):
        app = open_page("run", "fer2013/densenet121-full-finetune-5-s0")
    assert "This run has not finished; its epochs so far are below." in texts(app)
    assert "Epoch 2 of 5 is done, 3 min left" in texts(app)
    assert "--resume" not in texts(app)
    assert len(app.get("plotly_chart")) == 2
    app.run()
    assert "train it again with `--resume`" in texts(app)


def test_a_run_that_is_not_comparable_says_why(mixed: Path) -> None:
    app = open_page("run", "fer2013/keras-cnn-full-finetune-5-limit20-s0")
    assert "not comparable: limit" in texts(app)


def test_an_ensemble_shows_its_members_and_no_seed(mixed: Path) -> None:
    record = make_ensemble_record("best", {"a": 0.75, "b": 0.25})
    ResultsStore(mixed).save(record.model_copy(update={"temperature": 1.5}))
    app = open_page("run", "fer2013/ensemble-best", view="Settings")
    assert "ensemble · of 2 · fitted weights · fer2013 · official" in texts(app).splitlines()
    members = next(frame.value for frame in app.dataframe if "weight" in frame.value)
    assert members[["title", "weight", "temperature"]].values.tolist() == [
        ["fer2013/a", 75.0, 1.25],
        ["fer2013/b", 25.0, 1.25],
    ]
    settings = [row[:2] for frame in app.dataframe for row in frame.value.values.tolist()]
    assert ["Temperature", "1.5"] in settings


def test_no_file_of_ui_hides_a_function_of_its_name() -> None:
    files = {module.name for module in pkgutil.iter_modules(ui.__path__)}
    assert files.isdisjoint(ui.__all__)


def test_settings_are_in_words_and_what_another_run_differs_in_is_named(mixed: Path) -> None:
    app = open_page("run", BEST, view="Settings")
    tables = [frame.value for frame in app.dataframe]
    recipe = next(table for table in tables if "Meaning" in table)
    assert "Optimizer: learning rate" in list(recipe["Setting"])
    assert "11,180,103" in [value for table in tables for value in table["Value"]]
    assert dict(zip(recipe["Setting"], recipe["Meaning"], strict=True))["Mixup"].startswith("Beta")
    app.selectbox(key="differs-from").select_index(1).run()
    assert not app.exception
    table = next(frame.value for frame in app.dataframe if "this" in frame.value)
    assert "Seed" in list(table["setting"]) or "Model" in list(table["setting"])
