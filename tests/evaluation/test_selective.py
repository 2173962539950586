"""Risk, coverage and thresholds, against plain loops and worked examples."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fer_bench.evaluation.selective import (
    answered_above,
    answered_by_emotion,
    area_under_risk_coverage,
    operating_point,
    risk_coverage,
    threshold_for,
)

#: Six images of two emotions; confidences 0.9, 0.9, 0.8, 0.7, 0.6, 0.55, wrong are the third and
#: the last.
LABELS = np.array([0, 1, 0, 1, 0, 1])
PROBABILITIES = np.array([[0.9, 0.1], [0.1, 0.9], [0.2, 0.8], [0.3, 0.7], [0.6, 0.4], [0.55, 0.45]])


def sample(n: int = 300, *, decimals: int = 8) -> tuple[np.ndarray, np.ndarray]:
    """Random answers, of which the surer ones are right more often; few decimals make ties."""
    rng = np.random.default_rng(0)
    confidence = rng.uniform(0.5, 1, n).round(decimals)
    right = rng.random(n) < confidence
    return np.where(right, 0, 1), np.stack([confidence, 1 - confidence], axis=1)


def test_each_threshold_answers_what_reaches_it() -> None:
    table = risk_coverage(LABELS, PROBABILITIES)
    assert table["threshold"].tolist() == [0.9, 0.8, 0.7, 0.6, 0.55]
    assert table["answered"].tolist() == [2, 3, 4, 5, 6]
    assert table["wrong"].tolist() == [0, 1, 1, 1, 2]
    assert table["coverage"].tolist() == pytest.approx([2 / 6, 3 / 6, 4 / 6, 5 / 6, 1])
    assert table["risk"].tolist() == pytest.approx([0, 1 / 3, 1 / 4, 1 / 5, 1 / 3])


def test_risk_and_coverage_are_those_of_a_loop() -> None:
    labels, probabilities = sample()
    table = risk_coverage(labels, probabilities)
    assert table["threshold"].is_monotonic_decreasing
    for row in table.itertuples():
        answered = [i for i in range(300) if probabilities[i].max() >= row.threshold]
        wrong = [i for i in answered if probabilities[i].argmax() != labels[i]]
        assert (row.answered, row.wrong) == (len(answered), len(wrong))
        assert row.coverage == pytest.approx(len(answered) / 300)
        assert row.risk == pytest.approx(len(wrong) / len(answered))


def test_the_area_is_the_mean_risk_over_all_coverages() -> None:
    labels, probabilities = sample()
    order = sorted(range(300), key=lambda i: -probabilities[i].max())
    risks = [
        sum(probabilities[i].argmax() != labels[i] for i in order[:k]) / k for k in range(1, 301)
    ]
    assert area_under_risk_coverage(labels, probabilities) == pytest.approx(np.mean(risks))


def test_the_area_does_not_depend_on_the_order_of_equal_confidences() -> None:
    labels, probabilities = sample(decimals=1)
    area = area_under_risk_coverage(labels, probabilities)
    mixed = np.random.default_rng(1).permutation(300)
    assert area_under_risk_coverage(labels[mixed], probabilities[mixed]) == pytest.approx(area)
    same = np.tile([0.8, 0.2], (300, 1))
    assert area_under_risk_coverage(labels, same) == pytest.approx((labels == 1).mean())


def test_a_threshold_gives_accuracy_and_share() -> None:
    found = answered_above(LABELS, PROBABILITIES, 0.7)
    assert (found.accuracy.hits, found.accuracy.n) == (3, 4)
    assert (found.share.hits, found.share.n) == (4, 6)
    assert found.point == pytest.approx((4 / 6, 1 / 4))


def test_a_threshold_that_nothing_reaches_answers_nothing() -> None:
    found = answered_above(LABELS, PROBABILITIES, 0.95)
    assert (found.accuracy.n, found.share.value, found.point) == (0, 0.0, None)
    assert math.isnan(found.accuracy.value)


def test_each_emotion_has_its_share_recall_and_precision() -> None:
    happy, sad = answered_by_emotion(LABELS, PROBABILITIES, ("happy", "sad"), 0.7).to_dict(
        "records"
    )
    assert happy == {
        "emotion": "happy", "images": 3, "answered": 2, "coverage": 2 / 3, "recall": 1 / 2,
        "answers": 1, "precision": 1.0,
    }  # fmt: skip
    assert sad == {
        "emotion": "sad", "images": 3, "answered": 2, "coverage": 2 / 3, "recall": 1.0,
        "answers": 3, "precision": 2 / 3,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("accuracy", "threshold"), [(1.0, 0.9), (0.8, 0.6), (0.75, 0.6), (0.6, 0.55), (0.0, 0.55)]
)
def test_the_threshold_answers_most_images_with_the_accuracy(
    accuracy: float, threshold: float
) -> None:
    assert threshold_for(LABELS, PROBABILITIES, accuracy) == threshold


def test_an_accuracy_out_of_reach_has_no_threshold() -> None:
    wrong = 1 - LABELS
    assert threshold_for(wrong[[0, 1]], PROBABILITIES[[0, 1]], 0.5) is None
    assert operating_point((wrong[:2], PROBABILITIES[:2]), (LABELS, PROBABILITIES), 0.5) is None


def test_a_promise_is_chosen_on_one_set_and_kept_or_not_on_another() -> None:
    found = operating_point((LABELS, PROBABILITIES), (1 - LABELS, PROBABILITIES), 0.8)
    assert found.threshold == 0.6
    assert (found.chosen_on.accuracy.hits, found.chosen_on.share.hits) == (4, 5)
    assert (found.held_on.accuracy.hits, found.held_on.share.hits) == (1, 5)
