"""A model on another data set than the one it learnt from."""

from __future__ import annotations

from datetime import UTC, datetime

from fer_bench.data.dataset import FaceDataset
from fer_bench.environment import capture
from fer_bench.evaluation.evaluate import evaluate
from fer_bench.models.classifier import Classifier
from fer_bench.results.record import DatasetInfo
from fer_bench.results.reports.transfer import TransferResult
from fer_bench.studies.robustness.evaluate import describe_test
from fer_bench.types import Progress, Split, silent

#: FER+ gives other labels to the faces of FER2013.
SAME_FACES = {"ferplus": "fer2013"}


def measure_transfer(
    model: Classifier,
    dataset: FaceDataset,
    own: DatasetInfo,
    *,
    split: Split = "test",
    limit: int | None = None,
    device: str = "cpu",
    run_finished_at: datetime | None = None,
    progress: Progress = silent,
) -> TransferResult:
    """Accuracy and macro F1 over the classes that model and data have in common.

    Labels are matched by the emotions' names. Images of classes that the model does not know are
    left out and counted; the model may still answer with a class that the data lack, which is then
    a mistake. Plain probabilities, without test-time augmentation.

    Args:
        own: the data that the model was trained on.
        limit: at most so many images of the split, see `FaceDataset.spread`.

    Raises:
        FerBenchError: an empty split, or one without any class that the model knows.
        RunFailed: the model's logits are not finite.
    """
    used = dataset.spread(split, model.emotions, limit)
    evaluation = evaluate(
        model, used, splits=(split,), tta="none", device=device, progress=progress
    )
    metrics = evaluation.metrics[split]
    return TransferResult(
        measured_at=datetime.now(UTC),
        run_finished_at=run_finished_at,
        environment=capture(),
        tested_on=describe_test(dataset, split, limit, metrics.n, metrics.n_left_out),
        accuracy=metrics.accuracy,
        accuracy_ci95=metrics.accuracy_ci95,
        macro_f1=metrics.macro_f1,
        classes=tuple(e for e in model.emotions if e in dataset.emotions),
        classes_left_out=tuple(e for e in dataset.emotions if e not in model.emotions),
        classes_missing=tuple(e for e in model.emotions if e not in dataset.emotions),
        own_data=is_own(own, dataset),
    )


def is_own(own: DatasetInfo, dataset: FaceDataset) -> bool:
    """Whether a model trained on `own` has learnt from this source.

    Told by the data sets' names, as a subset or another protocol has another fingerprint, and by
    the sources of drawn faces. Whether two sources share single images is not looked into.
    """
    if own.fingerprint == dataset.fingerprint:
        return True
    if "synthetic" in (own.name, dataset.name):
        return (own.name, own.source) == (dataset.name, dataset.source)
    return SAME_FACES.get(own.name, own.name) == SAME_FACES.get(dataset.name, dataset.name)
