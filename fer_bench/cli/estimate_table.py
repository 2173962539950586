"""What `run --dry-run` prints: a plan's time, disk and price."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from fer_bench.cli.console import err, print_json, print_table, say_step
from fer_bench.errors import FerBenchError

if TYPE_CHECKING:
    from fer_bench.benchmark.estimate.estimate import PlanEstimate, RunEstimate
    from fer_bench.data.load import Source
    from fer_bench.results.store import ResultsStore
    from fer_bench.specs.run import EnsembleSpec, RunSpec
    from fer_bench.types import Dtype

DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Print time, disk and price of the plan; run nothing.")
]
Measure = Annotated[
    bool, typer.Option("--measure", help="With --dry-run: try each network here for a moment.")
]
Images = Annotated[
    int | None, typer.Option(min=100, help="With --dry-run: as if there were so many images.")
]
PricePerHour = Annotated[
    float | None, typer.Option(min=0, help="With --dry-run: of one device, in any currency.")
]


def require_dry_run(measure: bool, images: int | None, price_per_hour: float | None) -> None:
    """Refuses options that only an estimate understands.

    Raises:
        FerBenchError: one of them was given.
    """
    for option in _given(measure, images, price_per_hour):
        raise FerBenchError(f"{option} is for estimates: add --dry-run, or leave it out")


def _given(measure: bool, images: int | None, price_per_hour: float | None) -> list[str]:
    """The options given that only an estimate understands."""
    given = {"--measure": measure, "--images": images, "--price-per-hour": price_per_hour}
    return [option for option, value in given.items() if value]


def print_estimate(
    specs: Sequence[RunSpec | EnsembleSpec],
    source: Source | None,
    store: ResultsStore,
    *,
    images: int | None,
    device: str,
    weights: Dtype | None,
    workers: int,
    price_per_hour: float | None,
    measured: bool,
    as_json: bool,
) -> None:
    """Estimates a plan and says what comes out; arguments as in `dry_run.estimate`."""
    from fer_bench.benchmark.estimate.dry_run import estimate

    plan = estimate(
        specs,
        store=store,
        source=source,
        images=images,
        device=device,
        weights=weights,
        workers=workers,
        price_per_hour=price_per_hour,
        on_measure=_say_measured if measured else None,
    )
    show_estimate(plan, as_json, store.location)
    if not as_json:
        left_out = ", ".join(["--dry-run", *_given(measured, images, price_per_hour)])
        say_step(f"the same command without {left_out} carries it out")


def _say_measured(spec: RunSpec) -> None:
    err.print(f"measuring {spec.model} ({spec.mode}) ...", markup=False)


def show_estimate(plan: PlanEstimate, as_json: bool, results: str) -> None:
    """The estimate as a table on stderr, or as one JSON document on stdout."""
    if as_json:
        print_json(estimate_document(plan))
    else:
        sources = list(dict.fromkeys(run.source for run in plan.runs if run.source))
        print_table(err, _table(plan, sources))
        for number, source in enumerate(sources, 1):
            err.print(f"({number}) {source}", markup=False)
        for line in _summary(plan):
            err.print(line, markup=False)
    if plan.unknown:
        err.print(
            f"no finished run in {results} tells how fast {plan.unknown} of {len(plan.runs)} runs "
            "go on this device, so they are in no sum: say --measure to try them here for a moment",
            markup=False,
        )


def estimate_document(plan: PlanEstimate) -> dict[str, Any]:
    """Seconds, bytes and money as JSON; what is not known is null."""
    return {
        "runs": [asdict(run) | {"images": dict(run.images)} for run in plan.runs],
        "total": {
            "runs": len(plan.runs),
            "finished": sum(run.finished for run in plan.runs),
            "unknown": plan.unknown,
            "device_seconds": plan.device_seconds,
            "workers": plan.workers,
            "wall_seconds": plan.wall_seconds,
            "price": plan.price,
            "pixel_bytes": plan.pixels,
            "bytes_that_stay": plan.stays,
            "bytes_while_running": plan.passes,
        },
    }


def _table(plan: PlanEstimate, sources: list[str]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("images", "epochs", "trained", "forward", "images/s", "time", "disk"):
        table.add_column(name, justify="right", no_wrap=True)
    for name in ("rate", "run"):
        table.add_column(name, no_wrap=True)
    for run in plan.runs:
        table.add_row(*_row(run, sources))
    return table


def _row(run: RunEstimate, sources: list[str]) -> list[str]:
    if run.finished:
        return ["", "", "", "", "", "0 s", "", "finished", run.name]
    work = run.work
    return [
        count(sum(run.images.values())),
        str(run.epochs),
        count(work.training),
        count(work.validation + work.features + work.evaluation),
        "?" if run.rate is None else count(run.rate),
        "?" if run.seconds is None else duration(run.seconds),
        size(run.disk.stays),
        f"{run.kind} ({sources.index(run.source) + 1})" if run.source else run.kind,
        run.name,
    ]


def _summary(plan: PlanEstimate) -> list[str]:
    devices = "device" if plan.workers == 1 else "devices"
    lines = [
        f"in all {duration(plan.device_seconds)} of one device, "
        f"{duration(plan.wall_seconds)} on {plan.workers} {devices}",
        f"disk: {size(plan.pixels)} of decoded images, {size(plan.stays - plan.pixels)} of results "
        f"and features, and up to {size(plan.passes)} of checkpoints while runs are at work",
    ]
    if plan.price is not None:
        lines.append(f"price: {plan.price:,.2f} at {plan.price_per_hour:g} a device and hour")
    return lines


def count(number: float) -> str:
    """`7.91`, `430`, `35.9k`, `1.15M`: three figures."""
    for unit in ("", "k", "M"):
        if number < 999.5:
            return f"{number:.3g}{unit}"
        number /= 1000
    return f"{number:,.4g}G"


def duration(seconds: float) -> str:
    """`48 s`, `12 min`, `3.4 h` or `12 days`."""
    scales: list[tuple[float, float, Callable[[float], str]]] = [
        (90, 1, lambda v: f"{v:.0f} s"),
        (90 * 60, 60, lambda v: f"{v:.0f} min"),
        (72 * 3600, 3600, lambda v: f"{v:.1f} h"),
    ]
    for below, unit, text in scales:
        if seconds < below:
            return text(seconds / unit)
    return f"{seconds / 86400:,.0f} days"


def size(count: float) -> str:
    """Bytes in decimal units: `1.5 TB`."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:,.3g} TB"
