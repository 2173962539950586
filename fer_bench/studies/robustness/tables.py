"""Reports on corrupted faces and on other data as tables: runs side by side."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pandas as pd

from fer_bench.data.readers.registry import DATASETS
from fer_bench.errors import FerBenchError
from fer_bench.formatting import how_many
from fer_bench.results.leaderboard.rankings import SHORT
from fer_bench.results.record import RunRecord
from fer_bench.results.reports.robustness import RobustnessReport, TestedOn, read_robustness
from fer_bench.results.reports.transfer import TransferResult, read_transfer
from fer_bench.results.stored_run import StoredRun
from fer_bench.results.usage import fer_bench_command

SUMMARY_COLUMNS = (
    "run", "model", "clean_accuracy", "mean_corruption_accuracy", "ci_low", "ci_high",
    "relative_drop", "n",
)  # fmt: skip
CURVE_COLUMNS = ("run", "model", "severity", "accuracy", "ci_low", "ci_high")
TRANSFER_COLUMNS = (
    "run", "model", "trained_on", "tested_on", "accuracy", "ci_low", "ci_high", "macro_f1", "n",
    "n_left_out", "classes", "classes_left_out", "classes_missing", "own_data",
)  # fmt: skip
#: Stands for all corruptions together.
MEAN = "mean of all"
#: Between the words of a setting.
SEPARATOR = " · "
#: So many of them, the first ones, say on which images.
IMAGE_WORDS = 4


@dataclass(frozen=True, kw_only=True)
class RunReport:
    """One report of a run that can be read and is still the one that was measured.

    Attributes:
        name: `dataset/run`.
    """

    name: str
    record: RunRecord
    report: RobustnessReport

    @property
    def model(self) -> str:
        """Its architecture, which gives it its colour."""
        return self.record.spec.labels.model


@dataclass(frozen=True, kw_only=True)
class ReportsByRun:
    """What the folders of some runs hold.

    Attributes:
        problems: sentences about files that are damaged or older than their run.
    """

    robustness: list[RunReport]
    transfers: dict[str, list[TransferResult]]
    problems: list[str]


def collect(runs: Iterable[StoredRun]) -> ReportsByRun:
    """Every report of every readable run, in the runs' order."""
    measured: list[RunReport] = []
    transfers: dict[str, list[TransferResult]] = {}
    problems: list[str] = []
    for run in runs:
        if run.record is None:
            continue
        name = run.id
        try:
            reports = read_robustness(run.folder)
            results = read_transfer(run.folder)
        except FerBenchError as error:
            problems.append(str(error))
            continue
        finished = run.record.finished_at
        fresh = [report for report in reports if report.run_finished_at == finished]
        usable = [result for result in results if result.run_finished_at == finished]
        for command, count, all_of_them in (
            ("robustness", len(fresh), len(reports)),
            ("transfer", len(usable), len(results)),
        ):
            if count < all_of_them:
                problems.append(
                    f"{name} was trained again since its {command} was measured: measure it again "
                    f"with `python -m fer_bench {command} {name}`"
                )
        measured += [RunReport(name=name, record=run.record, report=report) for report in fresh]
        if usable:
            transfers[name] = usable
    return ReportsByRun(robustness=measured, transfers=transfers, problems=problems)


def describe_setting(measured: RunReport) -> str:
    """What a report is about: `fer2013 · official · test · 3,589 images · 11 corruptions`."""
    report, on = measured.report, measured.report.tested_on
    corruptions = corruptions_of(report)
    words = [on.name, on.protocol, on.split, how_many(on.n, "image")]
    words.append(f"{len(corruptions)} corruptions" if len(corruptions) > 1 else corruptions[0])
    return SEPARATOR.join([*words, f"seed {report.seed}"])


def in_short(settings: Iterable[str]) -> tuple[dict[str, str], str]:
    """Settings in a narrow box's words, and what all of them have in common.

    Args:
        settings: as `describe_setting` gives them; at least one.

    Returns:
        each with its data, split and images and what else sets it apart; the rest in words.
    """
    words = {one: one.split(SEPARATOR) for one in settings}
    rest = [each[IMAGE_WORDS:] for each in words.values()]
    common = [word for word in rest[0] if all(word in each for each in rest)]
    short = {
        one: SEPARATOR.join(
            [*each[:IMAGE_WORDS], *(w for w in each[IMAGE_WORDS:] if w not in common)]
        )
        for one, each in words.items()
    }
    return short, SEPARATOR.join(common)


def settings(measured: Sequence[RunReport]) -> dict[str, list[RunReport]]:
    """Reports that may be compared, by what they are about: those of most runs come first.

    Then those of most corruptions, then of most images. Settings that read alike (the same words
    about other data) are numbered.
    """
    groups: dict[tuple[object, ...], list[RunReport]] = {}
    for one in measured:
        groups.setdefault(one.report.setting, []).append(one)
    ordered = sorted(
        groups.values(),
        key=lambda g: (len(g), len(g[0].report.corrupted), g[0].report.tested_on.n),
        reverse=True,
    )
    seen: Counter[str] = Counter()
    named = {}
    for group in ordered:
        words = describe_setting(group[0])
        seen[words] += 1
        named[words if seen[words] == 1 else f"{words} ({seen[words]})"] = group
    return named


def corruptions_of(report: RobustnessReport) -> list[str]:
    """The corruptions of a report, each once, in its order."""
    return list(dict.fromkeys(one.corruption for one in report.corrupted))


def summary(measured: Iterable[RunReport]) -> pd.DataFrame:
    """A row per report, in `SUMMARY_COLUMNS`, the sturdiest first; rates in [0, 1]."""
    rows = [
        (
            one.name,
            one.model,
            one.report.clean.accuracy,
            one.report.mean_corruption_accuracy,
            *one.report.mean_corruption_accuracy_ci95,
            one.report.relative_drop,
            one.report.tested_on.n,
        )
        for one in measured
    ]
    table = pd.DataFrame(rows, columns=list(SUMMARY_COLUMNS))
    return table.sort_values("mean_corruption_accuracy", ascending=False, ignore_index=True)


def curves(measured: Iterable[RunReport], corruption: str) -> pd.DataFrame:
    """Accuracy by severity, 0 being clean, in `CURVE_COLUMNS`; rates in [0, 1].

    Args:
        corruption: a name, or `MEAN` for the mean over all; that has no interval (NaN) but when
            clean.
    """
    rows: list[tuple[object, ...]] = []
    for one in measured:
        clean = one.report.clean
        rows.append((one.name, one.model, 0, clean.accuracy, *clean.accuracy_ci95))
        scores = pd.DataFrame(
            [
                (score.severity, score.accuracy, *score.accuracy_ci95)
                for score in one.report.corrupted
                if corruption in (MEAN, score.corruption)
            ],
            columns=["severity", "accuracy", "ci_low", "ci_high"],
        )
        if corruption == MEAN:
            means = scores.groupby("severity")["accuracy"].mean().reset_index()
            scores = means.assign(ci_low=float("nan"), ci_high=float("nan"))
        rows += [(one.name, one.model, *row) for row in scores.itertuples(index=False)]
    return pd.DataFrame(rows, columns=list(CURVE_COLUMNS)).astype({"severity": int})


def severity_table(report: RobustnessReport) -> pd.DataFrame:
    """Accuracy in [0, 1]: a row per corruption, columns `1` to `5` (severities) and `mean`."""
    scores = pd.DataFrame(
        [(one.corruption, one.severity, one.accuracy) for one in report.corrupted],
        columns=["corruption", "severity", "accuracy"],
    )
    wide = scores.pivot(index="corruption", columns="severity", values="accuracy")
    wide = wide.loc[corruptions_of(report)].rename(columns=str)
    wide.columns.name = None
    return wide.assign(mean=wide.mean(axis=1))


def _target(on: TestedOn) -> str:
    words = [on.source if on.name == "synthetic" else on.name, on.split]
    if on.protocol != "official":
        words.append(on.protocol)
    if on.limit is not None:
        words.append(how_many(on.n, "image"))
    return " · ".join(words)


def _which(on: TestedOn) -> str:
    """Tells folders of one name apart; published data are the same as zip and as CSV."""
    return "" if on.name in DATASETS else on.fingerprint[:SHORT]


def _own_row(name: str, record: RunRecord) -> list[tuple[object, ...]]:
    """The cell that the record itself fills: its own data's test split."""
    metrics = record.metrics.get("test")
    if metrics is None:
        return []
    data = record.dataset
    on = TestedOn(
        name=data.name,
        source=data.source,
        fingerprint=data.fingerprint,
        protocol=data.protocol,
        split="test",
        limit=record.spec.limit,
        n=metrics.n,
        n_left_out=metrics.n_left_out,
    )
    rates = (metrics.accuracy, *metrics.accuracy_ci95, metrics.macro_f1)
    counts = (metrics.n, metrics.n_left_out, ", ".join(data.emotions), "", "", True, _which(on))
    return [(name, record.spec.labels.model, data.name, _target(on), *rates, *counts)]


def transfer_table(
    runs: Iterable[StoredRun], transfers: dict[str, list[TransferResult]]
) -> pd.DataFrame:
    """A row per run that was tried on other data and per data set, in `TRANSFER_COLUMNS`.

    A run's own test split is there from its record. Lists of classes are texts with commas.
    """
    rows: list[tuple[object, ...]] = []
    for run in runs:
        name = run.id
        if run.record is None or name not in transfers:
            continue
        own = _own_row(name, run.record)
        model, trained_on = run.record.spec.labels.model, run.record.dataset.name
        others: list[tuple[object, ...]] = [
            (
                name,
                model,
                trained_on,
                _target(one.tested_on),
                one.accuracy,
                *one.accuracy_ci95,
                one.macro_f1,
                one.tested_on.n,
                one.tested_on.n_left_out,
                ", ".join(one.classes),
                ", ".join(one.classes_left_out),
                ", ".join(one.classes_missing),
                one.own_data,
                _which(one.tested_on),
            )
            for one in transfers[name]
        ]
        rows += own + others
    table = pd.DataFrame(rows, columns=[*TRANSFER_COLUMNS, "which"])
    several = table.groupby("tested_on")["which"].transform("nunique") > 1
    table["tested_on"] += (" · data " + table.pop("which")).where(several, "")
    # One cell each: of two sources of one data set (FER2013's zip and CSV) the later result; what
    # was measured anew replaces the record's number, which it should equal.
    return table.drop_duplicates(["run", "tested_on"], keep="last", ignore_index=True)


def robustness_commands(
    runs: Iterable[StoredRun], done: Iterable[str], results: str | None = None
) -> list[str]:
    """The command lines that measure what is missing: of finished runs whose weights are here.

    Args:
        done: `dataset/run` of those that need none.
        results: as `usage.fer_bench_command` takes it.
    """
    have = set(done)
    return [
        fer_bench_command(
            shlex.join(["robustness", run.id, "--data", run.record.dataset.source]),
            results,
        )
        for run in runs
        if run.record and run.record.status == "done" and run.has_weights and run.id not in have
    ]
