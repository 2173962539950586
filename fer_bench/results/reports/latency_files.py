"""Latency reports on disk: `latency.json` beside a run's record, or of a network that is no run.

A network measured without a run lies in `results/networks/<network>/`: a folder without a record,
which is no run to `ResultsStore`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field

from fer_bench.errors import FerBenchError
from fer_bench.results.documents import Document, read_document, sole_use, write_document
from fer_bench.results.reports.latency import LATENCY_VERSION, LatencyReport
from fer_bench.results.store import ResultsStore

LATENCY = "latency.json"
#: Stands in the place of a data set for networks that are no run.
NETWORKS = "networks"


class LatencyFile(Document):
    """`latency.json`: a network's reports, one per machine."""

    schema_version: int = LATENCY_VERSION
    reports: list[LatencyReport] = Field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class StoredLatency:
    """A folder's reports, or why they cannot be read.

    dataset: `networks` where the network is no run.
    name: the run's, or the network's as `network_name` makes it.
    file: shared by everyone who reads it in this process: copy it before changing it.
    """

    dataset: str
    name: str
    folder: Path
    file: LatencyFile | None
    problem: str | None


def network_name(model: str, options: Mapping[str, object], size: int) -> str:
    """A file-safe name: `resnet18-224px`, `resnet18-tiny-64px`, `timm-convnext_tiny-224px`.

    options: the model's own; what is off and the input size, which ends the name, are left out.
    size: of the input, pixels.
    """
    words = [
        key if value is True else f"{key}{value}"
        for key, value in options.items()
        if value and key != "input_size"
    ]
    return re.sub(r"[^a-z0-9._]+", "-", "-".join([model, *words, f"{size}px"]).lower())


def network_folder(root: Path, name: str) -> Path:
    """Where the reports of a network that is no run lie, or would lie.

    Raises:
        FerBenchError: a name that is none.
    """
    return ResultsStore(root).folder(NETWORKS, name)


def read_latency(folder: Path) -> LatencyFile:
    """The reports in a folder; none where nothing was measured yet.

    Raises:
        FerBenchError: a file that is damaged or was written by a newer FER Bench.
    """
    return read_document(folder / LATENCY, LatencyFile).model_copy()


def add_report(folder: Path, report: LatencyReport) -> LatencyFile:
    """Puts a report beside those of other machines, in place of an older one of this machine.

    Returns:
        What the file now holds.

    Raises:
        FerBenchError: the file that is there cannot be read, the report could not be read again
            (a figure that is not finite), or a disk that is full or not writable; what was there
            before is intact.
    """
    with sole_use(folder / LATENCY):
        others = [one for one in read_latency(folder).reports if one.machine != report.machine]
        file = LatencyFile(reports=[*others, report])
        write_document(folder / LATENCY, file)
    return file


def list_latencies(*roots: Path) -> list[StoredLatency]:
    """Every measured network in results folders, runs and others, by data set and name."""
    found = []
    for path in (path for root in roots for path in sorted(root.glob(f"*/*/{LATENCY}"))):
        dataset, name = path.parent.parent.name, path.parent.name
        if dataset.startswith(".") or name.startswith("."):  # `.work` is the running jobs' scratch
            continue
        file, problem = None, None
        try:
            file = read_document(path, LatencyFile)
        except FerBenchError as error:
            problem = str(error).removeprefix(f"{path} ")
        found.append(
            StoredLatency(
                dataset=dataset, name=name, folder=path.parent, file=file, problem=problem
            )
        )
    return found
