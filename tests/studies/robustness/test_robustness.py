"""Robustness from measuring to tables: equal to a recomputation, kept beside the run, compared."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
import torch
from command_fixtures import Fer
from data_fixtures import class_files, put
from model_fixtures import DEFAULT_RUN, SMALL_RUN, save_models
from record_fixtures import make_record
from robustness_fixtures import make_measured, make_robustness, make_score, make_tested_on
from table_fixtures import table

from fer_bench.benchmark import Source, evaluate_run, generalization
from fer_bench.benchmark.generalization import robustness_of_run, transfer_of_run
from fer_bench.data.dataset import FaceDataset
from fer_bench.data.load import load_dataset
from fer_bench.emotions import EXPRESSIO, FER2013
from fer_bench.errors import FerBenchError
from fer_bench.evaluation.evaluate import predict_probabilities
from fer_bench.evaluation.metrics import compute_metrics
from fer_bench.formatting import percent
from fer_bench.models.build import build_model
from fer_bench.models.classifier import Classifier, ModelRequest
from fer_bench.models.weights import model_files
from fer_bench.results.reports.robustness import ROBUSTNESS, add_robustness, read_robustness
from fer_bench.results.reports.transfer import TRANSFER
from fer_bench.results.store import ResultsStore
from fer_bench.results.stored_run import StoredRun
from fer_bench.studies.robustness.corruptions import CORRUPTIONS, SEVERITIES, corrupt
from fer_bench.studies.robustness.evaluate import labelled_images, mean_interval, measure_robustness
from fer_bench.studies.robustness.tables import (
    MEAN,
    collect,
    curves,
    in_short,
    robustness_commands,
    settings,
    severity_table,
    summary,
)
from fer_bench.types import Split

TWO = ("jpeg", "rotation")
RUN = "fer2013/resnet18-full-finetune-5-s0"


@pytest.fixture(scope="module")
def dataset() -> FaceDataset:
    return load_dataset("synthetic")


@pytest.fixture(scope="module")
def model(dataset: FaceDataset) -> Classifier:
    torch.manual_seed(0)
    request = ModelRequest(
        name="resnet18", emotions=dataset.emotions, options={"tiny": True, "input_size": 32}
    )
    return build_model(request)


@pytest.fixture
def store(tmp_path: Path, model: Classifier) -> ResultsStore:
    """The default run's network is a tiny one."""
    store = ResultsStore(tmp_path)
    store.save(make_record(), network=model_files(model, "float16"))
    store.mark_default(store.find(RUN))
    return store


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder with 28 faces to validate on and as many to test on."""
    folders = [f"{part}/{emotion}" for part in ("val", "test") for emotion in FER2013]
    return str(put(tmp_path_factory.mktemp("data") / "studio", class_files(folders, 4)))


Measure = Callable[..., StoredRun]


@pytest.fixture
def measure(store: ResultsStore, studio: str) -> Measure:
    """Measures the default run on one corruption and five faces, and gives it."""

    def call(**changes) -> StoredRun:
        run = store.find("default")
        given = {"corruptions": ["jpeg"], "limit": 5} | changes
        robustness_of_run(run, Source(data=studio), **given)
        return run

    return call


# --- measuring ---------------------------------------------------------------------------------


def test_a_report_equals_a_recomputation(dataset: FaceDataset, model: Classifier) -> None:
    report = measure_robustness(model, dataset, seed=3, limit=14)
    test = labelled_images(dataset, "test", dataset.emotions, limit=14)
    images, labels = dataset.images[test.indices], test.labels

    def right(faces: np.ndarray) -> np.ndarray:
        return predict_probabilities(model, faces).argmax(1) == labels

    expected = {
        (name, severity): right(corrupt(images, name, severity, seed=3))
        for name in CORRUPTIONS
        for severity in SEVERITIES
    }
    found = {(one.corruption, one.severity): one.accuracy for one in report.corrupted}
    assert found == {condition: hits.mean() for condition, hits in expected.items()}
    assert report.clean.accuracy == right(images).mean()
    assert report.mean_corruption_accuracy == pytest.approx(np.mean(list(expected.values())))
    assert report.relative_drop == pytest.approx(
        1 - report.mean_corruption_accuracy / report.clean.accuracy
    )
    low, high = report.mean_corruption_accuracy_ci95
    assert low < report.mean_corruption_accuracy < high
    assert {one.level for one in report.corrupted if one.corruption == "jpeg"} == {
        40,
        25,
        17,
        11,
        7,
    }


def test_scores_are_those_of_the_metrics(dataset: FaceDataset, model: Classifier) -> None:
    report = measure_robustness(model, dataset, corruptions=["blur"], split="val")
    val = dataset.indices("val")
    faces = corrupt(dataset.images[val], "blur", 4)
    metrics = compute_metrics(
        dataset.labels[val], predict_probabilities(model, faces), model.emotions
    )
    score = report.corrupted[3]
    assert (score.accuracy, score.accuracy_ci95) == (metrics.accuracy, metrics.accuracy_ci95)
    assert score.macro_f1 == metrics.macro_f1
    assert (report.tested_on.split, report.tested_on.n) == ("val", len(val))


def test_a_seed_gives_the_same_report(dataset: FaceDataset, model: Classifier) -> None:
    first, second = (measure_robustness(model, dataset, corruptions=["noise"]) for _ in range(2))
    unlike = {"measured_at": None}
    assert first.model_copy(update=unlike) == second.model_copy(update=unlike)


def test_classes_that_the_model_does_not_know_are_left_out_and_counted(
    dataset: FaceDataset,
) -> None:
    found = labelled_images(dataset, "test", EXPRESSIO)
    counts = dataset.class_counts("test")
    assert len(found.labels) == sum(counts[e] for e in EXPRESSIO)
    assert len(found.labels) + found.n_left_out == 28
    names = [dataset.emotions[label] for label in dataset.labels[found.indices]]
    assert [EXPRESSIO[label] for label in found.labels] == names
    with pytest.raises(FerBenchError, match="the data have the classes disgust and the model"):
        labelled_images(dataset.select_emotions(["disgust"]), "test", EXPRESSIO)


def test_a_limit_is_spread_evenly_over_the_split(dataset: FaceDataset) -> None:
    whole = labelled_images(dataset, "test", dataset.emotions)
    few = labelled_images(dataset, "test", dataset.emotions, limit=7)
    assert len(few.indices) == 7
    assert few.indices[[0, -1]].tolist() == whole.indices[[0, -1]].tolist()
    assert set(few.labels) == set(range(7))  # the source is in the classes' order
    assert (dataset.labels[few.indices] == few.labels).all()
    more = labelled_images(dataset, "test", dataset.emotions, limit=1000)
    assert (more.indices == whole.indices).all()


@table("split", ["train", "val", "test"])
@table("limit", [1, 9, 14, 1000])
@table("known", [FER2013, EXPRESSIO])
def test_evaluate_robustness_and_transfer_choose_the_same_images(
    dataset: FaceDataset, known: tuple[str, ...], limit: int, split: Split
) -> None:
    part = dataset.spread(split, known, limit)
    evaluated = [i for i in part.indices(split) if dataset.emotions[dataset.labels[i]] in known]
    robust = labelled_images(dataset, split, known, limit)
    assert evaluated == robust.indices.tolist()
    assert len(part.indices(split)) - len(evaluated) == robust.n_left_out
    others = {"train", "val", "test"} - {split}
    assert all((part.indices(s) == dataset.indices(s)).all() for s in others)


def test_the_interval_of_a_mean_is_that_of_its_standard_error(dataset: FaceDataset) -> None:
    values = np.random.default_rng(0).random(400)
    low, high = mean_interval(values)
    error = 1.96 * values.std() / np.sqrt(400)
    assert (low, high) == pytest.approx(
        (values.mean() - error, values.mean() + error), abs=error / 10
    )
    assert mean_interval(np.array([0.5])) == (0.5, 0.5)
    # 98 of 98 and 0 of 98 have Wilson's width
    assert mean_interval(np.ones(98)) == pytest.approx((0.9623, 1), abs=1e-4)
    assert mean_interval(np.zeros(98)) == pytest.approx((0, 0.0377), abs=1e-4)
    # A twentieth added 20 times is more than 1.
    knows_one = build_model(
        ModelRequest(name="resnet18", emotions=("happy",), options={"tiny": True, "input_size": 32})
    )
    always_right = measure_robustness(knows_one, dataset, corruptions=[*TWO, "blur", "noise"])
    assert always_right.mean_corruption_accuracy_ci95 == always_right.clean.accuracy_ci95


# --- keeping -----------------------------------------------------------------------------------


def test_a_report_is_kept_beside_the_run_and_equals_evaluate_when_clean(
    store: ResultsStore, studio: str, measure: Measure
) -> None:
    run, source = measure(limit=None), Source(data=studio)
    (report,) = read_robustness(run.folder)
    assert report.clean.accuracy == evaluate_run(store, "default", source).metrics.accuracy
    assert report.tested_on.fingerprint == source.load_for(run.require_record().spec).fingerprint
    assert (report.tested_on.name, report.tested_on.source) == ("studio", "studio")
    assert (report.tested_on.split, report.tested_on.n, report.seed) == ("test", 28, 0)
    assert report.run_finished_at == run.require_record().finished_at
    assert report.environment.packages["torch"]


def test_a_setting_has_one_report(measure: Measure) -> None:
    for changes in ({}, {"seed": 1}, {"limit": 6}, {"corruptions": TWO}, {"split": "val"}):
        run = measure(**changes)
    assert len(read_robustness(run.folder)) == 5
    measure()
    assert [one.seed for one in read_robustness(run.folder)] == [1, 0, 0, 0, 0]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("{", "robustness.json is damaged, it is not valid JSON"),
        ('{"reports": [{}]}', "robustness.json is damaged .reports.0.measured_at: Field required"),
        ('{"raports": []}', "robustness.json is damaged .raports"),
        ('{"schema_version": 99, "new": 1}', "was written by a newer FER Bench .schema 99"),
        ('{"schema_version": 99}', "was written by a newer FER Bench .schema 99"),
    ],
)
def test_a_file_that_cannot_be_read_stays_as_it_is(
    store: ResultsStore, measure: Measure, content: str, sentence: str
) -> None:
    run = store.find("default")
    (run.folder / ROBUSTNESS).write_text(content)
    for act in (
        lambda: read_robustness(run.folder),
        measure,
        lambda: add_robustness(run.folder, make_robustness(run.require_record())),
    ):
        with pytest.raises(FerBenchError, match=sentence):
            act()
    assert (run.folder / ROBUSTNESS).read_text() == content


def test_a_folder_that_cannot_be_written_is_noticed_before_measuring(
    store: ResultsStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = store.find("default")
    monkeypatch.setattr(generalization, "load_run_model", lambda _: pytest.fail("it was opened"))
    for name, measure in (
        (ROBUSTNESS, lambda: robustness_of_run(run, Source(data="synthetic"))),
        (TRANSFER, lambda: transfer_of_run(run, [Source(data="synthetic")])),
    ):
        (run.folder / f".{name}.lock").mkdir()
        with pytest.raises(
            FerBenchError, match=rf"could not save {name} in .* or copy the run's folder"
        ):
            measure()


def test_a_report_that_could_not_be_read_again_is_not_written(measure: Measure) -> None:
    run = measure()
    before = (run.folder / ROBUSTNESS).read_bytes()
    endless = make_robustness(run.require_record()).model_copy(
        update={"mean_corruption_accuracy": float("nan")}
    )
    with pytest.raises(FerBenchError, match=r"reports.1.mean_corruption_accuracy is not finite"):
        add_robustness(run.folder, endless)
    assert (run.folder / ROBUSTNESS).read_bytes() == before


# --- tables ------------------------------------------------------------------------------------


def test_only_reports_of_one_setting_are_compared() -> None:
    few = make_tested_on(n=20, limit=20)
    named = settings(
        [
            make_measured("a", corruptions=["jpeg"]),
            make_measured("b", tested_on=few),
            make_measured("c"),
            make_measured("d"),
        ]
    )
    assert {words: [one.name[-1] for one in group] for words, group in named.items()} == {
        "fer2013 · official · test · 140 images · 11 corruptions · seed 0": ["c", "d"],
        "fer2013 · official · test · 20 images · 11 corruptions · seed 0": ["b"],
        "fer2013 · official · test · 140 images · jpeg · seed 0": ["a"],
    }


def test_a_narrow_box_holds_what_sets_settings_apart() -> None:
    names = [
        "fer2013 · official · test · 140 images · 11 corruptions · seed 0",
        "fer2013 · official · test · 140 images · noise · seed 0",
    ]
    short, common = in_short(names)
    assert list(short.values()) == [
        "fer2013 · official · test · 140 images · 11 corruptions",
        "fer2013 · official · test · 140 images · noise",
    ]
    assert common == "seed 0"
    assert in_short(names[:1]) == (
        {names[0]: "fer2013 · official · test · 140 images"}, "11 corruptions · seed 0",
    )  # fmt: skip


def test_other_data_of_the_same_name_are_another_setting() -> None:
    other = make_tested_on(fingerprint="ef" * 32)
    first, second = settings([make_measured("a"), make_measured("b", tested_on=other)])
    assert second == f"{first} (2)"


def test_the_sturdiest_comes_first() -> None:
    table = summary([make_measured("a", step=0.06), make_measured("b", clean=0.6, step=0.01)])
    assert table["run"].tolist() == ["fer2013/b", "fer2013/a"]
    # eleven corruptions, one of them twice as hard, three steps on average
    mean = 0.6 - 0.01 * 3 * 12 / 11
    assert table["mean_corruption_accuracy"][0] == pytest.approx(mean)
    assert table["relative_drop"][0] == pytest.approx(1 - mean / 0.6)


def test_curves_begin_with_the_clean_images() -> None:
    table = curves([make_measured("a", corruptions=TWO)], "rotation")
    assert table["severity"].tolist() == [0, 1, 2, 3, 4, 5]
    assert table["accuracy"].tolist() == pytest.approx([0.65, 0.55, 0.45, 0.35, 0.25, 0.15])
    assert table["ci_high"].tolist() == pytest.approx([0.67, 0.57, 0.47, 0.37, 0.27, 0.17])
    mean = curves([make_measured("a", corruptions=TWO)], MEAN)
    assert mean["accuracy"].tolist() == pytest.approx([0.65, 0.575, 0.5, 0.425, 0.35, 0.275])
    assert mean["ci_low"].isna().tolist() == [False] + [True] * 5


def test_the_severity_table_keeps_the_reports_order() -> None:
    table = severity_table(make_measured("a", corruptions=TWO).report)
    assert table.index.tolist() == list(TWO)
    assert table.columns.tolist() == ["1", "2", "3", "4", "5", "mean"]
    assert table.loc["rotation"].tolist() == pytest.approx([0.55, 0.45, 0.35, 0.25, 0.15, 0.35])


def test_what_was_measured_before_a_run_was_trained_again_does_not_count(
    store: ResultsStore, measure: Measure
) -> None:
    run = measure()
    assert [one.name for one in collect(store.runs()).robustness] == [RUN]
    record = run.require_record()
    again = record.model_copy(update={"finished_at": record.finished_at + timedelta(days=1)})
    store.save(again)
    found = collect(store.runs())
    assert found.robustness == []
    (problem,) = found.problems
    assert problem.startswith(f"{RUN} was trained again")


def test_commands_are_for_finished_runs_with_weights(tmp_path: Path) -> None:
    save_models(tmp_path, DEFAULT_RUN, SMALL_RUN)
    store = ResultsStore(tmp_path)
    store.save(make_record())  # no weights
    command = f"python -m fer_bench robustness {SMALL_RUN} --data fer2013.zip"
    assert robustness_commands(store.runs(), [DEFAULT_RUN]) == [command]


def test_a_model_that_is_never_right_loses_nothing() -> None:
    report = make_measured("a").report.model_copy(update={"clean": make_score(0.0)})
    assert report.relative_drop == 0.0


# --- the command -------------------------------------------------------------------------------


@pytest.fixture
def words(store: ResultsStore, studio: str) -> list[str]:
    given = ["robustness", "default", "--data", studio, "--results", str(store.root)]
    return [*given, "--device", "cpu", "--limit", "10"]


def test_the_command_writes_and_prints_the_report(
    fer: Fer, store: ResultsStore, words: list[str]
) -> None:
    code, out, _ = fer(*words, "--corruptions", "jpeg, rotation", "--seed", "2", "--json")
    document = json.loads(out)
    (report,) = read_robustness(store.find("default").folder)
    assert code == 0
    assert document["mean_corruption_accuracy"] == report.mean_corruption_accuracy
    assert document["relative_drop"] == report.relative_drop
    assert (document["seed"], document["tested_on"]["n"], document["tested_on"]["limit"]) == (
        2,
        10,
        10,
    )
    assert [one["corruption"] for one in document["corrupted"]] == ["jpeg"] * 5 + ["rotation"] * 5

    code, out, err = fer(*words, "--corruptions", "jpeg,rotation", "--seed", "2")
    assert code == 0
    lines = out.splitlines()
    assert lines[1] == f"clean accuracy            {percent(report.clean.accuracy)}"
    assert [line.split()[0] for line in lines[-3:]] == ["severity", "jpeg", "rotation"]
    assert f"in {store.find('default').folder / ROBUSTNESS}" in err


def test_commands_with_a_limit_measure_the_same_images_and_say_so(
    fer: Fer, store: ResultsStore, studio: str
) -> None:
    words = ["default", "--data", studio, "--results", store.root, "--limit", "5"]
    code, said, _ = fer("evaluate", *words)
    assert (code, "5 images, evenly spread over the split" in said) == (0, True)
    code, said, _ = fer("robustness", *words, "--corruptions", "jpeg")
    assert (code, "5 images, evenly spread over the split" in said) == (0, True)
    evaluated = json.loads(fer("evaluate", *words, "--json")[1])
    robust = json.loads(fer("robustness", *words, "--corruptions", "jpeg", "--json")[1])
    moved = json.loads(fer("transfer", *words, "--json")[1])["results"][0]
    found = [one["accuracy"] for one in (evaluated, robust["clean"], moved)]
    assert found == [found[0]] * 3
    assert [evaluated["limit"], robust["tested_on"]["limit"], moved["tested_on"]["limit"]] == [
        5, 5, 5,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (["--corruptions", "jpg"], "unknown corruption 'jpg': did you mean 'jpeg'?"),
        (["--split", "tset"], "unknown --split 'tset': did you mean 'test'?"),
        (["--data", "nowhere.zip"], "the data source 'nowhere.zip' does not exist"),
    ],
)
def test_bad_input_is_a_sentence_and_leaves_no_file(
    fer: Fer, store: ResultsStore, words: list[str], more: list[str], sentence: str
) -> None:
    code, out, err = fer(*words, *more)
    assert (code, out) == (2, "")
    assert err.strip().startswith(f"error: {sentence}")
    assert not (store.find("default").folder / ROBUSTNESS).exists()


def test_a_run_without_weights_says_how_to_train_it(
    fer: Fer, store: ResultsStore, words: list[str]
) -> None:
    (store.find("default").folder / "model.safetensors").unlink()
    code, _, err = fer(*words)
    assert code == 2
    assert "are not here, only its record: train it again with" in err
    assert err.strip().endswith(f" --results {store.root} --force`")


def test_list_corruptions_names_them_all(fer: Fer) -> None:
    code, out, _ = fer("list", "corruptions", "--json")
    assert code == 0
    assert [item["name"] for item in json.loads(out)] == list(CORRUPTIONS)
