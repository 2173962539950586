"""What a model card says about how good the model is: all of it from the record's numbers."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from huggingface_hub import EvalResult, ModelCardData

from fer_bench.evaluation.calibration import expected_calibration_error, with_temperature
from fer_bench.evaluation.confusion import of_set, scores
from fer_bench.formatting import how_many, percent
from fer_bench.results.record import ClassMetrics, RunRecord
from fer_bench.templates import prose

SETS = {
    "test": "Test",
    "test_tta": "Test, with TTA",
    "test_clean": "Clean test",
    "test_clean_tta": "Clean test, with TTA",
    "val": "Validation",
}
#: The hub's name of a metric, ours, and the field of `Metrics`.
METRICS = (
    ("accuracy", "Accuracy", "accuracy"),
    ("f1", "Macro F1", "macro_f1"),
    ("expected_calibration_error", "Expected calibration error", "ece"),
)
TASK = "image-classification"
MOST_WEAK = 3


def card_data(record: RunRecord) -> ModelCardData:
    """What the Hugging Face hub reads at the head of a card: what the model is, and its results."""
    return ModelCardData(
        model_name=record.name,
        license="mit",
        library_name="fer-bench",
        pipeline_tag=TASK,
        tags=["facial-emotion-recognition", "emotion", "onnx", record.dataset.name],
        metrics=[metric for metric, _, _ in METRICS],
        eval_results=_evaluation_results(record),
    )


def _evaluation_results(record: RunRecord) -> list[EvalResult]:
    return [
        EvalResult(
            task_type=TASK,
            dataset_type=record.dataset.name,
            dataset_name=f"{record.dataset.name}, {record.dataset.protocol} split: {name.lower()}",
            dataset_config=key,
            dataset_split="val" if key == "val" else "test",
            metric_type=metric,
            metric_name=title,
            metric_value=round(value, 6),
        )
        for key, name in SETS.items()
        if (metrics := record.metrics.get(key))
        for metric, title, field in METRICS
        if (value := getattr(metrics, field)) is not None
    ]


def calibrated_ece(record: RunRecord, predictions: pd.DataFrame | None) -> dict[str, float]:
    """ECE with the temperature that is in use, by set; empty where there is none.

    Measured on the predictions; where they are missing, what the record says.
    """
    if record.temperature is None:
        return {}
    if predictions is None:
        return record.calibrated_ece
    errors = {}
    for key in ("test", "test_clean", "val"):
        rows = of_set(predictions, key)
        if len(rows):
            labels, probabilities = scores(rows, record.dataset.emotions)
            scaled = with_temperature(probabilities, record.temperature)
            errors[key] = expected_calibration_error(labels, scaled)
    return errors


def weakest(per_class: Mapping[str, ClassMetrics]) -> list[str]:
    """The emotions with the lowest F1 below 1, and on how many images, in words."""
    flawed = [(emotion, m) for emotion, m in per_class.items() if m.support and m.f1 < 1]
    return [
        f"{prose(emotion)} (F1 {percent(m.f1)}, {how_many(m.support, 'image')})"
        for emotion, m in sorted(flawed, key=lambda one: one[1].f1)[:MOST_WEAK]
    ]


def missed(per_class: Mapping[str, ClassMetrics]) -> list[str]:
    """The emotions less than half of whose images are found."""
    return [emotion for emotion, m in per_class.items() if m.support and m.recall < 0.5]


def uneven(counts: Mapping[str, int]) -> tuple[tuple[str, int], tuple[str, int]] | None:
    """The rarest and the commonest emotion with their numbers of images; None for even ones."""
    if not counts:
        return None
    least, most = min(counts, key=counts.__getitem__), max(counts, key=counts.__getitem__)
    if counts[least] == counts[most]:
        return None
    return (least, counts[least]), (most, counts[most])
