"""`verify`: each kind of tampering with a record is found."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from command_fixtures import Fer
from record_fixtures import make_predictions, make_record
from table_fixtures import table

from fer_bench.emotions import FER2013
from fer_bench.errors import FerBenchError
from fer_bench.evaluation.calibration import calibrate
from fer_bench.evaluation.prediction_sets import with_sets as with_prediction_sets
from fer_bench.evaluation.verify import verify
from fer_bench.results.record import ClassMetrics, Member, RunRecord, SetCoverage
from fer_bench.results.store import ResultsStore
from fer_bench.specs.run import ExternalSpec

Pair = tuple[RunRecord, pd.DataFrame]


CALM = ClassMetrics(precision=1, recall=1, f1=1, support=0)


@functools.cache
def honest() -> Pair:
    """A calibrated record with prediction sets, and predictions with those of TTA."""
    table = make_predictions()
    table = table.assign(**{f"tta_{e}": table[f"p_{e}"] for e in FER2013})
    found = calibrate(table, FER2013, "val")
    fitted = {"temperature": found.temperature, "calibrated_ece": found.ece}
    return with_prediction_sets(make_record().model_copy(update=fitted), table), table


def problems(record: RunRecord, table: pd.DataFrame) -> list[str]:
    return [f"{one.name}: {one.problem}" for one in verify(record, table) if not one.agrees]


def with_metric(record: RunRecord, key: str, **values: object) -> RunRecord:
    changed = record.metrics[key].model_copy(update=values)
    return record.model_copy(update={"metrics": record.metrics | {key: changed}})


def relabelled(table: pd.DataFrame) -> pd.DataFrame:
    changed = table.copy()
    changed.loc[changed.index[-1], "label"] = (changed["label"].iloc[-1] + 1) % 7
    return changed


def sharpened(table: pd.DataFrame) -> pd.DataFrame:
    columns = [c for c in table if c.startswith("p_")]
    raised = table[columns] ** 2
    return table.assign(**raised.div(raised.sum(axis=1), axis=0).astype(np.float32))


def whole(record: RunRecord, **values: object) -> RunRecord:
    dataset = record.dataset.model_copy(update=values)
    return record.model_copy(update={"dataset": dataset})


def with_sets(record: RunRecord, **values: object) -> RunRecord:
    first, *others = record.prediction_sets
    changed = first.model_copy(update={"all": first.all.model_copy(update=values)})
    return record.model_copy(update={"prediction_sets": [changed, *others]})


def with_thresholds(record: RunRecord, value: float) -> RunRecord:
    sets = [
        one.model_copy(update={"thresholds": dict.fromkeys(one.thresholds, value)})
        for one in record.prediction_sets
    ]
    return record.model_copy(update={"prediction_sets": sets})


def turned(one: SetCoverage) -> SetCoverage:
    """Each emotion with its neighbour's threshold."""
    names = list(one.thresholds)
    thresholds = dict(zip(names[1:] + names[:1], one.thresholds.values(), strict=True))
    return one.model_copy(update={"thresholds": thresholds})


def trained(record: RunRecord, **values: object) -> RunRecord:
    assert record.training
    return record.model_copy(update={"training": record.training.model_copy(update=values)})


def limited(record: RunRecord) -> RunRecord:
    return record.model_copy(update={"spec": record.spec.model_copy(update={"limit": 20})})


def without_tta(table: pd.DataFrame) -> pd.DataFrame:
    return table.drop(columns=[c for c in table if c.startswith("tta_")])


HALF = Member(run="half", weight=0.5, temperature=1, pretraining="none")


def without_metrics(record: RunRecord, split: str) -> RunRecord:
    kept = {k: v for k, v in record.metrics.items() if not k.startswith(split)}
    return record.model_copy(update={"metrics": kept})


def imported(record: RunRecord, **values: Any) -> RunRecord:
    return record.model_copy(update={"spec": ExternalSpec(external="theirs", **values)})


def as_labels(table: pd.DataFrame) -> pd.DataFrame:
    columns = [c for c in table if c.startswith(("p_", "tta_"))]
    answers = np.eye(7)[table[columns[:7]].to_numpy().argmax(axis=1)]
    return table.assign(**dict(zip(columns, np.hstack([answers, answers]).T, strict=True)))


def without_fear(one: SetCoverage) -> SetCoverage:
    kept = {k: v for k, v in one.per_emotion.items() if k != "fear"}
    return one.model_copy(update={"per_emotion": kept})


TAMPERED: dict[str, tuple[Callable[[RunRecord, pd.DataFrame], Pair], str]] = {
    "accuracy": (lambda r, t: (with_metric(r, "test", accuracy=0.99), t), "test: accuracy is"),
    "macro F1": (lambda r, t: (with_metric(r, "test", macro_f1=0.9), t), "test: macro_f1 is"),
    "calibration": (lambda r, t: (with_metric(r, "val", ece=0.0), t), "val: ece is"),
    "interval": (
        lambda r, t: (with_metric(r, "test", accuracy_ci95=(0.98, 0.99)), t),
        "test: accuracy_ci95 is",
    ),
    "confusion": (
        lambda r, t: (with_metric(r, "test", confusion=np.eye(7, dtype=int).tolist()), t),
        "test: confusion is",
    ),
    "clean accuracy": (
        lambda r, t: (with_metric(r, "test_clean", accuracy=0.99), t),
        "test_clean: accuracy is",
    ),
    "a label": (lambda r, t: (r, relabelled(t)), "test: "),
    "hard images left out": (lambda r, t: (r, t.iloc[:-5]), "test images: 135 images, the record"),
    "an image twice": (
        lambda r, t: (r, pd.concat([t, t.iloc[-1:]])),
        "stands in the predictions twice",
    ),
    "probabilities": (lambda r, t: (r, sharpened(t)), "log_loss is"),
    "more called clean": (
        lambda r, t: (r, t.assign(clean=t["split"] == "test")),
        "clean images: 140",
    ),
    "train size": (lambda r, t: (whole(r, clean_test_size=140), t), "the record says 140"),
    "temperature": (
        lambda r, t: (r.model_copy(update={"temperature": 9.0}), t),
        "temperature: it is",
    ),
    "a class": (
        lambda r, t: (with_metric(r, "test", per_class=r.metrics["val"].per_class), t),
        "test: per_class of",
    ),
    "a split without answers": (
        lambda r, t: (r, t[t["split"] == "test"]),
        "splits: no predictions on val",
    ),
    "accuracy with TTA": (
        lambda r, t: (with_metric(r, "test_tta", accuracy=0.99), t),
        "test_tta: accuracy is",
    ),
    "TTA's probabilities": (
        lambda r, t: (r, t.assign(tta_angry=0.0)),
        "test_tta: ",
    ),
    "coverage of sets": (lambda r, t: (with_sets(r, coverage=1.0), t), "coverage of all is"),
    "size of sets": (lambda r, t: (with_sets(r, mean_size=1.0), t), "mean_size of all is"),
    "thresholds of sets": (lambda r, t: (with_thresholds(r, 0.5), t), "its thresholds are not"),
    "calibration withheld": (
        lambda r, t: (with_metric(r, "test", ece=None, log_loss=None), t),
        "test: ece is",
    ),
    "metrics of images that nobody sees": (
        lambda r, t: (
            r.model_copy(update={"metrics": r.metrics | {"train": r.metrics["val"]}}),
            t,
        ),
        "metrics on train, of which no answers are stored",
    ),
    "a class that is none": (
        lambda r, t: (
            with_metric(r, "test", per_class=r.metrics["test"].per_class | {"calm": CALM}),
            t,
        ),
        "per_class is of",
    ),
    "accuracy with TTA that is not stored": (
        lambda r, t: (with_metric(r, "test_tta", accuracy=0.99), without_tta(t)),
        "test_tta: accuracy is",
    ),
    "confusion with TTA that is not stored": (
        lambda r, t: (
            with_metric(r, "val_tta", confusion=(10 * np.eye(7, dtype=int)).tolist()),
            without_tta(t),
        ),
        "val_tta: accuracy is",
    ),
    "TTA on other images": (
        lambda r, t: (
            r.model_copy(update={"metrics": r.metrics | {"val_tta": r.metrics["test_tta"]}}),
            without_tta(t),
        ),
        "val_tta: its confusion matrix is not of the",
    ),
    "calibration without a temperature": (
        lambda r, t: (r.model_copy(update={"temperature": None}), t),
        "calibration is claimed, and no temperature",
    ),
    "calibration of images that nobody sees": (
        lambda r, t: (r.model_copy(update={"calibrated_ece": {"train": 0.001}}), t),
        "ECE after it on train",
    ),
    "promise of sets withheld": (
        lambda r, t: (with_sets(r, expected95=None), t),
        "expected_low of all is",
    ),
    "thresholds under other emotions": (
        lambda r, t: (
            r.model_copy(update={"prediction_sets": [turned(one) for one in r.prediction_sets]}),
            t,
        ),
        "its thresholds are not",
    ),
    "images by emotion": (
        lambda r, t: (
            whole(r, class_counts=r.dataset.class_counts | {"train": {"angry": 5}}),
            t,
        ),
        "train has 5 images by emotion, and 700 in all",
    ),
    "another model's name": (
        lambda r, t: (
            r.model_copy(update={"spec": r.spec.model_copy(update={"model": "vgg16"})}),
            t,
        ),
        "its specification is that of vgg16",
    ),
    "data of another protocol": (
        lambda r, t: (whole(r, protocol="kaggle"), t),
        "its data are of protocol kaggle",
    ),
    "an end before the start": (
        lambda r, t: (r.model_copy(update={"finished_at": r.started_at - timedelta(hours=1)}), t),
        "it was finished before it was started",
    ),
    "an epoch after the last": (
        lambda r, t: (trained(r, best_epoch=9), t),
        "epoch 9 of 5 is called the best",
    ),
    "a negative probability": (
        lambda r, t: (r, t.assign(p_angry=t["p_angry"] - 1, p_fear=t["p_fear"] + 1)),
        "test: expected probabilities of 0 or more",
    ),
    "no answer to some": (
        lambda r, t: (r, t.assign(p_angry=np.where(t.index % 50, t["p_angry"], np.nan))),
        "test: expected finite probabilities",
    ),
    "emotions exchanged": (
        lambda r, t: (r, t.rename(columns={"p_angry": "p_fear", "p_fear": "p_angry"})),
        "emotions: columns p_... are of fear",
    ),
    "no metrics of stored answers": (
        lambda r, t: (without_metrics(r, "val"), t),
        "val: predictions are stored, but the record has no metrics",
    ),
    "trained on the test, and ranked": (
        lambda r, t: (imported(r, trained_on="in-sample"), t),
        "trained on these test images is called comparable",
    ),
    "weights of an ensemble": (
        lambda r, t: (r.model_copy(update={"members": [HALF]}), t),
        "its members' weights do not sum to 1",
    ),
    "clean images of val": (
        lambda r, t: (r, t.assign(clean=True)),
        "images outside test are marked clean",
    ),
    "TTA of other emotions": (
        lambda r, t: (with_metric(r, "val_tta", confusion=[[70]]), without_tta(t)),
        "val_tta: its confusion matrix is not one of counts of its emotions",
    ),
    "probabilities called labels": (
        lambda r, t: (imported(r, answers="labels"), t),
        "test: its answers are probabilities",
    ),
    "calibration of labels": (
        lambda r, t: (imported(r, answers="labels"), as_labels(t)),
        "which answers without probabilities do not have",
    ),
    "one kind of sets": (
        lambda r, t: (r.model_copy(update={"prediction_sets": r.prediction_sets[:1]}), t),
        "prediction sets: not two kinds of sets",
    ),
    "an emotion left out of the sets": (
        lambda r, t: (
            r.model_copy(update={"prediction_sets": [*map(without_fear, r.prediction_sets)]}),
            t,
        ),
        "marginal at 90%: not the emotions of the test images",
    ),
    "a part called the whole": (lambda r, t: (limited(r), t), "called comparable"),
}


def test_an_honest_record_agrees() -> None:
    assert problems(*honest()) == []


@table("splits", ["own splits", "random split", "split by person"])
def test_a_record_on_data_of_ones_own_agrees(splits: str) -> None:
    record, answers = honest()
    assert problems(whole(record, protocol=splits), answers) == []


def test_only_a_finished_run_is_verified() -> None:
    with pytest.raises(FerBenchError, match="is failed: only a finished run is verified"):
        verify(make_record(status="failed"), make_predictions())


def test_what_is_not_stored_is_said_not_to_be_checked() -> None:
    record, table = honest()
    (note,) = [one.note for one in verify(record, without_tta(table)) if one.note]
    assert "predictions are not stored" in note


@table("kind", TAMPERED)
def test_tampering_is_found(kind: str) -> None:
    tamper, sentence = TAMPERED[kind]
    found = problems(*tamper(*honest()))
    assert any(sentence in problem for problem in found), found


def test_the_command_says_what_differs(fer: Fer, tmp_path: Path) -> None:
    store = ResultsStore(tmp_path)
    liar, honest_one = make_record(), make_record(seed=1)
    store.save(with_metric(liar, "test", accuracy=0.99), predictions=make_predictions())
    store.save(honest_one, predictions=make_predictions(seed=1))
    code, out, err = fer("verify", liar.name, "--results", tmp_path, "--json")
    assert code == 1 and json.loads(out)["agrees"] is False
    assert "test: accuracy is" in err
    assert fer("verify", honest_one.name, "--results", tmp_path)[0] == 0
