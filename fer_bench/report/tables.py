"""The report's tables, in plain text: the same for HTML, Markdown and LaTeX."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from fer_bench.errors import unknown_name
from fer_bench.formatting import hundredths
from fer_bench.report.contents import NumberedRun, ReportContents
from fer_bench.results.leaderboard.headline import per_class
from fer_bench.results.leaderboard.published import PublishedFigure
from fer_bench.results.reproduce import reproduce_command
from fer_bench.studies.comparison.compare import Comparison
from fer_bench.studies.comparison.seeds import over_seeds

NOTHING = "–"
#: Characters of a commit and of a fingerprint that tell them apart.
COMMIT, FINGERPRINT = 10, 12
SHOWN_PACKAGES = ("torch", "torchvision", "timm", "transformers", "openvino", "onnxruntime")


@dataclass(frozen=True, kw_only=True)
class Table:
    """Cells of plain text; a format escapes them.

    Attributes:
        texts: so many columns, from the left, are words; the others are numbers, aligned right.
        sources: the number of the record behind each row, which becomes the first column; may be
            empty.
        defines: the rows are the records themselves, which the numbers elsewhere lead to.
    """

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    texts: int
    sources: tuple[int, ...] = ()
    defines: bool = False


def rate(value: float) -> str:
    """`0.70270` as `70.3`: percent, under a header that says so."""
    return NOTHING if pd.isna(value) else hundredths(value)


def _interval(low: float, high: float) -> str:
    return NOTHING if pd.isna(low) or pd.isna(high) else f"{rate(low)} – {rate(high)}"


def _millions(value: float) -> str:
    return NOTHING if pd.isna(value) else f"{value / 1e6:.2f}"


def _error(value: float) -> str:
    return NOTHING if pd.isna(value) else f"{value:.3f}"


def _integer(value: float) -> str:
    return NOTHING if pd.isna(value) else f"{value:.0f}"


#: What a leaderboard can show, in reading order: the option's word and the header.
LEADERBOARD = {
    "run": "Run",
    "model": "Model",
    "mode": "Mode",
    "recipe": "Recipe",
    "pretraining": "Pretraining",
    "seed": "Seed",
    "epochs": "Epochs",
    "input": "Input (px)",
    "parameters": "Parameters (M)",
    "accuracy": "Accuracy (%)",
    "interval": "95 % interval",
    "clean": "Clean (%)",
    "tta": "TTA (%)",
    "f1": "Macro F1 (%)",
    "ece": "ECE",
    "calibrated": "Calibrated ECE",
}
#: Those that are words.
WORDS = ("run", "model", "mode", "recipe", "pretraining")


def leaderboard(rows: pd.DataFrame, columns: Sequence[str] | None = None) -> Table:
    """Runs in the order given: what each is, and how good.

    Args:
        rows: `Benchmark.ranked` or `Benchmark.others`.
        columns: keys of `LEADERBOARD`, all by default.

    Raises:
        FerBenchError: an unknown column.
    """
    chosen = list(columns or LEADERBOARD)
    if unknown := [name for name in chosen if name not in LEADERBOARD]:
        raise unknown_name("column", unknown[0], LEADERBOARD)
    chosen.sort(key=lambda name: name not in WORDS)
    cells = (_leaderboard_cells(row) for row in rows.to_dict("records"))
    return Table(
        header=tuple(LEADERBOARD[name] for name in chosen),
        rows=tuple(tuple(row[name] for name in chosen) for row in cells),
        texts=sum(name in WORDS for name in chosen),
        sources=tuple(rows["source"]),
    )


def _leaderboard_cells(row: Mapping[Hashable, Any]) -> dict[str, str]:
    is_trained = row["epochs"] > 0  # what was not is drawn from no seed
    return {
        "run": str(row["title"]),
        "model": str(row["model"]),
        "mode": str(row["mode"]),
        "recipe": str(row["recipe"]),
        "pretraining": f"record {row['start']}" if row["start"] else str(row["pretraining"]),
        "seed": str(row["seed"]) if is_trained else NOTHING,
        "epochs": _integer(row["epochs"]) if is_trained else NOTHING,
        "input": _integer(row["input_size"]),
        "parameters": _millions(row["parameters"]),
        "accuracy": rate(row["test_accuracy"]),
        "interval": _interval(row["ci_low"], row["ci_high"]),
        "clean": rate(row["test_clean_accuracy"]),
        "tta": rate(row["test_accuracy_tta"]),
        "f1": rate(row["test_macro_f1"]),
        "ece": _error(row["ece"]),
        "calibrated": _error(row["calibrated_ece"]),
    }


def per_emotion(shown: Sequence[NumberedRun]) -> Table:
    """Recall of each emotion on the test images by runs of one benchmark."""
    emotions = shown[0].record.dataset.emotions
    tests = [per_class(s.record.metrics["test"]).set_index("emotion") for s in shown]
    return Table(
        header=("Run", *(f"{emotion.capitalize()} (%)" for emotion in emotions)),
        rows=tuple(
            (source.title, *(rate(test["recall"][emotion]) for emotion in emotions))
            for source, test in zip(shown, tests, strict=True)
        ),
        texts=1,
        sources=tuple(source.number for source in shown),
    )


def pairs(comparison: Comparison, called: Mapping[str, str]) -> Table:
    """Every two runs tested on the same images. called: titles by what the comparison names."""
    header = ("First", "Second", "Points ahead", "95 % interval", "p", "Holm p", "Significant")
    cells = tuple(
        (
            called[pair.a],
            called[pair.b],
            f"{pair.accuracy_difference * 100:+.1f}",
            " – ".join(f"{end * 100:+.1f}" for end in pair.accuracy_interval),
            f"{pair.p:.2g}",
            f"{pair.p_holm:.2g}",
            "yes" if pair.significant else "no",
        )
        for pair in comparison.pairs
    )
    return Table(header=header, rows=cells, texts=2)


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


def sources(records: Iterable[NumberedRun], *, commands: bool) -> Table:
    """The records behind the numbers; with `commands`, how to make each of them again."""
    shown = list(records)
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


def data_sets(records: Iterable[NumberedRun]) -> Table:
    """The data behind the records, one row per fingerprint."""
    groups: dict[tuple[str, ...], list[int]] = {}
    for source in records:
        data = source.record.dataset
        sizes = " / ".join(f"{data.split_sizes.get(s, 0):,}" for s in ("train", "val", "test"))
        row = (data.name, data.source, data.protocol, sizes, f"{data.clean_test_size:,}")
        groups.setdefault((*row, data.fingerprint), []).append(source.number)
    header = (
        "Data set", "Source", "Protocol", "Train / val / test", "Clean test", "Fingerprint",
        "Records",
    )  # fmt: skip
    return _grouped(header, groups)


def environments(records: Iterable[NumberedRun]) -> Table:
    """The machines and versions behind the records, each once."""
    groups: dict[tuple[str, ...], list[int]] = {}
    for source in records:
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


def without_result(contents: ReportContents) -> Table:
    """Runs that gave no numbers, and why."""
    return Table(header=("Run", "Status", "What happened"), rows=contents.without_result, texts=3)
