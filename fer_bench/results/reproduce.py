"""The command that makes a run again, and what a figure's file says of where it comes from."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

import fer_bench
from fer_bench.errors import one_line
from fer_bench.formatting import how_many
from fer_bench.results.record import RunRecord
from fer_bench.results.stored_run import StoredRun
from fer_bench.specs.recipe import load_recipe, recipe_names
from fer_bench.specs.run import EnsembleSpec, ExternalSpec, RunSpec


def _recipe_words(spec: RunSpec, path: str) -> list[str]:
    """`--recipe NAME`, or the record itself where its recipe is no shipped one of that name."""
    recipe, epochs = spec.recipe.only_for(spec.model), spec.epochs
    is_shipped = recipe.name in recipe_names() and (
        load_recipe(recipe.name)
        .only_for(spec.model)
        .model_copy(
            update={"epochs": recipe.epochs} | ({"tta": recipe.tta} if spec.tta_views else {})
        )
        == recipe
    )
    words = ["--recipe", recipe.name if is_shipped else path]
    if is_shipped and load_recipe(recipe.name).epochs != recipe.epochs:
        epochs = recipe.epochs
    return [*words, "--epochs", str(epochs)] if epochs else words


def _measured_words(record: RunRecord, spec: RunSpec) -> list[str]:
    """What a stopwatch chose; measured again it might come out differently."""
    if record.training is None or spec.mode == "zero-shot":
        return []
    if record.training.extractor:
        return ["--extractor", record.training.extractor]
    return ["--precision", record.training.precision] if spec.recipe.precision == "auto" else []


def _external_words(spec: ExternalSpec, data: list[str]) -> list[str]:
    words = ["evaluate", "--model", spec.model] if spec.model else ["score", "PREDICTIONS"]
    words += [*data, "--name", spec.external]
    words += ["--protocol", spec.protocol, "--trained-on", spec.trained_on]
    if not spec.model:
        return words
    for key, value in spec.model_options.items():
        words += ["--option", f"{key}={value}"]
    if spec.emotions:
        words += ["--emotions", ",".join(spec.emotions)]
    words += ["--votes", spec.votes] if spec.votes else []
    return [*words, "--limit", str(spec.limit)] if spec.limit else words


def reproduce_command(record: RunRecord, results: str = "results") -> str:
    """The command line that runs this record's spec again, on data that the user has.

    Args:
        results: the folder that the record lies in, for a recipe or prompts of its own.
    """
    spec, data = record.spec, ["--data", record.dataset.source]
    if isinstance(spec, EnsembleSpec):
        words = ["ensemble", *spec.ensemble, *data, "--weighting", spec.weighting]
        words += ["--tta", spec.tta, *(["--title", spec.title] if spec.title else [])]
        return shlex.join(["python", "-m", "fer_bench", *words])
    if isinstance(spec, ExternalSpec):
        return shlex.join(["python", "-m", "fer_bench", *_external_words(spec, data)])
    words = ["train", "--model", spec.model, "--mode", spec.mode]
    words += _recipe_words(spec, f"{results}/{record.id}/record.json")
    words += [*data, "--protocol", spec.protocol]
    words += ["--pretraining", spec.pretraining, "--seed", str(spec.seed)]
    if spec.emotions:
        words += ["--emotions", ",".join(spec.emotions)]
    if spec.votes:
        words += ["--votes", spec.votes]
    for key, value in spec.model_options.items():
        text = str(value).lower() if isinstance(value, bool) else str(value)
        words += ["--option", f"{key}={text}"]
    for teacher in spec.teachers:
        words += ["--teacher", teacher]
    if spec.prompts:
        words += ["--prompts", f"{results}/{record.id}/record.json"]
    overrides = {
        "--val-share": spec.val_share,
        "--image-size": spec.image_size,
        "--tta-views": spec.tta_views,
        "--limit": spec.limit,
    }
    for option, given in overrides.items():
        words += [option, str(given)] if given else []
    words += _measured_words(record, spec)
    if record.model and record.model.weights_dtype != "float32":
        words += ["--weights", record.model.weights_dtype]
    return shlex.join(["python", "-m", "fer_bench", *words])


def figure_facts(
    title: str, runs: Sequence[StoredRun], command: str = "", *, n: str = "", protocol: str = ""
) -> dict[str, str]:
    """What a figure's file says of it: `Title`, `n`, `Protocol`, `Run` and commands.

    Args:
        runs: with readable records, those that the figure shows.
        command: the one that makes the figure.
        n, protocol: how much it shows and how it is split, in words; without them the runs' test
            images and protocols.
    """
    records = [run.require_record() for run in runs]
    tests = sorted({r.metrics["test"].n for r in records if "test" in r.metrics})
    facts = {
        "Title": title,
        "n": n or ", ".join(how_many(count, "test image") for count in tests),
        "Protocol": protocol or ", ".join(dict.fromkeys(r.dataset.protocol for r in records)),
        "Run": ", ".join(run.id for run in runs),
        "Command": command,
        "Run command": reproduce_command(records[0]) if len(records) == 1 else "",
        "Software": f"FER Bench {fer_bench.__version__}",
    }
    return {key: one_line(text) for key, text in facts.items() if text}
