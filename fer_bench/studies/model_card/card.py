"""A run's model card: what its model is, was trained on, can do, cannot do, and must not do.

After Mitchell et al. 2019 (arXiv 1810.03993). Its words stand in `templates/card.md`; every number,
and every sentence that depends on one, comes from the run's record and its predictions.
"""

from __future__ import annotations

import json
import shlex

import pandas as pd
from huggingface_hub import ModelCard

from fer_bench.errors import FerBenchError
from fer_bench.evaluation.confusion import confused_pairs
from fer_bench.formatting import interval, percent
from fer_bench.results.lineage import is_run, origin, same_data_only, starting_run
from fer_bench.results.record import RunRecord
from fer_bench.results.store import DEFAULT, WEIGHTS, StoredRun
from fer_bench.results.summary import reproduce_command
from fer_bench.specs.run import RunSpec
from fer_bench.studies.model_card import numbers
from fer_bench.templates import code, render
from fer_bench.types import Split

#: How FER2013's files call the splits of the official protocol, which FER+ shares.
OFFICIAL: dict[Split, str] = {"train": "Training", "val": "PublicTest", "test": "PrivateTest"}
MOST_PAIRS = 5
PYTHON = """\
import fer_bench

for face in fer_bench.predict("assets/samples/astronaut.jpg"{run}).faces:
    print(face.box, face.emotion, f"{{face.score:.0%}}")"""


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
        raise FerBenchError(f"run {run.name} has no results: a model card is for a finished run")
    values = (
        {"header": numbers.card_data(record).to_yaml(), "run": run, "record": record}
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
        "official_name": lambda split: f" ({OFFICIAL[split]})" if is_official else "",
        "uneven": numbers.uneven(data.class_counts.get("train", {})),
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
        "sets": numbers.SETS,
        "interval": interval,
        "calibrated": numbers.calibrated_ece(record, predictions),
        "confused": pairs.to_dict("records"),
        "weakest": numbers.weakest(test.per_class),
        "missed": numbers.missed(test.per_class),
        "duplicates": max(data.split_sizes.get("test", 0) - data.clean_test_size, 0),
    }
