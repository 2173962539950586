"""Latency reports on disk: `latency.json` beside a run's record, or of a network that is no run.

A network measured without a run lies in `results/networks/<network>/`: a folder without a record,
which is no run to `ResultsStore`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from pydantic import ValidationError

from fer_bench.errors import FerBenchError
from fer_bench.results.documents import not_saved, place_of, sole_use
from fer_bench.results.latency import LATENCY_VERSION, LatencyFile, LatencyReport
from fer_bench.results.location import write_results
from fer_bench.results.store import ResultsStore

LATENCY = "latency.json"
#: Stands in the place of a data set for networks that are no run.
NETWORKS = "networks"


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
    found = _read(folder / LATENCY)
    if isinstance(found, str):
        raise FerBenchError(f"{folder / LATENCY} {found}")
    return found.model_copy()


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
        _write(folder, file)
    return file


def _write(folder: Path, file: LatencyFile) -> None:
    text = file.model_dump_json(indent=2).encode() + b"\n"
    try:
        LatencyFile.model_validate_json(text)  # JSON has no NaN: it is written as null
    except ValidationError as error:
        raise FerBenchError(
            f"the latency report of {folder.name} cannot be saved: {place_of(error)} is not finite"
        ) from None
    try:
        write_results({folder / LATENCY: text})
    except OSError as error:
        raise not_saved(folder / LATENCY, error) from None


def list_latencies(root: Path) -> list[StoredLatency]:
    """Every measured network under a results folder, runs and others, by data set and name."""
    found = []
    for path in sorted(root.glob(f"*/*/{LATENCY}")):
        dataset, name = path.parent.parent.name, path.parent.name
        if dataset.startswith(".") or name.startswith("."):  # `.work` is the running jobs' scratch
            continue
        read = _read(path)
        file, problem = (None, read) if isinstance(read, str) else (read, None)
        found.append(
            StoredLatency(
                dataset=dataset, name=name, folder=path.parent, file=file, problem=problem
            )
        )
    return found


def _read(path: Path) -> LatencyFile | str:
    try:
        stat = path.stat()
        return _parsed_file(str(path), stat.st_ino, stat.st_mtime_ns, stat.st_size)
    except FileNotFoundError:
        return LatencyFile()
    except OSError as error:
        return f"cannot be read: {error.strerror}"


@lru_cache(maxsize=16_384)
def _parsed_file(path: str, inode: int, mtime_ns: int, size: int) -> LatencyFile | str:
    """What tells one content of a file from the next is part of the cache's key."""
    return _parse(Path(path).read_bytes())


def _parse(text: bytes) -> LatencyFile | str:
    """The file's reports, or what is wrong with it as the end of a sentence about it."""
    try:
        file = LatencyFile.model_validate_json(text)
    except ValidationError as error:
        return _why_invalid(text, error)
    return _newer(file.schema_version) if file.schema_version > LATENCY_VERSION else file


def _why_invalid(text: bytes, error: ValidationError) -> str:
    first = error.errors()[0]
    again = "delete it and measure again"
    if first["type"] == "json_invalid":
        reason = first["msg"].removeprefix("Invalid JSON: ")
        return f"is damaged, it is not valid JSON ({reason}): {again}"
    values = json.loads(text)
    version = values.get("schema_version") if isinstance(values, dict) else None
    if isinstance(version, int) and version > LATENCY_VERSION:
        return _newer(version)
    return f"is damaged ({place_of(error)}: {first['msg']}): {again}"


def _newer(version: int) -> str:
    return (
        f"was written by a newer FER Bench (schema {version}, this one reads {LATENCY_VERSION}): "
        "update FER Bench"
    )
