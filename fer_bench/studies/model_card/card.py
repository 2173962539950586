"""A run's model card: what its model is, was trained on, can do, cannot do, and must not do.

After Mitchell et al. 2019 (arXiv 1810.03993). Every number, and every sentence that depends on one,
comes from the run's record and its predictions.
"""

from __future__ import annotations

import json
import shlex

import pandas as pd

from fer_bench.errors import FerBenchError
from fer_bench.formatting import file_size, how_many, interval, percent
from fer_bench.markdown import block, code, listed, prose
from fer_bench.results.record import Metrics, ModelInfo, RunRecord, TrainingInfo
from fer_bench.results.store import DEFAULT, WEIGHTS, StoredRun
from fer_bench.results.summary import reproduce_command
from fer_bench.specs.run import RunSpec
from fer_bench.studies.model_card import results
from fer_bench.studies.model_card.notes import ABOUT_DATA, ABOUT_OTHER_DATA, USES, official_name
from fer_bench.studies.model_card.origins import relatives, starting_weights
from fer_bench.types import Split


def model_card(run: StoredRun, predictions: pd.DataFrame | None, name: str) -> str:
    """The card as Markdown, foreign text in it made harmless.

    Args:
        run: a finished one; the size of its weights is read from its folder.
        predictions: as `evaluation.evaluate.Evaluation` describes them; None where they are
            missing, and the card says so.
        name: what commands call the run: `default`, `dataset/run`.

    Raises:
        FerBenchError: a run that cannot be read or has no test results, or predictions without a
            column for an emotion.
    """
    record = run.require_record()
    test = record.metrics.get("test")
    if record.model is None or record.training is None or test is None:
        raise FerBenchError(f"run {run.name} has no results: a model card is for a finished run")
    sections = [
        _summary(record, test),
        _design(run, record, record.model),
        _usage(name),
        _data(record),
        _training(run, record, record.training),
        results.results(record, predictions),
        results.classes(test),
        results.confusions(test, record.dataset.emotions),
        results.failures(record, test),
        results.fairness(record),
        USES,
    ]
    return "\n\n".join(sections) + "\n"


def _summary(record: RunRecord, test: Metrics) -> str:
    lines = [
        f"# Model card: {code(record.name)}",
        "",
        f"Names the expression on a face: {listed([prose(e) for e in record.dataset.emotions])}. "
        f"On {test.n:,} test images of {code(record.dataset.name)} its answer is the label in "
        f"{percent(test.accuracy)} of cases (95 % interval {interval(*test.accuracy_ci95)}).",
    ]
    if not record.comparable:
        reasons = listed([prose(reason) for reason in record.not_comparable_because])
        lines += ["", f"**These numbers stand in no ranking: {reasons}.**"]
    return "\n".join(lines)


def _design(run: StoredRun, record: RunRecord, model: ModelInfo) -> str:
    spec, source = model.input_spec, model.provenance
    colours = "grey" if spec.channels == 1 else "RGB"
    paper = f" ({prose(source.paper)})" if source.paper else ""
    size = f"{_large(model.parameters)} parameters"
    if model.flops is not None:
        size += f", {_large(model.flops)} FLOPs per image (multiply and add counted as two)"
    return f"""\
## What it is

- **Network**: {prose(source.architecture)}{paper}
- **Size**: {size}
- **Input**: one face, {spec.size}×{spec.size} pixels, {colours}
- **Starting weights**: {starting_weights(run, record)}
- **Weights**: {_files(run)}
- **Licence**: MIT, like the code; the training data have terms of their own, see below"""


def _files(run: StoredRun) -> str:
    if not run.has_weights:
        return "not here, only the record; train it again with the command below"
    return f"{code(WEIGHTS)}, {' + '.join(map(file_size, run.weight_files))}"


def _usage(name: str) -> str:
    command = (
        f"python -m fer_bench predict {shlex.quote(name)} photos/ clip.mp4 "
        "--out annotated --csv faces.csv"
    )
    run = "" if name == DEFAULT else f", {json.dumps(name)}"
    python = f"""\
import fer_bench

for face in fer_bench.predict("assets/samples/astronaut.jpg"{run}).faces:
    print(face.box, face.emotion, f"{{face.score:.0%}}")"""
    return f"## How to use it\n\n{block(command, 'bash')}\n\n{block(python, 'python')}"


def _data(record: RunRecord) -> str:
    sizes = record.dataset.split_sizes
    roles: dict[Split, str] = {"train": "to train on", "val": "to choose by", "test": "to test on"}
    shares = [
        f"{sizes[split]:,} {role}{official_name(record, split)}"
        for split, role in roles.items()
        if split in sizes
    ]
    about = ABOUT_DATA.get(record.dataset.name, ABOUT_OTHER_DATA)
    text = f"Images, by the protocol {code(record.dataset.protocol)}: {', '.join(shares)}."
    if counts := record.dataset.class_counts.get("train"):
        least, most = min(counts, key=counts.__getitem__), max(counts, key=counts.__getitem__)
        if counts[least] < counts[most]:
            text += (
                f" The emotions are uneven: {counts[least]:,} training images of {prose(least)}, "
                f"{counts[most]:,} of {prose(most)}."
            )
    return f"## Training data\n\n{about}\n\n{text}"


def _training(run: StoredRun, record: RunRecord, training: TrainingInfo) -> str:
    environment = record.environment
    commit = f", commit {code(environment.git_commit[:7])}" if environment.git_commit else ""
    torch = prose(environment.packages.get("torch", "not recorded"))
    chosen, tested = record.spec.selection_split, record.spec.test_split
    lines = [
        *_means(record),
        *relatives(run, record),
        f"- **Training**: {_effort(record, training)}",
        f"- **Protocol**: what was chosen was chosen on {chosen}{official_name(record, chosen)} "
        f"alone; {tested}{official_name(record, tested)} was read once, after training",
        f"- **Versions**: FER Bench {prose(environment.fer_bench)}{commit}, torch {torch}",
    ]
    again = f"To make it again, with the data at hand and `--results` for {_folder(record)}:"
    command = block(reproduce_command(record), "bash")
    return "## How it was made\n\n" + "\n".join(lines) + f"\n\n{again}\n\n{command}"


def _folder(record: RunRecord) -> str:
    """Where to make it again: the runs that it needs are looked for in the same folder."""
    if not isinstance(record.spec, RunSpec):
        return "a folder of your own that holds its members"
    if record.spec.teachers:
        return "a folder of your own that holds its teachers"
    return "a folder of your own"


def _means(record: RunRecord) -> list[str]:
    """The recipe of a run, or an ensemble's members."""
    spec = record.spec
    if not isinstance(spec, RunSpec):
        shares = [f"{code(member.run)} ({percent(member.weight)})" for member in record.members]
        return [f"- **Members**, and their shares: {listed(shares)}"]
    about = f" ({prose(spec.recipe.description)})" if spec.recipe.description else ""
    recipe = f"{code(spec.recipe.name)}{about}, mode {code(spec.mode)}, seed {spec.seed}"
    return [f"- **Recipe**: {recipe}"]


def _effort(record: RunRecord, training: TrainingInfo) -> str:
    if not training.epochs_run:
        return "none of its own"
    return (
        f"{how_many(training.epochs_run, 'epoch')} in {_duration(training.seconds)} on "
        f"{prose(record.hardware)}, {prose(training.precision)}; "
        f"epoch {training.best_epoch} is kept"
    )


def _duration(seconds: float) -> str:
    """`45 seconds`, `56 minutes`."""
    minutes = round(seconds / 60)
    return how_many(minutes, "minute") if minutes > 1 else how_many(round(seconds), "second")


def _large(number: int) -> str:
    """`2.7 million`, `3.6 billion`."""
    if number >= 1e9:
        return f"{number / 1e9:,.1f} billion"
    return f"{number / 1e6:,.1f} million"
