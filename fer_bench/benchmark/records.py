"""The record of what was measured, of a run as of a system that was not trained here."""

from __future__ import annotations

from datetime import UTC, datetime

from fer_bench.benchmark.initial_weights import as_recorded
from fer_bench.data.dataset import FaceDataset
from fer_bench.environment import capture
from fer_bench.evaluation.calibration import calibrate
from fer_bench.evaluation.evaluate import Evaluation
from fer_bench.evaluation.prediction_sets import with_sets
from fer_bench.evaluation.verify import NO_PROBABILITIES
from fer_bench.models.classifier import Classifier
from fer_bench.models.flops import count_flops, count_parameters
from fer_bench.results.record import DatasetInfo, ModelInfo, RunRecord
from fer_bench.specs.run import DataSpec, EnsembleSpec, ExternalSpec, RunSpec
from fer_bench.types import SPLITS, Dtype


def new_record(
    spec: RunSpec | EnsembleSpec | ExternalSpec,
    dataset: FaceDataset,
    started_at: datetime | None = None,
) -> RunRecord:
    """The record of what is still at work, since now unless another start is given."""
    return RunRecord(
        name=spec.name,
        status="running",
        started_at=started_at or datetime.now(UTC),
        spec=as_recorded(spec),
        environment=capture(),
        dataset=describe_dataset(dataset),
        not_comparable_because=reasons_not_comparable(spec, dataset),
    )


def finished(record: RunRecord, evaluation: Evaluation) -> RunRecord:
    """The record of what is done, with its metrics, its temperature and its prediction sets.

    The last two are fitted on the selection split; answers without probabilities, or without that
    split, have neither.
    """
    metrics, spec = evaluation.metrics, record.spec
    if not record.has_probabilities:
        metrics = {k: one.model_copy(update=NO_PROBABILITIES) for k, one in metrics.items()}
    done = {"status": "done", "finished_at": datetime.now(UTC), "metrics": metrics}
    record = record.model_copy(update=done)
    if not record.has_probabilities or spec.selection_split not in metrics:
        return record
    predictions = evaluation.predictions
    calibration = calibrate(predictions, record.dataset.emotions, spec.selection_split)
    fitted = {"temperature": calibration.temperature, "calibrated_ece": calibration.ece}
    return with_sets(record.model_copy(update=fitted), predictions)


def describe_model(model: Classifier, trainable: int = 0, weights: Dtype = "float32") -> ModelInfo:
    """The network as in a record."""
    return ModelInfo(
        parameters=count_parameters(model)[0],
        trainable_parameters=trainable,
        flops=count_flops(model),
        input_spec=model.input_spec,
        provenance=model.provenance,
        weights_dtype=weights,
    )


def describe_dataset(dataset: FaceDataset) -> DatasetInfo:
    """The data as in a record."""
    whole = dataset.whole_fingerprint
    return DatasetInfo(
        name=dataset.name,
        source=dataset.source,
        fingerprint=dataset.fingerprint,
        whole_fingerprint=whole if whole != dataset.fingerprint else None,
        protocol=dataset.protocol,
        emotions=dataset.emotions,
        split_sizes=dataset.split_sizes(),
        clean_test_size=int(dataset.clean_test.sum()),
        class_counts={split: dataset.class_counts(split) for split in SPLITS},
        n_left_out=len(dataset.left_out),
        numbering=dict(dataset.numbering),
    )


def reasons_not_comparable(spec: DataSpec, dataset: FaceDataset) -> list[str]:
    """Why a run's numbers must not stand in a ranking; empty if they may."""
    reasons = []
    if not dataset.comparable:
        reasons.append("synthetic data")
    if dataset.shared_persons:
        reasons.append(f"{dataset.shared_persons} persons of the test stand in train or val too")
    if spec.limit:
        reasons.append(f"limit: at most {spec.limit} images per split")
    if isinstance(spec, ExternalSpec) and spec.trained_on == "in-sample":
        reasons.append("trained on these test images")
    return reasons
