"""The report's tables, in plain text: the same for HTML, Markdown and LaTeX."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from fer_bench.report.contents import Contents, Source
from fer_bench.results.leaderboard.published import PublishedFigure
from fer_bench.results.record import Metrics
from fer_bench.results.summary import reproduce_command
from fer_bench.studies.comparison.seeds import over_seeds

NOTHING = "–"
#: Characters of a commit and of a fingerprint that tell them apart.
COMMIT, FINGERPRINT = 10, 12
SHOWN_PACKAGES = ("torch", "torchvision", "timm", "transformers", "openvino", "onnxruntime")


@dataclass(frozen=True, kw_only=True)
class Table:
    """Cells of plain text; a format escapes them.

    texts: so many columns, from the left, are words; the others are numbers, aligned right.
    sources: the number of the record behind each row, which becomes the first column; may be empty.
    defines: the rows are the records themselves, which the numbers elsewhere lead to.
    """

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    texts: int
    sources: tuple[int, ...] = ()
    defines: bool = False


def rate(value: float) -> str:
    """`0.70270` as `70.27`: percent, under a header that says so."""
    return NOTHING if pd.isna(value) else f"{value * 100:.2f}"


def _interval(low: float, high: float) -> str:
    return NOTHING if pd.isna(low) or pd.isna(high) else f"{rate(low)} – {rate(high)}"


def _millions(value: float) -> str:
    return NOTHING if pd.isna(value) else f"{value / 1e6:.2f}"


def _integer(value: float) -> str:
    return NOTHING if pd.isna(value) else f"{value:.0f}"


def leaderboard(rows: pd.DataFrame) -> Table:
    """Runs in the order given: what each is, and how good.

    rows: `Benchmark.ranked` or `Benchmark.others`.
    """
    header = (
        "Run", "Model", "Mode", "Recipe", "Pretraining", "Seed", "Epochs", "Input (px)",
        "Parameters (M)", "Accuracy (%)", "95 % interval", "Clean (%)", "TTA (%)", "Macro F1 (%)",
        "ECE",
    )  # fmt: skip
    cells = tuple(
        (
            str(row["title"]),
            str(row["model"]),
            str(row["mode"]),
            str(row["recipe"]),
            f"record {row['start']}" if row["start"] else str(row["pretraining"]),
            str(row["seed"]),
            _integer(row["epochs"]),
            _integer(row["input_size"]),
            _millions(row["parameters"]),
            rate(row["test_accuracy"]),
            _interval(row["ci_low"], row["ci_high"]),
            rate(row["test_clean_accuracy"]),
            rate(row["test_accuracy_tta"]),
            rate(row["test_macro_f1"]),
            NOTHING if pd.isna(row["ece"]) else f"{row['ece']:.3f}",
        )
        for row in rows.to_dict("records")
    )
    return Table(header=header, rows=cells, texts=5, sources=tuple(rows["source"]))


def seeds(rows: pd.DataFrame) -> Table | None:
    """Mean ± sample standard deviation over seeds; None where no experiment has two."""
    averaged = over_seeds(rows)
    averaged = averaged[averaged["seeds"] > 1]
    if averaged.empty:
        return None
    cells = tuple(
        (
            str(row["experiment"]),
            str(row["seeds"]),
            seeds_words(row),
            rate(row["test_clean_accuracy"]),
            rate(row["test_macro_f1"]),
        )
        for row in averaged.to_dict("records")
    )
    header = ("Experiment", "Seeds", "Accuracy (%), mean ± sd", "Clean (%)", "Macro F1 (%)")
    return Table(header=header, rows=cells, texts=1)


def seeds_words(row: Mapping[Hashable, Any]) -> str:
    """The accuracy of a row of `over_seeds`, with its deviation where it is a mean of several."""
    mean, deviation = row["test_accuracy"], row["test_accuracy_sd"]
    return rate(mean) if pd.isna(deviation) else f"{rate(mean)} ± {rate(deviation)}"


def per_class(metrics: Metrics) -> pd.DataFrame:
    """`emotion, precision, recall, f1, support` of a record's metrics."""
    return pd.DataFrame([{"emotion": e, **m.model_dump()} for e, m in metrics.per_class.items()])


def sources(found: Iterable[Source], *, commands: bool) -> Table:
    """The records behind the numbers; with `commands`, how to make each of them again."""
    shown = list(found)
    header = ("Record", "Commit", "Data fingerprint", "Test images", "Finished", "Machine")
    cells = []
    for source in shown:
        record, environment = source.record, source.record.environment
        test = record.metrics.get("test")
        row = (
            source.run.id,
            (environment.git_commit or NOTHING)[:COMMIT],
            record.dataset.fingerprint[:FINGERPRINT],
            f"{test.n:,}" if test else NOTHING,
            f"{record.finished_at:%Y-%m-%d}" if record.finished_at else NOTHING,
            record.hardware,
        )
        cells.append((*row, reproduce_command(record)) if commands else row)
    return Table(
        header=(*header, "Command") if commands else header,
        rows=tuple(cells),
        texts=len(header) + commands,
        sources=tuple(source.number for source in shown),
        defines=True,
    )


def data_sets(found: Iterable[Source]) -> Table:
    """The data behind the records, one row per fingerprint."""
    groups: dict[tuple[str, ...], list[int]] = {}
    for source in found:
        data = source.record.dataset
        sizes = " / ".join(f"{data.split_sizes.get(s, 0):,}" for s in ("train", "val", "test"))
        row = (data.name, data.source, data.protocol, sizes, f"{data.clean_test_size:,}")
        groups.setdefault((*row, data.fingerprint), []).append(source.number)
    header = (
        "Data set", "Source", "Protocol", "Train / val / test", "Clean test", "Fingerprint",
        "Records",
    )  # fmt: skip
    return _grouped(header, groups)


def environments(found: Iterable[Source]) -> Table:
    """The machines and versions behind the records, each once."""
    groups: dict[tuple[str, ...], list[int]] = {}
    for source in found:
        one = source.record.environment
        versions = ", ".join(f"{p} {one.packages[p]}" for p in SHOWN_PACKAGES if p in one.packages)
        row = (
            one.processor,
            f"{one.cpu_cores}",
            f"{one.memory_gib:.0f} GiB",
            one.gpu or NOTHING,
            one.system,
            f"FER Bench {one.fer_bench}, Python {one.python}, {versions}",
        )
        groups.setdefault(row, []).append(source.number)
    header = ("CPU", "Cores", "Memory", "GPU", "System", "Versions", "Records")
    return _grouped(header, groups)


def _grouped(header: tuple[str, ...], groups: dict[tuple[str, ...], list[int]]) -> Table:
    cells = tuple((*row, _ranges(numbers)) for row, numbers in groups.items())
    return Table(header=header, rows=cells, texts=len(header))


def _ranges(numbers: Sequence[int]) -> str:
    """`[1, 2, 3, 5]` as `1–3, 5`."""
    parts: list[list[int]] = []
    for number in sorted(numbers):
        if parts and number == parts[-1][-1] + 1:
            parts[-1].append(number)
        else:
            parts.append([number])
    return ", ".join(str(p[0]) if len(p) == 1 else f"{p[0]}–{p[-1]}" for p in parts)


def published(figures: Iterable[PublishedFigure]) -> Table:
    """Others' figures as their sources give them, the highest first."""
    header = (
        "Model", "Data", "Protocol", "System", "TTA", "Pretraining", "Extra data", "Chosen on",
        "Reproduced", "Note", "Source", "Year", "Published accuracy (%)",
    )  # fmt: skip
    cells = tuple(
        tuple(
            text or NOTHING
            for text in (
                one.model, one.data, one.protocol, one.system, one.tta, one.pretraining,
                one.extra_data, one.chosen_on, one.reproduced, one.note, one.source, str(one.date),
                rate(one.accuracy),
            )
        )
        for one in sorted(figures, key=lambda one: (one.data, -one.accuracy))
    )  # fmt: skip
    return Table(header=header, rows=cells, texts=len(header) - 2)


def without_result(contents: Contents) -> Table:
    """Runs that gave no numbers, and why."""
    return Table(header=("Run", "Status", "What happened"), rows=contents.without_result, texts=3)
