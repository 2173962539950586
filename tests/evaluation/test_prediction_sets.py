"""Prediction sets: thresholds, coverage on the shipped runs, `predict --sets` and the page."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from data_fixtures import encoded, face
from page_fixtures import BEST, mixed, open_page, results, texts
from record_fixtures import make_predictions, make_record
from table_fixtures import table

from fer_bench.emotions import FER2013
from fer_bench.errors import FerBenchError
from fer_bench.evaluation.prediction_sets import (
    KINDS,
    coverage_table,
    fit_sets,
    measure_sets,
    rule_of,
)
from fer_bench.models.build import build_model
from fer_bench.models.classifier import ModelRequest
from fer_bench.models.weights import model_files
from fer_bench.results.store import ResultsStore

__all__ = ["mixed", "results"]  # fixtures

ROOT = Path(__file__).parents[2]
SHIPPED = [
    run.name
    for run in ResultsStore(ROOT / "results").runs()
    if run.record and run.dataset == "fer2013" and (run.folder / "predictions.parquet").exists()
    if {"val", "test"} <= set(run.record.metrics)
]


def two_classes(of_truth: list[float], labels: list[int]) -> np.ndarray:
    """Probabilities `(N, 2)` whose true class has the given one."""
    table = np.empty((len(labels), 2))
    rows = np.arange(len(labels))
    table[rows, labels] = of_truth
    table[rows, 1 - np.array(labels)] = 1 - np.array(of_truth)
    return table


def test_the_threshold_is_the_quantile_with_one_more_face() -> None:
    of_truth = [0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1]
    labels = np.array([0, 1] * 4 + [0])
    rule = fit_sets(labels, two_classes(of_truth, labels.tolist()), 0.8, "marginal")
    # ceil(10 * 0.8) = 8 of the 9 true emotions must reach it: the eighth largest.
    assert rule.thresholds.tolist() == [0.2, 0.2]
    by_class = fit_sets(labels, two_classes(of_truth, labels.tolist()), 0.8, "class-wise")
    # ceil(6 * 0.8) = 5 of 0.9 0.7 0.5 0.3 0.1; ceil(5 * 0.8) = 4 of 0.8 0.6 0.4 0.2.
    assert by_class.thresholds.tolist() == [0.1, 0.2]


def test_an_emotion_with_too_few_faces_is_always_in_the_set() -> None:
    labels = np.array([0] * 20 + [1] * 3)
    rule = fit_sets(labels, two_classes([0.9] * 23, labels.tolist()), 0.9, "class-wise")
    assert rule.thresholds.tolist() == [0.9, 0.0]
    assert rule.sets(np.array([[0.95, 0.05]])).tolist() == [[True, True]]


def test_a_set_holds_the_answer_at_least() -> None:
    labels = np.zeros(20, dtype=np.int64)
    rule = fit_sets(labels, two_classes([0.9] * 20, labels.tolist()), 0.9, "marginal")
    assert rule.sets(np.array([[0.6, 0.4]])).tolist() == [[True, False]]


@pytest.mark.parametrize("level", [0, 1, -0.5, 90])
def test_a_level_that_is_none_is_refused(level: float) -> None:
    with pytest.raises(FerBenchError, match="between 0 and 1"):
        fit_sets(np.zeros(3, dtype=np.int64), np.ones((3, 1)), level)


def test_without_validation_answers_there_is_no_rule() -> None:
    record, table = make_record(), make_predictions()
    with pytest.raises(FerBenchError, match="no stored predictions on val"):
        rule_of(record, table[table["split"] == "test"])


@table("name", SHIPPED)
def test_shipped_runs_cover_what_was_asked(name: str) -> None:
    """Of both fits' randomness, val's and test's, test's is the binomial one: three sigmas."""
    store = ResultsStore(ROOT / "results")
    run = store.find(f"fer2013/{name}")
    record = run.require_record()
    for found in measure_sets(record, store.predictions(run)):
        n = record.metrics["test"].n
        sigma = np.sqrt(0.9 * 0.1 * (1 / n + 1 / record.metrics["val"].n))
        slack = 0.03 if found.kind == "class-wise" else 0.01  # each class rounds up
        assert 0.9 - 3 * sigma <= found.all.coverage <= 0.9 + 3 * sigma + slack


def test_class_wise_sets_keep_the_promise_for_the_rare_emotion_too() -> None:
    store = ResultsStore(ROOT / "results")
    run = store.find("default")
    marginal, class_wise = measure_sets(run.require_record(), store.predictions(run))
    assert (marginal.kind, class_wise.kind) == KINDS
    assert round(marginal.all.mean_size, 2) == 1.94
    assert marginal.all.ci95[0] <= 0.9 <= marginal.all.ci95[1]
    assert marginal.per_emotion["disgust"].coverage == pytest.approx(0.8)
    low, high = class_wise.per_emotion["disgust"].ci95
    assert low <= 0.9 <= high
    table = coverage_table(class_wise)
    assert table["emotion"].tolist() == ["all", *FER2013]
    assert table["n"].iloc[1:].sum() == table["n"].iloc[0] == 3589


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    """Results with one run whose weights and predictions are there."""
    model = build_model(ModelRequest(name="compact_resnet", emotions=FER2013))
    ResultsStore(tmp_path / "results").save(
        make_record(name="tester", model="compact_resnet"),
        predictions=make_predictions(),
        network=model_files(model),
    )
    (tmp_path / "face.png").write_bytes(encoded(face(1)))
    return tmp_path


def test_predict_names_sets(fer: Callable[..., tuple[int, str, str]], stored: Path) -> None:
    common = ("tester", stored / "face.png", "--results", stored / "results")
    common += ("--detector", "whole", "--backend", "torch-fp32")
    table = stored / "faces.csv"
    code, out, _ = fer("predict", *common, "--sets", "0.9", "--json", "--csv", table)
    (found,) = json.loads(out)[0]["faces"]
    assert code == 0
    assert found["set"][0] == found["emotion"]
    probabilities = [found["probabilities"][e] for e in found["set"]]
    assert probabilities == sorted(probabilities, reverse=True)
    header, row = table.read_text().splitlines()
    assert header.endswith('"p_neutral","set","backend","error"') and " ".join(found["set"]) in row
    _, out, _ = fer("predict", *common, "--json")
    assert "set" not in json.loads(out)[0]["faces"][0]
    code, _, err = fer("predict", *common, "--sets", "90")
    assert code == 2 and "between 0 and 1" in err
    (stored / "results/fer2013/tester/predictions.parquet").unlink()
    code, _, err = fer("predict", *common, "--sets", "0.9")
    assert code == 2 and "has no predictions.parquet" in err


def test_the_calibration_page_shows_them(mixed: Path) -> None:
    app = open_page("calibration", BEST)
    assert "of the sets hold the true emotion" in texts(app)
    assert any("mean_size" in one.value for one in app.dataframe)
