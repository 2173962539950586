"""Metrics against numbers worked out by hand, and against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as sk
from table_fixtures import table

from fer_bench.errors import FerBenchError
from fer_bench.evaluation.calibration import expected_calibration_error, reliability
from fer_bench.evaluation.metrics import accuracy_interval, align, compute_metrics

EMOTIONS = ("angry", "happy", "sad")
#: Predicted 0, 1, 1, 1, 2, 0 for the labels 0, 0, 1, 1, 2, 2.
LABELS = np.array([0, 0, 1, 1, 2, 2])
PROBABILITIES = np.array(
    [
        [0.82, 0.09, 0.09],
        [0.28, 0.62, 0.10],
        [0.09, 0.82, 0.09],
        [0.24, 0.52, 0.24],
        [0.08, 0.30, 0.62],
        [0.52, 0.08, 0.40],
    ]
)


def random_predictions(n: int = 500, n_classes: int = 7) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    labels = rng.integers(n_classes, size=n)
    scores = rng.random((n, n_classes))
    scores[np.arange(n), labels] += 0.4
    return labels, scores / scores.sum(1, keepdims=True)


def test_metrics_worked_out_by_hand() -> None:
    found = compute_metrics(LABELS, PROBABILITIES, EMOTIONS, n_left_out=4)
    assert (found.n, found.n_left_out) == (6, 4)
    assert found.accuracy == pytest.approx(4 / 6)
    assert found.confusion == [[1, 1, 0], [0, 2, 0], [1, 0, 1]]
    angry, happy, sad = (found.per_class[e] for e in EMOTIONS)
    assert (angry.precision, angry.recall, angry.f1, angry.support) == (0.5, 0.5, 0.5, 2)
    assert (happy.precision, happy.recall, happy.support) == (pytest.approx(2 / 3), 1, 2)
    assert happy.f1 == pytest.approx(0.8)
    assert (sad.precision, sad.recall, sad.f1) == (1, 0.5, pytest.approx(2 / 3))
    assert found.macro_precision == pytest.approx((1 / 2 + 2 / 3 + 1) / 3)
    assert found.macro_recall == pytest.approx(2 / 3)
    assert found.balanced_accuracy == pytest.approx(2 / 3)
    assert found.macro_f1 == pytest.approx((0.5 + 0.8 + 2 / 3) / 3)
    # Pairs ranked right, of 2 x 4 per class: angry 7, happy 7, sad 8.
    assert found.roc_auc == pytest.approx((7 / 8 + 7 / 8 + 8 / 8) / 3)
    assert found.log_loss == pytest.approx(-np.log([0.82, 0.28, 0.82, 0.52, 0.62, 0.4]).mean())
    # Confidence 0.82 twice (both right), 0.62 twice (one right), 0.52 twice (one right).
    assert found.ece == pytest.approx((2 * 0.18 + 2 * 0.12 + 2 * 0.02) / 6)


def test_metrics_agree_with_scikit_learn() -> None:
    labels, probabilities = random_predictions()
    predicted = probabilities.argmax(1)
    emotions = tuple("abcdefg")
    found = compute_metrics(labels, probabilities, emotions)
    assert found.accuracy == pytest.approx(sk.accuracy_score(labels, predicted))
    assert found.balanced_accuracy == pytest.approx(sk.balanced_accuracy_score(labels, predicted))
    for name, score in (
        (found.macro_precision, sk.precision_score),
        (found.macro_recall, sk.recall_score),
        (found.macro_f1, sk.f1_score),
    ):
        assert name == pytest.approx(score(labels, predicted, average="macro"))
    assert found.roc_auc == pytest.approx(
        sk.roc_auc_score(labels, probabilities, multi_class="ovr", average="macro")
    )
    assert found.log_loss == pytest.approx(sk.log_loss(labels, probabilities))
    assert found.confusion == sk.confusion_matrix(labels, predicted).tolist()
    report = sk.classification_report(labels, predicted, target_names=emotions, output_dict=True)
    for emotion in emotions:
        assert found.per_class[emotion].f1 == pytest.approx(report[emotion]["f1-score"])


def test_two_classes_have_a_roc_auc() -> None:
    found = compute_metrics(
        np.array([0, 0, 1, 1]),
        np.array([[0.9, 0.1], [0.4, 0.6], [0.3, 0.7], [0.5, 0.5]]),
        ("happy", "sad"),
    )
    assert found.roc_auc == pytest.approx(3 / 4)


def test_equal_probabilities_are_ties_whatever_float64s_last_digits_say() -> None:
    labels = np.arange(42) % 7
    answers = np.where(np.arange(42) % 4, labels, (labels + 1) % 7)
    probabilities = np.full((42, 7), (1 - 0.6) / 6)  # 0.6 is the edge of a bin of calibration
    probabilities[np.arange(42), answers] = 0.6
    noise = 1 + 1e-15 * np.random.default_rng(0).standard_normal((42, 7))
    plain, noisy = (
        compute_metrics(labels, given, tuple("abcdefg"))
        for given in (probabilities, probabilities * noise)
    )
    assert (
        plain.roc_auc
        == noisy.roc_auc
        == pytest.approx(
            sk.roc_auc_score(labels, probabilities.astype(np.float32), multi_class="ovr")
        )
    )
    assert plain.ece == noisy.ece == pytest.approx(31 / 42 - 0.6)


def test_a_class_without_images_takes_no_part_in_macro_averages() -> None:
    labels = np.array([0, 0, 1, 1])
    found = compute_metrics(labels, PROBABILITIES[:4], EMOTIONS)
    assert found.roc_auc is None
    assert found.per_class["sad"].model_dump() == {
        "precision": 0, "recall": 0, "f1": 0, "support": 0,
    }  # fmt: skip
    assert found.macro_recall == found.balanced_accuracy == pytest.approx(3 / 4)
    assert found.confusion == [[1, 1, 0], [0, 2, 0], [0, 0, 0]]


def test_accuracy_interval_is_the_bootstrap_over_images() -> None:
    low, high = accuracy_interval(2333, 3589)
    assert low < 2333 / 3589 < high
    # Normal approximation of the same interval.
    half = 1.96 * np.sqrt(0.65 * 0.35 / 3589)
    assert (low, high) == pytest.approx((0.65 - half, 0.65 + half), abs=0.002)
    rng = np.random.default_rng(0)
    right = np.arange(200) < 130
    means = [rng.choice(right, 200).mean() for _ in range(2000)]
    assert accuracy_interval(130, 200) == pytest.approx(np.percentile(means, [2.5, 97.5]), abs=0.01)


def test_accuracy_interval_is_the_same_each_time() -> None:
    assert accuracy_interval(65, 100) == accuracy_interval(65, 100)


def test_accuracy_interval_keeps_a_width_where_all_or_none_are_right() -> None:
    assert accuracy_interval(98, 98) == pytest.approx((0.962, 1), abs=5e-4)
    assert accuracy_interval(0, 98) == pytest.approx((0, 0.038), abs=5e-4)


def test_reliability_keeps_empty_bins_and_counts_every_image() -> None:
    table = reliability(LABELS, PROBABILITIES, n_bins=5)
    assert table["low"].tolist() == pytest.approx([0, 0.2, 0.4, 0.6, 0.8])
    assert table["high"].tolist() == pytest.approx([0.2, 0.4, 0.6, 0.8, 1])
    assert table["count"].tolist() == [0, 0, 2, 2, 2]
    assert table["confidence"][2:].tolist() == pytest.approx([0.52, 0.62, 0.82])
    assert table["accuracy"][2:].tolist() == pytest.approx([0.5, 0.5, 1])
    assert table.loc[:1, ["confidence", "accuracy"]].isna().all(axis=None)


def test_a_bin_holds_its_upper_edge() -> None:
    table = reliability(np.array([0, 0]), np.array([[0.5, 0.5], [1, 0]]), n_bins=2)
    assert table["count"].tolist() == [1, 1]


def test_ece_is_zero_for_a_sure_and_right_model_and_one_for_a_sure_and_wrong_one() -> None:
    sure = np.eye(3)[LABELS]
    assert expected_calibration_error(LABELS, sure) == 0
    assert expected_calibration_error((LABELS + 1) % 3, sure) == 1


def test_align_renumbers_and_leaves_unknown_classes_out() -> None:
    kept, labels = align(
        np.array([0, 1, 2, 3, -1, 1]),
        ("happy", "sad", "fear", "angry"),
        ("angry", "contempt", "sad"),
    )
    assert kept.tolist() == [False, True, False, True, False, True]
    assert labels.tolist() == [2, 0, 2]
    assert labels.dtype == np.int64


def test_align_refuses_classes_that_have_nothing_in_common() -> None:
    with pytest.raises(FerBenchError, match=r"classes happy, sad and the model knows fear, angry"):
        align(np.array([0]), ("happy", "sad"), ("fear", "angry"))


@table(
    ("labels", "probabilities", "message"),
    [
        (LABELS, PROBABILITIES[:5], r"expected probabilities of shape \(6, 3\).*got \(5, 3\)"),
        (LABELS, PROBABILITIES[:, :2], r"expected probabilities of shape \(6, 3\).*got \(6, 2\)"),
        (LABELS[:0], PROBABILITIES[:0], "expected at least one image"),
        (LABELS + 1, PROBABILITIES, "expected labels from 0 to 2, got 1 to 3"),
        (LABELS - 1, PROBABILITIES, "expected labels from 0 to 2, got -1 to 1"),
        (LABELS, PROBABILITIES * np.nan, "expected finite probabilities"),
        (LABELS, PROBABILITIES * np.inf, "expected finite probabilities"),
        (LABELS, PROBABILITIES * 2, "sum to 1 in each row, got a sum of 2"),
        (LABELS, PROBABILITIES + np.array([-0.5, 0.5, 0]), r"a minimum of -0\.42"),
    ],
)
def test_bad_input_is_one_sentence(
    labels: np.ndarray, probabilities: np.ndarray, message: str
) -> None:
    with pytest.raises(FerBenchError, match=message):
        compute_metrics(labels, probabilities, EMOTIONS)


def test_float32_probabilities_are_precise_enough() -> None:
    labels, probabilities = random_predictions()
    exact = compute_metrics(labels, probabilities, tuple("abcdefg"))
    single = compute_metrics(labels, probabilities.astype(np.float32), tuple("abcdefg"))
    assert single.log_loss == pytest.approx(exact.log_loss, abs=1e-6)
    assert single.accuracy == exact.accuracy
