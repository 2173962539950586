"""What runs are called: short, in words, and never two alike."""

from __future__ import annotations

from pathlib import Path

import pytest
from page_fixtures import make_ensemble_record
from record_fixtures import make_recipe, make_record

from fer_bench.results.record import RunRecord
from fer_bench.results.store import ResultsStore
from fer_bench.results.titles import run_title, run_titles

SHIPPED = {
    run.id: run.record
    for run in ResultsStore(Path(__file__).parents[2] / "results").runs()
    if run.record
}


@pytest.mark.parametrize(
    ("record", "title"),
    [
        (make_record(), "ResNet18, fine-tuned, 5 epochs"),
        (make_record(seed=3), "ResNet18, fine-tuned, 5 epochs, seed 3"),
        (make_record(limit=20), "ResNet18, fine-tuned, 5 epochs, 20 images"),
        (
            make_record(model="vgg16", mode="frozen", pretraining="none"),
            "VGG16, random features",
        ),
        (make_record(model="vgg16", mode="frozen", pretraining="imagenet"), "VGG16, frozen"),
        (
            make_record(model="timm:convnext_tiny", recipe=make_recipe(name="mine")),
            "convnext_tiny, mine, 5 epochs",
        ),
        (
            make_record(model="keras_cnn", recipe=make_recipe(name="keras-cnn")),
            "Keras CNN, own recipe, 5 epochs",
        ),
        (
            make_ensemble_record("with-emotionlens", {"a": 0.5, "b": 0.5}),
            "Ensemble with EmotionLens",
        ),
        (make_ensemble_record("", {"a": 0.5, "b": 0.5}), "Ensemble of 2"),
    ],
)
def test_a_run_in_words(record: RunRecord, title: str) -> None:
    assert run_title(record) == title


def test_shipped_runs_are_all_called_differently_and_fit_a_narrow_list() -> None:
    titles = run_titles(SHIPPED)
    assert len(set(titles.values())) == len(SHIPPED)
    assert max(len(title) for title in titles.values()) <= 60


def test_runs_that_read_alike_are_told_apart_by_size_and_then_by_key() -> None:
    alike = {"x/a": make_record(), "x/b": make_record(), "x/c": make_record(input_size=64)}
    assert list(run_titles(alike).values()) == [
        "ResNet18, fine-tuned, 5 epochs, 224 px, x/a",
        "ResNet18, fine-tuned, 5 epochs, 224 px, x/b",
        "ResNet18, fine-tuned, 5 epochs, 64 px",
    ]
