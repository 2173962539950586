"""A run's model card: what its model is, was trained on, can do, cannot do, and must not do.

After Mitchell et al. 2019 (arXiv 1810.03993). Its words stand in `templates/card.md`; every number,
and every sentence that depends on one, comes from the run's record and its predictions.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping

import pandas as pd
from huggingface_hub import EvalResult, ModelCard, ModelCardData

from fer_bench.errors import FerBenchError
from fer_bench.evaluation.calibration import expected_calibration_error, with_temperature
from fer_bench.evaluation.confusion import confused_pairs, of_set, scores
from fer_bench.formatting import how_many, interval, percent
from fer_bench.results.lineage import (
    foreign_licences,
    is_run,
    origin,
    same_data_only,
    starting_run,
)
from fer_bench.results.record import ClassMetrics, RunRecord
from fer_bench.results.reproduce import reproduce_command
from fer_bench.results.store import DEFAULT
from fer_bench.results.stored_run import WEIGHTS, StoredRun
from fer_bench.specs.run import RunSpec
from fer_bench.templates import code, prose, render
from fer_bench.types import Split

#: How FER2013's files call the splits of the official protocol, which FER+ shares.
OFFICIAL: dict[Split, str] = {"train": "Training", "val": "PublicTest", "test": "PrivateTest"}
MOST_PAIRS = 5
PYTHON = """\
import fer_bench

for face in fer_bench.predict("assets/samples/astronaut.jpg"{run}).faces:
    print(face.box, face.emotion, f"{{face.score:.0%}}")"""
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


def model_card(run: StoredRun, predictions: pd.DataFrame | None, name: str) -> ModelCard:
    """The card, foreign text in it made harmless.

    Args:
        run: a finished one; the size of its weights is read from its folder.
        predictions: as `evaluation.evaluate.Evaluation` describes them; None where they are
            missing, and the card says so.
        name: what commands call the run: `default`, `dataset/run`.

    Returns:
        Its `text` is Markdown; `str` puts before it what the Hugging Face hub reads.

    Raises:
        FerBenchError: a run that cannot be read or has no test results, or predictions without a
            column for an emotion.
    """
    record = run.require_record()
    if record.model is None or record.training is None or "test" not in record.metrics:
        raise FerBenchError(
            f"run {run.name} has no results or was not trained here: a model card is for a "
            "finished run"
        )
    values = (
        {"header": card_data(run).to_yaml(), "run": run, "record": record}
        | _commands(record, name)
        | _background(run, record)
        | _results(record, predictions)
    )
    return ModelCard(render("fer_bench.studies.model_card", "card.md", values))


def _commands(record: RunRecord, name: str) -> dict[str, object]:
    """How to use the model, and how to make it again."""
    spec = record.spec
    needed = "members"  # which are looked for in the same folder
    if isinstance(spec, RunSpec):
        needed = "teachers" if spec.teachers else ""
    return {
        "command": f"python -m fer_bench predict {shlex.quote(name)} photos/ clip.mp4 "
        "--out annotated --csv faces.csv",
        "python": PYTHON.format(run="" if name == DEFAULT else f", {json.dumps(name)}"),
        "reproduce": reproduce_command(record),
        "needed": needed,
    }


def _background(run: StoredRun, record: RunRecord) -> dict[str, object]:
    """What the model was trained on, and the runs that it goes back to."""
    spec, data, begun = record.spec, record.dataset, origin(run)
    trained, start = isinstance(spec, RunSpec), starting_run(run)
    is_official = data.name in ("fer2013", "ferplus") and data.protocol == "official"
    return {
        "weights": WEIGHTS,
        "foreign": foreign_licences(run),
        "official_name": lambda split: f" ({OFFICIAL[split]})" if is_official else "",
        "uneven": uneven(data.class_counts.get("train", {})),
        "recipe": spec.recipe if isinstance(spec, RunSpec) else None,
        "shares": [f"{code(member.run)} ({percent(member.weight)})" for member in record.members],
        "origin": begun,
        "origin_is_run": is_run(begun),
        "start": start,
        "start_origin": f"pretraining: {origin(start)}" if start else "",
        "start_data": start.require_record().dataset.name if start else "",
        "teachers": [code(one) for one in spec.teachers] if isinstance(spec, RunSpec) else [],
        "same_data_only": trained and same_data_only(run),
    }


def _results(record: RunRecord, predictions: pd.DataFrame | None) -> dict[str, object]:
    """How good it is, and where it is weak."""
    test, data = record.metrics["test"], record.dataset
    pairs = confused_pairs(test.confusion, data.emotions, MOST_PAIRS)
    return {
        "sets": SETS,
        "interval": interval,
        "calibrated": calibrated_ece(record, predictions),
        "confused": pairs.to_dict("records"),
        "weakest": weakest(test.per_class),
        "missed": missed(test.per_class),
        "duplicates": max(data.split_sizes.get("test", 0) - data.clean_test_size, 0),
    }


def card_data(run: StoredRun) -> ModelCardData:
    """What the Hugging Face hub reads at the head of a card: what the model is, and its results."""
    record, foreign = run.require_record(), foreign_licences(run)
    return ModelCardData(
        model_name=record.name,
        license="other" if foreign else "mit",
        license_name=", ".join(foreign) or None,
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
