"""What lies in `results/` is readable, whole, and says what its predictions say."""

from __future__ import annotations

from pathlib import Path

import pytest
from table_fixtures import table

from fer_bench.evaluation.confusion import of_set, scores
from fer_bench.results.reports.latency_files import read_latency
from fer_bench.results.store import ResultsStore
from fer_bench.results.stored_run import StoredRun
from fer_bench.specs.run import ExternalSpec, RunSpec

STORE = ResultsStore(Path(__file__).parents[2] / "results")
RUNS = STORE.runs()
TRAINED = [run for run in RUNS if isinstance(run.require_record().spec, RunSpec)]
OURS = [run for run in RUNS if not isinstance(run.require_record().spec, ExternalSpec)]
#: Systems that people use, and their accuracy on PrivateTest, as `benchmarks/peers` makes them.
PEERS = {"fer": 0.6587, "vladmandic-human": 0.6682, "vladmandic-face-api": 0.5885}


def test_the_five_models_and_a_seeds_network_are_there() -> None:
    done = {(r.require_record().spec.model, r.require_record().spec.mode) for r in TRAINED}
    for model in ("resnet18", "vgg16", "densenet121", "vit_b_16", "clip_vit_b_32"):
        assert {(model, "frozen"), (model, "full")} <= done
    ranked = {r.require_record().spec.model for r in TRAINED if r.require_record().comparable}
    assert {"resnet18", "keras_cnn"} <= ranked


@table("run", RUNS, ids=lambda run: run.name)
def test_a_shipped_record_agrees_with_its_predictions(run: StoredRun) -> None:
    record = run.require_record()
    assert record.status == "done"
    assert record.spec.selection_split != record.spec.test_split
    assert record.comparable == (record.spec.limit is None)
    predictions = STORE.predictions(run)
    for key in {"val", "test", "test_clean"} & set(record.metrics):
        labels, probabilities = scores(of_set(predictions, key), record.dataset.emotions)
        assert len(labels) == record.metrics[key].n
        right = (probabilities.argmax(1) == labels).mean()
        assert right == pytest.approx(record.metrics[key].accuracy, abs=1e-12)


@table("run", OURS, ids=lambda run: run.name)
def test_a_shipped_record_agrees_with_its_history(run: StoredRun) -> None:
    record = run.require_record()
    history = STORE.history(run)
    assert len(history) == record.training.epochs_run
    best = 0 if history.empty else history["val_accuracy"].idxmax() + 1
    assert record.training.best_epoch == best


@table("name", PEERS)
@table("suffix", ["", "-kaggle"])
def test_what_people_use_is_shipped_as_external_records(name: str, suffix: str) -> None:
    run = STORE.find(f"fer2013/external-{name}{suffix}")
    record = run.require_record()
    spec = record.spec
    assert isinstance(spec, ExternalSpec)
    assert (spec.trained_on, record.comparable) == ("unknown", True)
    assert all((spec.version, spec.source, spec.licence, spec.preprocessing, spec.training))
    assert record.metrics["test"].n == (7178 if suffix else 3589)
    if not suffix:
        assert record.metrics["test"].accuracy == pytest.approx(PEERS[name], abs=5e-5)
    (report,) = read_latency(run.folder)
    assert (
        report.fastest_fp32() is not None and "FER Bench's default" in report.measurements[0].note
    )
