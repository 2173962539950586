"""Prediction sets: thresholds, coverage on the shipped runs, `predict --sets` and the page."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from command_fixtures import Fer
from data_fixtures import encoded, face
from page_fixtures import BEST, open_page, texts
from record_fixtures import make_predictions, make_record
from table_fixtures import table

from fer_bench.emotions import FER2013
from fer_bench.errors import FerBenchError
from fer_bench.evaluation.calibration import calibrated_scores
from fer_bench.evaluation.prediction_sets import (
    KINDS,
    coverage,
    coverage_table,
    expected_coverage,
    fit_sets,
    measure_sets,
    rule_of,
    standing,
    with_sets,
)
from fer_bench.models.build import build_model
from fer_bench.models.classifier import ModelRequest
from fer_bench.models.weights import model_files
from fer_bench.results.store import ResultsStore
from fer_bench.specs.run import ExternalSpec

ROOT = Path(__file__).parents[2]
SHIPPED = [
    run.id
    for run in ResultsStore(ROOT / "results").runs()
    if run.record and (run.folder / "predictions.parquet").exists()
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


def test_without_test_answers_there_is_nothing_to_cover() -> None:
    table = make_predictions()
    with pytest.raises(FerBenchError, match="no stored predictions on test"):
        measure_sets(make_record(), table[table["split"] == "val"])


def test_labels_alone_make_no_sets() -> None:
    spec = ExternalSpec(external="theirs", answers="labels")
    with pytest.raises(FerBenchError, match="gave one emotion per image and no probabilities"):
        with_sets(make_record().model_copy(update={"spec": spec}), make_predictions())


def test_where_nothing_is_promised_nothing_is_said() -> None:
    found = measure_sets(make_record(), make_predictions())[0]
    unpromised = found.all.model_copy(update={"expected95": None})
    assert standing(found.model_copy(update={"all": unpromised})) == ""


def test_what_is_expected_counts_both_draws() -> None:
    """Narrower is what the test images alone let expect: 0.84 to 0.95 of a hundred."""
    assert expected_coverage([9], [1], 0.8) == (0, 1)
    # 99 of 109 true emotions reach the threshold, and of one more 99 in 110.
    assert expected_coverage([109], [100], 0.9) == (0.81, 0.97)
    assert expected_coverage([3], [50], 0.9) == (1, 1)  # too few: always in the set
    # Classes add up: what one threshold lacks another may have.
    low, high = expected_coverage([109, 3], [100, 100], 0.9)
    assert (low, high) == ((81 + 100) / 200, (97 + 100) / 200)


def test_what_is_expected_happens_to_95_of_100_fits() -> None:
    """Drawn faces, so that those of the fit and those of the test are alike."""
    generator = np.random.default_rng(0)
    low, high = expected_coverage([200], [300])
    inside = []
    for _ in range(1000):
        of_truth, labels = generator.random(500), generator.integers(0, 2, 500)
        table = two_classes(of_truth.tolist(), labels.tolist())
        # The answer always stands in the set; a third emotion keeps the true one from being it.
        probabilities = np.column_stack([table * 0.4, np.full(500, 0.6)])
        rule = fit_sets(labels[:200], probabilities[:200], 0.9, "marginal")
        found = coverage(rule, labels[200:], probabilities[200:], ["a", "b", "c"])
        inside.append(low <= found.all.coverage <= high)
    assert 0.94 <= np.mean(inside) <= 0.97


@table("name", SHIPPED)
def test_shipped_runs_cover_what_was_asked(name: str) -> None:
    """Fitted on half of val and test mixed, so that both are alike, the other half is covered.

    From val to test, as the records have it, faces may change: `standing` says so of each run.
    """
    store = ResultsStore(ROOT / "results")
    run = store.find(name)
    record, predictions = run.require_record(), store.predictions(run)
    found = measure_sets(record, predictions)
    assert record.prediction_sets == found
    splits = [calibrated_scores(predictions, record, split) for split in ("val", "test")]
    labels, probabilities = (np.concatenate(parts) for parts in zip(*splits, strict=True))
    n = len(splits[0][0])
    low, high = expected_coverage([n], [len(labels) - n])
    generator, inside = np.random.default_rng(0), []
    for _ in range(20):
        order = generator.permutation(len(labels))
        rule = fit_sets(labels[order[:n]], probabilities[order[:n]], 0.9, "marginal")
        rest = order[n:]
        held = rule.sets(probabilities[rest])[np.arange(len(rest)), labels[rest]]
        inside.append(low <= held.mean() <= high)
    assert np.mean(inside) >= 0.75
    assert standing(found[0]).endswith("this one does.") == (
        found[0].all.expected95[0] <= found[0].all.coverage <= found[0].all.expected95[1]
    )


def test_class_wise_sets_keep_the_promise_for_the_rare_emotion_too() -> None:
    store = ResultsStore(ROOT / "results")
    run = store.find("default")
    marginal, class_wise = measure_sets(run.require_record(), store.predictions(run))
    assert (marginal.kind, class_wise.kind) == KINDS
    assert round(marginal.all.mean_size, 2) == 1.97
    assert marginal.all.ci95[0] <= 0.9 <= marginal.all.ci95[1]
    assert marginal.per_emotion["disgust"].coverage == pytest.approx(46 / 55)
    assert marginal.per_emotion["disgust"].expected95 is None  # nothing promised
    for one in (marginal.all, class_wise.all, *class_wise.per_emotion.values()):
        low, high = one.expected95
        assert low <= one.coverage <= high
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


def test_predict_names_sets(fer: Fer, stored: Path) -> None:
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


def test_records_without_sets_get_them(fer: Fer, stored: Path) -> None:
    """`results --sets` fits them on stored predictions and changes nothing else."""
    store = ResultsStore(stored / "results")
    before = store.find("tester").require_record()
    store.save(make_record(name="unpredicted"))
    code, out, err = fer("results", "--sets", "all", "--results", stored / "results")
    assert code == 0 and "fer2013/tester: marginal" in out
    assert "left out" in err and "no predictions.parquet" in err
    after = store.find("tester").require_record()
    assert [one.kind for one in after.prediction_sets] == list(KINDS)
    assert after.model_copy(update={"prediction_sets": []}) == before
    code, _, err = fer("results", "--sets", "unpredicted", "--results", stored / "results")
    assert code == 2 and "no predictions.parquet" in err


def test_the_calibration_page_shows_them(mixed: Path) -> None:
    app = open_page("calibration", BEST)
    assert "of the sets hold the true emotion" in texts(app)
    assert "95 % of such shares lie between" in texts(app)
    assert any("mean_size" in one.value for one in app.dataframe)
