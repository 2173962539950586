"""A paper's words about how the numbers were made, and what it should cite: from the records."""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib.resources import files

from fer_bench.formatting import how_many
from fer_bench.report.contents import Benchmark, ReportContents
from fer_bench.report.paper import NO_RANKED
from fer_bench.results.leaderboard.rankings import data_fingerprint
from fer_bench.results.record import RunRecord
from fer_bench.results.stored_run import WEIGHTS
from fer_bench.results.titles import model_title
from fer_bench.specs.run import RunSpec

REFERENCES = "references.bib"
#: Cited by every report: the program, its intervals and tests.
ALWAYS = ("ferbench", "mcnemar1947note", "holm1979simple")
CITED_FOR_DATA = {
    "fer2013": "goodfellow2013challenges",
    "ferplus": "barsoum2016training",
    "affectnet": "mollahosseini2019affectnet",
    "rafdb": "li2017reliable",
    "ckplus": "lucey2010extended",
}
CITED_FOR_MODELS = {
    "resnet18": "he2016deep",
    "vgg16": "simonyan2015very",
    "densenet121": "huang2017densely",
    "vit_b_16": "dosovitskiy2021image",
    "clip_vit_b_32": "radford2021learning",
}
OPTIMIZERS = {"sgd": "SGD", "adam": "Adam", "adamw": "AdamW", "nadam": "NAdam"}


def ranked_records(contents: ReportContents, one: Benchmark) -> list[RunRecord]:
    """The records of a benchmark's ranked runs, best first."""
    return [contents.source(int(number)).record for number in one.ranked["source"]]


def cited(records: Sequence[RunRecord]) -> list[str]:
    """The keys of what a paper on these records should cite, in `references.bib`'s order."""
    keys = set(ALWAYS)
    for record in records:
        spec = record.spec
        keys.add(CITED_FOR_DATA.get(record.dataset.name, ""))
        keys.add(CITED_FOR_MODELS.get(spec.labels.model, ""))
        if spec.votes:
            keys.add("barsoum2016training")
        if record.temperature is not None:
            keys.add("guo2017calibration")
        if isinstance(spec, RunSpec):
            keys.add("hinton2015distilling" if spec.teachers else "")
            keys.add("hu2022lora" if spec.mode == "lora" else "")
    return [key for key in _entries() if key in keys]


def bibtex(contents: ReportContents) -> str:
    """BibTeX entries of the program, the data, the networks and the methods of ranked runs."""
    records = [r for one in contents.benchmarks for r in ranked_records(contents, one)]
    entries = _entries()
    return "\n".join(entries[key] for key in cited(records))


def _entries() -> dict[str, str]:
    text = (files("fer_bench.report") / REFERENCES).read_text(encoding="utf-8")
    keys = re.findall(r"^@\w+\{(\w+),.*?^\}\n", text, re.DOTALL | re.MULTILINE)
    parts = re.findall(r"^@\w+\{.*?^\}\n", text, re.DOTALL | re.MULTILINE)
    return dict(zip(keys, parts, strict=True))


def methods(contents: ReportContents) -> str:
    """A paragraph of plain text per benchmark that ranks a run: data, training, choice, tests."""
    ranked = [one for one in contents.benchmarks if len(one.ranked)]
    paragraphs = [_paragraph(ranked_records(contents, one)) for one in ranked]
    return "\n\n".join(paragraphs or [NO_RANKED]) + "\n"


def _paragraph(records: Sequence[RunRecord]) -> str:
    sentences = [_data(records[0]), *_training(records), _choice(records[0]), _machines(records)]
    return " ".join(sentences)


def _data(record: RunRecord) -> str:
    data, sizes = record.dataset, record.dataset.split_sizes
    parts = ", ".join(
        f"{sizes[split]:,} {word}"
        for split, word in (("train", "training"), ("val", "validation"), ("test", "test"))
        if sizes.get(split)
    )
    return (
        f"We use {data.name} under the {data.protocol} protocol ({parts} images; "
        f"{', '.join(data.emotions)}; SHA-256 fingerprint of images, labels and splits "
        f"{data_fingerprint(record)[:12]})."
    )


def _training(records: Sequence[RunRecord]) -> list[str]:
    """A sentence per mode, recipe and its settings, with the networks that were trained so."""
    groups: dict[tuple[object, ...], list[RunRecord]] = {}
    for record in records:
        if isinstance(record.spec, RunSpec):
            spec = record.spec
            settings = _settings(spec) if spec.mode in ("full", "lora") else ()
            groups.setdefault((spec.mode, spec.recipe.name, *settings), []).append(record)
    sentences = [_group(group) for group in groups.values()]
    others = sum(not isinstance(record.spec, RunSpec) for record in records)
    if others:
        runs = how_many(others, "further run")
        sentences.append(f"{runs} combined finished networks or imported answers.")
    return sentences


def _group(group: Sequence[RunRecord]) -> str:
    spec = group[0].spec
    assert isinstance(spec, RunSpec)  # nosec B101  # grouped by that
    names = ", ".join(dict.fromkeys(model_title(r.spec.labels.model) for r in group))
    starts = sorted({_start(record.pretraining) for record in group})
    seeds = len({r.spec.labels.seed for r in group})
    how = {
        "full": f"{names}: all weights are trained by the recipe `{spec.recipe.name}` "
        f"({_recipe_words(spec, group)})",
        "lora": f"{names}: low-rank updates are trained by the recipe `{spec.recipe.name}` "
        f"({_recipe_words(spec, group)})",
        "frozen": f"{names}: a linear head is trained on frozen features",
        "zero-shot": f"{names}: no training, the emotions' names are the classes",
    }[spec.mode]
    return f"{how}, from {' or '.join(starts)}, {how_many(seeds, 'seed')}."


def _start(pretraining: str) -> str:
    """Where training began: random weights, a published name, or an earlier run's folder."""
    if pretraining == "none":
        return "random weights"
    folder = pretraining.rstrip("/").removesuffix(f"/{WEIGHTS}").rpartition("/")[2]
    return f"the weights of {folder}" if "/" in pretraining else f"{pretraining} weights"


def _recipe_words(spec: RunSpec, group: Sequence[RunRecord]) -> str:
    epochs = sorted({r.training.epochs_run for r in group if r.training} or {spec.recipe.epochs})
    return ", ".join([_steps(group), *_settings(spec), f"{' or '.join(map(str, epochs))} epochs"])


def _steps(group: Sequence[RunRecord]) -> str:
    """The optimizer and its rates; where networks have their own, whose each is."""
    steps: dict[str, list[str]] = {}
    for spec in (record.spec for record in group if isinstance(record.spec, RunSpec)):
        own = spec.recipe.optimizer_for(spec.model)
        words = (
            f"{OPTIMIZERS[own.name]}, peak learning rate {own.lr:g}, weight decay "
            f"{own.weight_decay:g}"
        )
        steps.setdefault(words, []).append(model_title(spec.model))
    if len(steps) == 1:
        return next(iter(steps))
    return "; ".join(
        f"{words} for {' and '.join(dict.fromkeys(models))}" for words, models in steps.items()
    )


def _settings(spec: RunSpec) -> list[str]:
    """What runs of one sentence have in common, in words."""
    recipe, degree = spec.recipe, spec.recipe.distillation
    words = [f"{recipe.schedule.name} schedule", f"batches of {recipe.batch_size}"]
    words += [f"label smoothing {recipe.label_smoothing:g}"] if recipe.label_smoothing else []
    words += ["class weights"] if recipe.class_weights else []
    words += [f"mixup {recipe.mixup:g}"] if recipe.mixup else []
    words += [f"CutMix {recipe.cutmix:g}"] if recipe.cutmix else []
    words += [f"EMA {recipe.ema_decay:g}"] if recipe.ema_decay else []
    if recipe.start_share:
        words += [f"mixed with {recipe.start_share:.0%} of the weights they started from"]
    if spec.teachers:
        teachers = how_many(len(spec.teachers), "teacher")
        words += [f"distilled from {teachers} at {degree.weight:g} of the loss"]
    return words


def _choice(record: RunRecord) -> str:
    test = record.metrics.get("test")
    n = f"{test.n:,} " if test else ""
    return (
        f"Checkpoints and temperatures are chosen on {record.spec.selection_split} images; the "
        f"{n}test images are read once, after training. Accuracies stand with 95 % bootstrap "
        "intervals over the test images; pairs of runs are compared on the same images by exact "
        "McNemar tests with Holm's correction. Clean accuracy leaves out test images that also "
        "stand in train or val."
    )


def _machines(records: Sequence[RunRecord]) -> str:
    hardware = sorted({record.hardware for record in records})
    versions = sorted({r.environment.packages.get("torch", "") for r in records} - {""})
    commits = sorted({r.environment.git_commit[:10] for r in records if r.environment.git_commit})
    torch = f", PyTorch {' and '.join(versions)}" if versions else ""
    commit = f", commits {', '.join(commits)}" if commits else ""
    version = " and ".join(sorted({record.environment.fer_bench for record in records}))
    return f"FER Bench {version}{commit}{torch}; {' and '.join(hardware)}."
