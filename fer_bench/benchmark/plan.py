"""What is to be run: the data, one run's specification, a benchmark's list of them."""

from __future__ import annotations

import fnmatch
import warnings
from collections.abc import Hashable, Iterator, Mapping, Sequence
from pathlib import Path

from fer_bench.config import validate
from fer_bench.data.dataset import FaceDataset
from fer_bench.data.load import Source
from fer_bench.data.notes import data_notes
from fer_bench.emotions import emotion_set
from fer_bench.errors import FerBenchError, unknown_name
from fer_bench.evaluation.tta import tta_of
from fer_bench.models.build import MODELS, find_builder, is_external
from fer_bench.models.classifier import Option
from fer_bench.results.store import ResultsStore
from fer_bench.specs.recipe import Recipe, load_recipe
from fer_bench.specs.run import DataSpec, EnsembleSpec, Protocol, RunSpec, VoteMode
from fer_bench.specs.sweep import EnsembleEntry, Sweep, SweepEntry
from fer_bench.types import Mode


def as_source(data: str | Path | Source) -> Source:
    """What a caller from Python gave; what is decided about its data is a warning.

    Raises:
        FerBenchError: something else, such as data that are loaded already.
    """
    if isinstance(data, Source):
        return data
    if not isinstance(data, (str, Path)):
        raise FerBenchError(
            "expected data as a path, `synthetic` or a `Source`, which each run reads as it needs "
            f"them, got {type(data).__name__}: give what it was loaded from"
        )

    def warn(dataset: FaceDataset) -> None:
        for note in data_notes(dataset):
            warnings.warn(note, stacklevel=4)

    return Source(data=str(data), on_load=warn)


def data_key(spec: DataSpec) -> Hashable:
    """Equal for runs whose source gives them the same data."""
    fields = ("protocol", "emotions", "votes", "limit", "val_share", "image_size")
    return tuple(getattr(spec, name) for name in fields)


def specify(
    *,
    model: str,
    mode: Mode,
    recipe: str,
    protocol: Protocol = "official",
    emotions: str | tuple[str, ...] | None = None,
    votes: VoteMode | None = None,
    pretraining: str = "imagenet",
    model_options: dict[str, Option] | None = None,
    seed: int = 0,
    epochs: int | None = None,
    limit: int | None = None,
    val_share: float | None = None,
    image_size: int | None = None,
    tta_views: int | None = None,
    teachers: tuple[str, ...] = (),
    prompts: dict[str, tuple[str, ...]] | None = None,
) -> RunSpec:
    """One run's specification, with what its recipe implies filled in.

    Raises:
        FerBenchError: an unknown model, recipe or emotion, a recipe that is not for the mode, or a
            number out of range.
    """
    if is_external(model):
        raise FerBenchError(
            f"{model:.80} was trained elsewhere and is evaluated as it is: say `evaluate --model "
            f"{model:.80} --data DATA`, or train a model of `list models`"
        )
    find_builder(model)
    chosen = load_recipe(recipe)
    for name in (*chosen.learning_rates, *chosen.optimizers):
        if name not in MODELS and ":" not in name:
            raise unknown_name(f"model (in recipe {chosen.name})", name, MODELS)
    if mode != "zero-shot" and mode not in chosen.modes:
        raise FerBenchError(
            f"recipe {chosen.name!r} is for mode {' or '.join(chosen.modes)}, got mode {mode!r}: "
            "choose another recipe or mode"
        )
    if epochs is not None:
        changed = chosen.model_dump() | {"epochs": epochs}
        chosen = validate(Recipe, changed, f"recipe {chosen.name!r} with {epochs} epochs")
    if tta_views is not None:
        chosen = chosen.model_copy(update={"tta": tta_of(tta_views)})
    options = dict(model_options or {})
    if chosen.input_size:
        options.setdefault("input_size", chosen.input_size)
    values = {
        "model": model,
        "mode": mode,
        "recipe": chosen,
        "protocol": protocol,
        "emotions": chosen.emotions if emotions is None else emotion_set(emotions),
        "votes": votes,
        "pretraining": pretraining,
        "model_options": options,
        "seed": seed,
        "epochs": epochs,
        "limit": limit,
        "val_share": val_share,
        "image_size": image_size,
        "tta_views": tta_views,
        "teachers": teachers,
        "prompts": prompts or {},
    }
    return validate(RunSpec, values, f"a run of {model}")


def plan(
    sweep: Sweep, only: str | None = None, limit: int | None = None
) -> list[RunSpec | EnsembleSpec]:
    """A sweep's runs and then its ensembles, in its order.

    Args:
        only: keeps those whose name matches a shell pattern.

    Raises:
        FerBenchError: as `specify`, two equal runs, or no run left.
    """
    listed = [spec for entry in sweep.runs for spec in _expand(sweep, entry, None)]
    runs = [spec for entry in sweep.runs for spec in _expand(sweep, entry, limit)]
    # A limit is part of a run's name, which the benchmark's file gives without it.
    meant = {a.name: b for a, b in zip(listed, runs, strict=True)}
    specs: list[RunSpec | EnsembleSpec] = [
        run.model_copy(update={"teachers": _names(run.teachers, meant)}) for run in runs
    ]
    specs += [_ensemble(sweep, entry, limit, meant) for entry in sweep.ensembles]
    names = [spec.name for spec in specs]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise FerBenchError(f"{sweep.name}: run {twice[0]} is listed twice: remove one")
    chosen = [s for s in specs if only is None or fnmatch.fnmatch(s.name, f"*{only}*")]
    if not chosen:
        shown = ", ".join(names[:5]) + (" …" if len(names) > 5 else "")
        raise FerBenchError(f"{sweep.name}: no run matches {only!r}; there are {shown}")
    return chosen


def _expand(sweep: Sweep, entry: SweepEntry, limit: int | None) -> Iterator[RunSpec]:
    for model in entry.models:
        for mode in entry.modes:
            for recipe in entry.recipes:
                for seed in entry.seeds:
                    yield specify(
                        model=model,
                        mode=mode,
                        recipe=recipe,
                        protocol=entry.protocol or sweep.protocol,
                        emotions=entry.emotions or sweep.emotions,
                        votes=entry.votes or sweep.votes,
                        pretraining=entry.pretraining or sweep.pretraining,
                        model_options=entry.model_options,
                        seed=seed,
                        epochs=entry.epochs,
                        limit=limit or entry.limit,
                        teachers=entry.teachers,
                    )


def _names(runs: Sequence[str], meant: Mapping[str, RunSpec]) -> tuple[str, ...]:
    return tuple(meant[run].name if run in meant else run for run in runs)


def _ensemble(
    sweep: Sweep, entry: EnsembleEntry, limit: int | None, meant: Mapping[str, RunSpec]
) -> EnsembleSpec:
    """On the data of its first member, where that is one of the benchmark's runs."""
    values = entry.model_dump() | {"ensemble": _names(entry.ensemble, meant), "limit": limit}
    first = next((meant[run] for run in entry.ensemble if run in meant), None)
    names = DataSpec.model_fields if first else ("protocol", "emotions", "votes")
    values |= {name: getattr(first or sweep, name) for name in names}
    return validate(EnsembleSpec, values, f"an ensemble of {sweep.name}")


def specify_ensemble(
    store: ResultsStore,
    runs: Sequence[str],
    *,
    title: str = "",
    weighting: str = "fitted",
    tta: str = "flip",
) -> EnsembleSpec:
    """An ensemble of stored runs, on the data that the first of them is about.

    Args:
        runs: names, as `ResultsStore.find` takes them.

    Raises:
        FerBenchError: no such run, or values that do not fit.
    """
    members = [store.find(name) for name in runs]
    elsewhere = [run for run in members if len(store.roots) > 1 and not run.own]
    if elsewhere:
        raise FerBenchError(
            f"an ensemble lies next to its members, and {elsewhere[0].name} is in "
            f"{elsewhere[0].folder.parent}: copy that run's folder below {store.root}, or name its "
            "results folder alone with --results"
        )
    values: dict[str, object] = {
        "ensemble": [run.name for run in members],
        "title": title,
        "weighting": weighting,
        "tta": tta,
    }
    if members:
        data = members[0].require_record().spec
        values |= {name: getattr(data, name) for name in DataSpec.model_fields}
    return validate(EnsembleSpec, values, "the ensemble")


def with_precision(spec: RunSpec, precision: str) -> RunSpec:
    """The specification to train by; the recorded one leaves open what was chosen outside it.

    Raises:
        FerBenchError: its recipe says another precision.
    """
    if precision in ("auto", spec.recipe.precision):
        return spec
    if spec.recipe.precision != "auto":
        raise FerBenchError(
            f"recipe {spec.recipe.name!r} says precision {spec.recipe.precision}, got --precision "
            f"{precision}: leave it out, or choose a recipe with precision auto"
        )
    recipe = spec.recipe.model_copy(update={"precision": precision})
    return spec.model_copy(update={"recipe": recipe})
