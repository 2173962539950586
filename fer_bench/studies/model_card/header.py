"""The YAML at the head of a model card, which the Hugging Face hub reads: kind and results."""

from __future__ import annotations

from huggingface_hub import EvalResult, ModelCard, ModelCardData

from fer_bench.results.record import RunRecord
from fer_bench.studies.model_card.results import SET_NAMES

#: The hub's name of a metric, ours, and the field of `Metrics`.
METRICS = (
    ("accuracy", "Accuracy", "accuracy"),
    ("f1", "Macro F1", "macro_f1"),
    ("expected_calibration_error", "Expected calibration error", "ece"),
)
TASK = "image-classification"


def card_with_header(card: str, record: RunRecord) -> str:
    """A model card as the hub wants it.

    card: Markdown, as `model_card` gives it. record: of the same run.
    """
    data = ModelCardData(
        model_name=record.name,
        license="mit",
        library_name="fer-bench",
        pipeline_tag=TASK,
        tags=["facial-emotion-recognition", "emotion", "onnx", record.dataset.name],
        metrics=[metric for metric, _, _ in METRICS],
        eval_results=evaluation_results(record),
    )
    return str(ModelCard(f"---\n{data.to_yaml()}\n---\n\n{card}"))


def evaluation_results(record: RunRecord) -> list[EvalResult]:
    """Every metric on every set of the record, as the hub's model index holds them."""
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
        for key, name in SET_NAMES.items()
        if (metrics := record.metrics.get(key))
        for metric, title, field in METRICS
        if (value := getattr(metrics, field)) is not None
    ]
