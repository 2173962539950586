"""The temperature of the least log loss, against a direct search and known answers."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.metrics import log_loss

from fer_bench.evaluation.calibration import (
    expected_calibration_error,
    fit_temperature,
    with_temperature,
)


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
