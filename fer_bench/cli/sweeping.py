"""`run`: a whole benchmark."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fer_bench.cli.console import err, progress_bars
from fer_bench.cli.options import (
    DEFAULT_RESULTS,
    Data,
    Device,
    Json,
    Limit,
    Results,
    RowsFile,
    VotesFile,
    as_dtype,
    choose_device,
    data_source,
    open_source,
)
from fer_bench.cli.training import Weights, report
from fer_bench.errors import RunFailed

if TYPE_CHECKING:
    from fer_bench.specs import EnsembleSpec, RunSpec


def run(
    spec: Annotated[Path, typer.Argument(help="YAML file of a benchmark.")],
    data: Data = None,
    votes_file: VotesFile = None,
    rows_file: RowsFile = None,
    only: Annotated[str | None, typer.Option(help="Only runs whose name has this.")] = None,
    limit: Limit = None,
    results: Results = DEFAULT_RESULTS,
    device: Device = "auto",
    extractor: Annotated[str, typer.Option(help="Back end of frozen features.")] = "auto",
    weights: Weights = "float32",
    as_json: Json = False,
) -> None:
    """Carry out a benchmark: models x modes x recipes x seeds; finished runs are skipped.

    A killed benchmark goes on where it was. Exit code 1 if any run failed; its record has the
    error, and the others are done all the same.

    Example: python -m fer_bench run benchmarks/specs/demo.yaml
    """
    from fer_bench.benchmark import Runner, plan, run_sweep
    from fer_bench.config import load_yaml
    from fer_bench.results.store import ResultsStore
    from fer_bench.specs import Sweep

    sweep = load_yaml(Sweep, spec)
    specs = plan(sweep, only, limit)
    source = open_source(data_source(data, sweep.data), votes_file, rows_file)

    def on_run(one: RunSpec | EnsembleSpec, what: str) -> None:
        err.print(f"[{specs.index(one) + 1}/{len(specs)}] {one.name}: {what}", markup=False)

    with progress_bars() as progress:
        runner = Runner(
            store=ResultsStore(results),
            device=choose_device(device),
            extractor=extractor,
            weights=as_dtype(weights),
            progress=progress,
        )
        records = run_sweep(specs, source, runner, on_run)
    report(records, as_json, results)
    failed = [r.name for r in records if r.status != "done"]
    if failed:
        raise RunFailed(f"{len(failed)} of {len(records)} runs failed: {', '.join(failed)}")
