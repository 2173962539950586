"""Planted label errors are found; what counts as suspect is confident learning's definition."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from fer_bench.emotions import FER2013
from fer_bench.errors import FerBenchError
from fer_bench.evaluation.confusion import scores
from fer_bench.studies.labels.label_errors import likely_errors

#: Images whose label is not what the face shows: position -> the emotion that it shows.
PLANTED = {4: "happy", 40: "sad", 77: "neutral"}


def planted(n: int = 105) -> pd.DataFrame:
    """A good model's test predictions on images of which three are labelled wrongly."""
    rng = np.random.default_rng(0)
    labels = np.arange(n) % 7
    shown = labels.copy()
    for position, emotion in PLANTED.items():
        shown[position] = FER2013.index(emotion)
    noise = rng.random((n, 7)) * 0.1
    noise[np.arange(n), shown] += rng.uniform(1, 3, n)
    noise[list(PLANTED), shown[list(PLANTED)]] += 5  # sure of these
    probabilities = noise / noise.sum(1, keepdims=True)
    table = pd.DataFrame(
        {"id": [f"{i}.png" for i in range(n)], "split": "test", "label": labels, "clean": True}
    )
    table = table.assign(**{f"p_{e}": probabilities[:, c] for c, e in enumerate(FER2013)})
    return pd.concat([table[:7].assign(split="val", clean=False), table], ignore_index=True)


def suspects_by_hand(predictions: pd.DataFrame) -> set[str]:
    """Northcutt et al. 2021, section 3.1: the off-diagonal entries of the confident joint."""
    labels, p = scores(predictions[predictions["split"] == "test"], FER2013)
    thresholds = [np.mean([p[i][c] for i in range(len(p)) if labels[i] == c]) for c in range(7)]
    found = set()
    for i in range(len(p)):
        confident = [c for c in range(7) if p[i][c] >= thresholds[c]]
        if confident:
            likely = max(confident, key=lambda c: p[i][c])
            if likely != labels[i] and p[i].argmax() != labels[i]:
                found.add(f"{i}.png")
    return found


def test_planted_errors_are_the_most_suspicious() -> None:
    table = likely_errors(planted(), FER2013)
    assert len(table) == 105
    suspects = table[table["suspect"]]
    assert set(suspects["id"]) == {f"{i}.png" for i in PLANTED}
    assert table["id"][:3].tolist() == suspects["id"].tolist()
    shown = suspects.set_index("id")
    assert {i: shown.loc[f"{i}.png", "answer"] for i in PLANTED} == PLANTED
    assert shown.loc["4.png", "label"] == FER2013[4 % 7]


def test_suspects_are_those_of_the_paper() -> None:
    rng = np.random.default_rng(1)
    n = 200
    labels = np.where(rng.random(n) < 0.7, np.arange(n) % 7, rng.integers(0, 7, n))
    probabilities = rng.dirichlet(np.full(7, 0.4), n)
    probabilities[np.arange(n), np.arange(n) % 7] += 0.5
    probabilities /= probabilities.sum(1, keepdims=True)
    predictions = pd.DataFrame(
        {"id": [f"{i}.png" for i in range(n)], "split": "test", "label": labels, "clean": True}
    ).assign(**{f"p_{e}": probabilities[:, c] for c, e in enumerate(FER2013)})
    table = likely_errors(predictions, FER2013)
    by_hand = suspects_by_hand(predictions)
    assert len(by_hand) > 20
    assert set(table.loc[table["suspect"], "id"]) == by_hand


def test_quality_is_the_normalised_margin() -> None:
    predictions = planted()
    labels, p = scores(predictions[predictions["split"] == "test"], FER2013)
    table = likely_errors(predictions, FER2013)
    assert table["quality"].is_monotonic_increasing
    quality = table.set_index("id")["quality"]
    for i in range(len(labels)):
        others = max(p[i][c] for c in range(7) if c != labels[i])
        expected = (p[i][labels[i]] - others + 1) / 2
        assert quality[f"{i}.png"] == pytest.approx(expected, abs=1e-6)


def test_an_emotion_without_images_is_no_obstacle() -> None:
    few = planted()
    few = few[few["label"] != FER2013.index("disgust")]
    table = likely_errors(few, FER2013)
    assert "disgust" not in set(table["label"])
    assert "4.png" in set(table.loc[table["suspect"], "id"])


def test_without_test_images_there_is_nothing_to_judge() -> None:
    predictions = planted()
    with pytest.raises(FerBenchError, match="the predictions hold no test images"):
        likely_errors(predictions[predictions["split"] == "val"], FER2013)


@pytest.mark.parametrize("emotion", ["angry", "neutral"])
def test_labels_of_one_class_have_no_other_to_be_suspect_beside(emotion: str) -> None:
    predictions = planted()
    alone = predictions[predictions["label"] == FER2013.index(emotion)]
    with pytest.raises(FerBenchError, match=f"the test images are all labelled {emotion}"):
        likely_errors(alone, FER2013)
