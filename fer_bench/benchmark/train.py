"""One training from Python, in one call: `fer_bench.train`."""

from __future__ import annotations

from pathlib import Path

from fer_bench import distributed
from fer_bench.benchmark.plan import as_source, specify
from fer_bench.benchmark.runner import Runner
from fer_bench.benchmark.sweep import is_finished, require_possible
from fer_bench.data.load import Source
from fer_bench.models.classifier import Option
from fer_bench.results.store import open_results
from fer_bench.results.stored_run import StoredRun
from fer_bench.specs.run import Protocol
from fer_bench.types import Mode, Progress, silent


def train(
    model: str,
    data: str | Path | Source,
    *,
    mode: Mode = "full",
    recipe: str = "strong",
    pretraining: str = "imagenet",
    protocol: Protocol = "official",
    emotions: str | tuple[str, ...] | None = None,
    model_options: dict[str, Option] | None = None,
    seed: int = 0,
    epochs: int | None = None,
    limit: int | None = None,
    results: str | Path | None = None,
    device: str = "auto",
    force: bool = False,
    progress: Progress = silent,
) -> StoredRun:
    """Trains one model, evaluates it and stores its record, as the command `train` does.

    A run that is finished already is given as it is, and an interrupted one goes on after its last
    finished epoch.

    Args:
        model: see `list_models`.
        data: what `load_dataset` takes, or a `Source` where FER+ votes or class names go with it.
            What is decided about it (splits, what numbers mean, what is left out) is a warning.
        mode: `frozen` trains the head alone, `full` everything, `lora` low-rank changes;
            `zero-shot` trains nothing.
        recipe: a recipe's name or its YAML file.
        pretraining: `none`, `imagenet`, a hub id, or a local path such as a run's folder.
        protocol: `official` or `kaggle`.
        emotions: only these classes, in this order.
        model_options: such as `{"input_size": 48}`.
        seed: of the training; the data's splits are the same for every seed.
        epochs: instead of the recipe's.
        limit: images per split; the record says so.
        results: where runs are, see `open_results`.
        device: `auto`, `cpu` or `cuda`.
        force: train from the start though the run is finished, or was interrupted.
        progress: hears of every step.

    Returns:
        The stored run; its weights are next to its record.

    Raises:
        FerBenchError: names, numbers or data that do not fit, or a finished run of the same name
            that has other settings.
        RunFailed: the training failed; the stored record says why.
    """
    store = open_results(results)
    spec = specify(
        model=model,
        mode=mode,
        recipe=recipe,
        protocol=protocol,
        emotions=emotions,
        pretraining=pretraining,
        model_options=model_options,
        seed=seed,
        epochs=epochs,
        limit=limit,
    )
    require_possible([spec], "auto")
    source = as_source(data)
    dataset = source.load(spec)
    if force or not is_finished(store, spec, dataset):
        device = distributed.choose_device(device)
        Runner(store=store, device=device, resume=not force, progress=progress).run(spec, dataset)
    return store.find(f"{dataset.name}/{spec.name}")
