"""How a run does on other data sets than its own: `transfer.json` beside its record."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from pydantic import Field

from fer_bench.environment import Environment
from fer_bench.results.documents import Document, read_document, sole_use, write_document
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


class TransferFile(Document):
    """`transfer.json`: a run's results, one for each data set, split and limit."""

    schema_version: int = TRANSFER_VERSION
    results: list[TransferResult] = Field(default_factory=list)


def read_transfer(folder: Path) -> list[TransferResult]:
    """The results in a run's folder; none where nothing was measured yet.

    Raises:
        FerBenchError: a file that is damaged or was written by a newer FER Bench.
    """
    return list(read_document(folder / TRANSFER, TransferFile).results)


def add_transfer(folder: Path, result: TransferResult) -> None:
    """Puts a result beside a run's others, in place of an older one on the same images.

    Raises:
        FerBenchError: the file that is there cannot be read, or it cannot be written; what was
            there before is intact.
    """
    with sole_use(folder / TRANSFER):
        others = [one for one in read_transfer(folder) if _images(one) != _images(result)]
        write_document(folder / TRANSFER, TransferFile(results=[*others, result]))


def _images(result: TransferResult) -> tuple[object, ...]:
    on = result.tested_on
    return on.fingerprint, on.split, on.limit
