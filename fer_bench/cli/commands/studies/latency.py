"""`latency`: how fast a network runs on this machine, by back end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from fer_bench.backends.registry import BACKENDS
from fer_bench.cli.console import err, out, print_json, print_table, progress_bars, say_next
from fer_bench.cli.options import (
    DEFAULT_RESULTS,
    Classes,
    Json,
    Results,
    comma_list,
    open_source,
    parse_options,
)
from fer_bench.errors import FerBenchError

if TYPE_CHECKING:
    from rich.table import Table

    from fer_bench.results.reports.latency import LatencyReport, Measurement, Percentiles
    from fer_bench.studies.latency.faces import LatencyFaces
    from fer_bench.studies.latency.network import NetworkToMeasure


def latency(
    name: Annotated[
        str,
        typer.Argument(
            metavar="RUN|MODEL", help="A run's name, its folder, `default`, or a model's name."
        ),
    ],
    backend: Annotated[
        str | None,
        typer.Option(
            help=f"Names with commas: {', '.join(BACKENDS)}, `auto` or `all`. Default: those that "
            "open quickly, auto's choice among them."
        ),
    ] = None,
    threads: Annotated[
        str | None, typer.Option(help="Numbers of CPU threads. Default: one, and all cores.")
    ] = None,
    batch: Annotated[str, typer.Option(help="Numbers of faces per call.")] = "1,8",
    calibration: Annotated[
        str | None,
        typer.Option(
            "--calibration",
            "--data",
            help="Faces for int8 and to compare on: FER2013 as folder, zip or CSV, or `synthetic`. "
            "Default: the variable FER_BENCH_DATA.",
        ),
    ] = None,
    classes: Classes = None,
    seconds: Annotated[
        float, typer.Option(help="Of each back end at each batch and number of threads.")
    ] = 1.0,
    memory: Annotated[
        bool, typer.Option("--memory", help="Also the peak memory; takes seconds for each.")
    ] = False,
    option: Annotated[
        list[str] | None, typer.Option(help="Of a model: KEY=VALUE, such as input_size=48.")
    ] = None,
    pretraining: Annotated[
        str, typer.Option(help="Of a model: none, imagenet, a hub id, or a local path.")
    ] = "none",
    store: Results = DEFAULT_RESULTS,
    as_json: Json = False,
) -> None:
    """Measure how fast a network runs here: back ends in turns, percentiles, stages, agreement.

    Written to `latency.json` next to the run's record; a model that is no run is measured with
    random weights and kept in `networks/` of the results folder. Measured again on the same
    machine, the older report is replaced.

    Example: python -m fer_bench latency default --calibration fer2013.zip

    Example: python -m fer_bench latency resnet18 --backend torch-fp32,openvino-bf16 --threads 2
    --batch 1,32
    """
    from fer_bench.environment import capture
    from fer_bench.results.reports.latency_files import LATENCY, add_report, check_latency
    from fer_bench.settings import Settings
    from fer_bench.studies.latency.measure import measure_latency
    from fer_bench.studies.latency.network import find_network
    from fer_bench.studies.latency.plan import Plan, plan_backends

    cores = capture().cpu_cores
    plan = Plan(
        backends=plan_backends(comma_list("backend", backend)),
        threads=_numbers("threads", threads) or tuple(sorted({1, cores})),
        batches=_numbers("batch", batch),
        seconds=seconds,
        memory=memory,
    )
    network = find_network(
        store, name, options=parse_options(option or []), pretraining=pretraining
    )
    faces = _faces(network, calibration or Settings().data, classes)
    check_latency(network.folder)  # before minutes are spent
    with progress_bars() as progress:
        report = measure_latency(network, plan, faces, progress)
    add_report(network.folder, report)
    if as_json:
        document = {"name": network.name, "file": str(network.folder / LATENCY)}
        print_json(document | report.model_dump(mode="json"))
        return
    _print(network.name, report)
    err.print(f"in {network.folder / LATENCY}", markup=False)
    say_next("app", store)


def _numbers(option: str, text: str | None) -> tuple[int, ...]:
    try:
        numbers = [int(word) for word in comma_list(option, text)]
    except ValueError:
        raise FerBenchError(
            f"expected --{option} as whole numbers with commas, such as 1,2, got {text!r}"
        ) from None
    return tuple(dict.fromkeys(numbers))


def _faces(network: NetworkToMeasure, source: str | None, classes: str | None) -> LatencyFaces:
    """The data's; else drawn ones, which calibrate only a network that knows nothing anyway."""
    from fer_bench.specs.run import DataSpec
    from fer_bench.studies.latency.faces import drawn_faces, faces_of

    if source is None:
        return drawn_faces(calibrate=network.weights == "random")
    spec = DataSpec(protocol=network.record.spec.protocol if network.record else "official")
    dataset = open_source(source, classes=classes).load(spec, complete=False)
    return faces_of(dataset, network.flops)


def _print(name: str, report: LatencyReport) -> None:
    flops = f"{report.flops / 1e9:,.2f} GFLOP, " if report.flops else ""
    out.print(
        f"{name}: {report.parameters / 1e6:,.1f} M parameters, {flops}{report.input_size} px, "
        f"{report.size_mib:,.1f} MiB, {report.weights} weights\n{report.machine}",
        markup=False,
    )
    for threads in sorted({row.threads for row in report.measurements}):
        out.print(f"\n{_title(report, threads)}", markup=False)
        print_table(out, _table(report, threads))
        for stages in report.stages:
            if stages.threads == threads:
                parts = ("detect", "preprocess", "model", "total")
                times = ", ".join(f"{part} {getattr(stages, part).median:.2f}" for part in parts)
                frame = " x ".join(map(str, stages.frame))
                out.print(f"frame of {frame}, {stages.backend}: {times} ms", markup=False)
    remarks: dict[str, dict[str, None]] = {}  # each once, with the back ends that it is about
    for row in report.measurements:
        remarks.setdefault(row.error or row.note, {})[row.backend] = None
    for remark, backends in remarks.items():
        if remark:
            err.print(f"{', '.join(backends)}: {remark}", markup=False)


def _table(report: LatencyReport, threads: int) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    table.add_column("back end", no_wrap=True)
    for column in ("batch", "ms", "p90", "p99", "faces/s", "peak", "open s", "same"):
        table.add_column(column, justify="right", no_wrap=True)
    for row in report.measurements:
        if row.threads == threads and row.milliseconds is not None:
            mark = " *" if report.chosen.get(threads) == row.backend else ""
            table.add_row(row.backend + mark, *_cells(row, row.milliseconds))
    return table


def _title(report: LatencyReport, threads: int) -> str:
    rates = [
        f"{key.partition('@')[0]} {rate:,.0f}"
        for key, rate in report.gemm_gflops.items()
        if key.endswith(f"@{threads}")
    ]
    chosen = "; *: auto's choice" if threads in report.chosen else ""
    return f"threads {threads}; matrix product {', '.join(rates)} GFLOP/s{chosen}"


def _cells(row: Measurement, ms: Percentiles) -> list[str]:
    return [
        str(row.batch),
        f"{ms.median:,.2f}",
        f"{ms.p90:,.2f}",
        f"{ms.p99:,.2f}",
        f"{row.faces_per_second:,.0f}",
        _or_dash(row.share_of_peak, "{:.0%}"),
        _or_dash(row.open_seconds, "{:.1f}"),
        _or_dash(row.agreement.top1_agreement if row.agreement else None, "{:.0%}"),
    ]


def _or_dash(value: float | None, form: str) -> str:
    return "–" if value is None else form.format(value)
