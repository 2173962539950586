"""What is taken for what: shares, pairs, ROC, and answers in order of confidence."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from record_fixtures import make_metrics, make_predictions, make_record

from fer_bench.data.load import load_dataset
from fer_bench.emotions import FER2013
from fer_bench.errors import FerBenchError
from fer_bench.evaluation import confusion
from fer_bench.evaluation.gallery import ImagesById, class_counts, difference, enlarged, samples

CONFUSION = [[6, 2, 0], [1, 3, 0], [0, 0, 0]]
EMOTIONS = ("happy", "sad", "fear")


def test_normalised_by_true_class_gives_recall_and_by_prediction_precision() -> None:
    by_true = confusion.normalised(CONFUSION, "true")
    assert by_true[:2].tolist() == [[0.75, 0.25, 0.0], [0.25, 0.75, 0.0]]
    assert np.isnan(by_true[2]).all()
    by_predicted = confusion.normalised(CONFUSION, "predicted")
    assert by_predicted[:, 0].tolist() == [6 / 7, 1 / 7, 0]
    assert np.isnan(by_predicted[:, 2]).all()
    assert confusion.normalised(CONFUSION, "counts").tolist() == CONFUSION


def test_confused_pairs_name_the_commonest_mistakes_first() -> None:
    pairs = confusion.confused_pairs(CONFUSION, EMOTIONS)
    assert pairs.to_dict("records") == [
        {"true": "happy", "predicted": "sad", "images": 2, "share_of_true": 0.25},
        {"true": "sad", "predicted": "happy", "images": 1, "share_of_true": 0.25},
    ]
    assert len(confusion.confused_pairs(CONFUSION, EMOTIONS, top=1)) == 1
    assert confusion.confused_pairs(np.eye(3), EMOTIONS).empty


def test_roc_table_agrees_with_the_recorded_auc() -> None:
    predictions = make_predictions()
    test = confusion.of_set(predictions, "test")
    table = confusion.roc_table(*confusion.scores(test, FER2013), FER2013)
    macro = table.groupby("emotion")["auc"].first().mean()
    assert macro == pytest.approx(make_metrics(predictions, FER2013)["test"].roc_auc)
    assert list(table["emotion"].unique()) == list(FER2013)


def test_an_absent_emotion_has_no_roc_curve() -> None:
    table = confusion.roc_table([0, 0, 1], [[0.8, 0.2, 0], [0.6, 0.4, 0], [0.1, 0.9, 0]], EMOTIONS)
    assert set(table["emotion"]) == {"happy", "sad"}
    assert set(table["auc"]) == {1.0}
    assert confusion.roc_table([0], [[1, 0, 0]], EMOTIONS).empty


@pytest.mark.parametrize(("key", "n"), [("val", 70), ("test", 140)])
def test_of_set_gives_a_split(key: str, n: int) -> None:
    assert len(confusion.of_set(make_predictions(), key)) == n


def test_of_set_gives_the_clean_test_images() -> None:
    predictions = make_predictions()
    clean = confusion.of_set(predictions, "test_clean")
    assert len(clean) == predictions["clean"].sum() < 140
    assert set(clean["split"]) == {"test"}


def test_answers_come_most_confident_first() -> None:
    predictions = pd.DataFrame(
        {
            "id": ["a", "b", "c"],
            "label": [0, 0, 1],
            "p_happy": [0.6, 0.1, 0.3],
            "p_sad": [0.4, 0.9, 0.7],
        }
    )
    answers = confusion.answers(predictions, ("happy", "sad"))
    assert answers["id"].tolist() == ["b", "c", "a"]
    assert answers["predicted"].tolist() == ["sad", "sad", "happy"]
    assert answers["correct"].tolist() == [False, True, True]
    assert answers["confidence"].tolist() == [0.9, 0.7, 0.6]


def test_predictions_of_other_emotions_are_refused() -> None:
    with pytest.raises(FerBenchError, match=r"the predictions have no column p_contempt: evaluate"):
        confusion.scores(make_predictions(), ("happy", "contempt"))
    with pytest.raises(FerBenchError, match=r"have labels up to 6, and the record 2 emotions"):
        confusion.scores(make_predictions(), ("happy", "sad"))


def test_images_are_found_by_id_and_other_data_are_noticed() -> None:
    dataset = load_dataset("synthetic")
    images = ImagesById(dataset)
    name = str(dataset.ids[5])
    assert name in images
    assert "elsewhere.png" not in images
    assert (images[name] == dataset.images[5]).all()
    record = make_record()
    said = difference(record, dataset)
    assert f"fingerprint is {dataset.fingerprint[:12]}, the record's is abababababab" in said
    same = record.dataset.model_copy(update={"fingerprint": dataset.fingerprint})
    assert difference(record.model_copy(update={"dataset": same}), dataset) is None


def test_samples_are_of_their_emotion_and_the_same_every_time() -> None:
    dataset = load_dataset("synthetic")
    happy = dataset.images[dataset.labels == dataset.emotions.index("happy")]
    drawn = samples(dataset, "happy", 3)
    assert len(drawn) == 3
    assert all(any((image == other).all() for other in happy) for image in drawn)
    again = samples(dataset, "happy", 3)
    assert all((a == b).all() for a, b in zip(drawn, again, strict=True))
    assert class_counts(dataset)["train"] == dataset.class_counts("train")


@pytest.mark.parametrize("shape", [(48, 48), (48, 48, 3)])
def test_enlarged_images_keep_their_shade(shape: tuple[int, ...]) -> None:
    picture = enlarged(np.full(shape, 200, np.uint8), side=96)
    assert picture.size == (96, 96)
    assert set(np.asarray(picture).ravel()) == {200}
