"""Made-up reports on corrupted faces and on other data sets."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from record_fixtures import make_environment

from fer_bench.data.corruptions import CORRUPTIONS, SEVERITIES
from fer_bench.emotions import FER2013
from fer_bench.results.record import RunRecord
from fer_bench.results.robustness import CorruptedScore, RobustnessReport, Score, TestedOn
from fer_bench.results.transfer import TransferResult
from fer_bench.types import Split

MEASURED = datetime(2025, 3, 4, 5, 6, tzinfo=UTC)


def make_tested_on(
    name: str = "fer2013",
    *,
    split: Split = "test",
    n: int = 140,
    n_left_out: int = 0,
    limit: int | None = None,
    fingerprint: str = "ab" * 32,
) -> TestedOn:
    return TestedOn(
        name=name,
        source=f"{name}.zip",
        fingerprint=fingerprint,
        protocol="official",
        split=split,
        limit=limit,
        n=n,
        n_left_out=n_left_out,
    )


def make_score(accuracy: float) -> Score:
    """Its interval reaches 0.02 to either side."""
    ends = (accuracy - 0.02, accuracy + 0.02)
    return Score(accuracy=accuracy, accuracy_ci95=ends, macro_f1=accuracy - 0.05)


def make_robustness(
    record: RunRecord,
    *,
    clean: float = 0.65,
    step: float = 0.05,
    corruptions: Sequence[str] | None = None,
    tested_on: TestedOn | None = None,
    seed: int = 0,
) -> RobustnessReport:
    """Each severity costs `step` of accuracy, under the second corruption twice as much."""
    names = list(CORRUPTIONS) if corruptions is None else list(corruptions)
    scores = [
        CorruptedScore(
            corruption=name,
            severity=severity,
            level=CORRUPTIONS.load(name).levels[severity - 1],
            **make_score(clean - step * severity * (2 if number == 1 else 1)).model_dump(),
        )
        for number, name in enumerate(names)
        for severity in SEVERITIES
    ]
    mean = sum(score.accuracy for score in scores) / len(scores)
    return RobustnessReport(
        measured_at=MEASURED,
        run_finished_at=record.finished_at,
        environment=make_environment(),
        seed=seed,
        tested_on=tested_on or make_tested_on(),
        clean=make_score(clean),
        corrupted=scores,
        mean_corruption_accuracy=mean,
        mean_corruption_accuracy_ci95=(mean - 0.01, mean + 0.01),
    )


def make_transfer(
    record: RunRecord,
    name: str = "ckplus",
    *,
    accuracy: float = 0.5,
    own_data: bool = False,
    tested_on: TestedOn | None = None,
) -> TransferResult:
    """The data have `contempt` and lack `neutral`."""
    return TransferResult(
        measured_at=MEASURED,
        run_finished_at=record.finished_at,
        environment=make_environment(),
        tested_on=tested_on or make_tested_on(name, n=90, n_left_out=10, fingerprint="cd" * 32),
        classes=tuple(e for e in FER2013 if e != "neutral"),
        classes_left_out=("contempt",),
        classes_missing=("neutral",),
        own_data=own_data,
        **make_score(accuracy).model_dump(),
    )
