"""`summary`: a network layer by layer."""

from __future__ import annotations

import shlex
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from fer_bench.cli.console import out, print_json, print_table, say_next
from fer_bench.cli.options import DEFAULT_RESULTS, Json, Results, choose, parse_options

if TYPE_CHECKING:
    from fer_bench.models.summary import ModelSummary


def summary(
    model: Annotated[str, typer.Argument(help="A model, or a run with weights such as `default`.")],
    mode: Annotated[str, typer.Option(help="full, frozen or lora: what trains.")] = "full",
    option: Annotated[
        list[str] | None, typer.Option(help="Model option KEY=VALUE, such as input_size=48.")
    ] = None,
    figure: Annotated[
        Path | None, typer.Option(help="Write the layers as a figure: FILE.html.")
    ] = None,
    store: Results = DEFAULT_RESULTS,
    as_json: Json = False,
) -> None:
    """List a network's layers with their shapes, parameters and operations for one image.

    Nothing is downloaded: a model is built without weights.

    Example: python -m fer_bench summary resnet18 --option input_size=48
    """
    from fer_bench.emotions import FER2013
    from fer_bench.errors import FerBenchError
    from fer_bench.hubs.address import is_on_hub
    from fer_bench.models.build import MODELS
    from fer_bench.models.classifier import ModelRequest
    from fer_bench.models.summary import outline, summarize

    if figure is not None and (figure.suffix != ".html" or not figure.absolute().parent.is_dir()):
        raise FerBenchError(f"expected --figure FILE.html in a folder that is there, got {figure}")
    if model in MODELS or (":" in model and not is_on_hub(model)):
        options = parse_options(option or [])
        request = ModelRequest(
            name=model, emotions=FER2013, mode=choose("mode", mode), options=options
        )
        network = summarize(outline(request))
    elif option or mode != "full":
        raise FerBenchError(f"--mode and --option are for models, and {model!r} is none of them")
    else:
        from fer_bench.inference.classifier import load_run_model

        network = summarize(load_run_model(store.find(model)))
    if figure is not None:
        _write_figure(network, figure)
    if as_json:
        print_json(asdict(network))
    else:
        _print(network)
        trained = shlex.quote(model) if model in MODELS or ":" in model else "compact_resnet"
        say_next(f"train --model {trained} --data YOUR_DATA")


def _write_figure(network: ModelSummary, path: Path) -> None:
    import pandas as pd

    from fer_bench.errors import FerBenchError
    from fer_bench.plots.network import layer_bars

    drawn = layer_bars(pd.DataFrame([asdict(layer) for layer in network.layers]))
    try:
        drawn.write_html(path)
    except OSError as error:
        raise FerBenchError(f"cannot write {path}: {error.strerror}; choose another") from None


def _print(network: ModelSummary) -> None:
    table = Table(box=None, pad_edge=False, show_footer=True)
    table.add_column("layer", network.model)
    table.add_column("kind")
    table.add_column("output", "input " + _shape(network.input))
    table.add_column("parameters", f"{network.parameters:,}", justify="right")
    table.add_column("trainable", f"{network.trainable:,}", justify="right")
    flops = "–" if network.flops is None else f"{network.flops:,}"
    table.add_column("FLOPs", flops, justify="right")
    for layer in network.layers:
        numbers = (layer.parameters, layer.trainable, layer.flops)
        cells = [f"{number:,}" if number else "" for number in numbers]
        table.add_row(layer.name, layer.kind, _shape(layer.output), *cells)
    print_table(out, table)


def _shape(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))
