"""A stored run held against its files, its predictions, its data and its own network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from hashlib import sha256
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fer_bench.benchmark.records import describe_dataset, reasons_not_comparable
from fer_bench.data.dataset import FaceDataset
from fer_bench.data.load import Source
from fer_bench.errors import FerBenchError
from fer_bench.evaluation.confusion import PREFIXES, scores
from fer_bench.evaluation.evaluate import predict_probabilities
from fer_bench.evaluation.metrics import align
from fer_bench.evaluation.verify import Check, verify
from fer_bench.inference.classifier import load_run_model
from fer_bench.models.flops import count_parameters
from fer_bench.results.parse import read_history, read_predictions
from fer_bench.results.record import RunRecord, TrainingInfo
from fer_bench.results.stored_run import HISTORY, PREDICTIONS, RECORD, StoredRun, read_run
from fer_bench.types import SPLITS

#: SHA-256 of a submission's files, as `sha256sum` writes them.
DIGEST = "digest.txt"
#: How far a probability may be off on another machine, whose sums round otherwise.
TOLERANCE = 2e-3


def digest(files: Mapping[str, bytes]) -> str:
    """A line `SHA-256  name` for each of a submission's files, as `handed_in` gives them."""
    return "".join(f"{sha256(content).hexdigest()}  {name}\n" for name, content in files.items())


def handed_in(run: StoredRun) -> dict[str, bytes]:
    """The files of a submission by name: the predictions, and the record with plain line ends.

    Git on Windows gives text others.

    Raises:
        FerBenchError: a file that is not there or cannot be read.
    """
    try:
        record = (run.folder / RECORD).read_bytes().replace(b"\r\n", b"\n")
        return {PREDICTIONS: (run.folder / PREDICTIONS).read_bytes(), RECORD: record}
    except OSError as error:
        raise FerBenchError(
            f"run {run.name} has no readable {Path(error.filename).name} ({error.strerror}): it "
            "needs its record and its predictions"
        ) from None


def verify_run(run: StoredRun, source: Source | None = None, forward: int = 0) -> list[Check]:
    """Everything that can be held against a finished run; what does not agree has a `problem`.

    Args:
        source: its data; without, their labels, splits and fingerprint are taken on trust.
        forward: of its test images, so many are given to its network again; needs `source` and
            weights.

    Raises:
        FerBenchError: a run that is unreadable, not finished or without predictions, data that
            cannot be read, or no weights here.
    """
    record = run.require_record()
    predictions = read_predictions(run.folder / PREDICTIONS)
    checks = [*_files(run), *verify(record, predictions)]
    if source is None:
        if forward:
            raise FerBenchError("--forward needs the images: say --data PATH too")
        return checks
    dataset = source.load(record.spec, complete=False)
    checks += verify_data(record, predictions, dataset)
    if forward:
        checks.append(_forward(run, dataset, forward))
    return checks


def _files(run: StoredRun) -> Iterator[Check]:
    record = run.require_record()
    named = (record.dataset.name, record.name)
    if (run.dataset, run.name) != named:
        problem = f"it lies in {run.dataset}/{run.name}, its record says {'/'.join(named)}"
        yield Check(name="folder", problem=problem)
    if record.training and (run.folder / HISTORY).exists():
        yield Check(name="curves", problem=_curves(run, record, record.training))
    try:
        claimed = (run.folder / DIGEST).read_text(encoding="ascii")
    except FileNotFoundError:
        return
    except (OSError, UnicodeDecodeError):
        claimed = ""
    same = claimed == digest(handed_in(run))
    problem = "" if same else f"the files are not those that {DIGEST} was made of"
    yield Check(name="digest", problem=problem)


def _curves(run: StoredRun, record: RunRecord, training: TrainingInfo) -> str:
    """Whether the curves end where the record's training does, at the accuracy that it has."""
    history = read_history(run.folder / HISTORY)
    epochs, best = training.epochs_run, training.best_epoch
    if history["epoch"].tolist() != list(range(1, epochs + 1)):
        return f"{HISTORY} has {len(history)} epochs, the record says {epochs}"
    chosen = record.metrics.get(record.spec.selection_split)
    if chosen is None or not best:
        return ""
    drawn = float(history["val_accuracy"].iloc[best - 1])
    # Training measures in its own precision, where answers that are nearly ties fall otherwise.
    if abs(drawn - chosen.accuracy) > chosen.n**-0.5:
        return f"val accuracy of epoch {best} is {drawn:.4f}, the record's {chosen.accuracy:.4f}"
    return ""


def verify_data(record: RunRecord, predictions: pd.DataFrame, dataset: FaceDataset) -> list[Check]:
    """Compares a record and its predictions with the data that it names.

    Args:
        dataset: as the record's specification asks for it.
    """
    return list(_data_checks(record, predictions, dataset))


def _data_checks(
    record: RunRecord, predictions: pd.DataFrame, dataset: FaceDataset
) -> Iterator[Check]:
    yield Check(name="data description", problem=_description(record, dataset))
    claimed, actual = record.dataset.fingerprint, dataset.fingerprint
    problem = f"it is {actual[:12]}, the record says {claimed[:12]}" if actual != claimed else ""
    yield Check(name="data fingerprint", problem=problem)
    sizes, recorded_sizes = dataset.split_sizes(), record.dataset.split_sizes
    problem = f"{sizes}, the record says {recorded_sizes}" if sizes != recorded_sizes else ""
    yield Check(name="data sizes", problem=problem)
    row_of = {str(identity): row for row, identity in enumerate(dataset.ids)}
    unknown = [one for one in predictions["id"] if one not in row_of]
    if unknown:
        yield Check(name="data images", problem=f"{dataset.source} has no image {unknown[0]:.160}")
        return
    rows = np.array([row_of[one] for one in predictions["id"]], dtype=np.int64)
    yield Check(name="data images", problem=_answered(predictions, dataset, rows))
    yield Check(name="data labels", problem=_labels(record, predictions, dataset, rows))
    yield Check(name="leak", problem=_leak(predictions, dataset, rows))


def _answered(predictions: pd.DataFrame, dataset: FaceDataset, rows: NDArray[np.int64]) -> str:
    """Whether each answer is of the split that it says."""
    splits = np.array([SPLITS.index(split) for split in predictions["split"]])
    wrong = dataset.splits[rows] != splits
    if not wrong.any():
        return ""
    row = int(wrong.argmax())
    number = int(dataset.splits[rows[row]])
    return (
        f"{int(wrong.sum()):,} images are not of the split that they stand under, such as "
        f"{predictions['id'].iloc[row]:.160}, of {SPLITS[number] if number >= 0 else 'no split'}"
    )


def _labels(
    record: RunRecord, predictions: pd.DataFrame, dataset: FaceDataset, rows: NDArray[np.int64]
) -> str:
    known, labels = align(dataset.labels[rows], dataset.emotions, record.dataset.emotions)
    if not known.all():
        return f"{int((~known).sum()):,} images have no label among the record's emotions"
    wrong = labels != predictions["label"].to_numpy()
    if not wrong.any():
        return ""
    row = int(wrong.argmax())
    return (
        f"{int(wrong.sum()):,} labels are not the data's, such as that of "
        f"{predictions['id'].iloc[row]:.160}"
    )


def _leak(predictions: pd.DataFrame, dataset: FaceDataset, rows: NDArray[np.int64]) -> str:
    """Whether `clean` marks the test images whose pixels stand neither in train nor in val."""
    clean = predictions["clean"].to_numpy()
    leaked = int((clean & ~dataset.clean_test[rows]).sum())
    if leaked:
        return f"{leaked:,} images are called clean, though they stand in train or val too"
    missed = int((~clean & dataset.clean_test[rows]).sum())
    return f"{missed:,} images are clean, though they are not called so" if missed else ""


def _description(record: RunRecord, dataset: FaceDataset) -> str:
    """What the record says of the data besides what `verify_data` compares in detail."""
    recorded, measured = record.dataset, describe_dataset(dataset)
    for name in ("name", "protocol", "class_counts", "n_left_out", "numbering"):
        if getattr(recorded, name) != getattr(measured, name):
            return f"{name} is {getattr(measured, name)!s:.80}, the record says otherwise"
    if (recorded.whole_fingerprint or recorded.fingerprint) != dataset.whole_fingerprint:
        return "the record names other data as the whole that they are of"
    hidden = set(reasons_not_comparable(record.spec, dataset)) - set(record.not_comparable_because)
    return f"{', '.join(sorted(hidden))}: the record does not say so" if hidden else ""


def _forward(run: StoredRun, dataset: FaceDataset, count: int) -> Check:
    """The network's own answers to test images spread evenly over its predictions."""
    record = run.require_record()
    predictions = read_predictions(run.folder / PREDICTIONS)
    test = predictions[predictions["split"] == record.spec.test_split]
    chosen = test.iloc[np.linspace(0, len(test) - 1, min(count, len(test))).astype(int)]
    row_of = {str(identity): row for row, identity in enumerate(dataset.ids)}
    rows = np.array([row_of.get(str(one), -1) for one in chosen["id"]], dtype=np.int64)
    name = f"{len(chosen)} forwarded"
    if (rows < 0).any():
        return Check(name=name, problem="some of its images are not among the data")
    model = load_run_model(run)
    if record.model and record.model.parameters != (size := count_parameters(model)[0]):
        recorded = record.model.parameters
        return Check(name=name, problem=f"{size:,} parameters, the record says {recorded:,}")
    if record.model and record.model.input_spec != model.input_spec:
        return Check(name=name, problem="its network takes other faces than the record says")
    views = {"": "none"}
    if any(str(column).startswith(PREFIXES["_tta"]) for column in chosen):
        views["_tta"] = record.spec.tta
    for suffix, tta in views.items():
        probabilities = predict_probabilities(model, dataset.images, rows, tta=tta)
        off = np.abs(probabilities - scores(chosen, record.dataset.emotions, suffix)[1]).max(axis=1)
        if (off > TOLERANCE).any():
            worst = int(off.argmax())
            return Check(
                name=name,
                problem=f"{int((off > TOLERANCE).sum()):,} answers are not its network's; that to "
                f"{chosen['id'].iloc[worst]:.160} is off by {off[worst]:.3f}",
            )
    return Check(name=name)


def runs_in(folder: Path) -> list[StoredRun]:
    """The runs of a results folder, or of one data set's in it; none of a run's own folder."""
    records = [*folder.glob(f"*/{RECORD}"), *folder.glob(f"*/*/{RECORD}")]
    folders = sorted(path.parent for path in records)
    return [
        read_run(one.resolve())
        for one in folders
        if not any(part.startswith(".") for part in one.relative_to(folder).parts)
    ]
