"""`train` (one run) and `ensemble` (several finished ones)."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fer_bench.cli.console import err, interruptible, print_json, progress_bars, say_step
from fer_bench.cli.options import (
    DEFAULT_RESULTS,
    Classes,
    ClassSubset,
    Data,
    Device,
    Json,
    Limit,
    ProtocolName,
    Results,
    RowsFile,
    Track,
    TtaViews,
    VoteRule,
    VotesFile,
    as_dtype,
    as_trackers,
    choose,
    choose_device,
    open_source,
    parse_options,
)
from fer_bench.errors import FerBenchError
from fer_bench.formatting import interval, percent

if TYPE_CHECKING:
    from fer_bench.data.dataset import FaceDataset
    from fer_bench.results.record import RunRecord
    from fer_bench.results.store import ResultsStore
    from fer_bench.specs.run import EnsembleSpec, RunSpec

RESUME = "the same command with --resume goes on after the last finished epoch"
Precision = Annotated[
    str, typer.Option(help="`fp32` or `bf16`, where the recipe says auto; `auto` measures.")
]
Weights = Annotated[
    str,
    typer.Option(help="How trained weights are stored: float32, float16 (half the file) or none."),
]


def train(
    model: Annotated[str, typer.Option(help="See `list models`.")],
    mode: Annotated[str, typer.Option(help="frozen, full, lora or zero-shot.")] = "full",
    recipe: Annotated[str, typer.Option(help="See `list recipes`; or a YAML file.")] = "strong",
    data: Data = None,
    protocol: ProtocolName = "official",
    emotions: ClassSubset = None,
    votes: VoteRule = None,
    votes_file: VotesFile = None,
    rows_file: RowsFile = None,
    classes: Classes = None,
    pretraining: Annotated[
        str,
        typer.Option(help="none, imagenet, a hub id, or a local path, such as a run's folder."),
    ] = "imagenet",
    option: Annotated[
        list[str] | None, typer.Option(help="Model option KEY=VALUE, such as input_size=48.")
    ] = None,
    teacher: Annotated[
        list[str] | None, typer.Option(help="A finished run to learn from too; repeatable.")
    ] = None,
    prompts: Annotated[
        Path | None,
        typer.Option(help="Zero-shot's texts: lines `emotion: text`, or YAML; averaged."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1)] = 0,
    epochs: Annotated[int | None, typer.Option(min=1, help="Overrides the recipe's.")] = None,
    limit: Limit = None,
    val_share: Annotated[
        float | None, typer.Option(help="Of train, held out as val where it is; default 0.1.")
    ] = None,
    image_size: Annotated[
        int | None,
        typer.Option(
            help="Side that the data's images are read at, pixels; default their own, 224 where "
            "they differ. The model's input is --option input_size=N."
        ),
    ] = None,
    tta_views: TtaViews = None,
    store: Results = DEFAULT_RESULTS,
    device: Device = "auto",
    precision: Precision = "auto",
    extractor: Annotated[str, typer.Option(help="Back end of frozen features.")] = "auto",
    weights: Weights = "float32",
    resume: Annotated[bool, typer.Option(help="Go on after the last finished epoch.")] = False,
    force: Annotated[
        bool, typer.Option(help="Train from the start though it is finished, or was interrupted.")
    ] = False,
    track: Track = None,
    as_json: Json = False,
) -> None:
    """Train one model, evaluate it, and write its record.

    Several GPUs or hosts share it: accelerate launch -m fer_bench train ..., or torchrun.

    Example: python -m fer_bench train --model resnet18 --mode full --recipe finetune-5
    --data fer2013.zip --pretraining none --option input_size=48
    """
    err.print(f"{model}, {mode}, {recipe}: loading PyTorch", markup=False)
    from fer_bench import distributed
    from fer_bench.benchmark import Runner, require_named, specify
    from fer_bench.benchmark.sweep import require_possible
    from fer_bench.models.zoo.prompts import load_prompts

    trackers = as_trackers(track)
    device = choose_device(device)
    with distributed.raise_together():
        if resume and force:
            raise FerBenchError("--resume goes on and --force starts over: say one of them")
        spec = specify(
            model=model,
            mode=choose("mode", mode),
            recipe=recipe,
            protocol=choose("protocol", protocol),
            emotions=emotions,
            votes=choose("votes", votes),
            pretraining=pretraining,
            model_options=parse_options(option or []),
            seed=seed,
            epochs=epochs,
            limit=limit,
            val_share=val_share,
            image_size=image_size,
            tta_views=tta_views,
            teachers=tuple(store.find(name).name for name in teacher or ()),
            prompts=load_prompts(prompts) if prompts else None,
        )
        require_possible([spec], choose("precision", precision))
        err.print("reading the data")
        dataset = open_source(data, votes_file, rows_file, classes).load(spec)
        require_named(store, teacher or (), dataset)
    if not force:
        distributed.on_main(lambda: _require_new(store, spec, dataset, "choose another --seed"))
    if not force:
        distributed.on_main(lambda: _look_for_checkpoint(store, spec, dataset, resume))
    with interruptible(RESUME), progress_bars() as progress:
        with distributed.raise_together():
            runner = Runner(
                store=store,
                device=device,
                precision=choose("precision", precision),
                extractor=extractor,
                weights=as_dtype(weights),
                resume=resume,
                progress=progress,
                trackers=trackers,
            )
        record = runner.run(spec, dataset)
    report([record], as_json, store, trackers)


def ensemble(
    runs: Annotated[list[str], typer.Argument(help="Finished runs, by name.")],
    data: Data = None,
    title: Annotated[str, typer.Option(help="Part of the ensemble's name.")] = "",
    weighting: Annotated[
        str, typer.Option(help="`fitted` on validation data, or `equal`.")
    ] = "fitted",
    tta: Annotated[str, typer.Option(help="none, flip, five-crop or ten-crop.")] = "flip",
    votes_file: VotesFile = None,
    rows_file: RowsFile = None,
    classes: Classes = None,
    store: Results = DEFAULT_RESULTS,
    device: Device = "auto",
    force: Annotated[bool, typer.Option(help="Make it again though it is finished.")] = False,
    as_json: Json = False,
) -> None:
    """Let finished runs answer together, evaluate that, and write its record.

    The ensemble gives the weighted mean of its members' calibrated probabilities; it needs their
    weights in the results folder, and works like any other run afterwards.

    Example: python -m fer_bench ensemble RUN RUN --title best --data fer2013.zip
    """
    from fer_bench import distributed
    from fer_bench.benchmark import Runner, require_named, specify_ensemble

    device = choose_device(device)
    with distributed.raise_together():
        spec = specify_ensemble(store, runs, title=title, weighting=weighting, tta=tta)
        dataset = open_source(data, votes_file, rows_file, classes).load(spec)
        require_named(store, runs, dataset)
    if not force:
        distributed.on_main(lambda: _require_new(store, spec, dataset, "choose another --title"))
    with interruptible("make it again, its members are all there"), progress_bars() as progress:
        record = Runner(store=store, device=device, progress=progress).run(spec, dataset)
    report([record], as_json, store)


def _look_for_checkpoint(
    store: ResultsStore, spec: RunSpec, dataset: FaceDataset, resume: bool
) -> None:
    """Refuses to start over unasked, and says so where there is nothing to go on from."""
    from fer_bench.benchmark import left_unfinished

    left = left_unfinished(store, spec, dataset)
    if left and not resume:
        raise FerBenchError(
            f"run {spec.name} is not finished and left a checkpoint: say --resume to go on after "
            "its last finished epoch, or --force to start over"
        )
    if resume and not left:
        err.print("no checkpoint of these settings and data: starting with epoch 1", markup=False)


def _require_new(
    store: ResultsStore, spec: RunSpec | EnsembleSpec, dataset: FaceDataset, way_out: str
) -> None:
    from fer_bench.benchmark import is_finished
    from fer_bench.results.location import shown_location

    if is_finished(store, spec, dataset):
        raise FerBenchError(
            f"run {spec.name} is already finished in {shown_location(store.root)}: say --force to "
            f"replace it, or --results FOLDER to keep both, or {way_out}"
        )


def report(
    records: list[RunRecord], as_json: bool, store: ResultsStore, trackers: tuple[str, ...] = ()
) -> None:
    """Says what came out of runs, and where to look at it."""
    from fer_bench.benchmark.trackers.tracked_run import where_to_look
    from fer_bench.results.location import shown_location

    for line in where_to_look(trackers, store.root):
        err.print(line, markup=False)
    if as_json:
        print_json([r.model_dump(mode="json") for r in records])
        return
    for record in records:
        test = record.metrics.get("test")
        if test is None:
            err.print(f"{record.name}: {record.status}: {record.error}", markup=False)
            continue
        likely = interval(*test.accuracy_ci95)
        line = f"{record.name}: test {percent(test.accuracy)} (95 %: {likely})"
        if not record.comparable:
            line += f", not comparable: {', '.join(record.not_comparable_because)}"
        err.print(line, markup=False)
    look = "streamlit run app.py"
    if folders := _with_shipped(store):
        look = f"FER_BENCH_RESULTS={shlex.quote(folders)} {look}"
    err.print(f"records in {shown_location(store.root)}", markup=False, soft_wrap=True)
    say_step(look)


def _with_shipped(store: ResultsStore) -> str | None:
    """The store's address and that of the shipped runs; None for the usual folder."""
    from fer_bench.results.store import DEFAULT_ROOT, shipped_results

    if store.roots == (Path(DEFAULT_ROOT),):
        return None
    shipped = shipped_results()
    if not shipped.is_dir() or shipped.resolve() in {root.resolve() for root in store.roots}:
        return store.location
    if shipped.parent == Path.cwd():
        shipped = Path(DEFAULT_ROOT)
    return os.pathsep.join([store.location, str(shipped)])
