"""Comparing runs: the statistics agree with other libraries, the sentences with the statistics."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from comparison_fixtures import answer_table, compare_stored, save_run, save_seeds
from page_fixtures import make_ensemble_record
from record_fixtures import make_predictions, make_record
from scipy.stats import bootstrap, ttest_ind
from sklearn.metrics import accuracy_score, cohen_kappa_score, f1_score
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests
from table_fixtures import table

from fer_bench.emotions import EXPRESSIO
from fer_bench.errors import FerBenchError
from fer_bench.formatting import percent
from fer_bench.results.store import ResultsStore
from fer_bench.results.summary import summary_table
from fer_bench.specs.run import ExternalSpec
from fer_bench.studies.comparison import paired, tables
from fer_bench.studies.comparison.compare import Comparison, compare
from fer_bench.studies.comparison.seeds import over_seeds
from fer_bench.studies.comparison.shared_images import IMAGE_SETS, join, why_not_together
from fer_bench.studies.comparison.verdicts import pair_verdict, points, remarks, scope, verdict

SHIPPED = ResultsStore(Path(__file__).parents[3] / "results")
KERAS = "keras_cnn-full-keras-cnn-12ep-scratch-s0"
TEACHER = "compact_resnet-full-distill-16ep-depth2-taught-by-1-s0"
N_CLASSES = 7


@pytest.fixture(scope="module")
def faces() -> tuple[np.ndarray, np.ndarray]:
    """Labels `(300,)` and the answers of two classifiers `(2, 300)` that err on shared images."""
    rng = np.random.default_rng(5)
    labels = rng.integers(N_CLASSES, size=300)
    hard = rng.random(300) < 0.4
    answers = np.stack(
        [np.where(hard & (rng.random(300) < wrong), (labels + 1) % N_CLASSES, labels)
         for wrong in (0.6, 0.8)]
    )  # fmt: skip
    return labels, answers


# --- statistics, beside other libraries' -------------------------------------------------------


@table("counts", [(0, 0), (0, 1), (5, 5), (3, 12), (40, 22), (301, 250)])
def test_mcnemar_is_statsmodels(counts: tuple[int, int]) -> None:
    only_a, only_b = counts
    expected = mcnemar([[100, only_a], [only_b, 20]], exact=True).pvalue
    assert paired.mcnemar_exact(only_a, only_b) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    "p_values",
    [[0.2], [0.04, 0.01, 0.03], [0.5, 0.5, 0.001, 0.02], [0.9, 0.8, 0.7], [0.0, 1.0, 0.05]],
)
def test_holm_is_statsmodels(p_values: list[float]) -> None:
    expected = multipletests(p_values, method="holm")[1]
    np.testing.assert_allclose(paired.holm(p_values), expected, atol=1e-15)


def test_welch_is_scipys() -> None:
    a, b = [0.70, 0.71, 0.69], [0.66, 0.69]
    assert paired.welch(a, b) == pytest.approx(ttest_ind(a, b, equal_var=False).pvalue)
    assert paired.welch(a, [0.66]) is None
    assert paired.welch([0.7, 0.7], [0.6, 0.6]) is None


def test_each_resample_scores_as_scikit_learn_does(faces: tuple[np.ndarray, np.ndarray]) -> None:
    labels, answers = (part[..., :40] for part in faces)  # few: some draws lack a class
    draws = paired.resample(labels, answers, N_CLASSES, seed=3, n_resamples=25)
    rows = np.random.default_rng(3).integers(40, size=(25, 40))
    for number, row in enumerate(rows):
        true = labels[row]
        for run, given in enumerate(answers[:, row]):
            assert draws.accuracy[number, run] == pytest.approx(accuracy_score(true, given))
            expected = f1_score(
                true, given, labels=np.unique(true), average="macro", zero_division=0
            )
            assert draws.macro_f1[number, run] == pytest.approx(expected)


def test_the_interval_of_the_accuracy_difference_is_scipys(
    faces: tuple[np.ndarray, np.ndarray],
) -> None:
    labels, answers = faces
    draws = paired.resample(labels, answers, N_CLASSES)
    found = paired.interval95(draws.accuracy[:, 0] - draws.accuracy[:, 1])
    first, second = (answers == labels).astype(float)
    expected = bootstrap(
        (first, second), lambda a, b, axis: a.mean(axis) - b.mean(axis), paired=True,
        vectorized=True, method="percentile", n_resamples=10_000, rng=np.random.default_rng(1),
    )  # fmt: skip
    # An end of either interval varies by 0.027 standard errors; four times both, and one image.
    tolerance = 4 * 0.027 * np.sqrt(2) * expected.standard_error + 1 / len(labels)
    np.testing.assert_allclose(found, expected.confidence_interval, atol=tolerance)


def test_the_interval_of_the_macro_f1_difference_is_a_plain_loops(
    faces: tuple[np.ndarray, np.ndarray],
) -> None:
    labels, answers = faces
    draws = paired.resample(labels, answers, N_CLASSES)
    found = paired.interval95(draws.macro_f1[:, 0] - draws.macro_f1[:, 1])
    rng = np.random.default_rng(1)

    def macro_f1(true: np.ndarray, given: np.ndarray) -> float:
        confusion = np.bincount(true * N_CLASSES + given, minlength=N_CLASSES**2)
        confusion = confusion.reshape(N_CLASSES, N_CLASSES)
        return float(np.mean(2 * confusion.diagonal() / (confusion.sum(0) + confusion.sum(1))))

    differences = []
    for _ in range(3000):
        row = rng.integers(len(labels), size=len(labels))
        first, second = (macro_f1(labels[row], answer[row]) for answer in answers)
        differences.append(first - second)
    error = np.std(differences)
    expected = np.percentile(differences, [2.5, 97.5])
    np.testing.assert_allclose(found, expected, atol=4 * error * np.hypot(0.027, 0.049))


def test_resamples_depend_neither_on_memory_nor_on_who_takes_part(
    faces: tuple[np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    labels, answers = faces
    whole = paired.resample(labels, answers, N_CLASSES, n_resamples=50)
    alone = paired.resample(labels, answers[1:], N_CLASSES, n_resamples=50)
    monkeypatch.setattr(paired, "MOST_DRAWN", 7 * len(labels))
    in_parts = paired.resample(labels, answers, N_CLASSES, n_resamples=50)
    np.testing.assert_array_equal(in_parts.macro_f1, whole.macro_f1)
    np.testing.assert_array_equal(alone.macro_f1[:, 0], whole.macro_f1[:, 1])


def test_agreement_has_scikit_learns_kappa(faces: tuple[np.ndarray, np.ndarray]) -> None:
    a, b = faces[1]
    same, kappa = paired.agreement(a, b)
    assert (same, kappa) == (accuracy_score(a, b), cohen_kappa_score(a, b))
    assert paired.agreement(np.zeros(3, int), np.zeros(3, int)) == (1.0, 1.0)


# --- joining -----------------------------------------------------------------------------------


def test_rows_meet_by_id_whatever_their_order(tmp_path: Path) -> None:
    runs = save_seeds(tmp_path, "resnet18", 0.65, [0, 1])
    first, second = make_predictions(seed=0), make_predictions(seed=1)
    plain = compare(runs, [first, second], n_resamples=10)
    shuffled = second.sample(frac=1, random_state=0)
    assert compare(runs, [first, shuffled], n_resamples=10).pairs == plain.pairs


def test_rows_that_one_run_alone_has_are_counted(tmp_path: Path) -> None:
    runs = save_seeds(tmp_path, "resnet18", 0.65, [0, 1])
    first, second = make_predictions(seed=0), make_predictions(seed=1)
    cut = second[second["id"] != "test/00080.png"]
    found = compare(runs, [first, cut], n_resamples=10)
    assert len(found.shared.ids) == 139
    assert dict(zip(found.names, found.shared.left_out, strict=True)) == {
        runs[0].name: 1,
        runs[1].name: 0,
    }
    assert remarks(found) == [
        f"1 image of {runs[0].name} that another run did not answer left out."
    ]


@pytest.mark.parametrize("images", IMAGE_SETS)
def test_accuracies_are_those_of_the_records(tmp_path: Path, images: str) -> None:
    runs = save_seeds(tmp_path, "resnet18", 0.65, [0, 1])
    runs += save_seeds(tmp_path, "vgg16", 0.4, [0])
    clean = pd.read_parquet(runs[0].folder / "predictions.parquet")["clean"]
    for run in runs[1:]:  # which images are clean is a matter of the data, not of the run
        table = pd.read_parquet(run.folder / "predictions.parquet").assign(clean=clean)
        save_run(tmp_path, run.require_record(), table)
    found = compare_stored(runs, images)
    for name, accuracy, ends, f1 in zip(
        found.names, found.accuracy, found.accuracy_intervals, found.macro_f1, strict=True
    ):
        metrics = ResultsStore(tmp_path).find(name).require_record().metrics[images]
        if images == "test_clean" and name != runs[0].name:
            assert len(found.shared.ids) == clean.sum()
            continue
        assert (accuracy, ends) == (metrics.accuracy, metrics.accuracy_ci95)
        assert f1 == pytest.approx(metrics.macro_f1)
    assert list(found.accuracy) == sorted(found.accuracy, reverse=True)


@pytest.mark.parametrize(
    ("other", "sentence"),
    [
        ({"emotions": EXPRESSIO}, "their classes differ (angry, disgust, fear, happy, sad"),
        ({"protocol": "kaggle"}, "their protocols differ (official and kaggle)"),
        ({"fingerprint": "cd" * 32}, "their data differ (fingerprints abababababab of fer2013 and"),
    ],
)
def test_runs_of_other_images_are_refused(
    tmp_path: Path, other: dict[str, object], sentence: str
) -> None:
    fingerprint = other.pop("fingerprint", None)
    record = make_record(model="vgg16", **other)
    if fingerprint:
        data = record.dataset.model_copy(update={"fingerprint": fingerprint})
        record = record.model_copy(update={"dataset": data})
    predictions = make_predictions(emotions=record.dataset.emotions)
    runs = [save_run(tmp_path, make_record()), save_run(tmp_path, record, predictions)]
    with pytest.raises(FerBenchError) as refused:
        compare_stored(runs)
    start = f"{runs[0].name} and {runs[1].name} cannot be compared: {sentence}"
    assert str(refused.value).startswith(start)
    assert str(refused.value).endswith("choose runs that were measured on the same images")


def test_soft_votes_are_compared_with_the_majority_whose_labels_they_have(tmp_path: Path) -> None:
    soft = make_record(model="vgg16", accuracy=0.6)
    changes = {"fingerprint": "cd" * 32, "whole_fingerprint": soft.dataset.fingerprint}
    soft = soft.model_copy(update={"dataset": soft.dataset.model_copy(update=changes)})
    part = soft.model_copy(update={"spec": soft.spec.model_copy(update={"limit": 9})})
    assert why_not_together(make_record(), soft) is None
    assert "their data differ" in (why_not_together(make_record(), part) or "")
    runs = [save_run(tmp_path, make_record()), save_run(tmp_path, soft)]
    assert len(compare_stored(runs).pairs) == 1


def test_predictions_that_do_not_fit_together_are_refused(tmp_path: Path) -> None:
    runs = save_seeds(tmp_path, "resnet18", 0.65, [0, 1])
    first = answer_table([0, 1], [0, 1])
    for second, sentence in (
        (first.assign(id=["x", "y"]), "have no test image in common"),
        (first.assign(label=[0, 2]), "name another true emotion for image b"),
        (first.assign(id=["a", "a"]), r"is damaged \(image a stands in it twice\)"),
        (first.assign(split="val"), "s1 has no predictions on test images"),
    ):
        with pytest.raises(FerBenchError, match=sentence):
            join(runs, [first, second], "test")


def test_too_few_runs_the_same_twice_and_unfinished_ones_are_refused(tmp_path: Path) -> None:
    (run,) = save_seeds(tmp_path, "resnet18", 0.65, [0])
    failed = save_run(tmp_path, make_record(model="vgg16", status="failed", error="no memory"))
    for runs, sentence in (
        ([run], "expected two to 26 runs to compare, got 1: name another"),
        ([run] * 27, "expected two to 26 runs to compare, got 27: name fewer"),
        ([run, run], f"run {run.name} is given twice"),
        ([run, failed], f"run {failed.name} is failed: only finished runs"),
    ):
        with pytest.raises(FerBenchError, match=sentence):
            compare_stored(runs)


# --- verdicts ----------------------------------------------------------------------------------


def test_the_shipped_model_is_better_than_the_copied_keras_network() -> None:
    default = SHIPPED.find("default")
    found = compare_stored([SHIPPED.find(KERAS), default])
    (pair,) = found.pairs
    assert (pair.a, pair.b, pair.significant) == (default.name, KERAS, True)
    tested = mcnemar(
        [[pair.both_right, pair.only_a_right], [pair.only_b_right, pair.both_wrong]], exact=True
    )
    assert pair.p == pytest.approx(tested.pvalue, rel=1e-9)
    assert verdict(found).startswith(f"{default.name} is better than {KERAS} by 13.1 points (95 %")
    assert verdict(found).endswith("unlikely to be chance (McNemar p < 0.001)")
    assert "3,589 test images and one training run" in scope(found)


def test_the_shipped_model_is_not_told_from_its_teacher() -> None:
    runs = [SHIPPED.find("default"), SHIPPED.find(TEACHER)]
    found = compare_stored(runs)
    assert "which may be chance (McNemar p = 0.81)" in verdict(found)
    assert remarks(found) == [
        f"{runs[0].name} was taught by {TEACHER}: that they answer alike is no surprise."
    ]


def test_equal_runs_cannot_be_told_apart(tmp_path: Path) -> None:
    runs = [save_run(tmp_path, make_record(model=model)) for model in ("resnet18", "vgg16")]
    found = compare_stored(runs)
    (pair,) = found.pairs
    assert (pair.p, pair.p_holm, pair.same_answer, pair.kappa) == (1, 1, 1, 1)
    assert pair.accuracy_interval == pair.macro_f1_interval == (0, 0)
    assert "same answer to each" in verdict(found)
    assert tables.disagreements(found).empty


def test_runs_that_are_right_equally_often_are_not_said_to_be_ahead(tmp_path: Path) -> None:
    runs = [save_run(tmp_path, make_record(model=model)) for model in ("resnet18", "vgg16")]
    labels = [0, 1, 2, 3]
    answers = [answer_table(labels, [0, 1, 0, 0]), answer_table(labels, [0, 0, 2, 0])]
    found = compare(runs, answers, n_resamples=100)
    assert "apart: both are right equally often (95 %: −" in verdict(found)
    assert verdict(found).endswith("points; McNemar p = 1)")


def test_of_several_runs_the_best_is_compared_with_each(tmp_path: Path) -> None:
    names = {}
    for model, accuracy in (("vgg16", 0.9), ("resnet18", 0.6), ("densenet121", 0.3)):
        names[model] = save_seeds(tmp_path, model, accuracy, [0])[0].name
    twin = save_run(tmp_path, make_record(model="expressio"), make_predictions(accuracy=0.89))
    found = compare_stored(ResultsStore(tmp_path).runs())
    assert found.names[0] == names["vgg16"]
    assert list(found.letters.values()) == ["A", "B", "C", "D"]
    assert verdict(found).startswith(f"{names['vgg16']} is better than {names['resnet18']} by ")
    assert "(largest p < 0.001, Holm-corrected)" in verdict(found)
    assert verdict(found).endswith(f"cannot tell it from {twin.name}")
    pair = found.pairs[0]
    assert pair_verdict(found, pair).endswith("Holm-corrected over 6 pairs)")
    expected = multipletests([p.p for p in found.pairs], method="holm")[1]
    np.testing.assert_allclose([p.p_holm for p in found.pairs], expected)


def test_seeds_of_one_model_cannot_be_told_apart(tmp_path: Path) -> None:
    runs = save_seeds(tmp_path, "resnet18", 0.65, [0, 1, 2])
    found = compare_stored(runs)
    experiment = runs[0].name.removesuffix("-s0")
    assert f"cannot tell the 3 seeds of {experiment} apart" in verdict(found)
    (row,) = over_seeds(summary_table(runs)).to_dict("records")
    (one,) = found.experiments
    assert one.accuracy == pytest.approx(row["test_accuracy"])
    assert one.accuracy_sd == pytest.approx(row["test_accuracy_sd"])
    assert one.macro_f1 == pytest.approx(row["test_macro_f1"])
    assert f"{percent(one.accuracy)} ± {points(one.accuracy_sd)} points" in verdict(found)
    assert tables.experiment_pair_table(found).empty


def test_systems_and_ensembles_whose_names_end_like_a_seed_are_experiments_of_their_own(
    tmp_path: Path,
) -> None:
    specs = [ExternalSpec(external=f"vit s{patch}") for patch in (16, 8)]
    records = [make_record().model_copy(update={"spec": one, "name": one.name}) for one in specs]
    records += [make_ensemble_record(f"deit-s{patch}", {"a": 0.5, "b": 0.5}) for patch in (16, 8)]
    runs = [save_run(tmp_path, one) for one in records]
    names = ["external-vit-s16", "external-vit-s8", "ensemble-deit-s16", "ensemble-deit-s8"]
    assert [one.name for one in compare_stored(runs).experiments] == names
    averaged = over_seeds(summary_table(runs))
    assert averaged["experiment"].tolist() == names
    assert averaged["seeds"].tolist() == [1, 1, 1, 1]


def test_a_seed_that_differs_is_luck_and_no_better_method(tmp_path: Path) -> None:
    runs = save_seeds(tmp_path, "resnet18", 0.9, [0]) + save_seeds(tmp_path, "resnet18", 0.4, [1])
    found = compare_stored(runs)
    assert verdict(found).startswith("The 2 seeds of resnet18-full-finetune-5 differ by more than")
    assert verdict(found).endswith("that is the luck of a seed, not a better method")


def test_experiments_with_seeds_are_told_apart_over_seeds_and_images(tmp_path: Path) -> None:
    good = save_seeds(tmp_path, "vgg16", 0.85, [0, 1, 2])
    bad = save_seeds(tmp_path, "resnet18", 0.55, [0, 1, 2])
    found = compare_stored([*bad, *good])
    (pair,) = found.experiment_pairs
    seeds = dict(zip(found.names, found.accuracy, strict=True))
    sides = [[seeds[run.name] for run in runs] for runs in (good, bad)]
    assert pair.p_welch == pytest.approx(ttest_ind(*sides, equal_var=False).pvalue)
    assert pair.p_welch_holm == pair.p_welch
    assert pair.accuracy_difference == pytest.approx(np.mean(sides[0]) - np.mean(sides[1]))
    assert pair.significant
    assert verdict(found).startswith("vgg16-full-finetune-5 is better")
    assert verdict(found).endswith(" over 3 and 3 seeds)")
    assert "seeds: vgg16-full-finetune-5 3, resnet18-full-finetune-5 3" in scope(found)


def test_close_experiments_with_seeds_are_not_told_apart(tmp_path: Path) -> None:
    runs = save_seeds(tmp_path, "vgg16", 0.66, [0, 1, 2])
    runs += save_seeds(tmp_path, "resnet18", 0.65, [3, 4, 5])
    found = compare_stored(runs)
    assert not found.experiment_pairs[0].significant
    assert "cannot tell" in verdict(found)
    assert "which may be chance (Welch p = " in verdict(found)


def test_against_a_single_seed_every_run_must_differ(tmp_path: Path) -> None:
    several = save_seeds(tmp_path, "vgg16", 0.85, [0, 1])
    single = save_seeds(tmp_path, "resnet18", 0.45, [2])
    (pair,) = compare_stored([*several, *single]).experiment_pairs
    assert (pair.p_welch, pair.significant, pair.seeds_a, pair.seeds_b) == (None, True, 2, 1)
    one_is_bad = [several[0], *save_seeds(tmp_path, "vgg16", 0.46, [1]), *single]
    found = compare_stored(one_is_bad)
    assert not found.experiment_pairs[0].significant
    assert "which may be chance (largest McNemar p = " in verdict(found)


def test_what_to_keep_in_mind_is_said(tmp_path: Path, same_sentence: Callable[[str], None]) -> None:
    limited = make_record(model="vgg16", not_comparable_because=["limit", "synthetic data"])
    member = save_run(tmp_path, make_record())
    ensemble = save_run(
        tmp_path, make_ensemble_record("both", {member.name: 0.5, limited.name: 0.5})
    )
    found = compare_stored([member, save_run(tmp_path, limited), ensemble], "val")
    same_sentence("\n".join(remarks(found)))


# --- tables ------------------------------------------------------------------------------------


def four_answers(folder: Path) -> Comparison:
    """Two runs on angry, happy, happy and surprise: the first is right three times, then twice."""
    runs = [save_run(folder, make_record(model=model)) for model in ("resnet18", "vgg16")]
    labels = [0, 3, 3, 5]
    first = answer_table(labels, [0, 3, 3, 1], [0.5, 0.6, 0.7, 0.8])
    second = answer_table(labels, [0, 3, 4, 2], [0.5, 0.6, 0.95, 0.9])
    return compare(runs, [first, second], n_resamples=10)


def test_disagreements_come_surest_first(tmp_path: Path) -> None:
    found = tables.disagreements(four_answers(tmp_path))
    assert found.drop(columns=["confidence_A", "confidence_B"]).to_dict("split")["data"] == [
        ["c", "happy", "A", "happy", "sad"],
        ["d", "surprise", "none", "disgust", "fear"],
    ]
    assert found["confidence_A"].tolist() == [0.7, 0.8]
    assert found["confidence_B"].tolist() == [0.95, 0.9]


def test_classes_are_compared_with_the_best_run(tmp_path: Path) -> None:
    runs = save_seeds(tmp_path, "vgg16", 0.8, [0]) + save_seeds(tmp_path, "resnet18", 0.5, [0])
    table = tables.class_table(compare_stored(runs)).set_index(["letter", "emotion"])
    best, other = (run.require_record().metrics["test"].per_class for run in runs)
    assert (table.loc["A", ["recall_difference", "f1_difference"]] == 0).all(axis=None)
    for emotion in best:
        row = table.loc[("B", emotion)]
        assert row["images"] == best[emotion].support
        assert row["recall"] == pytest.approx(other[emotion].recall)
        assert row["f1_difference"] == pytest.approx(best[emotion].f1 - other[emotion].f1)


def test_an_emotion_without_images_has_no_recall_and_no_f1(tmp_path: Path) -> None:
    table = tables.class_table(four_answers(tmp_path))
    judged = table[table["images"] > 0]
    assert judged["recall"].tolist() == [1, 1, 0, 1, 0.5, 0]
    assert table.loc[table["images"] == 0, ["recall", "f1_difference"]].isna().all(axis=None)


def test_pair_and_agreement_tables_hold_the_pairs(tmp_path: Path) -> None:
    runs = save_seeds(tmp_path, "vgg16", 0.8, [0]) + save_seeds(tmp_path, "resnet18", 0.5, [0, 1])
    found = compare_stored(runs)
    table = tables.pair_table(found)
    assert table["letters"].tolist() == ["A − B", "A − C", "B − C"]
    low_high = zip(table["accuracy_low"], table["accuracy_high"], strict=True)
    assert list(low_high) == [pair.accuracy_interval for pair in found.pairs]
    counts = table[["both_right", "only_a_right", "only_b_right", "both_wrong"]]
    assert (counts.sum(axis=1) == 140).all()
    matrix = tables.agreement_matrix(found)
    assert (np.diag(matrix) == 1).all()
    assert matrix.loc[found.names[2], found.names[0]] == found.pairs[1].same_answer
