"""Inputs of each kind in a folder, read as FER Bench's commands read them; refused or accepted."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path

import damage_examples as examples
import numpy as np
import torch

from fer_bench.backends.export.openvino import OpenVinoFiles
from fer_bench.backends.onnx import OnnxFile
from fer_bench.benchmark import plan, specify
from fer_bench.cli.main import app
from fer_bench.config import load_yaml
from fer_bench.data.load import load_dataset
from fer_bench.data.vote_counts import find_vote_counts
from fer_bench.emotions import FER2013
from fer_bench.evaluation.confusion import answers, of_set
from fer_bench.evaluation.metrics import compute_metrics
from fer_bench.inference.classifier import load_run_model
from fer_bench.inference.history import History
from fer_bench.inference.images import read_image
from fer_bench.models.pretrained import read_local
from fer_bench.models.state_dict import load_weights
from fer_bench.results.reports.exports import read_exports
from fer_bench.results.reports.latency_files import list_latencies, read_latency
from fer_bench.results.reports.robustness import read_robustness
from fer_bench.results.reports.transfer import read_transfer
from fer_bench.results.reproduce import reproduce_command
from fer_bench.results.store import ResultsStore
from fer_bench.results.stored_run import StoredRun
from fer_bench.specs.recipe import load_recipe
from fer_bench.specs.run import RunSpec
from fer_bench.specs.sweep import Sweep
from fer_bench.studies.latency.tables import measured_networks, measurement_table, stage_table
from fer_bench.studies.robustness.tables import collect, summary
from fer_bench.training.state import TrainingState, load_checkpoint


@contextmanager
def own_cache(folder: Path) -> Iterator[None]:
    """Decoded data are stored in this folder meanwhile."""
    before = os.environ.get("FER_BENCH_CACHE")
    os.environ["FER_BENCH_CACHE"] = str(folder / "cache")
    try:
        yield
    finally:
        os.environ.pop("FER_BENCH_CACHE")
        if before is not None:
            os.environ["FER_BENCH_CACHE"] = before


def command(*words: object) -> None:
    """A command of the command line in this process; what it prints is not shown."""
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        app([str(word) for word in words], standalone_mode=False)


def _run(folder: Path) -> tuple[ResultsStore, StoredRun]:
    store = ResultsStore(folder / "results")
    return store, store.find("a-run")


def read_picture(folder: Path) -> None:
    (file,) = folder.iterdir()
    image = read_image(file)
    assert image.dtype == np.uint8
    assert image.ndim == 3
    assert image.shape[2] == 3


def read_archive(folder: Path) -> None:
    command("data", "check", folder / "fer2013.zip", "--json")


def read_data(folder: Path) -> None:
    source = folder / "data"
    if (source / "fer2013.csv.gz").exists():
        source /= "fer2013.csv.gz"
    command("data", "check", source, "--json")


def read_votes(folder: Path) -> None:
    find_vote_counts(folder / "fer2013.zip")
    load_dataset(folder / "fer2013.zip", votes="majority", complete=False)


def read_record(folder: Path) -> None:
    command("results", "--results", folder / "results", "--json")
    command("results", "--results", folder / "results", "--sort", "date")
    record = _run(folder)[1].require_record()
    reproduce_command(record)
    elsewhere = ResultsStore(folder / "again")
    elsewhere.save(record)
    assert elsewhere.find(record.name).require_record() == record


def read_history(folder: Path) -> None:
    store, run = _run(folder)
    store.history(run)[["train_loss", "val_accuracy"]].astype(float)


def read_predictions(folder: Path) -> None:
    store, run = _run(folder)
    table = store.predictions(run)
    for images in ("val", "test", "test_clean"):
        rows = of_set(table, images)
        if len(rows):
            answers(rows, FER2013)
            scores = rows[[f"p_{emotion}" for emotion in FER2013]].to_numpy()
            compute_metrics(rows["label"].to_numpy(), scores, FER2013)


def read_recipe(folder: Path) -> None:
    recipe = str(next(folder.glob("recipe.*")))
    known = load_recipe(recipe)
    start = "imagenet" if known.start_share else "none"
    spec = specify(model="compact_resnet", mode=known.modes[0], recipe=recipe, pretraining=start)
    assert RunSpec.model_validate_json(spec.model_dump_json()) == spec


def read_sweep(folder: Path) -> None:
    for spec in plan(load_yaml(Sweep, folder / "sweep.yaml")):
        assert spec.name


@torch.inference_mode()
def read_network(folder: Path) -> None:
    _, run = _run(folder)
    model = load_run_model(run)
    spec = model.input_spec
    model(torch.zeros(1, spec.channels, spec.size, spec.size))


def read_weights(folder: Path) -> None:
    (file,) = folder.iterdir()
    load_weights(examples.tiny_network().backbone, read_local(str(file)), source=file.name)


def read_checkpoint(folder: Path) -> None:
    saved = load_checkpoint(folder)
    if saved is not None:
        training_state().restore(saved)


def training_state() -> TrainingState[torch.nn.Module]:
    recipe = load_recipe("demo")
    return TrainingState(torch.nn.Linear(4, 3), recipe, "resnet18", 5, "cpu", "fp32")


def read_latencies(folder: Path) -> None:
    measured = measured_networks(list_latencies(folder / "results"), {})
    measurement_table(measured)
    stage_table(measured)
    read_latency(folder / examples.RUN)


def read_documents(folder: Path) -> None:
    found = collect(ResultsStore(folder / "results").runs())
    summary(found.robustness)
    for read in (read_exports, read_robustness, read_transfer):
        read(folder / examples.RUN)


@torch.inference_mode()
def read_onnx(folder: Path) -> None:
    _read_export(OnnxFile(), folder / "model.onnx")


@torch.inference_mode()
def read_openvino(folder: Path) -> None:
    _read_export(OpenVinoFiles(), folder / "model.xml")


def _read_export(format: OnnxFile | OpenVinoFiles, path: Path) -> None:
    spec = format.read_metadata(path).input_spec
    format.open(path)(torch.zeros(1, spec.channels, spec.size, spec.size))


def read_images_kept(folder: Path) -> None:
    history = History(str(folder / "kept"))
    for entry in history.entries():
        assert entry.name.isprintable() or not entry.name
        history.image(entry.id)
