"""Calibration errors against plain loops; the temperature against a direct search."""

from __future__ import annotations

import numpy as np
import pytest
from record_fixtures import make_predictions, make_record
from scipy.special import softmax
from sklearn.metrics import log_loss

from fer_bench.emotions import FER2013
from fer_bench.evaluation.calibration import (
    calibrated_scores,
    calibration_errors,
    class_reliability,
    classwise_errors,
    expected_calibration_error,
    fit_temperature,
    temperature_of,
    with_temperature,
)
from fer_bench.evaluation.confusion import of_set, scores


def sample(temperature: float, n: int = 20_000) -> tuple[np.ndarray, np.ndarray]:
    """Labels drawn from probabilities whose logits are then multiplied by `temperature`."""
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(n, 7)) * 2
    true = softmax(logits, axis=1)
    labels = (true.cumsum(1) > rng.random((n, 1))).argmax(1)
    return labels, softmax(logits * temperature, axis=1)


def test_a_temperature_of_one_changes_nothing() -> None:
    _, probabilities = sample(1.0, n=10)
    np.testing.assert_allclose(with_temperature(probabilities, 1.0), probabilities, atol=1e-12)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_the_fit_undoes_a_wrong_scale(temperature: float) -> None:
    labels, probabilities = sample(temperature)
    fitted = fit_temperature(labels, probabilities)
    assert fitted == pytest.approx(temperature, rel=0.03)
    calibrated = with_temperature(probabilities, fitted)
    assert expected_calibration_error(labels, calibrated) < 0.012
    assert (calibrated.argmax(1) == probabilities.argmax(1)).all()


def test_no_other_temperature_has_a_lower_log_loss() -> None:
    labels, probabilities = sample(2.0, n=2_000)
    fitted = fit_temperature(labels, probabilities)
    best = log_loss(labels, with_temperature(probabilities, fitted), labels=range(7))
    for other in (fitted * 0.98, fitted * 1.02, 1.0):
        assert best < log_loss(labels, with_temperature(probabilities, other), labels=range(7))


def test_certain_and_wrong_stays_finite() -> None:
    labels = np.array([0, 1, 2])
    assert np.isfinite(fit_temperature(labels, np.eye(3)[[1, 1, 2]]))


def error_by_hand(score: np.ndarray, happened: np.ndarray, n_bins: int = 15) -> float:
    """ECE as the papers write it, image by image; a bin holds its upper edge."""
    total = 0.0
    for b in range(n_bins):
        inside = [
            i
            for i, value in enumerate(score)
            if b / n_bins < value <= (b + 1) / n_bins or (b == 0 and value == 0)
        ]
        if inside:
            gap = sum(score[i] for i in inside) - sum(happened[i] for i in inside)
            total += abs(gap) / len(score)
    return total


def test_the_calibration_errors_are_those_of_the_papers() -> None:
    labels, probabilities = sample(2.0, n=400)
    answers = probabilities.argmax(1)
    found = calibration_errors(labels, probabilities, FER2013)
    assert found.ece == pytest.approx(error_by_hand(probabilities.max(1), answers == labels))
    by_class = [error_by_hand(probabilities[:, c], labels == c) for c in range(7)]
    assert classwise_errors(labels, probabilities, FER2013)["ece"].tolist() == pytest.approx(
        by_class
    )
    assert found.classwise_ece == pytest.approx(np.mean(by_class))


def test_each_emotion_has_its_counts() -> None:
    labels = np.array([0, 0, 0, 1])
    probabilities = np.array([[0.9, 0.1], [0.6, 0.4], [0.3, 0.7], [0.2, 0.8]])
    table = classwise_errors(labels, probabilities, ("happy", "sad")).drop(columns="ece")
    assert table.to_dict("list") == {
        "emotion": ["happy", "sad"],
        "images": [3, 1],
        "answers": [2, 2],
        "share": [0.75, 0.25],
        "mean_probability": [0.5, 0.5],
    }
    bins = class_reliability(labels, probabilities, 0, n_bins=2)
    assert bins["count"].tolist() == [2, 2]
    assert bins["confidence"].tolist() == [0.25, 0.75]
    assert bins["accuracy"].tolist() == [0.5, 1.0]


def test_a_stored_temperature_counts_and_a_missing_one_is_fitted_on_val() -> None:
    record, predictions = make_record(), make_predictions()
    stored = record.model_copy(update={"temperature": 2.5})
    assert temperature_of(stored, predictions) == 2.5
    fitted = fit_temperature(*scores(of_set(predictions, "val"), FER2013))
    assert temperature_of(record, predictions) == fitted
    assert temperature_of(record, of_set(predictions, "test")) is None


def test_calibrated_scores_are_of_one_set_after_the_temperature() -> None:
    record = make_record().model_copy(update={"temperature": 2.5})
    predictions = make_predictions()
    labels, plain = scores(of_set(predictions, "test_clean"), FER2013)
    found_labels, found = calibrated_scores(predictions, record, "test_clean")
    assert (found_labels == labels).all()
    np.testing.assert_allclose(found, with_temperature(plain, 2.5))
    tested = of_set(predictions, "test")
    unscaled = calibrated_scores(tested, make_record(), "test")[1]
    np.testing.assert_allclose(unscaled, scores(tested, FER2013)[1], atol=1e-6)
