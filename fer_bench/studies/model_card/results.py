"""What a model card says about how good the model is: all of it from the record's numbers."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from fer_bench.evaluation.calibration import expected_calibration_error, with_temperature
from fer_bench.evaluation.confusion import confused_pairs, of_set, scores
from fer_bench.formatting import interval, percent, three_decimals
from fer_bench.markdown import listed, prose, table
from fer_bench.results.record import Metrics, RunRecord
from fer_bench.studies.model_card.notes import ABOUT_DATA, NOT_MEASURED, official_name

SET_NAMES = {
    "test": "Test",
    "test_tta": "Test, with TTA",
    "test_clean": "Clean test",
    "test_clean_tta": "Clean test, with TTA",
    "val": "Validation",
}
MOST_PAIRS = 5
MOST_WEAK = 3


def results(record: RunRecord, predictions: pd.DataFrame | None) -> str:
    """Accuracy and calibration on every set; `predictions` as `model_card` takes them."""
    calibrated = _calibrated_ece(record, predictions)
    rows = [
        (
            name,
            f"{metrics.n:,}",
            percent(metrics.accuracy),
            interval(*metrics.accuracy_ci95),
            percent(metrics.macro_f1),
            three_decimals(metrics.ece),
            f"{calibrated[key]:.3f}" if key in calibrated else "–",
        )
        for key, name in SET_NAMES.items()
        if (metrics := record.metrics.get(key))
    ]
    header = ("set", "images", "accuracy", "95 % interval", "macro F1", "ECE", "ECE, calibrated")
    return f"""\
## Results

{table(header, rows)}

The clean test leaves out test images whose exact pixels also stand in the training or validation
data. TTA averages several views of an image. ECE is the expected calibration error, 15 bins.

{_calibration(record, calibrated)}"""


def _calibrated_ece(record: RunRecord, predictions: pd.DataFrame | None) -> dict[str, float]:
    """ECE with the temperature that is in use, by set; empty where there is none.

    Measured on the predictions; where they are missing, what the record says.
    """
    if record.temperature is None:
        return {}
    if predictions is None:
        return record.calibrated_ece
    found = {}
    for key in ("test", "test_clean", "val"):
        rows = of_set(predictions, key)
        if len(rows):
            labels, probabilities = scores(rows, record.dataset.emotions)
            scaled = with_temperature(probabilities, record.temperature)
            found[key] = expected_calibration_error(labels, scaled)
    return found


def _calibration(record: RunRecord, calibrated: dict[str, float]) -> str:
    if record.temperature is None:
        return "No temperature was fitted: the model's probabilities are used as they are."
    sureness = "too sure" if record.temperature > 1 else "not sure enough"
    split = record.spec.selection_split
    text = (
        f"The network is {sureness} of itself: in use, its logits are divided by the temperature "
        f"{record.temperature:.3f}, fitted on {split}{official_name(record, split)}."
    )
    if "test" not in calibrated:
        return f"{text} What ECE that leaves is unknown: the run's predictions are not here."
    before, after = record.metrics["test"].ece, calibrated["test"]
    return f"{text} On the test images that takes ECE from {three_decimals(before)} to {after:.3f}."


def classes(test: Metrics) -> str:
    """Every emotion's precision, recall and F1."""
    rows = [
        (prose(e), percent(m.precision), percent(m.recall), percent(m.f1), f"{m.support:,}")
        for e, m in test.per_class.items()
    ]
    header = ("emotion", "precision", "recall", "F1", "images")
    return f"## By emotion, on the test images\n\n{table(header, rows)}"


def confusions(test: Metrics, emotions: Sequence[str]) -> str:
    """The commonest mistakes."""
    pairs = confused_pairs(test.confusion, emotions, MOST_PAIRS)
    rows = [
        (prose(p["true"]), prose(p["predicted"]), f"{p['images']:,}", percent(p["share_of_true"]))
        for p in pairs.to_dict("records")
    ]
    header = ("label", "taken for", "images", "share of the label's images")
    return f"## Most confused\n\n{table(header, rows) if rows else 'Nothing.'}"


def failures(record: RunRecord, test: Metrics) -> str:
    """Where it is weak, by its numbers, and where it is bound to be."""
    seen = {prose(e): m for e, m in test.per_class.items() if m.support}
    flawed = [e for e, m in seen.items() if m.f1 < 1]
    weak = sorted(flawed, key=lambda e: seen[e].f1)[:MOST_WEAK]
    missed = [e for e, m in seen.items() if m.recall < 0.5]
    worst = [f"{e} (F1 {percent(seen[e].f1)}, {seen[e].support:,} images)" for e in weak]
    lines = ["## Known failures", ""]
    if worst:
        lines.append(f"- Weakest at {listed(worst)}.")
    if missed:
        lines.append(f"- It misses more than half of the images of {listed(missed)}.")
    if record.dataset.name == "fer2013":
        lines.append("- Many labels are doubtful: some of its mistakes are not its own.")
    size = record.dataset.split_sizes.get("test", 0)
    duplicates = size - record.dataset.clean_test_size
    if duplicates:
        lines.append(
            f"- {duplicates:,} of the {size:,} test images stand, pixel for pixel, in the training "
            "or validation data too: the clean test is the one to quote."
        )
    return "\n".join([*lines, NOT_MEASURED])


def fairness(record: RunRecord) -> str:
    """That nothing is known about it."""
    data = "FER2013 carries" if record.dataset.name in ABOUT_DATA else "The run's record carries"
    return f"""\
## Fairness

Unknown. {data} no demographics, so whether the model does worse for some groups of people was
never measured. No claim can be made, and none should be."""
