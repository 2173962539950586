"""`run`: a whole benchmark."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fer_bench.cli.commands.train import Precision, Weights, report
from fer_bench.cli.console import err, interruptible, progress_bars
from fer_bench.cli.estimate_table import (
    DryRun,
    Images,
    Measure,
    PricePerHour,
    print_estimate,
    require_dry_run,
)
from fer_bench.cli.options import (
    DEFAULT_RESULTS,
    Classes,
    Data,
    Device,
    Json,
    Limit,
    Results,
    RowsFile,
    Track,
    VotesFile,
    as_dtype,
    as_trackers,
    choose,
    choose_device,
    open_source,
)
from fer_bench.cli.sweep_table import sweep_table
from fer_bench.errors import FerBenchError, RunFailed

if TYPE_CHECKING:
    from fer_bench.benchmark import Source
    from fer_bench.benchmark.cluster.ray_cluster import Cluster
    from fer_bench.benchmark.sweep import RunState
    from fer_bench.specs.run import EnsembleSpec, RunSpec


def run(
    spec: Annotated[Path, typer.Argument(help="YAML file of a benchmark.")],
    data: Data = None,
    votes_file: VotesFile = None,
    rows_file: RowsFile = None,
    classes: Classes = None,
    only: Annotated[str | None, typer.Option(help="Only runs whose name has this.")] = None,
    limit: Limit = None,
    store: Results = DEFAULT_RESULTS,
    device: Device = "auto",
    precision: Precision = "auto",
    extractor: Annotated[str, typer.Option(help="Back end of frozen features.")] = "auto",
    weights: Weights = "float32",
    track: Track = None,
    ray: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="Several runs at once, as Ray tasks: `local` starts Ray on this machine; "
            "`auto`, HOST:6379 or ray://HOST:10001 joins a cluster.",
        ),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="With --ray: runs at once. With --dry-run: devices.")
    ] = None,
    cpus_per_run: Annotated[
        float | None, typer.Option(help="With --ray: CPU cores of each run. Default: 1.")
    ] = None,
    gpus_per_run: Annotated[
        float | None,
        typer.Option(help="With --ray: GPUs of each run, 0.5 too. Default: 1 if there are any."),
    ] = None,
    dry_run: DryRun = False,
    measure: Measure = False,
    images: Images = None,
    price_per_hour: PricePerHour = None,
    as_json: Json = False,
) -> None:
    """Carry out a benchmark: models x modes x recipes x seeds; finished runs are skipped.

    A killed benchmark goes on where it was. Exit code 1 if any run failed; its record has the
    error, and the others are done all the same. --dry-run says what it would take.

    Example: python -m fer_bench run benchmarks/specs/demo.yaml

    Example: python -m fer_bench run benchmarks/specs/demo.yaml --ray local --workers 2
    """
    from fer_bench.benchmark import Runner, plan, run_sweep
    from fer_bench.benchmark.cluster.ray_sweep import run_sweep_on_ray
    from fer_bench.benchmark.sweep import require_possible
    from fer_bench.config import load_yaml
    from fer_bench.specs.sweep import Sweep

    trackers = as_trackers(track)
    cluster = None if dry_run else _cluster(ray, workers, cpus_per_run, gpus_per_run)
    sweep = load_yaml(Sweep, spec)
    specs = plan(sweep, only, limit)
    chosen = choose("precision", precision)
    require_possible(specs, chosen)  # said before anything is read

    def open_data() -> Source:
        return open_source(data, votes_file, rows_file, classes, sweep.data)

    if dry_run:
        print_estimate(
            specs,
            None if images and not (data or sweep.data) else open_data(),
            store,
            images=images,
            device=choose_device(device),
            weights=as_dtype(weights),
            workers=workers or 1,
            price_per_hour=price_per_hour,
            measured=measure,
            as_json=as_json,
        )
        return
    require_dry_run(measure, images, price_per_hour)
    source = open_data()

    def on_run(one: RunSpec | EnsembleSpec, _: RunState, words: str) -> None:
        err.print(f"[{specs.index(one) + 1}/{len(specs)}] {one.name}: {words}", markup=False)

    runner = Runner(
        store=store,
        device=choose_device(device) if cluster is None else device,
        precision=chosen,
        extractor=extractor,
        weights=as_dtype(weights),
        trackers=trackers,
    )
    with interruptible("the same command goes on where it was"):
        if cluster is None:
            with progress_bars() as progress:
                records = run_sweep(specs, source, replace(runner, progress=progress), on_run)
        else:
            with sweep_table([one.name for one in specs]) as on_event:
                records = run_sweep_on_ray(specs, source, runner, cluster, on_event)
    report(records, as_json, store, trackers)
    failed = [r.name for r in records if r.status != "done"]
    if failed:
        raise RunFailed(f"{len(failed)} of {len(records)} runs failed: {', '.join(failed)}")


def _cluster(
    address: str | None, workers: int | None, cpus: float | None, gpus: float | None
) -> Cluster | None:
    from fer_bench.benchmark.cluster.ray_cluster import Cluster

    if address is not None:
        return Cluster(
            address=address, workers=workers, cpus=1 if cpus is None else cpus, gpus=gpus
        )
    if (workers, cpus, gpus) != (None, None, None):
        raise FerBenchError(
            "--workers, --cpus-per-run and --gpus-per-run go with --ray: say --ray local for "
            "several runs at once on this machine"
        )
    return None
