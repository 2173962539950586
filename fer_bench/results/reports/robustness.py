"""How a run does on corrupted faces: `robustness.json` next to its record.

Measured on the split that a report names, the test split unless it names another: these numbers are
reported and select nothing. Neither checkpoints nor recipes may be chosen by them.
"""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from fer_bench.environment import Environment
from fer_bench.results.documents import EntriesFile
from fer_bench.results.record import Document, Part, Share
from fer_bench.types import Split

ROBUSTNESS, ROBUSTNESS_VERSION = "robustness.json", 1


class TestedOn(Part):
    """The images that something was measured on."""

    __test__ = False  # its name is no test's, whatever pytest thinks

    name: str = Field(description="the data set's")
    source: str = Field(description="file or folder name, without its path")
    fingerprint: str = Field(description="SHA-256 over pixels, labels and splits")
    protocol: str
    split: Split
    limit: int | None = Field(None, description="images asked for; None for all")
    n: int = Field(description="images measured")
    n_left_out: int = Field(description="images of classes the model does not know")


class Score(Part):
    """Rates in [0, 1], without test-time augmentation."""

    accuracy: Share
    accuracy_ci95: tuple[Share, Share] = Field(description="95 % bootstrap interval")
    macro_f1: Share


class CorruptedScore(Score):
    """Under one corruption at one severity."""

    corruption: str = Field(description="a name in `studies.robustness.corruptions.CORRUPTIONS`")
    severity: int = Field(ge=1, le=5)
    level: float = Field(description="what the severity stands for, see `Corruption.levels`")


class RobustnessReport(Part):
    """One model on one set of images, clean and corrupted."""

    measured_at: datetime
    run_finished_at: datetime | None = Field(description="of the training that was measured")
    environment: Environment
    seed: int = Field(description="of the corruptions")
    tested_on: TestedOn
    clean: Score
    corrupted: list[CorruptedScore] = Field(min_length=1)
    mean_corruption_accuracy: Share = Field(description="over corruptions and severities, in [0,1]")
    mean_corruption_accuracy_ci95: tuple[Share, Share] = Field(
        description="95 % bootstrap interval over the images"
    )

    @property
    def relative_drop(self) -> float:
        """Share of the clean accuracy that the corruptions cost on average."""
        if not self.clean.accuracy:
            return 0.0
        return 1 - self.mean_corruption_accuracy / self.clean.accuracy

    @property
    def setting(self) -> tuple[object, ...]:
        """What must be equal for two reports to be compared: images, corruptions and seed."""
        on = self.tested_on
        conditions = tuple((one.corruption, one.severity, one.level) for one in self.corrupted)
        return (on.fingerprint, on.split, on.limit, on.n, self.seed, conditions)


class RobustnessFile(Document):
    """`robustness.json`: a run's reports, one for each setting."""

    schema_version: int = ROBUSTNESS_VERSION
    reports: list[RobustnessReport] = Field(default_factory=list)


STORED: EntriesFile[RobustnessReport] = EntriesFile(
    ROBUSTNESS, RobustnessFile, same=lambda report: report.setting
)
read_robustness, add_robustness, check_robustness = STORED.read, STORED.add, STORED.check
