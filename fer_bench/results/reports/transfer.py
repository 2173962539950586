"""How a run does on other data sets than its own: `transfer.json` next to its record."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from fer_bench.environment import Environment
from fer_bench.results.documents import EntriesFile
from fer_bench.results.record import Document
from fer_bench.results.reports.robustness import Score, TestedOn

TRANSFER, TRANSFER_VERSION = "transfer.json", 1


class TransferResult(Score):
    """One model on one split of some data; labels are matched by the emotions' names."""

    measured_at: datetime
    run_finished_at: datetime | None = Field(description="of the training that was measured")
    environment: Environment
    tested_on: TestedOn
    classes: tuple[str, ...] = Field(description="emotions that model and data have in common")
    classes_left_out: tuple[str, ...] = Field(description="emotions that the model does not know")
    classes_missing: tuple[str, ...] = Field(description="of the model's, which the data lack")
    own_data: bool = Field(description="whether the run was trained on the same source")

    @property
    def setting(self) -> tuple[object, ...]:
        """What is equal for two results on the same images."""
        return self.tested_on.fingerprint, self.tested_on.split, self.tested_on.limit


class TransferFile(Document):
    """`transfer.json`: a run's results, one for each data set, split and limit."""

    schema_version: int = TRANSFER_VERSION
    results: list[TransferResult] = Field(default_factory=list)


STORED: EntriesFile[TransferResult] = EntriesFile(
    TRANSFER, TransferFile, same=lambda result: result.setting
)
read_transfer, add_transfer, check_transfer = STORED.read, STORED.add, STORED.check
