"""Latency reports as tables: back ends, stages and machines side by side."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from fer_bench.results.reports.latency import REFERENCE, LatencyReport, Measurement, Stages
from fer_bench.results.reports.latency_files import StoredLatency
from fer_bench.studies.latency.budget import Recommendation

#: Columns of `measurement_table`: what was measured, how fast, how faithful, at what cost.
MEASUREMENT_COLUMNS = (
    "network", "model", "backend", "precision", "threads", "batch", "median_ms", "p90_ms",
    "p99_ms", "faces_per_second", "ratio", "chosen", "top1_agreement", "min_cosine",
    "max_logit_difference", "agreement_faces", "peak_memory_mib", "share_of_peak", "open_seconds",
    "repetitions", "note", "error", "machine", "measured_at",
)  # fmt: skip
STAGE_COLUMNS = (
    "network", "model", "backend", "threads", "detector", "frame", "faces", "detect_ms",
    "preprocess_ms", "model_ms", "rest_ms", "total_ms", "total_p90_ms", "total_p99_ms",
    "frames_per_second",
)  # fmt: skip
OPTION_COLUMNS = (
    "run", "fits", "test_accuracy", "milliseconds", "per_second", "backend", "weakest",
    "weakest_recall", "misses",
)  # fmt: skip
#: Packages that run networks, and ours.
SHOWN_VERSIONS = ("fer_bench", "torch", "openvino", "onnxruntime")
#: One face, with the arithmetic that the accuracy next to it was measured with.
FP32_TIME = "Milliseconds per face, fp32"
TEXTS = frozenset(
    {"network", "model", "backend", "precision", "detector", "frame", "note", "error", "machine"}
)


@dataclass(frozen=True, kw_only=True)
class MeasuredNetwork:
    """A network and what was measured of it on one machine.

    Attributes:
        name: `dataset/run` of a run, `networks/<model>-<size>px` of a bare network.
        model: its architecture, which gives it its colour.
    """

    name: str
    model: str
    report: LatencyReport


def measured_networks(
    stored: Iterable[StoredLatency], models: Mapping[str, str]
) -> list[MeasuredNetwork]:
    """Every report of every readable file, in the files' order.

    Args:
        models: `dataset/run` -> its architecture; a network that is not named there, as bare ones
            are not, is called after its folder without the size.
    """
    return [
        MeasuredNetwork(
            name=name, model=models.get(name, re.sub(r"-\d+px$", "", one.name)), report=r
        )
        for one in stored
        for name in [f"{one.dataset}/{one.name}"]
        for r in one.reports
    ]


def machines(measured: Iterable[MeasuredNetwork]) -> list[str]:
    """The machines that anything was measured on: most networks first, then by name."""
    counts = Counter(one.report.machine for one in measured)
    return sorted(counts, key=lambda machine: (-counts[machine], machine))


def one_per_model(measured: Iterable[MeasuredNetwork], most: int) -> list[str]:
    """The names of the first network of each model, `most` at most."""
    first: dict[str, str] = {}
    for one in measured:
        first.setdefault(one.model, one.name)
    return list(first.values())[:most]


def _speed(one: Measurement, reference: float | None) -> dict[str, object]:
    if one.milliseconds is None:
        return {}
    times = one.milliseconds
    return {
        "median_ms": times.median,
        "p90_ms": times.p90,
        "p99_ms": times.p99,
        "repetitions": times.repetitions,
        "faces_per_second": one.faces_per_second,
        "ratio": None if reference is None else reference / times.median,
    }


def _faithfulness(one: Measurement) -> dict[str, object]:
    if one.agreement is None:
        return {}
    return {
        "top1_agreement": one.agreement.top1_agreement,
        "min_cosine": one.agreement.min_cosine,
        "max_logit_difference": one.agreement.max_logit_difference,
        "agreement_faces": one.agreement.n,
    }


def _references(report: LatencyReport) -> dict[tuple[int, int], float]:
    """Milliseconds of the reference by threads and batch."""
    return {
        (one.threads, one.batch): one.milliseconds.median
        for one in report.measurements
        if one.backend == REFERENCE and one.milliseconds
    }


def measurement_table(measured: Sequence[MeasuredNetwork]) -> pd.DataFrame:
    """One row per measurement, in `MEASUREMENT_COLUMNS`, in the reports' order.

    Times are milliseconds per call; `ratio` is how many times as fast as `REFERENCE` of the same
    report, threads and batch; `top1_agreement` and `share_of_peak` are in [0, 1]; `chosen` marks
    what `auto` takes. What was not measured is NaN, or empty in text columns. A batch that was
    halved to one that was measured too has no row.
    """
    rows = [
        {
            "network": network.name,
            "model": network.model,
            "backend": one.backend,
            "precision": one.precision,
            "threads": one.threads,
            "batch": one.batch,
            **_speed(one, references.get((one.threads, one.batch))),
            **_faithfulness(one),
            "chosen": network.report.chosen.get(one.threads) == one.backend,
            "peak_memory_mib": one.peak_memory_mib,
            "share_of_peak": one.share_of_peak,
            "open_seconds": one.open_seconds,
            "note": one.note,
            "error": one.error,
            "machine": network.report.machine,
            "measured_at": network.report.measured_at.isoformat(timespec="minutes"),
        }
        for network in measured
        for references in [_references(network.report)]
        for one in network.report.measurements
    ]
    table = _typed(rows, MEASUREMENT_COLUMNS)
    return table.drop_duplicates(["network", "machine", "backend", "threads", "batch"])


def stage_table(measured: Sequence[MeasuredNetwork]) -> pd.DataFrame:
    """One row per network and back end whose stages were timed, in `STAGE_COLUMNS`.

    Times are medians in milliseconds per frame; `rest_ms` is what the stages leave of the total.
    """
    rows = [
        {
            "network": network.name,
            "model": network.model,
            "backend": one.backend,
            "threads": one.threads,
            "detector": one.detector,
            "frame": f"{one.frame[0]} × {one.frame[1]}",
            "faces": one.faces,
            "detect_ms": one.detect.median,
            "preprocess_ms": one.preprocess.median,
            "model_ms": one.model.median,
            "rest_ms": _rest(one),
            "total_ms": one.total.median,
            "total_p90_ms": one.total.p90,
            "total_p99_ms": one.total.p99,
            "frames_per_second": 1000 / one.total.median,
        }
        for network in measured
        for one in network.report.stages
    ]
    return _typed(rows, STAGE_COLUMNS)


def _rest(stages: Stages) -> float:
    """Medians do not add up exactly; the rest is never less than nothing."""
    parts = stages.detect.median + stages.preprocess.median + stages.model.median
    return max(stages.total.median - parts, 0.0)


def _typed(rows: Sequence[Mapping[str, object]], columns: Sequence[str]) -> pd.DataFrame:
    table = pd.DataFrame(list(rows), columns=list(columns))
    for column in columns:
        if column in TEXTS or column == "measured_at":
            table[column] = table[column].fillna("").astype(str)
        elif column == "chosen":
            table[column] = table[column].astype(bool)
        else:
            table[column] = pd.to_numeric(table[column])
    return table


def option_table(answer: Recommendation) -> pd.DataFrame:
    """The runs that a budget was held against, those that fit first, in `OPTION_COLUMNS`.

    Rates are in [0, 1]; `milliseconds` are per face or per frame, as the budget was.
    """
    rows = [
        {
            "run": option.name,
            "fits": not option.misses,
            "test_accuracy": option.metrics.accuracy,
            "milliseconds": option.speed.milliseconds,
            "per_second": option.speed.per_second,
            "backend": option.speed.backend,
            "weakest": option.weakest[0],
            "weakest_recall": option.weakest[1],
            "misses": "; ".join(miss.actual for miss in option.misses),
        }
        for option in answer.options
    ]
    return pd.DataFrame(rows, columns=list(OPTION_COLUMNS))


def remarks(table: pd.DataFrame, column: Literal["note", "error"]) -> pd.DataFrame:
    """Each remark once: `backend, remark, networks`, the networks separated by `; `.

    Args:
        table: as `measurement_table` gives it.
    """
    remarked = table[table[column] != ""].rename(columns={column: "remark"})
    networks = remarked.groupby(["backend", "remark"], sort=False)["network"]
    return networks.agg(lambda names: "; ".join(dict.fromkeys(names))).reset_index(name="networks")


def machine_line(measured: Sequence[MeasuredNetwork]) -> str:
    """What stands behind the numbers of one machine, in a line; `machine_settings` has the rest.

    Args:
        measured: at least one, all of that machine; versions are those of the newest.
    """
    newest = max((one.report for one in measured), key=lambda report: report.measured_at)
    days = sorted({f"{one.report.measured_at:%Y-%m-%d}" for one in measured})
    environment = newest.environment
    versions = {"fer_bench": environment.fer_bench, **environment.packages}
    parts = [
        ", ".join(environment.cpu_flags),
        f"governor {newest.governor}" if newest.governor else "",
        ", ".join(f"{name} {versions[name]}" for name in SHOWN_VERSIONS if name in versions),
        f"measured {' to '.join(dict.fromkeys((days[0], days[-1])))}",
    ]
    return " · ".join(part for part in parts if part)


def machine_settings(report: LatencyReport) -> dict[str, object]:
    """The machine and the day behind a report's numbers, by name; its packages apart."""
    environment = report.environment
    return {
        "measured_at": report.measured_at.isoformat(sep=" ", timespec="minutes"),
        **environment.model_dump(mode="json", exclude={"packages", "git_commit", "threads"}),
        "threads": sorted({one.threads for one in report.measurements}),
        "governor": report.governor,
        **{f"GFLOP/s, {name}": rate for name, rate in report.gemm_gflops.items()},
        "git_commit": environment.git_commit,
    }


def network_settings(report: LatencyReport) -> dict[str, object]:
    """What a report says about the network itself, by name."""
    chosen = {f"auto@{threads}": name for threads, name in report.chosen.items()}
    fields = {"weights", "input_size", "parameters", "flops", "size_mib"}
    return {**report.model_dump(include=fields), **chosen}


def fp32_milliseconds(measured: Iterable[MeasuredNetwork], machine: str) -> dict[str, float]:
    """One face, batch 1, by the fastest fp32 back end on a machine: by name, where measured.

    A record's accuracy is that of fp32, so it stands next to these times; the back end that `auto`
    takes may round, and then names a few faces otherwise. Threads as `LatencyReport.fastest`.
    """
    times = {}
    for one in measured:
        if one.report.machine == machine and (fastest := one.report.fastest_fp32()):
            times[one.name] = fastest.median
    return times
