"""Every page, run as a visitor runs it: with no results, with good and bad ones, and no data."""

from __future__ import annotations

import json
import math
import pkgutil
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from data_fixtures import kaggle_files, zipped
from record_fixtures import make_history, make_metrics, make_predictions, make_recipe, make_record
from streamlit.testing.v1 import AppTest

from fer_bench import ui
from fer_bench.data.base import FaceDataset
from fer_bench.data.loading import load_dataset
from fer_bench.emotions import EXPRESSIO, FER2013, FERPLUS
from fer_bench.results.record import Member, RunRecord
from fer_bench.results.store import ResultsStore
from fer_bench.specs import EnsembleSpec

APP = str(Path(__file__).parents[1] / "app.py")
PAGES = ("leaderboard", "run", "errors", "dataset")
HOSTILE = "out of memory <script>alert(1)</script> [click](javascript:alert(1))"
BEST = "fer2013/resnet18-full-finetune-5-s0"


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "results"
    monkeypatch.setenv("FER_BENCH_RESULTS", str(root))
    monkeypatch.setenv("FER_BENCH_CONFIG", str(tmp_path / "settings.json"))
    monkeypatch.delenv("FER_BENCH_DATA", raising=False)
    return root


@pytest.fixture
def mixed(results: Path) -> Path:
    """Two finished runs and a second seed, a limited, a failed, a running and a broken one."""
    store = ResultsStore(results)
    for record in (make_record(), make_record(seed=1, accuracy=0.6), _frozen(), _limited()):
        predictions = make_predictions(
            accuracy=0.6 if record.spec.seed else 0.65, seed=record.spec.seed
        )
        store.save(record, history=make_history(), predictions=predictions)
    store.save(make_record(model="vit-b-16", status="failed", error=HOSTILE))
    store.save(make_record(model="densenet121", status="running"), history=make_history(epochs=2))
    broken = results / "fer2013" / "broken"
    broken.mkdir()
    (broken / "record.json").write_text('{"name": ')
    return results


def _frozen() -> RunRecord:
    recipe = make_recipe(name="frozen-20", epochs=20)
    return make_record(model="vgg16", mode="frozen", recipe=recipe, accuracy=0.4)


def _limited() -> RunRecord:
    return make_record(model="keras-cnn", limit=20, not_comparable_because=["limit"])


def make_ensemble_record(title: str, shares: dict[str, float]) -> RunRecord:
    members = tuple(
        Member(run=run, weight=weight, temperature=1.25, pretraining="none")
        for run, weight in shares.items()
    )
    spec = EnsembleSpec(ensemble=tuple(shares), title=title)
    record = make_record(name=spec.name)
    training = record.training.model_copy(update={"epochs_run": 0, "seconds": 0.0})
    return record.model_copy(update={"spec": spec, "members": members, "training": training})


def save_drawn_run(results: Path) -> FaceDataset:
    """A run on synthetic faces whose predictions carry their ids, two of them wrong."""
    dataset = load_dataset("synthetic")
    test = dataset.indices("test")
    answer = dataset.labels[test].copy()
    answer[:2] = (answer[:2] + 1) % 7
    confidence = np.linspace(0.95, 0.6, len(test))
    probabilities = np.repeat((1 - confidence[:, None]) / 6, 7, axis=1)
    probabilities[np.arange(len(test)), answer] = confidence
    predictions = pd.DataFrame(
        {"id": dataset.ids[test], "split": "test", "label": dataset.labels[test], "clean": True}
    ).assign(**{f"p_{e}": probabilities[:, i] for i, e in enumerate(dataset.emotions)})
    record = make_record(dataset="synthetic", not_comparable_because=["synthetic data"])
    info = record.dataset.model_copy(
        update={"fingerprint": dataset.fingerprint, "source": dataset.source}
    )
    filler = make_predictions(n_test=0)
    metrics = make_metrics(pd.concat([filler, predictions]), dataset.emotions)
    ResultsStore(results).save(
        record.model_copy(update={"dataset": info, "metrics": metrics}), predictions=predictions
    )
    return dataset


def open_page(name: str, run: str | None = None) -> AppTest:
    app = AppTest.from_file(APP, default_timeout=30)
    app.run()
    if run:
        app.query_params["run"] = run
    app.switch_page(f"pages/{name}.py").run()
    assert not app.exception
    assert [title.value for title in app.title] == [name.capitalize()]
    return app


def texts(app: AppTest) -> str:
    """Everything readable on the page, without Markdown's backslashes."""
    elements = [*app.markdown, *app.caption, *app.info, *app.error, *app.warning, *app.subheader]
    return re.sub(r"\\([!-/:-@\[-`{-~])", r"\1", "\n".join(e.value for e in elements))


def tiles(app: AppTest) -> dict[str, str]:
    return {m.label: m.value.replace("\N{NO-BREAK SPACE}", " ") for m in app.metric}


# --- nothing there -----------------------------------------------------------------------------


@pytest.mark.parametrize("page", ["leaderboard", "run", "errors"])
def test_without_results_a_page_says_what_to_do(page: str, results: Path) -> None:
    app = open_page(page)
    assert "**No runs yet**  \nRun the demo (synthetic faces, a few minutes)" in texts(app)
    assert app.code[0].value == (
        "python -m fer_bench run benchmarks/specs/demo.yaml --data synthetic"
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
    assert table["link"].iloc[0] == f"run?run={BEST}"
    assert tiles(app)["Runs ranked"] == "3"
    assert "test images were read once" in texts(app)


def test_runs_that_are_not_comparable_stand_apart_and_say_why(mixed: Path) -> None:
    app = open_page("leaderboard")
    assert "Not ranked" not in texts(app)
    app.toggle[1].set_value(True).run()
    assert "Not ranked" in texts(app)
    others = app.dataframe[1].value
    assert others["run"].tolist() == ["keras-cnn-full-finetune-5-limit20-s0"]
    assert others["why_not_comparable"].tolist() == ["limit"]


def test_with_only_such_runs_the_leaderboard_says_so(results: Path) -> None:
    ResultsStore(results).save(_limited())
    assert "No comparable run here: runs on synthetic data" in texts(open_page("leaderboard"))


def test_seeds_are_averaged_on_demand(mixed: Path) -> None:
    app = open_page("leaderboard")
    app.toggle[0].set_value(True).run()
    table = app.dataframe[0].value
    assert table[["experiment", "seeds"]].values.tolist() == [
        ["resnet18-full-finetune-5", 2],
        ["vgg16-frozen-frozen-20", 1],
    ]


def test_fewer_emotions_are_a_benchmark_of_their_own(mixed: Path) -> None:
    ResultsStore(mixed).save(make_record(model="expressio", emotions=EXPRESSIO, accuracy=0.9))
    app = open_page("leaderboard")
    whole, few = (
        "fer2013 · official · 7 emotions",
        "fer2013 · official · angry, happy, sad, surprise",
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
        "ferplus · official · majority votes · 8 emotions",
        "ferplus · official · probability votes · 8 emotions",
    ]


def test_an_ensemble_ranks_without_a_training_time_of_its_own(mixed: Path) -> None:
    ResultsStore(mixed).save(make_ensemble_record("best", {"a": 0.75, "b": 0.25}))
    table = open_page("leaderboard").dataframe[0].value.set_index("run")
    assert table.loc["ensemble-best", "mode"] == "of 2"
    assert math.isnan(table.loc["ensemble-best", "train_seconds"])
    assert table.loc["resnet18-full-finetune-5-s0", "train_seconds"] == 300


def test_filters_narrow_the_table(mixed: Path) -> None:
    app = open_page("leaderboard")
    app.multiselect(key="filter-model").set_value(["vgg16"]).run()
    assert app.dataframe[0].value["model"].tolist() == ["vgg16"]


def test_runs_without_a_result_are_listed_with_their_sentence(mixed: Path) -> None:
    app = open_page("leaderboard")
    assert app.expander[-1].label == "Runs without a result (3)"
    listed = app.dataframe[-1].value.set_index("Run")
    assert listed["Status"].to_dict() == {
        "fer2013/broken": "unreadable",
        "fer2013/densenet121-full-finetune-5-s0": "running",
        "fer2013/vit-b-16-full-finetune-5-s0": "failed",
    }
    assert listed.loc["fer2013/vit-b-16-full-finetune-5-s0", "What happened"] == HOSTILE


def test_a_new_record_appears_without_a_restart(mixed: Path) -> None:
    app = open_page("leaderboard")
    ResultsStore(mixed).save(make_record(model="emotionlens", accuracy=0.9))
    app.run()
    assert app.dataframe[0].value["model"].iloc[0] == "emotionlens"


# --- run ---------------------------------------------------------------------------------------


def test_the_run_page_opens_on_the_best_run(mixed: Path) -> None:
    app = open_page("run")
    test = make_record().metrics["test"]
    assert app.selectbox[0].value == BEST
    assert tiles(app)["Accuracy"] == f"{test.accuracy * 100:.1f} %"
    assert app.code[0].value.startswith("python -m fer_bench train --model resnet18 --mode full")
    assert [t.label for t in app.tabs] == [
        "Curves", "Classes", "Settings", "Data", "Environment", "Files",
    ]  # fmt: skip


def test_an_address_opens_its_run(mixed: Path) -> None:
    app = open_page("run", "fer2013/vgg16-frozen-frozen-20-s0")
    assert app.selectbox[0].value == "fer2013/vgg16-frozen-frozen-20-s0"


def test_an_address_of_no_run_says_so(mixed: Path) -> None:
    app = open_page("run", "fer2013/<b>none</b>")
    assert "This page has no run fer2013/<b>none</b>; showing another." in texts(app)


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
    app = open_page("run", "fer2013/densenet121-full-finetune-5-s0")
    assert "This run has not finished; its epochs so far are below." in texts(app)
    assert len(app.get("plotly_chart")) == 3


def test_an_unreadable_record_shows_its_problem(mixed: Path) -> None:
    app = open_page("run", "fer2013/broken")
    assert "record.json is not valid JSON" in texts(app)
    assert not app.metric


def test_a_run_that_is_not_comparable_says_why(mixed: Path) -> None:
    app = open_page("run", "fer2013/keras-cnn-full-finetune-5-limit20-s0")
    assert "not comparable: limit" in texts(app)


def test_a_damaged_history_is_one_sentence(mixed: Path) -> None:
    (mixed / BEST / "history.csv").write_text("epoch\n1\n")
    shown = texts(open_page("run", BEST))
    assert "history.csv is damaged (it has no column train_loss" in shown
    assert "No epochs to show" not in shown


def test_an_ensemble_shows_its_members_and_no_seed(mixed: Path) -> None:
    record = make_ensemble_record("best", {"a": 0.75, "b": 0.25})
    ResultsStore(mixed).save(record.model_copy(update={"temperature": 1.5}))
    app = open_page("run", "fer2013/ensemble-best")
    assert "ensemble · of 2 · fitted weights · fer2013 · official" in texts(app).splitlines()
    members = next(frame.value for frame in app.dataframe if "weight" in frame.value)
    assert members[["link", "weight", "temperature"]].values.tolist() == [
        ["run?run=fer2013/a", 75.0, 1.25],
        ["run?run=fer2013/b", 25.0, 1.25],
    ]
    settings = [row for frame in app.dataframe for row in frame.value.values.tolist()]
    assert ["temperature", "1.5"] in settings


# --- errors ------------------------------------------------------------------------------------


def test_the_errors_page_lists_pairs_report_and_answers(mixed: Path) -> None:
    app = open_page("errors")
    confusion = np.array(make_record().metrics["test"].confusion)
    pairs, report, answers = (frame.value for frame in app.dataframe)
    assert pairs["images"][0] == (confusion - np.diag(confusion.diagonal())).max()
    assert report["emotion"].tolist()[-1] == "macro average"
    assert report["support"].tolist()[-1] == 140
    assert len(answers) == 140 - confusion.trace()
    assert answers["confidence"].is_monotonic_decreasing
    assert not answers["correct"].any()


def test_the_gallery_asks_for_data_that_do_not_come_along(mixed: Path) -> None:
    app = open_page("errors")
    assert "The images of fer2013 do not come with FER Bench." in texts(app)
    assert app.text_input[0].label == "Where your data set lies"
    app.text_input[0].set_value("/no/such/file.zip")
    app.button[0].click().run()
    assert "nothing lies at /no/such/file.zip" in texts(app)


def test_a_place_is_remembered_and_other_data_are_noticed(mixed: Path, tmp_path: Path) -> None:
    app = open_page("errors")
    app.text_input[0].set_value("synthetic")
    app.button[0].click().run()
    settings = json.loads((tmp_path / "settings.json").read_text())
    assert settings == {"data_source": "synthetic"}
    assert "is not the data this run was measured on" in texts(app)
    assert "None of these images is in the data you gave." in texts(app)


def test_synthetic_runs_draw_their_images_again(results: Path) -> None:
    dataset = save_drawn_run(results)
    app = open_page("errors")
    images = app.get("image")
    assert len(images) == 2
    first = dataset.labels[dataset.indices("test")[0]]
    names = [dataset.emotions[first], dataset.emotions[(first + 1) % 7]]
    caption = images[0].proto.imgs[0].caption.replace("\N{NO-BREAK SPACE}", " ")
    assert caption == f"{names[0]} → {names[1]}  \n95.0 %"
    assert not app.text_input
    assert "not comparable: synthetic data" in texts(app)


def test_faces_under_ferplus_votes_are_not_chosen_by_fer2013s_labels(
    results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FER_BENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("FER_BENCH_DATA", str(zipped(tmp_path / "fer2013.zip", kaggle_files())))
    spec = make_record(emotions=EXPRESSIO, limit=2).spec.model_copy(update={"votes": "majority"})
    dataset = ui.dataset_of(make_record().model_copy(update={"spec": spec}))
    assert (dataset.emotions, len(dataset.ids)) == (FER2013, 7 * (12 + 2 + 2))


def test_the_gallery_filters_by_class(mixed: Path) -> None:
    app = open_page("errors")
    app.selectbox(key="gallery-true").set_value("sad").run()
    assert set(app.dataframe[-1].value["true"]) == {"sad"}


def test_without_predictions_the_errors_page_keeps_the_confusion(mixed: Path) -> None:
    (mixed / BEST / "predictions.parquet").unlink()
    app = open_page("errors", BEST)
    assert "This run has no predictions beside its record" in texts(app)
    assert len(app.dataframe) == 2


# --- dataset -----------------------------------------------------------------------------------


def test_the_dataset_page_shows_what_the_records_say(mixed: Path) -> None:
    app = open_page("dataset")
    record = make_record()
    assert tiles(app)["Test"] == "140"
    assert tiles(app)["Clean test"] == str(record.dataset.clean_test_size)
    counts = app.dataframe[0].value.set_index("emotion")
    assert counts["test"].to_dict() == record.dataset.class_counts["test"]


def test_the_most_used_whole_data_set_comes_first(mixed: Path) -> None:
    record = make_record(model="a", emotions=EXPRESSIO)
    info = record.dataset.model_copy(update={"fingerprint": "cd" * 32})
    ResultsStore(mixed).save(record.model_copy(update={"dataset": info}))
    app = open_page("dataset")
    assert len(app.selectbox[0].options) == 2
    assert app.dataframe[0].value["emotion"].tolist() == list(FER2013)


def test_an_audit_counts_copies(results: Path) -> None:
    app = open_page("dataset")
    app.button[-1].click().run()
    assert not app.exception
    assert "280 images, 280 of them distinct." in texts(app)
    assert tiles(app)["Exact groups"] == "0"


def test_my_data_asks_for_its_place(mixed: Path) -> None:
    app = open_page("dataset")
    app.segmented_control(key="source").set_value("My data").run()
    assert "Say where your data set lies; it is read in place" in texts(app)


def test_the_environment_names_the_data(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FER_BENCH_DATA", "/no/such/faces.zip")
    app = open_page("dataset")
    app.segmented_control(key="source").set_value("My data").run()
    assert "FER_BENCH_DATA says that the data lie at /no/such/faces.zip." in texts(app)
    assert "the data source '/no/such/faces.zip' does not exist" in texts(app)
    assert not app.text_input


def test_no_file_of_ui_hides_a_function_of_its_name() -> None:
    files = {module.name for module in pkgutil.iter_modules(ui.__path__)}
    assert files.isdisjoint(ui.__all__)
