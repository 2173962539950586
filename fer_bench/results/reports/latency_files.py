"""Latency reports on disk: `latency.json` next to a run's record, or of a network that is no run.

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
from fer_bench.results.documents import EntriesFile
from fer_bench.results.record import Document
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

    Attributes:
        dataset: `networks` where the network is no run.
        name: the run's, or the network's as `network_name` makes it.
    """

    dataset: str
    name: str
    reports: list[LatencyReport]
    problem: str | None


def network_name(model: str, options: Mapping[str, object], size: int) -> str:
    """A file-safe name: `resnet18-224px`, `resnet18-tiny-64px`, `timm-convnext_tiny-224px`.

    Args:
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
        FerBenchError: an invalid name.
    """
    return ResultsStore(root).folder(NETWORKS, name)


STORED: EntriesFile[LatencyReport] = EntriesFile(
    LATENCY, LatencyFile, same=lambda report: report.machine
)
read_latency, add_report, check_latency = STORED.read, STORED.add, STORED.check


def list_latencies(*roots: Path) -> list[StoredLatency]:
    """Every measured network in results folders, runs and others, by data set and name."""
    listed = []
    for path in (path for root in roots for path in sorted(root.glob(f"*/*/{LATENCY}"))):
        dataset, name = path.parent.parent.name, path.parent.name
        if dataset.startswith(".") or name.startswith("."):  # `.work` is the running jobs' scratch
            continue
        reports, problem = [], None
        try:
            reports = STORED.read(path.parent)
        except FerBenchError as error:
            problem = str(error)
        listed.append(StoredLatency(dataset=dataset, name=name, reports=reports, problem=problem))
    return listed
