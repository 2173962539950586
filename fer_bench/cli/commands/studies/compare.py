"""`compare`: whether one run is really better than another, by their stored predictions."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fer_bench.cli.console import err, out, print_json, say_next
from fer_bench.cli.options import DEFAULT_RESULTS, Json, Results
from fer_bench.errors import FerBenchError, unknown_name
from fer_bench.formatting import how_many, percent, safe_csv

if TYPE_CHECKING:
    from fer_bench.studies.comparison.compare import Comparison
    from fer_bench.types import ImageSet


def compare(
    runs: Annotated[
        list[str],
        typer.Argument(metavar="RUN", help="Two runs or more: names, folders, or `default`."),
    ],
    split: Annotated[str, typer.Option(help="test, test_clean or val.")] = "test",
    csv: Annotated[
        Path | None, typer.Option(help="File for the images that the runs do not name alike.")
    ] = None,
    store: Results = DEFAULT_RESULTS,
    as_json: Json = False,
) -> None:
    """Compare runs on the same images: is one really better than the other?

    Exact McNemar tests, 95 % paired bootstrap intervals of the differences, Holm's correction over
    all pairs; seeds of one experiment are averaged. Needs no data and no weights.

    Example: python -m fer_bench compare default resnet18-full-strong-15ep-scratch-48px-s0
    """
    from fer_bench.studies.comparison import verdicts
    from fer_bench.studies.comparison.compare import compare as compare_runs

    stored = [store.find(name) for name in runs]
    comparison = compare_runs(stored, [store.predictions(run) for run in stored], _images(split))
    if csv is not None:
        _save(comparison, csv)
    if as_json:
        print_json(_document(comparison))
        return
    out.print(f"{verdicts.verdict(comparison)}.\n", markup=False)
    _print_runs(comparison)
    _print_pairs(comparison)
    out.print(f"\n{verdicts.scope(comparison)}", markup=False)
    for remark in verdicts.remarks(comparison):
        err.print(f"note: {remark}", markup=False)
    if csv is not None:
        err.print(f"images that are not named alike: {csv}", markup=False)
    say_next("report --out report.html --tables paper", store)


def _images(split: str) -> ImageSet:
    from fer_bench.studies.comparison.shared_images import IMAGE_SETS

    for known in IMAGE_SETS:
        if split == known:
            return known
    raise unknown_name("--split", split, IMAGE_SETS)


def _save(comparison: Comparison, file: Path) -> None:
    from fer_bench.storage import write_atomically
    from fer_bench.studies.comparison.tables import disagreements

    try:
        write_atomically({file: safe_csv(disagreements(comparison))})
    except OSError as error:
        raise FerBenchError(
            f"could not save {file}: {error.strerror}; choose another file for --csv"
        ) from None


def _document(comparison: Comparison) -> dict[str, Any]:
    from fer_bench.studies.comparison import tables, verdicts

    shared = comparison.shared
    return {
        "verdict": verdicts.verdict(comparison),
        "scope": verdicts.scope(comparison),
        "remarks": verdicts.remarks(comparison),
        "images": shared.images,
        "n": len(shared.ids),
        "runs": tables.run_table(comparison).to_dict("records"),
        "pairs": [asdict(pair) | {"significant": pair.significant} for pair in comparison.pairs],
        "experiments": [asdict(one) for one in comparison.experiments],
        "experiment_pairs": [asdict(pair) for pair in comparison.experiment_pairs],
        "per_class": tables.class_table(comparison).to_dict("records"),
    }


def _print_runs(comparison: Comparison) -> None:
    shared = comparison.shared
    images = how_many(len(shared.ids), "image")
    out.print(f"{'':4}{'accuracy':>8}  {'macro F1':>8}  run   ({images})")
    for name, accuracy, f1 in zip(
        comparison.names, comparison.accuracy, comparison.macro_f1, strict=True
    ):
        letter = comparison.letters[name]
        out.print(f"{letter:<4}{percent(accuracy):>8}  {percent(f1):>8}  {name}", markup=False)
    for one in comparison.experiments:
        if one.accuracy_sd is not None:
            out.print(
                f"{'':4}{percent(one.accuracy):>8} ± {percent(one.accuracy_sd)} over "
                f"{len(one.runs)} seeds  {one.name}",
                markup=False,
            )


def _print_pairs(comparison: Comparison) -> None:
    """Percentage points and their 95 % intervals."""
    from fer_bench.studies.comparison.verdicts import points_interval

    letters = comparison.letters
    out.print(
        f"\n{'':7}{'accuracy':>8}  {'95 %':>14}  {'macro F1':>8}  {'95 %':>14}  {'p':>7}  "
        f"{'Holm p':>7}  {'alike':>7}  {'kappa':>5}"
    )
    for pair in comparison.pairs:
        accuracy, f1 = pair.accuracy_difference * 100, pair.macro_f1_difference * 100
        out.print(
            f"{letters[pair.a]} - {letters[pair.b]}  "
            f"{accuracy:>+8.1f}  {points_interval(pair.accuracy_interval):>14}  "
            f"{f1:>+8.1f}  {points_interval(pair.macro_f1_interval):>14}  "
            f"{pair.p:>7.2g}  {pair.p_holm:>7.2g}  "
            f"{percent(pair.same_answer):>7}  {pair.kappa:>5.2f}",
            markup=False,
        )
