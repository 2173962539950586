"""The page Run: what it opens on, and what each of its tabs says of a record."""

from __future__ import annotations

from pathlib import Path

import pytest
from model_fixtures import DEFAULT_RUN, save_models
from page_fixtures import (
    BEST,
    HOSTILE,
    make_ensemble_record,
    open_page,
    plain,
    text_tables,
    texts,
    tiles,
)
from record_fixtures import make_predictions, make_record

from fer_bench.results.leaderboard.headline import per_class
from fer_bench.results.locks import run_lock
from fer_bench.results.store import ResultsStore
from fer_bench.specs.run import ExternalSpec

# --- what it opens on --------------------------------------------------------------------------


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


def test_back_shows_the_run_of_the_address_again(mixed: Path) -> None:
    app = open_page("run")
    app.selectbox[0].set_value("fer2013/vgg16-frozen-frozen-20-s0").run()
    app.selectbox[0].set_value("fer2013/broken").run()
    app.query_params["run"] = "fer2013/vgg16-frozen-frozen-20-s0"  # as Back does
    app.run()
    assert app.selectbox[0].value == "fer2013/vgg16-frozen-frozen-20-s0"
    app.query_params.clear()
    app.run()
    assert app.selectbox[0].value == BEST


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
    assert ["Temperature", "1.5"] in [
        row[:2] for table in text_tables(app) for row in table.values.tolist()
    ]


def test_settings_are_in_words_and_what_another_run_differs_in_is_named(mixed: Path) -> None:
    app = open_page("run", BEST, view="Settings")
    tables = text_tables(app)
    recipe = next(table for table in tables if "Meaning" in table)
    assert "Optimizer: learning rate" in list(recipe["Setting"])
    assert "11,180,103" in [value for table in tables for value in table["Value"]]
    assert dict(zip(recipe["Setting"], recipe["Meaning"], strict=True))["Mixup"].startswith("Beta")
    app.selectbox(key="differs-from").select_index(1).run()
    assert not app.exception
    table = next(table for table in text_tables(app) if "This run" in table)
    assert "Seed" in list(table["Setting"]) or "Model" in list(table["Setting"])


def test_a_run_with_the_same_settings_differs_in_what_it_gave_alone(mixed: Path) -> None:
    ResultsStore(mixed).save(make_record(name="again", accuracy=0.6))
    app = open_page("run", BEST, view="Settings")
    again = next(one for one in app.selectbox(key="differs-from").options if "again" in one)
    app.selectbox(key="differs-from").set_value(again).run()
    assert "The two have the same settings; only what they gave differs." in texts(app)


# --- its other tabs ----------------------------------------------------------------------------


def test_each_emotion_has_its_rates(mixed: Path) -> None:
    app = open_page("run", BEST, view="Classes")
    rates = per_class(make_record().metrics["test"])
    (shown,) = (frame.value for frame in app.dataframe)
    assert shown["emotion"].tolist() == rates["emotion"].tolist()
    assert shown["f1"].tolist() == pytest.approx((100 * rates["f1"]).tolist())
    assert len(app.get("plotly_chart")) == 1


def test_the_data_are_in_words_with_their_balance(mixed: Path) -> None:
    app = open_page("run", BEST, view="Data")
    (shown,) = (table.set_index("Setting") for table in text_tables(app))
    assert shown.loc[["Protocol", "Source"], "Value"].tolist() == ["official", "fer2013.zip"]
    assert shown.loc["Protocol", "Meaning"].startswith("The authors' own split")
    assert "Class balance of fer2013" in app.get("plotly_chart")[0].proto.spec


def test_the_environment_names_the_machine_packages_and_training(mixed: Path) -> None:
    record = make_record()
    environment = record.environment.model_copy(update={"packages": {"scikit-learn": "1.7.0"}})
    ResultsStore(mixed).save(record.model_copy(update={"environment": environment}))
    app = open_page("run", BEST, view="Environment")
    machine, packages, training = (dict(table.values.tolist()) for table in text_tables(app))
    assert machine["CPU"] == "Test CPU"
    assert packages == {"scikit-learn": "1.7.0"}
    assert training["Device"] == "cpu"


def test_a_run_with_weights_says_how_to_use_it(results: Path) -> None:
    save_models(results)
    app = open_page("run", DEFAULT_RUN, view="Use")
    links = [link.proto.label for link in app.get("page_link")]
    assert links[-2:] == ["Try it live", "Try it on an image"]
    assert any(f"predict {DEFAULT_RUN}" in code.value for code in app.code)
    assert "weights are not here" not in texts(app)


def test_every_file_of_a_run_can_be_taken_away(mixed: Path) -> None:
    app = open_page("run", BEST, view="Files")
    labels = [plain(one.label).split(" ")[0] for one in app.get("download_button")]
    assert labels == ["history.csv", "predictions.parquet", "record.json"]
